//! The bounds of requests, each at its maximum and one beyond.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use futures_util::stream;
use http_body_util::BodyExt;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{ApiSettings, Json, Rate, RateLimits, RequestLimits, api};

use crate::support::{ask, settings, shown};

const MAX: usize = 100;

fn limited() -> Router {
    let raw = |body: Body| async move {
        body.collect().await.map(|body| body.to_bytes().len().to_string()).map_err(|_| StatusCode::IM_A_TEAPOT)
    };
    let small = Router::new().route("/small", post(|Json(text): Json<String>| async move { text }));
    let routes = Router::new()
        .route("/json", post(|Json(text): Json<String>| async move { text }))
        .route("/raw", post(raw))
        .merge(with_body_limit(small, MAX / 2));
    let request = RequestLimits { max_body_len: MAX, ..RequestLimits::default() };
    api(routes, &ApiSettings { request, ..settings() })
}

/// A JSON text of so many bytes.
fn json(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length - 2))
}

fn post_to(path: &str, body: Body) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").header("x-request-id", "test").body(body).unwrap()
}

/// A body that comes in pieces and does not say how long it will be.
fn in_pieces(text: &str) -> Body {
    let pieces: Vec<_> =
        text.as_bytes().chunks(7).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces))
}

#[tokio::test]
async fn a_body_of_the_maximum_is_read_and_one_byte_more_is_not() {
    for (path, max) in [("/json", MAX), ("/small", MAX / 2), ("/raw", MAX)] {
        for whole in [true, false] {
            let body = |text: String| if whole { Body::from(text) } else { in_pieces(&text) };
            let read = ask(limited(), post_to(path, body(json(max)))).await;
            assert_eq!(read.status(), 200, "{path}");
            let refused = ask(limited(), post_to(path, body(json(max + 1)))).await;
            // A handler that reads the body by itself sees it fail.
            let expected = if path == "/raw" { 418 } else { 413 };
            assert_eq!(refused.status(), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
    let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    let mut request = post_to("/raw", never);
    request.headers_mut().insert("content-length", (MAX + 1).into());
    insta::assert_snapshot!(shown(ask(limited(), request).await).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:request.body_too_large",
      "title": "The body is too large",
      "status": 413,
      "detail": "The body is longer than the maximum of 100 bytes.",
      "instance": "test",
      "code": "request.body_too_large"
    }
    "#);
    let small = shown(ask(limited(), post_to("/small", in_pieces(&json(MAX)))).await).await;
    assert!(small.contains("the maximum of 50 bytes"), "{small}");
}

fn timed() -> Router {
    let routes = Router::new()
        .route("/slow", get(|| async { std::future::pending::<()>().await }))
        .route("/json", post(|Json(text): Json<String>| async move { text }))
        .route("/slow-after-body", post(|_: Json<String>| async { std::future::pending::<()>().await }));
    let request = RequestLimits { timeout: Duration::from_millis(200), ..RequestLimits::default() };
    api(routes, &ApiSettings { request, ..settings() })
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_our_fault() {
    let request = Request::get("/slow").header("x-request-id", "test").body(Body::empty()).unwrap();
    insta::assert_snapshot!(shown(ask(timed(), request).await).await, @r#"
    503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:engine.timeout",
      "title": "Not available for the moment",
      "status": 503,
      "detail": "The engine took too long over this request.",
      "instance": "test",
      "code": "engine.timeout"
    }
    "#);
    let after_body = ask(timed(), post_to("/slow-after-body", in_pieces(&json(50)))).await;
    assert_eq!(after_body.status(), 503);
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_the_clients_fault() {
    let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"\"x"))]);
    let unfinished = futures_util::StreamExt::chain(pieces, stream::pending());
    insta::assert_snapshot!(shown(ask(timed(), post_to("/json", Body::from_stream(unfinished))).await).await, @r#"
    408 Request Timeout
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:request.timeout",
      "title": "The body took too long",
      "status": 408,
      "detail": "It was not there after 0.2 s.",
      "instance": "test",
      "code": "request.timeout"
    }
    "#);
}

#[tokio::test]
async fn one_request_more_than_the_burst_is_refused_and_told_when_to_come_back() {
    let slow = Rate::new(1, 3);
    let rates = RateLimits { per_device: slow, ..settings().rates };
    let router = api(Router::new().route("/", get(|| async {})), &ApiSettings { rates, ..settings() });
    let knock = || ask(router.clone(), Request::get("/").header("x-request-id", "test").body(Body::empty()).unwrap());
    for _ in 0..3 {
        assert_eq!(knock().await.status(), 200);
    }
    let refused = knock().await;
    assert_eq!(refused.headers()["retry-after"], "1");
    insta::assert_snapshot!(shown(refused).await, @r#"
    429 Too Many Requests
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:request.rate_limited",
      "title": "Too many requests",
      "status": 429,
      "detail": "Wait as long as the Retry-After header says.",
      "instance": "test",
      "code": "request.rate_limited"
    }
    "#);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(knock().await.status(), 200);
}

#[test]
fn a_rate_of_zero_counts_as_one() {
    assert_eq!(Rate::new(0, 0), Rate::new(1, 1));
}
