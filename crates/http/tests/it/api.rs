//! What every answer carries, and what becomes of errors and panics.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusBuilder;
use vouchsafe_http::{HttpProblem, api};

use crate::support::{ask, settings, shown, text};

#[expect(clippy::panic, reason = "this is what is caught")]
async fn panics() {
    panic!("a secret in a panic");
}

fn router() -> Router {
    let fails = || async { Err::<(), _>(HttpProblem::internal(std::io::Error::other("the disk of db-7 is full"))) };
    let routes = Router::new()
        .route("/things/{id}", get(|| async { "thing" }).delete(|| async {}))
        .route("/stored", get(|| async { ([("cache-control", "max-age=60")], "stored") }))
        .route("/fails", get(fails))
        .route("/panics", post(panics));
    api(routes, &settings())
}

async fn send(method: Method, path: &str) -> axum::response::Response {
    let request = Request::builder().method(method).uri(path).header("x-request-id", "test");
    ask(router(), request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    insta::assert_snapshot!(shown(send(Method::GET, "/absent").await).await, @r#"
    404 Not Found
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:request.not_found",
      "title": "There is nothing here",
      "status": 404,
      "detail": "There is no such path.",
      "instance": "test",
      "code": "request.not_found"
    }
    "#);
}

#[tokio::test]
async fn another_method_is_a_problem_that_names_the_right_ones() {
    insta::assert_snapshot!(shown(send(Method::POST, "/things/1").await).await, @r#"
    405 Method Not Allowed
    content-type: application/problem+json
    cache-control: no-store
    allow: GET,HEAD,DELETE
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:request.method_not_allowed",
      "title": "Not by this method",
      "status": 405,
      "detail": "The Allow header names the methods of this path.",
      "instance": "test",
      "code": "request.method_not_allowed"
    }
    "#);
}

#[tokio::test]
async fn a_failure_of_ours_tells_a_stranger_nothing_but_its_id() {
    let expected = shown(send(Method::GET, "/fails").await).await;
    insta::assert_snapshot!(expected, @r#"
    500 Internal Server Error
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:engine.internal",
      "title": "The engine failed",
      "status": 500,
      "detail": "The engine's log tells more under this request's id.",
      "instance": "test",
      "code": "engine.internal"
    }
    "#);
    assert_eq!(shown(send(Method::POST, "/panics").await).await, expected, "a panic looks the same");
}

#[tokio::test]
async fn answers_are_not_stored_unless_the_route_says_so() {
    assert_eq!(send(Method::GET, "/things/1").await.headers()["cache-control"], "no-store");
    assert_eq!(send(Method::GET, "/stored").await.headers()["cache-control"], "max-age=60");
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_any_other_is_replaced() {
    let id_for = |id: Option<Vec<u8>>| async move {
        let mut request = Request::get("/things/1");
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let answer = ask(router(), request.body(Body::empty()).unwrap()).await;
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    let longest = "a".repeat(64);
    for sane in ["a", "A-b_c.9", longest.as_str()] {
        assert_eq!(id_for(Some(sane.into())).await, sane);
    }
    let too_long = "a".repeat(65);
    for odd in ["", " ", "a b", "a\"b", "a=b", "<script>", too_long.as_str(), "\u{e9}"] {
        let made = id_for(Some(odd.into())).await;
        assert_eq!(uuid::Uuid::parse_str(&made).unwrap().get_version_num(), 7, "{odd}");
    }
    assert_ne!(id_for(None).await, id_for(None).await);
}

#[tokio::test]
async fn metrics_are_counted_by_the_template_of_the_route_and_a_known_method() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    for path in ["/things/1", "/things/2", "/things/3"] {
        text(send(Method::GET, path).await).await;
    }
    send(Method::GET, "/nonsense-1").await;
    send(Method::GET, "/nonsense-2").await;
    send(Method::from_bytes(b"BREW").unwrap(), "/things/1").await;
    let shown = recorder.handle().render();
    let mut counts: Vec<_> = shown.lines().filter(|line| line.starts_with("http_requests_total{")).collect();
    counts.sort_unstable();
    insta::assert_snapshot!(counts.join("\n"), @r#"
    http_requests_total{route="/things/{id}",method="GET",status="200"} 3
    http_requests_total{route="/things/{id}",method="other",status="405"} 1
    http_requests_total{route="unmatched",method="GET",status="404"} 2
    "#);
    assert!(shown.contains("http_request_duration_seconds"), "{shown}");
}
