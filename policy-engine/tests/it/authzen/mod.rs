//! OpenID AuthZEN, Authorization API 1.0: its certification scenario, its interop decisions, and what is ours.

mod basic;
mod batch;
mod discovery;
mod interop;
mod ours;
mod scenario;
mod search;

use std::path::{Path, PathBuf};

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::PolicyEngine;

use crate::doors::{Answer, EDGE, World};
use crate::fixtures::{engine_with, limits};

/// An engine with the fixture that the scenario asks for in charge.
fn engine() -> PolicyEngine {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/examples/authzen");
    engine_with(&Bundle::from_dir(dir).unwrap(), limits())
}

fn world() -> World {
    World::new(engine())
}

/// A file of the data that nobody here made; `None`, and a word about it, when it is absent.
fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/policy/authzen").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

fn user(id: &str) -> Value {
    json!({"type": "user", "id": id})
}

fn admin(id: &str) -> Value {
    json!({"type": "user", "id": id, "properties": {"role": "admin"}})
}

fn record(id: &str) -> Value {
    json!({"type": "record", "id": id})
}

fn archived(id: &str) -> Value {
    json!({"type": "record", "id": id, "properties": {"status": "archived"}})
}

fn action(name: &str) -> Value {
    json!({"name": name})
}

fn delete(soft: bool) -> Value {
    json!({"name": "delete", "properties": {"soft": soft}})
}

fn access(subject: Value, action: Value, resource: Value) -> Value {
    json!({"subject": subject, "action": action, "resource": resource})
}

async fn ask(world: &World, endpoint: &str, body: &Value) -> Answer {
    world.post(&format!("/access/v1/{endpoint}"), EDGE, &body.to_string()).await
}

/// What a single evaluation says, when it is answered as it should be.
async fn decision(world: &World, body: &Value) -> bool {
    decided(&ask(world, "evaluation", body).await)
}

fn decided(answer: &Answer) -> bool {
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{}", answer.body);
    let body = answer.json();
    assert!(body.get("context").is_none_or(Value::is_object));
    body["decision"].as_bool().unwrap()
}

/// What several evaluations say, in their order.
async fn decisions(world: &World, body: &Value) -> Vec<bool> {
    let answer = ask(world, "evaluations", body).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{}", answer.body);
    let body = answer.json();
    assert_eq!(body.get("decision"), None);
    body["evaluations"].as_array().unwrap().iter().map(|one| one["decision"].as_bool().unwrap()).collect()
}

/// A request that is refused with an error message.
async fn refused(world: &World, endpoint: &str, body: &Value, said: &str) {
    let answer = ask(world, endpoint, body).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::BAD_REQUEST, said), "{body}");
    assert!(answer.header("content-type").starts_with("text/plain"));
}

fn post(endpoint: &str) -> axum::http::request::Builder {
    Request::post(format!("/access/v1/{endpoint}")).header("content-type", "application/json")
}
