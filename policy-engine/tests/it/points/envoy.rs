//! Envoy's external authorization, as Envoy sees it.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::Request;
use envoy_types::ext_authz::v3::pb::{Address, CheckRequest, CheckResponse, HeaderValue, HttpResponse};
use envoy_types::pb::envoy::config::core::v3::{self as core, HeaderMap, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request as Wrapped};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::google::protobuf::value::Kind;
use prost::Message as _;
use serde_json::Value;
use tonic::{Code, Status};
use vouchsafe_model::{DeviceState, Outcome};
use vouchsafe_policy_engine::doors::DENIED_UNASKED;
use vouchsafe_wire::v1::limits::FORWARDED_BODY;

use super::support::{EDGE, PLAIN, STRANGER, World, escaped_pem, field, spiffe, text};
use crate::fixtures::{ALLOW_ALL, device, policy};

/// A request of device 1 for the wiki, as Envoy describes it.
pub(super) fn request(fields: &[(&str, &str)]) -> CheckRequest {
    let raw = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec(),
    };
    let own = [(":authority", "wiki.example.org"), (":method", "GET"), (":path", "/a?b=c"), (":scheme", "https")];
    let http = HttpRequest {
        method: "GET".into(),
        host: "wiki.example.org".into(),
        path: "/a?b=c".into(),
        scheme: "https".into(),
        header_map: Some(HeaderMap { headers: own.iter().chain(fields).map(raw).collect() }),
        ..HttpRequest::default()
    };
    let socket = SocketAddress { address: "192.0.2.7".into(), ..SocketAddress::default() };
    let source = Peer {
        address: Some(core::Address { address: Some(Address::SocketAddress(socket)) }),
        principal: spiffe(1),
        ..Peer::default()
    };
    let attributes = AttributeContext {
        source: Some(source),
        request: Some(Wrapped { http: Some(http), ..Wrapped::default() }),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

fn http(request: &mut CheckRequest) -> &mut HttpRequest {
    request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap()
}

fn source(request: &mut CheckRequest) -> &mut Peer {
    request.attributes.as_mut().unwrap().source.as_mut().unwrap()
}

pub(super) async fn check_as(world: &World, identity: &str, request: CheckRequest) -> Result<CheckResponse, Status> {
    let answer = AuthorizationClient::new(world.router(identity)).check(request).await?.into_inner();
    Ok(answer)
}

async fn check(world: &World, request: CheckRequest) -> CheckResponse {
    check_as(world, EDGE, request).await.unwrap()
}

/// Yes or no, and the codes of the reasons of a no.
pub(super) fn in_short(answer: &CheckResponse) -> (bool, Vec<String>) {
    match answer.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(_) => (true, Vec::new()),
        HttpResponse::DeniedResponse(denied) => {
            let body: Value = serde_json::from_str(&denied.body).unwrap();
            let reasons = body["reasons"].as_array().unwrap();
            (false, reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect())
        }
        HttpResponse::ErrorResponse(_) => panic!("an error is no answer"),
    }
}

fn denied_for(answer: &CheckResponse, code: &str) {
    let (allowed, codes) = in_short(answer);
    assert!(!allowed && codes.iter().any(|found| found == code), "{code}: {codes:?}");
}

#[tokio::test]
async fn an_allow_tells_the_server_behind_who_it_is() {
    let world = World::new();
    let answer = check(&world, request(&[("x-forwarded-user", "ada"), ("x-forwarded-groups", "ops, dev")])).await;
    assert_eq!(answer.status.as_ref().unwrap().code, 0);
    let Some(HttpResponse::OkResponse(ok)) = &answer.http_response else { panic!("{answer:?}") };
    let set: HashMap<_, _> =
        ok.headers.iter().map(|field| field.header.clone().unwrap()).map(|h| (h.key, h.value)).collect();
    let id = world.logged()[0].id.to_string();
    for (name, value) in [
        ("x-vouchsafe-decision-id", id.as_str()),
        ("x-vouchsafe-device", &device(1).to_string()),
        ("x-vouchsafe-score", "79.5"),
        ("x-vouchsafe-user", "ada"),
        ("x-vouchsafe-roles", "ops,dev"),
    ] {
        assert_eq!(set[name], value, "{name}");
    }
    assert!(ok.headers.iter().all(|field| field.append_action == 2), "each replaces what is there: {:?}", ok.headers);
    assert!(ok.headers_to_remove.is_empty());
    let question = &world.logged()[0].question;
    assert_eq!((question.device, question.request.action.as_str()), (Some(device(1)), "GET"));
    assert_eq!(question.request.resource, "https://wiki.example.org/a");
    let network = question.network.as_ref().unwrap();
    assert_eq!((network.source_ip, network.authenticated, network.encrypted), ("192.0.2.7".parse().ok(), true, true));
    let user = question.user.as_ref().unwrap();
    assert_eq!((user.id.as_str(), user.roles.len()), ("ada", 2));
    assert!(question.request.http.as_ref().unwrap().headers.is_empty());
    assert_eq!(world.logged()[0].asked_by, Some(EDGE.parse().unwrap()));
}

