//! Scenario, section "Search Certification": subjects, resources and actions, and pages of them.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use vouchsafe_policies::Bundle;

use super::{action, admin, archived, ask, record, refused, user, world};
use crate::doors::{EDGE, OPERATOR, World};
use crate::fixtures::{engine_with, limits};

async fn results(world: &World, kind: &str, body: &Value) -> Vec<Value> {
    let answer = ask(world, &format!("search/{kind}"), body).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{}", answer.body);
    answer.json()["results"].as_array().unwrap().clone()
}

fn users(ids: &[&str]) -> Vec<Value> {
    ids.iter().map(|id| user(id)).collect()
}

fn who_reads() -> Value {
    json!({"subject": {"type": "user"}, "action": action("read"), "resource": record("record-1")})
}

fn with_context(mut body: Value) -> Value {
    body["context"] = json!({"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"});
    body
}

#[tokio::test]
async fn subjects_are_found_with_a_context_or_a_name_or_without() {
    let world = world();
    let mut named = who_reads();
    named["subject"]["id"] = json!("alice");
    for body in [who_reads(), with_context(who_reads()), named] {
        assert_eq!(results(&world, "subject", &body).await, users(&["alice", "bob"]), "{body}");
    }
}

#[tokio::test]
async fn subjects_are_found_by_their_properties_in_the_data() {
    let body = json!({"subject": {"type": "user"}, "action": action("write"), "resource": archived("record-2")});
    assert_eq!(results(&world(), "subject", &body).await, users(&["bob"]));
}

#[tokio::test]
async fn resources_are_found_with_a_context_or_a_name_or_without() {
    let world = world();
    let body = json!({"subject": user("alice"), "action": action("read"), "resource": {"type": "record"}});
    let mut named = body.clone();
    named["resource"]["id"] = json!("record-1");
    for body in [body.clone(), with_context(body), named] {
        assert_eq!(results(&world, "resource", &body).await, [record("record-1"), record("record-2")], "{body}");
    }
}

#[tokio::test]
async fn resources_are_found_by_their_properties_in_the_data() {
    let body = json!({"subject": admin("bob"), "action": action("write"), "resource": {"type": "record"}});
    assert_eq!(results(&world(), "resource", &body).await, [record("record-2")]);
}

#[tokio::test]
async fn actions_are_found_with_a_context_or_without_and_by_properties() {
    let world = world();
    let body = json!({"subject": user("alice"), "resource": record("record-1")});
    for body in [body.clone(), with_context(body)] {
        assert_eq!(results(&world, "action", &body).await, [action("read"), action("write")]);
    }
    let body = json!({"subject": admin("bob"), "resource": archived("record-2")});
    assert_eq!(results(&world, "action", &body).await, [action("read"), action("write")]);
}

#[tokio::test]
async fn nothing_is_found_where_there_is_nothing_and_that_is_no_error() {
    let world = world();
    let none: Vec<Value> = Vec::new();
    let spaceship = json!({"type": "spaceship"});
    for (kind, body) in [
        ("action", json!({"subject": user("nonexistent-user"), "resource": record("record-1")})),
        ("subject", json!({"subject": spaceship, "action": action("read"), "resource": record("record-1")})),
        ("subject", json!({"subject": {"type": "user"}, "action": action("fly"), "resource": record("record-1")})),
        ("subject", json!({"subject": {"type": "user"}, "action": action("read"), "resource": record("record-9")})),
        ("resource", json!({"subject": user("alice"), "action": action("read"), "resource": spaceship})),
        (
            "resource",
            json!({"subject": user("nonexistent-user"), "action": action("read"), "resource": {"type": "record"}}),
        ),
        ("action", json!({"subject": user("alice"), "resource": {"type": "spaceship", "id": "x"}})),
    ] {
        assert_eq!(results(&world, kind, &body).await, none, "{kind} {body}");
    }
}

#[tokio::test]
async fn what_is_missing_is_refused_by_what_is_searched_for() {
    let world = world();
    let bare = json!({"subject": {"type": "user"}, "action": action("read"), "resource": {"type": "record"}});
    for (kind, body, said) in [
        ("subject", json!({"subject": {"type": "user"}, "resource": record("record-1")}), "action is missing."),
        ("resource", json!({"action": action("read"), "resource": {"type": "record"}}), "subject is missing."),
        ("action", json!({"subject": user("alice")}), "resource is missing."),
        ("subject", bare.clone(), "resource.id is missing."),
        ("resource", bare, "subject.id is missing."),
        ("action", json!({"subject": {"type": "user"}, "resource": record("record-1")}), "subject.id is missing."),
        (
            "subject",
            json!({"subject": {}, "action": action("read"), "resource": record("record-1")}),
            "subject.type is missing.",
        ),
    ] {
        refused(&world, &format!("search/{kind}"), &body, said).await;
    }
}

