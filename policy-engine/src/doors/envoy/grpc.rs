//! `envoy.service.auth.v3.Authorization`.
//!
//! Paths arrive undecoded and with their query. Fields arrive as they were sent when the filter is set up with
//! `encode_raw_headers`, and else with duplicates merged, where one of two can no longer be told from a list.

use std::net::IpAddr;

use async_trait::async_trait;
use envoy_types::ext_authz::v3::pb::{
    Address, Authorization, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue,
    HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse,
};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc;
use tonic::{Code, Request, Response, Status};
use vouchsafe_http::HttpProblem;
use vouchsafe_model::obligation::{Obligation, Parameter};
use vouchsafe_model::{Decision, Outcome};

use crate::doors::forwarded::{
    ASK_FOR_A_LOGIN, Decided, Forwarded, IDENTITY_FIELDS, Names, NotAnswered, Presented, Told, Unrecognised, XFCC_FIELD,
};
use crate::doors::http_request::{IDENTITY_PREFIX, RawRequest};
use crate::doors::{Caller, Doors};

/// Answers Envoy.
pub(super) struct ExtAuthz {
    doors: Doors,
}

impl ExtAuthz {
    pub(super) fn new(doors: Doors) -> Self {
        Self { doors }
    }
}

#[async_trait]
impl Authorization for ExtAuthz {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let caller = self.doors.points.caller(request.extensions()).map_err(|problem| status_of(&problem))?;
        let attributes = request.into_inner().attributes.unwrap_or_default();
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
        // The filter for TCP connections asks without one, and about nothing that has a name.
        let http = http.ok_or_else(|| Status::invalid_argument("the question is not about an HTTP request"))?;
        let fields = fields_of(http);
        let understands = caller.understands().to_vec();
        let forwarded = Forwarded { understands, ..forwarded(&attributes, http, &fields) };
        let decided = forwarded.decide(&self.doors, &caller).await;
        let decided = decided.map_err(|error| not_answered(&caller, error))?;
        Ok(Response::new(answer(&decided, &fields)))
    }
}

/// The fields of the request, as they were sent if Envoy tells that.
fn fields_of(http: &HttpRequest) -> Vec<(&[u8], &[u8])> {
    match &http.header_map {
        Some(raw) => raw.headers.iter().map(|field| (field.key.as_bytes(), value_of(field))).collect(),
        None => http.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect(),
    }
}

/// Envoy fills in one of the two.
fn value_of(field: &HeaderValue) -> &[u8] {
    if field.raw_value.is_empty() { field.value.as_bytes() } else { &field.raw_value }
}

fn forwarded<'a>(
    attributes: &'a AttributeContext,
    http: &'a HttpRequest,
    fields: &[(&'a [u8], &'a [u8])],
) -> Forwarded<'a> {
    let source = attributes.source.as_ref();
    let field = |name: &str| {
        let named = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| String::from_utf8_lossy(value))
    };
    let presented = presented(source, field(XFCC_FIELD).as_deref());
    // Of a flow without TLS neither end has a name. Behind a proxy that tells of a client's certificate there was TLS too.
    let named = |peer: Option<&Peer>| peer.is_some_and(|peer| !peer.principal.is_empty());
    let encrypted = named(source)
        || named(attributes.destination.as_ref())
        || attributes.tls_session.is_some()
        || presented.is_some();
    let body = match (http.raw_body.as_slice(), http.body.as_bytes()) {
        ([], []) => None,
        ([], text) => Some(text),
        (raw, _) => Some(raw),
    };
    let name = |key: &str| attributes.context_extensions.get(key).filter(|name| !name.is_empty()).cloned();
    Forwarded {
        http: RawRequest {
            method: http.method.as_bytes(),
            scheme: Some(http.scheme.as_bytes()).filter(|scheme| !scheme.is_empty()),
            authority: http.host.as_bytes(),
            target: http.path.as_bytes(),
            fields: fields.to_vec(),
            body,
            body_is_partial: field("x-envoy-auth-partial-body").is_some_and(|partial| partial == "true"),
        },
        presented,
        source_ip: source.and_then(address_of),
        encrypted,
        names: Names { action: name("action"), resource: name("resource"), application: name("application") },
        understands: Vec::new(),
    }
}

/// The client's certificate: by the connection to this Envoy, and by what it passes on from a proxy before it.
fn presented(source: Option<&Peer>, xfcc: Option<&str>) -> Option<Result<Presented, Unrecognised>> {
    let direct = source.filter(|peer| !peer.principal.is_empty() || !peer.certificate.is_empty()).map(|peer| {
        let named = Presented::by_principal(&peer.principal);
        if peer.certificate.is_empty() {
            Ok(named)
        } else {
            named.agree(&Presented::by_certificate(&peer.certificate)?)
        }
    });
    let Some(xfcc) = xfcc else { return direct };
    let passed_on = Presented::by_xfcc(xfcc);
    Some(match direct {
        // A device that connects to this Envoy is the client, whatever else is told.
        Some(Ok(direct)) if direct.is_device() => passed_on.and_then(|passed_on| direct.agree(&passed_on)),
        Some(Err(unrecognised)) => Err(unrecognised),
        _ => passed_on,
    })
}