#[tokio::test]
async fn identities_that_a_client_sent_are_replaced_or_removed() {
    let world = World::new();
    let sent = [
        ("x-vouchsafe-user", "root"),
        ("X-Vouchsafe-Device", "forged"),
        ("x-vouchsafe-admin", "yes"),
        ("x-other", "stays"),
    ];
    let answer = check(&world, request(&sent)).await;
    let Some(HttpResponse::OkResponse(ok)) = &answer.http_response else { panic!("{answer:?}") };
    let mut removed = ok.headers_to_remove.clone();
    removed.sort();
    assert_eq!(removed, ["x-vouchsafe-admin", "x-vouchsafe-roles", "x-vouchsafe-user"]);
    assert!(
        ok.headers.iter().all(|field| !["forged", "root"].contains(&field.header.as_ref().unwrap().value.as_str()))
    );
    let headers = world.logged()[0].question.request.http.clone().unwrap().headers;
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-other"]);
    denied_for(&check(&world, request(&[("x_vouchsafe_user", "root")])).await, "request.headers_ambiguous");
}

#[tokio::test]
async fn a_deny_says_why_to_people_and_programs() {
    let world = World::new();
    world.change(|record| record.state = DeviceState::Revoked);
    let answer = check(&world, request(&[])).await;
    assert_eq!(answer.status.as_ref().unwrap().code, Code::PermissionDenied as i32);
    denied_for(&answer, "device.not_active");
    let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else { panic!("no deny") };
    assert_eq!(denied.status.unwrap().code, 403);
    let id = world.logged()[0].id.to_string();
    let body: Value = serde_json::from_str(&denied.body).unwrap();
    assert_eq!((body["decision_id"].as_str(), body["outcome"].as_str()), (Some(id.as_str()), Some("deny")));
    assert!(body["reasons"][0]["fix"].is_string() && body.get("score").is_none(), "{body}");
    let named = |name: &str| denied.headers.iter().any(|field| field.header.as_ref().unwrap().key == name);
    assert!(named("content-type") && named("cache-control") && named("x-vouchsafe-decision-id"));
}