async fn page(world: &World, page: Value) -> Value {
    let mut body = who_reads();
    body["page"] = page;
    let answer = ask(world, "search/subject", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    // It is recommended that the page comes first.
    assert!(answer.body.starts_with("{\"page\":{"), "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn pages_follow_each_other_to_an_empty_token() {
    let world = world();
    let first = page(&world, json!({"limit": 1})).await;
    assert_eq!((&first["results"], &first["page"]["count"]), (&json!([user("alice")]), &json!(1)));
    let token = first["page"]["next_token"].as_str().unwrap();
    assert!(!token.is_empty() && !token.contains("alice"));
    for limit in [json!(null), json!(1)] {
        let second = page(&world, json!({"token": token, "limit": limit})).await;
        assert_eq!(second["results"], json!([user("bob")]));
        assert_eq!(second["page"], json!({"next_token": "", "count": 1}));
    }
    let whole = page(&world, json!({})).await;
    assert_eq!((whole["results"].as_array().unwrap().len(), &whole["page"]["next_token"]), (2, &json!("")));
    assert_eq!(ask(&world, "search/subject", &who_reads()).await.json().get("page"), None);
}

#[tokio::test]
async fn a_page_of_none_begins_where_it_ended() {
    let world = world();
    let none = page(&world, json!({"limit": 0})).await;
    assert_eq!((&none["results"], &none["page"]["count"]), (&json!([]), &json!(0)));
    assert_ne!(none["page"]["next_token"], "");
}

#[tokio::test]
async fn a_token_is_of_one_search_of_one_caller_and_soon_over() {
    let world = world();
    let token = page(&world, json!({"limit": 1})).await["page"]["next_token"].clone();
    let unknown = "page.token is none that was given for this search.";
    for (change, said) in [
        (json!({"action": action("write")}), unknown),
        (json!({"resource": record("record-2")}), unknown),
        (json!({"context": {"a": 1}}), unknown),
        (json!({"subject": {"type": "user", "properties": {"a": 1}}}), unknown),
        (json!({"page": {"token": token, "limit": 2}}), "page.limit has to stay the same from page to page."),
        (json!({"page": {"token": "bm9uc2Vuc2U"}}), unknown),
        (json!({"page": {"token": "?"}}), unknown),
    ] {
        let mut body = who_reads();
        body["page"] = json!({"token": token});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        refused(&world, "search/subject", &body, said).await;
    }
    let mut body = who_reads();
    body["page"] = json!({"token": token});
    let other = world.post("/access/v1/search/subject", OPERATOR, &body.to_string()).await;
    assert_eq!((other.status, other.body.as_str()), (StatusCode::BAD_REQUEST, unknown));
    world.clock.advance(Duration::from_secs(600));
    refused(&world, "search/subject", &body, "page.token is over. Begin the search anew.").await;
}

/// A policy that permits every third of so many users.
fn crowd(count: usize) -> World {
    let subjects: Vec<_> = (0..count).map(|number| user(&format!("u{number:04}"))).collect();
    let third: Vec<_> = (0..count).step_by(3).map(|number| format!("u{number:04}")).collect();
    let data = json!({"authzen": {"subjects": subjects}, "permitted": third});
    let policy = "package vouchsafe\n\ndecision := {\"allow\": input.user.id in data.permitted}\n";
    let files = [("policy.rego", policy.to_owned()), ("data.json", data.to_string())];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    World::new(engine_with(&bundle, limits()))
}

#[tokio::test]
async fn a_large_search_comes_in_parts_and_misses_nobody() {
    let world = crowd(500);
    let (mut found, mut token, mut pages) = (Vec::new(), json!(null), 0);
    while token != json!("") {
        let answer = page(&world, json!({"token": token})).await;
        let page = &answer["page"];
        assert_eq!(page["count"], answer["results"].as_array().unwrap().len());
        found.extend(answer["results"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()));
        token = page["next_token"].clone();
        pages += 1;
    }
    let expected: Vec<_> = (0..500).step_by(3).map(|number| format!("u{number:04}")).collect();
    assert_eq!((found, pages), (expected, 3));
    assert_eq!(world.log.views().len(), 500, "every candidate is decided, once, and on record");
}

#[tokio::test]
async fn a_page_is_never_larger_than_the_largest() {
    let world = crowd(350);
    for limit in [100, 101, 5_000_000_000_u64] {
        let answer = page(&world, json!({"limit": limit})).await;
        // 200 candidates are looked at, of which every third is permitted.
        assert_eq!(answer["page"]["count"], 67, "{limit}");
    }
    let all = "package vouchsafe\n\ndecision := {\"allow\": true}\n".to_owned();
    let subjects: Vec<_> = (0..150).map(|number| user(&format!("u{number:04}"))).collect();
    let files = [("policy.rego", all), ("data.json", json!({"authzen": {"subjects": subjects}}).to_string())];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    let world = World::new(engine_with(&bundle, limits()));
    for (limit, count) in [(99, 99), (100, 100), (101, 100)] {
        assert_eq!(page(&world, json!({"limit": limit})).await["page"]["count"], count);
    }
}

#[tokio::test]
async fn a_rule_of_the_policy_may_say_what_there_is() {
    let policy = "package vouchsafe\n\ndecision := {\"allow\": input.user.id != \"eve\"}\n\nsearch := [user | some id in \
                  data.people[input.resource.id]; user := {\"type\": input.subject.type, \"id\": id}] if input.search == \
                  \"subject\"\n\nsearch := [{\"name\": input.fail}] if input.search == \"action\"\n";
    let data = json!({"people": {"record-1": ["bob", "eve", "alice"]}, "authzen": {"subjects": [user("carol")]}});
    let files = [("policy.rego", policy.to_owned()), ("data.json", data.to_string())];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    let world = World::new(engine_with(&bundle, limits()));
    assert_eq!(results(&world, "subject", &who_reads()).await, users(&["alice", "bob"]));
    let nothing: Vec<Value> = Vec::new();
    assert_eq!(results(&world, "action", &json!({"subject": user("a"), "resource": record("b")})).await, nothing);
    let asked = world.post("/v1/data/vouchsafe/search", EDGE, r#"{"input": {}}"#).await.json();
    assert_eq!(asked.get("result"), None, "nobody asks about that rule itself");
}

#[tokio::test]
async fn a_policy_that_is_not_made_to_be_searched_is_not() {
    let world = World::new(crate::fixtures::default_engine());
    let nothing: Vec<Value> = Vec::new();
    assert_eq!(results(&world, "subject", &who_reads()).await, nothing);
}
