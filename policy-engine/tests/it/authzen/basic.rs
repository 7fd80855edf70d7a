//! Scenario, section "Basic Certification": one decision, its form, its errors and its headers.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{access, action, admin, archived, ask, decided, decision, delete, post, record, refused, user, world};
use crate::doors::EDGE;

fn readable() -> Value {
    access(user("alice"), action("read"), record("record-1"))
}

#[tokio::test]
async fn a_permit_and_a_deny_by_names_alone() {
    let world = world();
    for (subject, verb, expected) in
        [("alice", "read", true), ("alice", "write", true), ("bob", "read", true), ("bob", "write", false)]
    {
        let body = access(user(subject), action(verb), record("record-1"));
        assert_eq!(decision(&world, &body).await, expected, "{subject} {verb}");
    }
}

#[tokio::test]
async fn a_context_is_accepted_and_changes_nothing() {
    let mut body = readable();
    body["context"] = json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"});
    assert!(decision(&world(), &body).await);
}

#[tokio::test]
async fn a_property_of_the_resource_denies() {
    assert!(!decision(&world(), &access(user("alice"), action("write"), archived("record-2"))).await);
}

#[tokio::test]
async fn a_property_of_the_subject_permits() {
    assert!(decision(&world(), &access(admin("bob"), action("write"), archived("record-2"))).await);
}

#[tokio::test]
async fn a_property_of_the_action_permits_and_denies() {
    let world = world();
    assert!(decision(&world, &access(user("alice"), delete(true), record("record-1"))).await);
    assert!(!decision(&world, &access(user("alice"), delete(false), record("record-1"))).await);
}

#[tokio::test]
async fn further_properties_are_accepted() {
    let body = json!({
        "subject": {"type": "user", "id": "alice", "properties": {"department": "Sales", "role": "manager"}},
        "action": {"name": "read", "properties": {"method": "GET"}},
        "resource": {"type": "record", "id": "record-1", "properties": {"status": "active", "owner": "bob"}}
    });
    assert!(decision(&world(), &body).await);
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let mut body = readable();
    (body["foo"], body["futureField"]) = (json!("bar"), json!({"nested": true}));
    body["subject"]["extra"] = json!([1]);
    assert!(decision(&world(), &body).await);
}

#[tokio::test]
async fn an_answer_is_a_boolean_with_an_object_beside_it_and_nobody_stores_it() {
    let world = world();
    for body in [readable(), access(user("bob"), action("write"), record("record-1"))] {
        let answer = ask(&world, "evaluation", &body).await;
        assert!(answer.json()["decision"].is_boolean() && answer.json()["context"].is_object());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn a_missing_field_is_refused_by_its_name() {
    let world = world();
    for field in ["subject", "action", "resource"] {
        let mut body = readable();
        body.as_object_mut().unwrap().remove(field);
        refused(&world, "evaluation", &body, &format!("{field} is missing.")).await;
    }
    for (entity, field) in
        [("subject", "type"), ("subject", "id"), ("action", "name"), ("resource", "type"), ("resource", "id")]
    {
        let mut body = readable();
        body[entity].as_object_mut().unwrap().remove(field);
        refused(&world, "evaluation", &body, &format!("{entity}.{field} is missing.")).await;
    }
    assert!(world.log.views().is_empty());
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let world = world();
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")] {
        let mut request = axum::http::Request::post("/access/v1/evaluation");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let answer = world.send(EDGE, request, &readable().to_string()).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::BAD_REQUEST, "The Content-Type has to be application/json.")
        );
    }
    let request =
        axum::http::Request::post("/access/v1/evaluation").header("content-type", "Application/JSON; charset=utf-8");
    assert!(decided(&world.send(EDGE, request, &readable().to_string()).await));
}

#[tokio::test]
async fn what_is_no_json_or_empty_or_means_two_things_is_refused() {
    let world = world();
    for body in [
        "",
        "{",
        "not json",
        "[]",
        "null",
        r#"{"subject": {"type": "user", "id": "alice", "id": "bob"}, "action": {"name": "read"}}"#,
        "{\"a\": \"\\ud800\"}",
        "{\"a\": 1e99}",
    ] {
        let answer = world.send(EDGE, post("evaluation"), body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(!answer.body.is_empty());
    }
}

#[tokio::test]
async fn a_field_of_another_type_is_refused() {
    let world = world();
    for (place, value, said) in [
        ("/subject", json!("alice"), "subject is no object."),
        ("/action/name", json!(123), "action.name is no string."),
        ("/resource", json!([]), "resource is no object."),
    ] {
        let mut body = readable();
        *body.pointer_mut(place).unwrap() = value;
        refused(&world, "evaluation", &body, said).await;
    }
}

#[tokio::test]
async fn the_identifier_of_a_request_comes_back_as_it_was() {
    let world = world();
    for id in ["bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "a b/c?<d>\"", &"x".repeat(500)] {
        for body in [readable().to_string(), "{".to_owned()] {
            let answer = world.send(EDGE, post("evaluation").header("x-request-id", id), &body).await;
            assert_eq!(answer.header("x-request-id"), id);
        }
    }
}

#[tokio::test]
async fn a_request_without_an_identifier_is_answered() {
    assert!(decision(&world(), &readable()).await);
}

#[tokio::test]
async fn the_same_question_gets_the_same_answer_each_time_and_is_decided_anew() {
    let world = world();
    for _ in 0..5 {
        assert!(decision(&world, &readable()).await);
    }
    let mut ids: Vec<_> = world.log.views().iter().map(|view| view.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}