fn address_of(peer: &Peer) -> Option<IpAddr> {
    match peer.address.as_ref()?.address.as_ref()? {
        Address::SocketAddress(socket) => socket.address.parse().ok(),
        _ => None,
    }
}

fn answer(decided: &Decided, fields: &[(&[u8], &[u8])]) -> CheckResponse {
    let told = Told::from(decided);
    let dynamic_metadata = Some(metadata(decided.answer.decision()));
    let (code, response) = match told.outcome {
        Outcome::Allow => (Code::Ok, HttpResponse::OkResponse(ok(&told, fields))),
        Outcome::Deny => (Code::PermissionDenied, HttpResponse::DeniedResponse(denied(told))),
    };
    let status = Some(rpc::Status { code: code as i32, ..rpc::Status::default() });
    CheckResponse { status, dynamic_metadata, http_response: Some(response) }
}

/// For the server behind: each identity is set or removed, and so is whatever a client sent that looks like one.
fn ok(told: &Told, fields: &[(&[u8], &[u8])]) -> OkHttpResponse {
    let known = told.identity.iter().filter_map(|(name, value)| Some(field(name, value.as_deref()?)));
    let absent = told.identity.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| (*name).to_owned());
    let clients = fields.iter().map(|(name, _)| String::from_utf8_lossy(name).to_ascii_lowercase());
    let alike = clients.filter(|name| name.starts_with(IDENTITY_PREFIX) && !IDENTITY_FIELDS.contains(&name.as_str()));
    OkHttpResponse {
        headers: known.collect(),
        headers_to_remove: absent.chain(alike).collect(),
        ..OkHttpResponse::default()
    }
}

/// For the client.
fn denied(told: Told) -> DeniedHttpResponse {
    let Told { id, status, body, .. } = told;
    let mut headers = vec![
        field("content-type", "application/json"),
        field("cache-control", "no-store"),
        field("x-vouchsafe-decision-id", &id.to_string()),
    ];
    if status == axum::http::StatusCode::UNAUTHORIZED {
        headers.push(field("www-authenticate", ASK_FOR_A_LOGIN));
    }
    DeniedHttpResponse { status: Some(HttpStatus { code: i32::from(status.as_u16()) }), headers, body }
}

fn field(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), raw_value: Vec::new() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}

/// What Envoy may log and match of a decision: `envoy.filters.http.ext_authz`, under `vouchsafe`.
fn metadata(decision: &Decision) -> Struct {
    let score = match decision.score() {
        Some(score) => Kind::NumberValue(score.score.points()),
        None => Kind::NullValue(0),
    };
    let fields = [
        ("decision_id", text(decision.id().to_string())),
        ("outcome", text(decision.outcome().to_string())),
        ("score", Value { kind: Some(score) }),
        ("policy", text(decision.policy().to_string())),
        ("obligations", list(decision.obligations().iter().map(obligation).collect())),
    ];
    Struct { fields: [("vouchsafe".to_owned(), structure(fields))].into() }
}

fn obligation(obligation: &Obligation) -> Value {
    let parameter = |parameter: &Parameter| match parameter {
        Parameter::Flag(value) => Kind::BoolValue(*value),
        Parameter::Whole(value) => whole(*value),
        Parameter::Number(value) => Kind::NumberValue(*value),
        Parameter::Text(value) => Kind::StringValue(value.clone()),
    };
    let parameters = obligation.parameters.iter();
    let parameters = parameters.map(|(name, value)| (name.as_str(), Value { kind: Some(parameter(value)) }));
    let message = obligation.message.iter().map(|message| ("message", text(message.clone())));
    let fields = [("code", text(obligation.code.clone())), ("parameters", structure(parameters))];
    structure(fields.into_iter().chain(message))
}

/// A number is a double here. One that no double holds would become another, and is told as a text.
fn whole(value: i64) -> Kind {
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    if value.unsigned_abs() > EXACT {
        return Kind::StringValue(value.to_string());
    }
    #[expect(clippy::cast_precision_loss, reason = "a double holds it")]
    let value = value as f64;
    Kind::NumberValue(value)
}

fn text(text: String) -> Value {
    Value { kind: Some(Kind::StringValue(text)) }
}

fn list(values: Vec<Value>) -> Value {
    Value { kind: Some(Kind::ListValue(ListValue { values })) }
}

fn structure<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Value { kind: Some(Kind::StructValue(Struct { fields })) }
}

/// No answer: for Envoy an error, at which it denies.
fn not_answered(caller: &Caller, error: NotAnswered) -> Status {
    match error {
        NotAnswered::NotBelieved(not_believed) => {
            tracing::warn!(peer.identity = %caller.identity(), "not answered: {not_believed}");
            status_of(&HttpProblem::from(not_believed))
        }
        NotAnswered::NotDecided(not_decided) => status_of(&crate::doors::native::not_decided(not_decided)),
    }
}

fn status_of(problem: &HttpProblem) -> Status {
    let code = match problem.status().as_u16() {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        503 => Code::Unavailable,
        _ => Code::Internal,
    };
    Status::new(code, problem.problem().to_string())
}
