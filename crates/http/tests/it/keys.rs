//! Doors whose callers have keys: who gets in, who is refused, and whose rate it costs.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use vouchsafe_http::{ApiKeys, ApiSettings, HttpProblem, KeyDoor, KeyHolder, Rate, RateLimits, api_by_key, keys};
use vouchsafe_model::Sha256Digest;

use crate::support::{ENFORCEMENT, ask, settings, shown, text};

/// A key and its hash.
const KEY: &str = "vpk1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn door(refusal: fn(&str, HttpProblem) -> Response, settings: &ApiSettings) -> Router {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, KEY.as_bytes());
    let hash = Sha256Digest::new(hash.as_ref().try_into().unwrap());
    let who = |request: axum::extract::Request| async move {
        let holder = request.extensions().get::<KeyHolder>().map(|holder| holder.identity.to_string());
        format!("{holder:?} {:?}", request.headers().get("authorization"))
    };
    let routes = Router::new().route("/who", get(who)).route("/open", get(who));
    let keys = ApiKeys::new([(hash, ENFORCEMENT.parse().unwrap())]);
    api_by_key(routes, settings, KeyDoor { keys, open_paths: &["/open"], refusal })
}

fn request(path: &str, key: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path).header("x-request-id", "test");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    request.body(Body::empty()).unwrap()
}

async fn send(path: &str, key: Option<&str>) -> Response {
    ask(door(keys::as_problem, &settings()), request(path, key)).await
}

#[tokio::test]
async fn a_key_names_the_caller_and_goes_no_further_in() {
    assert_eq!(text(send("/who", Some(KEY)).await).await, format!("Some(\"{ENFORCEMENT}\") None"));
}

#[tokio::test]
async fn no_key_is_refused_with_what_is_needed() {
    let answer = send("/who", None).await;
    assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"vouchsafe\"");
    insta::assert_snapshot!(shown(answer).await, @r#"
    401 Unauthorized
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:caller.key_missing",
      "title": "A key is needed",
      "status": 401,
      "detail": "Send the key of a point that is registered here, as Authorization: Bearer and the key.",
      "instance": "test",
      "code": "caller.key_missing"
    }
    "#);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_falls_back_to_nothing() {
    let wrong = KEY.replace('A', "B");
    // Not even to what is open to all: whoever has a key means to be somebody.
    for path in ["/who", "/open", "/absent"] {
        let answer = send(path, Some(&wrong)).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"vouchsafe\", error=\"invalid_token\"");
        assert!(!text(answer).await.contains(&wrong), "{path}: a key is never shown");
    }
}

#[tokio::test]
async fn what_is_open_needs_no_key_and_is_matched_as_it_is_written() {
    assert_eq!(text(send("/open", None).await).await, "None None");
    for path in ["/open/", "//open", "/o%70en", "/open/../who", "/Open"] {
        assert_eq!(send(path, None).await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_may_look_otherwise_and_stays_a_refusal() {
    let as_text: fn(&str, HttpProblem) -> Response =
        |path, problem| format!("{path}: {}", problem.problem().code).into_response();
    let answer = ask(door(as_text, &settings()), request("/who", None)).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().contains_key("www-authenticate"));
    assert_eq!(text(answer).await, "/who: caller.key_missing");
}

#[tokio::test]
async fn guesses_cost_the_guesser_and_a_point_has_a_rate_of_its_own() {
    let (slow, fast) = (Rate::new(1, 3), Rate::new(1_000_000, 1_000_000));
    let rates = RateLimits { per_device: slow, per_service: fast, global: fast, max_callers: 100 };
    let door = door(keys::as_problem, &ApiSettings { rates, ..settings() });
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(ask(door.clone(), request("/who", None)).await.status().as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    for _ in 0..20 {
        assert_eq!(ask(door.clone(), request("/who", Some(KEY))).await.status(), StatusCode::OK);
    }
}
