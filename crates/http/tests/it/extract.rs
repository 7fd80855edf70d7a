//! What does not fit is refused with the right status and the place.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use vouchsafe_http::{Json, Path, Query, api};
use vouchsafe_model::DeviceId;

use crate::support::{ask, settings, shown, text};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    device: Device,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    score: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    limit: u32,
}

fn router() -> Router {
    let routes = Router::new()
        .route("/json", post(|Json(question): Json<Question>| async move { Json(question) }))
        .route("/devices/{id}", get(|Path(id): Path<DeviceId>| async move { id.to_string() }))
        .route("/page", get(|Query(page): Query<Page>| async move { page.limit.to_string() }));
    api(routes, &settings())
}

async fn post_json(content_type: &str, body: &str) -> String {
    let request = Request::post("/json").header("content-type", content_type).header("x-request-id", "test");
    shown(ask(router(), request.body(Body::from(body.to_owned())).unwrap()).await).await
}

async fn get_path(path: &str) -> String {
    let request = Request::get(path).header("x-request-id", "test").body(Body::empty()).unwrap();
    shown(ask(router(), request).await).await
}

#[tokio::test]
async fn good_json_is_read_and_written() {
    for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/vouchsafe+json"] {
        let answer = post_json(content_type, r#"{"device":{"score":7}}"#).await;
        assert!(answer.starts_with("200 OK\ncontent-type: application/json\ncache-control: no-store\n"), "{answer}");
        assert!(answer.ends_with(r#"{"device":{"score":7}}"#), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_malformed_and_the_place_is_named() {
    insta::assert_snapshot!(post_json("application/json", "{\n  \"device\": {,").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:json.malformed",
      "title": "The body is not JSON",
      "status": 400,
      "detail": "key must be a string at line 2 column 14",
      "instance": "test",
      "code": "json.malformed"
    }
    "#);
    for body in ["", "{", r#"{"device":{"score":7}} x"#, "\u{feff}{}"] {
        let answer = post_json("application/json", body).await;
        assert!(answer.contains("json.malformed") && answer.contains("at line 1 column"), "{body}: {answer}");
    }
    let deep = "[".repeat(100_000);
    assert!(post_json("application/json", &deep).await.starts_with('4'));
}

#[tokio::test]
async fn json_of_another_shape_is_unacceptable_and_the_field_is_named() {
    insta::assert_snapshot!(post_json("application/json", r#"{"device":{"score":7,"scope":1}}"#).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:json.unacceptable",
      "title": "The request is not acceptable",
      "status": 422,
      "detail": "device.scope: unknown field `scope`, expected `score` at line 1 column 28",
      "instance": "test",
      "code": "json.unacceptable"
    }
    "#);
    for (body, place) in [
        (r#"{"device":{}}"#, "device: missing field `score`"),
        (r#"{"device":{"score":"7"}}"#, "device.score: invalid type: string"),
        (r#"{"device":{"score":256}}"#, "device.score: invalid value: integer `256`"),
        (r#"{"device":{"score":7,"score":8}}"#, "device: duplicate field `score`"),
        ("[]", "in the whole: invalid length 0"),
    ] {
        let answer = post_json("application/json", body).await;
        assert!(answer.starts_with("422") && answer.contains(place), "{body}: {answer}");
    }
}

#[tokio::test]
async fn another_media_type_is_refused() {
    insta::assert_snapshot!(post_json("text/plain", "{}").await, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:request.media_type",
      "title": "The body is of another type",
      "status": 415,
      "detail": "Send application/json.",
      "instance": "test",
      "code": "request.media_type"
    }
    "#);
    for content_type in ["", "json", "application/jsonp", "application/+json", "text/json", "application/x-json"] {
        let answer = post_json(content_type, "{}").await;
        assert!(answer.starts_with("415"), "{content_type}: {answer}");
    }
    let without = Request::post("/json").body(Body::from("{}")).unwrap();
    assert_eq!(ask(router(), without).await.status(), 415);
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    let request = Request::post("/json").header("content-type", "application/json").header("content-encoding", "gzip");
    let answer = ask(router(), request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.status(), 415);
    assert!(text(answer).await.contains("without a Content-Encoding"));
}

#[tokio::test]
async fn a_path_that_does_not_fit_is_refused() {
    let id = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf";
    assert!(get_path(&format!("/devices/{id}")).await.ends_with(id));
    insta::assert_snapshot!(get_path("/devices/nonsense").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:path.unacceptable",
      "title": "The path is not acceptable",
      "status": 400,
      "detail": "'nonsense' is no device id: 32 characters of a-z and 2-7",
      "instance": "test",
      "code": "path.unacceptable"
    }
    "#);
    assert!(get_path("/devices/%FF").await.starts_with("400"));
}

#[tokio::test]
async fn a_query_that_does_not_fit_is_refused() {
    assert!(get_path("/page?limit=7").await.ends_with('7'));
    insta::assert_snapshot!(get_path("/page?limit=many").await, @r#"
    400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:query.unacceptable",
      "title": "The query is not acceptable",
      "status": 400,
      "detail": "limit: invalid digit found in string",
      "instance": "test",
      "code": "query.unacceptable"
    }
    "#);
    for query in ["", "limit=1&offset=2", "limit=1&limit=2"] {
        let answer = get_path(&format!("/page?{query}")).await;
        assert!(answer.starts_with("400"), "{query}: {answer}");
    }
}