#[tokio::test]
async fn the_metadata_names_the_decision() {
    let world = World::new();
    let answer = check(&world, request(&[])).await;
    let metadata = answer.dynamic_metadata.unwrap();
    let Some(Kind::StructValue(ours)) = &metadata.fields["vouchsafe"].kind else { panic!("{metadata:?}") };
    let text = |name: &str| match &ours.fields[name].kind {
        Some(Kind::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!((text("decision_id"), text("outcome")), (world.logged()[0].id.to_string(), "allow".to_owned()));
    assert_eq!(text("policy"), world.doors.decider.engine.policy().to_string());
    assert_eq!(ours.fields["score"].kind, Some(Kind::NumberValue(79.5)));
}

#[tokio::test]
async fn what_servers_read_differently_is_denied_on_record() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    for (path, code) in [
        ("/public/..;/admin", "request.path_ambiguous"),
        ("/public/%2e%2e/admin", "request.path_ambiguous"),
        ("/a%2Fb", "request.path_ambiguous"),
        ("/a%252Fb", "request.path_ambiguous"),
        ("//a", "request.path_ambiguous"),
        ("/a#b", "request.path_ambiguous"),
        ("/a?b#c", "request.query_ambiguous"),
    ] {
        let mut request = request(&[]);
        http(&mut request).path = path.into();
        http(&mut request).header_map.as_mut().unwrap().headers.clear();
        denied_for(&check(&world, request).await, code);
    }
    let mut twice = request(&[("host", "wiki.example.org"), ("host", "wiki.example.org")]);
    denied_for(&check(&world, twice.clone()).await, "request.headers_ambiguous");
    http(&mut twice).host = "evil.example.org".into();
    denied_for(&check(&world, twice).await, "request.headers_ambiguous");
    denied_for(&check(&world, request(&[("x-a", "b\r\n c")])).await, "request.headers_ambiguous");
    let logged = world.logged();
    assert_eq!(logged.len(), 10);
    assert!(logged.iter().all(|logged| logged.outcome == Outcome::Deny && logged.question.device == Some(device(1))));
    assert!(logged.iter().all(|logged| DENIED_UNASKED.contains(&logged.reasons[0].code.as_str())));
    assert_eq!(logged[0].question.request.http.as_ref().unwrap().raw_path, "/public/..;/admin");
    assert_eq!(logged[0].question.request.resource, "https://wiki.example.org/public/..;/admin");
}

#[tokio::test]
async fn no_credential_reaches_policy_log_or_answer() {
    let world = World::new();
    let mut request = request(&[
        ("authorization", "Bearer hunter2"),
        ("cookie", "session=hunter2"),
        ("x-api-key", "hunter2"),
        ("proxy-authorization", "Basic hunter2"),
    ]);
    http(&mut request).path = "/a?access_token=hunter2".into();
    http(&mut request).header_map.as_mut().unwrap().headers.retain(|field| field.key != ":path");
    http(&mut request).body = "password=hunter2".into();
    let answer = check(&world, request.clone()).await;
    assert!(in_short(&answer).0, "{answer:?}");
    http(&mut request).path = "/../a?access_token=hunter2".into();
    let refused = check(&world, request).await;
    denied_for(&refused, "request.path_ambiguous");
    assert_eq!(world.logged().len(), 2);
    assert!(!world.log_text().contains("hunter2"), "{}", world.log_text());
    assert!(!format!("{answer:?}{refused:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_policy_may_look_at_the_body_and_nobody_else() {
    let bundle = policy(
        r#"decision := {"allow": allow, "reasons": []}
        default allow := false
        allow if input.request.http.body == "{\"amount\": 5}""#,
    );
    let world = World::with_policy(&bundle);
    for (body, expected) in [(r#"{"amount": 5}"#, true), (r#"{"amount": 6}"#, false), ("", false)] {
        let mut request = request(&[]);
        http(&mut request).raw_body = body.into();
        assert_eq!(in_short(&check(&world, request).await).0, expected, "{body}");
    }
    assert!(!world.log_text().contains("amount"));
}

type Change = Box<dyn FnOnce(&mut CheckRequest)>;

#[tokio::test]
async fn a_certificate_leads_to_its_device_if_it_is_the_present_one() {
    let world = World::new();
    let hash = world.digest();
    let (certificate, former) = (escaped_pem(&world.certificate), escaped_pem(&World::former_certificate()));
    let uri = spiffe(1);
    let xfcc = |value: String| {
        move |request: &mut CheckRequest| {
            let fields = &mut http(request).header_map.as_mut().unwrap().headers;
            fields.push(HeaderValue {
                key: "x-forwarded-client-cert".into(),
                raw_value: value.into_bytes(),
                ..HeaderValue::default()
            });
        }
    };
    let cert = |value: &str| {
        let value = value.to_owned();
        move |request: &mut CheckRequest| source(request).certificate = value
    };
    let zeros = "0".repeat(64);
    let cases: [(Change, Option<&str>); 11] = [
        (Box::new(cert(&certificate)), None),
        (Box::new(xfcc(format!("Hash={hash};URI={uri}"))), None),
        (
            Box::new(xfcc(format!(
                "By=spiffe://example.org/enforcement/edge;Hash={hash};Cert=\"{certificate}\";URI={uri}"
            ))),
            None,
        ),
        (Box::new(cert(&former)), Some("device.certificate_not_current")),
        (Box::new(xfcc(format!("Hash={zeros};URI={uri}"))), Some("device.certificate_not_current")),
        (
            Box::new(xfcc(format!("Hash={zeros};Cert=\"{certificate}\";URI={uri}"))),
            Some("device.certificate_contradictory"),
        ),
        (Box::new(xfcc(format!("Hash={hash};URI={}", spiffe(2)))), Some("device.certificate_contradictory")),
        (Box::new(xfcc(format!("Hash={hash};URI={uri},Hash={hash};URI={uri}"))), Some("device.certificate_unreadable")),
        (Box::new(cert("rubbish")), Some("device.certificate_unreadable")),
        (Box::new(|request| source(request).principal = uri_of_another_domain()), Some("device.not_named")),
        (Box::new(|request| source(request).principal = EDGE.into()), Some("device.not_named")),
    ];
    for (number, (change, code)) in cases.into_iter().enumerate() {
        let mut request = request(&[]);
        change(&mut request);
        let answer = check(&world, request).await;
        match code {
            None => assert!(in_short(&answer).0, "{number}: {answer:?}"),
            Some(code) => {
                denied_for(&answer, code);
                denied_for(&answer, "device.unknown");
            }
        }
    }
}

fn uri_of_another_domain() -> String {
    spiffe(1).replace("example.org", "example.net")
}

#[tokio::test]
async fn a_point_behind_a_proxy_passes_on_what_the_proxy_has_seen() {
    let world = World::new();
    let xfcc = format!("Hash={};URI={}", world.digest(), spiffe(1));
    let mut request = request(&[("x-forwarded-client-cert", &xfcc)]);
    source(&mut request).principal = "spiffe://example.org/enforcement/balancer".into();
    assert!(in_short(&check(&world, request.clone()).await).0);
    source(&mut request).principal.clear();
    assert!(in_short(&check(&world, request).await).0);
}

#[tokio::test]
async fn a_flow_without_tls_is_neither_authenticated_nor_encrypted() {
    let world = World::new();
    let mut request = request(&[]);
    source(&mut request).principal.clear();
    denied_for(&check(&world, request).await, "network.not_encrypted");
    let network = world.logged()[0].question.network.clone().unwrap();
    assert!(!network.authenticated && !network.encrypted);
}

#[tokio::test]
async fn a_change_of_the_record_is_seen_by_the_next_request() {
    let world = World::new();
    assert!(in_short(&check(&world, request(&[])).await).0);
    world.change(|record| record.state = DeviceState::Revoked);
    assert!(!in_short(&check(&world, request(&[])).await).0);
    world.change(|_| ());
    assert!(in_short(&check(&world, request(&[])).await).0);
}

#[tokio::test]
async fn points_are_believed_in_what_they_are_registered_for_alone() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let anonymous = || {
        let mut request = request(&[]);
        source(&mut request).principal.clear();
        request
    };
    let refused = |answer: Result<CheckResponse, Status>| answer.unwrap_err().code();
    assert!(in_short(&check_as(&world, PLAIN, anonymous()).await.unwrap()).0);
    assert_eq!(refused(check_as(&world, PLAIN, request(&[])).await), Code::PermissionDenied);
    let mut xfcc = anonymous();
    let forged = HeaderValue { key: "X-Forwarded-Client-Cert".into(), value: "Hash=".into(), ..HeaderValue::default() };
    http(&mut xfcc).header_map.as_mut().unwrap().headers.push(forged);
    assert_eq!(refused(check_as(&world, PLAIN, xfcc).await), Code::PermissionDenied);
    assert_eq!(refused(check_as(&world, STRANGER, anonymous()).await), Code::PermissionDenied);
    assert_eq!(refused(check_as(&world, &spiffe(1), anonymous()).await), Code::PermissionDenied);
    assert_eq!(world.logged().len(), 1);
    // A user that the client made up is no reason for an error of the point, and no user.
    let mut claimed = anonymous();
    let user = HeaderValue { key: "x-forwarded-user".into(), value: "root".into(), ..HeaderValue::default() };
    http(&mut claimed).header_map.as_mut().unwrap().headers.push(user);
    denied_for(&check_as(&world, PLAIN, claimed).await.unwrap(), "request.user_claimed");
}

#[tokio::test]
async fn a_route_may_name_what_is_asked() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let mut request = request(&[]);
    let names = [("action", "read"), ("resource", "db:orders")].map(|(key, name)| (key.to_owned(), name.to_owned()));
    request.attributes.as_mut().unwrap().context_extensions = names.into();
    assert!(in_short(&check(&world, request).await).0);
    let asked = &world.logged()[0].question.request;
    assert_eq!((asked.action.as_str(), asked.resource.as_str()), ("read", "db:orders"));
    assert_eq!(asked.http.as_ref().unwrap().path, "/a");
}

#[tokio::test]
async fn a_policy_that_wants_a_login_is_answered_by_401() {
    let bundle =
        policy(r#"decision := {"allow": false, "reasons": [{"code": "user.unauthenticated", "message": "Log in."}]}"#);
    let world = World::with_policy(&bundle);
    let Some(HttpResponse::DeniedResponse(denied)) = check(&world, request(&[])).await.http_response else {
        panic!("no deny")
    };
    assert_eq!(denied.status.unwrap().code, 401);
    assert!(denied.headers.iter().any(|field| field.header.as_ref().unwrap().key == "www-authenticate"));
}

#[tokio::test]
async fn what_is_not_on_record_is_an_error_and_no_answer() {
    let world = World::new();
    world.log.fails.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(check_as(&world, EDGE, request(&[])).await.unwrap_err().code(), Code::Unavailable);
    let mut ambiguous = request(&[]);
    http(&mut ambiguous).path = "/..".into();
    assert_eq!(check_as(&world, EDGE, ambiguous).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_question_about_no_http_request_is_no_question() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let code = check_as(&world, EDGE, CheckRequest::default()).await.unwrap_err().code();
    assert_eq!(code, Code::InvalidArgument);
    let mut merged = request(&[]);
    http(&mut merged).header_map = None;
    http(&mut merged).headers = [("host".to_owned(), "wiki.example.org,evil.example.org".to_owned())].into();
    denied_for(&check(&world, merged).await, "request.headers_ambiguous");
}

#[tokio::test]
async fn a_message_is_taken_at_its_largest_and_refused_one_byte_later() {
    let world = World::with_policy(&policy(ALLOW_ALL));
    let of_length = |length: usize| {
        let mut request = request(&[]);
        let room = length - prost_len(&request) - 5 - 4;
        http(&mut request).raw_body = vec![b'x'; room];
        // The lengths of what holds the body are written in more bytes now.
        let over = prost_len(&request) + 5 - length;
        http(&mut request).raw_body.truncate(room - over);
        assert_eq!(prost_len(&request) + 5, length);
        request
    };
    assert!(in_short(&check(&world, of_length(FORWARDED_BODY)).await).0);
    assert!(check_as(&world, EDGE, of_length(FORWARDED_BODY + 1)).await.is_err());
}

fn prost_len(request: &CheckRequest) -> usize {
    request.encoded_len()
}

/// The HTTP service of the filter.
pub(super) fn sent_on(path: &str) -> axum::http::request::Builder {
    Request::get(format!("/v1/envoy{path}")).header("host", "wiki.example.org").header("x-forwarded-proto", "https")
}

#[tokio::test]
async fn over_http_an_allow_sets_and_removes_the_same() {
    let world = World::new();
    let xfcc = format!("Hash={};URI={}", world.digest(), spiffe(1));
    let request = sent_on("/a%7Eb?c")
        .header("x-forwarded-client-cert", &xfcc)
        .header("x-forwarded-for", "198.51.100.1, 192.0.2.7");
    let request =
        request.header("authorization", "Bearer hunter2").header("connection", "x-a").body(Body::empty()).unwrap();
    let answer = world.send(EDGE, request).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(field(answer.headers(), "x-vouchsafe-device"), device(1).to_string());
    assert_eq!(field(answer.headers(), "x-envoy-auth-headers-to-remove"), "x-vouchsafe-user,x-vouchsafe-roles");
    let question = world.logged()[0].question.clone();
    assert_eq!(question.request.resource, "https://wiki.example.org/a~b");
    let http = question.request.http.unwrap();
    assert_eq!((http.raw_path.as_str(), http.query.as_deref()), ("/a%7Eb", Some("c")));
    assert_eq!(question.network.unwrap().source_ip, "192.0.2.7".parse().ok());
    assert!(!world.log_text().contains("hunter2"));
}

#[tokio::test]
async fn over_http_a_deny_is_a_403_and_a_mistake_of_the_point_no_answer() {
    let world = World::new();
    let answer = world.send(EDGE, sent_on("/").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), 403);
    assert!(text(answer).await.contains("device.unknown"));
    for path in ["/a/../b", "//a", "/a%2fb"] {
        let answer = world.send(EDGE, sent_on(path).body(Body::empty()).unwrap()).await;
        assert!(text(answer).await.contains("request.path_ambiguous"), "{path}");
    }
    let incomplete = Request::get("/v1/envoy/a").header("host", "wiki.example.org").body(Body::empty()).unwrap();
    assert_eq!(world.send(EDGE, incomplete).await.status(), 422);
    let forged = sent_on("/").header("x-forwarded-client-cert", "Hash=").body(Body::empty()).unwrap();
    let answer = world.send(PLAIN, forged).await;
    assert_eq!(answer.status(), 403);
    assert!(text(answer).await.contains("caller.not_registered"));
    let large = sent_on("/").method("POST").body(Body::from(vec![0; FORWARDED_BODY + 1])).unwrap();
    assert_eq!(world.send(EDGE, large).await.status(), 413);
    let whole = sent_on("/").method("POST").body(Body::from(vec![0; FORWARDED_BODY])).unwrap();
    assert_eq!(world.send(EDGE, whole).await.status(), 403);
}
