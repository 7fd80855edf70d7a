//! The HTTP service of the filter (`http_service`), with `path_prefix: /v1/envoy`.
//!
//! Envoy sends the request on as it is, with its method, host and path behind the prefix, and with the fields that it is set
//! up to send. It tells less than over gRPC: of the client's certificate only what `x-forwarded-client-cert` says.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use axum::routing::any;
use utoipa::OpenApi;
use vouchsafe_http::HttpProblem;
use vouchsafe_http::extract::WholeBody;
use vouchsafe_wire::v1::problem::Problem;

use crate::doors::forwarded::over_http::{clients_fields, last_address, needed_field, points_field, respond};
use crate::doors::forwarded::{Forwarded, Names, Presented, Told, XFCC_FIELD};
use crate::doors::http_request::RawRequest;
use crate::doors::{Caller, Doors};

/// What comes before the path of the client's request.
const PREFIX: &str = "/v1/envoy";

/// What Envoy removes from the request before it passes it on.
const TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// Whether Envoy sends only the beginning of the body.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";

pub(super) fn routes(doors: &Doors) -> Router {
    Router::new().route("/v1/envoy/", any(check)).route("/v1/envoy/{*path}", any(check)).with_state(doors.clone())
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(check), components(schemas(Problem)))]
pub struct EnvoyApi;

/// Decides a request that Envoy sends on by its HTTP service (`ext_authz`, `http_service`, `path_prefix: /v1/envoy`), whatever
/// its method.
#[utoipa::path(
    get,
    path = "/v1/envoy/{path}",
    operation_id = "envoyCheck",
    tag = "enforcement points",
    params(
        ("path" = String, Path, description = "The path of the client's request."),
        ("host" = String, Header, description = "The host of the client's request."),
        ("x-forwarded-proto" = String, Header, description = "Its scheme."),
        ("x-forwarded-client-cert" = Option<String>, Header, description = "What Envoy knows of the client's certificate."),
    ),
    responses(
        (status = 200, description = "Allow: the identities to pass on, and in x-envoy-auth-headers-to-remove those to remove."),
        (status = 401, description = "Deny: the policy wants somebody to log in. Or: it is not known who asks."),
        (status = 403, description = "Deny, with its reasons. Or: the point is not registered for what it passes on."),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The point is set up wrongly: a field is missing or there twice.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "A decision could not be put on record.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn check(
    State(doors): State<Doors>,
    caller: Caller,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, HttpProblem> {
    let decided = forwarded(&method, &uri, &headers, &body)?.decide(&doors, &caller).await?;
    let told = Told::from(&decided);
    let absent: Vec<_> = told.identity.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    // Names of ours alone.
    let to_remove = HeaderValue::try_from(absent.join(",")).unwrap_or(HeaderValue::from_static(""));
    Ok(respond(told, &[(TO_REMOVE, to_remove)]))
}

fn forwarded<'a>(
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a Bytes,
) -> Result<Forwarded<'a>, HttpProblem> {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let scheme = needed_field(headers, "x-forwarded-proto")?;
    let authority = match uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => needed_field(headers, HOST.as_str())?,
    };
    let xfcc = points_field(headers, XFCC_FIELD)?.map(String::from_utf8_lossy);
    let presented = xfcc.map(|xfcc| Presented::by_xfcc(&xfcc));
    Ok(Forwarded {
        http: RawRequest {
            method: method.as_str().as_bytes(),
            scheme: Some(scheme),
            authority,
            target: target.strip_prefix(PREFIX).unwrap_or_default().as_bytes(),
            fields: clients_fields(headers, &[XFCC_FIELD, PARTIAL_BODY]),
            body: Some(body.as_ref()).filter(|body| !body.is_empty()),
            body_is_partial: points_field(headers, PARTIAL_BODY)? == Some(b"true"),
        },
        presented,
        source_ip: last_address(points_field(headers, "x-forwarded-for")?),
        encrypted: scheme.eq_ignore_ascii_case(b"https"),
        names: Names::default(),
        // The answer has no place for obligations.
        understands: Vec::new(),
    })
}
