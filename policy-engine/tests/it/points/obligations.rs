//! Obligations at every door: an allow with one is an allow for those who meet it and are told of it, and for nobody else.

use axum::body::Body;
use axum::http::Request;
use envoy_types::ext_authz::v3::pb::CheckResponse;
use serde_json::{Value, json};
use vouchsafe_model::Outcome;
use vouchsafe_policies::Bundle;

use super::support::{EDGE, MEETS, STRANGER, World, text};
use super::watch::{A_DAY, Events, query, router};
use super::{envoy, forward_auth, kubernetes};
use crate::fixtures::{good_ask, policy};

const NOT_UNDERSTOOD: &str = "obligation.not_understood";

/// Allows all, if only the user shows a key once more.
fn stepping_up() -> Bundle {
    policy(
        r#"decision := {"allow": true, "obligations": [
	{"code": "step_up", "parameters": {"factor": "have", "max_age_secs": 300}, "message": "Show your key."}
]}

search := [{"type": "user", "id": "ada"}]"#,
    )
}

fn told() -> Value {
    let parameters = json!({"factor": "have", "max_age_secs": 300});
    json!([{"code": "step_up", "parameters": parameters, "message": "Show your key."}])
}

async fn post(world: &World, identity: &str, path: &str, body: &Value) -> Value {
    let request = Request::post(path).header("content-type", "application/json");
    let answer = world.send(identity, request.body(Body::from(body.to_string())).unwrap()).await;
    let (status, text) = (answer.status(), text(answer).await);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// A question whose asker says that it meets these.
fn question(understands: &[&str]) -> Value {
    let mut ask = good_ask(1);
    ask.application = None;
    ask.understands = understands.iter().map(|code| (*code).to_owned()).collect();
    serde_json::to_value(ask).unwrap()
}

#[tokio::test]
async fn our_own_door_tells_those_who_say_that_they_meet_it() {
    let world = World::with_policy(&stepping_up());
    for (identity, understands) in [(STRANGER, &["step_up"][..]), (EDGE, &["record", "step_up"]), (MEETS, &[])] {
        let decision = post(&world, identity, "/v1/decision", &question(understands)).await;
        assert_eq!((&decision["outcome"], &decision["obligations"]), (&json!("allow"), &told()), "{identity}");
    }
    for (identity, understands) in [(STRANGER, &[][..]), (EDGE, &["Step_up"]), (EDGE, &["step_up "]), (EDGE, &["*"])] {
        let decision = post(&world, identity, "/v1/decision", &question(understands)).await;
        assert_eq!((&decision["outcome"], decision.get("obligations")), (&json!("deny"), None));
        let reason = &decision["reasons"][0];
        assert_eq!(reason["code"], NOT_UNDERSTOOD);
        assert!(reason["message"].as_str().unwrap().contains("'step_up'") && reason["fix"].is_string(), "{reason}");
    }
    let both = json!({"questions": [question(&["step_up"]), question(&[])]});
    let decisions = post(&world, EDGE, "/v1/decisions", &both).await["decisions"].take();
    assert_eq!((&decisions[0]["outcome"], &decisions[1]["outcome"]), (&json!("allow"), &json!("deny")));
    // What the settings say a point meets is on record with the question.
    assert_eq!(world.logged()[2].question.understands, ["step_up"]);
}

#[tokio::test]
async fn the_data_api_tells_them_in_its_document_and_has_no_place_for_them_in_a_yes() {
    let world = World::with_policy(&stepping_up());
    let path = "/v1/data/vouchsafe/decision";
    let answer = post(&world, MEETS, path, &json!({"input": question(&[])})).await;
    assert_eq!((&answer["result"]["allow"], &answer["result"]["obligations"]), (&json!(true), &told()));
    let answer = post(&world, EDGE, path, &json!({"input": question(&["step_up"])})).await;
    assert_eq!(answer["result"]["allow"], true);
    let answer = post(&world, EDGE, path, &json!({"input": question(&[])})).await;
    assert_eq!((&answer["result"]["allow"], &answer["result"]["obligations"]), (&json!(false), &json!([])));
    assert_eq!(answer["result"]["reasons"][0]["code"], NOT_UNDERSTOOD);
    let answer = post(&world, MEETS, &format!("{path}/allow"), &json!({"input": question(&["step_up"])})).await;
    assert_eq!(answer["result"], false);
}

#[tokio::test]
async fn authzen_tells_them_in_the_context_and_never_in_a_search() {
    let world = World::with_policy(&stepping_up());
    let asked = |agent: Value| {
        json!({
            "subject": {"type": "user", "id": "ada"}, "action": {"name": "read"}, "resource": {"type": "db", "id": "orders"},
            "context": {"vouchsafe": agent}
        })
    };
    for (identity, agent) in [(MEETS, json!({})), (EDGE, json!({"understands": ["step_up"]}))] {
        let answer = post(&world, identity, "/access/v1/evaluation", &asked(agent)).await;
        assert_eq!((&answer["decision"], &answer["context"]["obligations"]), (&json!(true), &told()), "{identity}");
    }
    let answer = post(&world, EDGE, "/access/v1/evaluation", &asked(json!({}))).await;
    assert_eq!((&answer["decision"], answer["context"].get("obligations")), (&json!(false), None));
    assert!(answer["context"]["reason_admin"]["403"].as_str().unwrap().starts_with(NOT_UNDERSTOOD), "{answer}");
    let mut search = asked(json!({"understands": ["step_up"]}));
    search["subject"].as_object_mut().unwrap().remove("id");
    let answer = post(&world, MEETS, "/access/v1/search/subject", &search).await;
    assert_eq!(answer["results"], json!([]));
}

/// What Envoy may log and match of an answer.
fn metadata(answer: &CheckResponse) -> String {
    format!("{:?}", answer.dynamic_metadata)
}

#[tokio::test]
async fn envoy_is_told_in_its_metadata_over_grpc_alone() {
    let world = World::with_policy(&stepping_up());
    let met = envoy::check_as(&world, MEETS, envoy::request(&[])).await.unwrap();
    assert!(envoy::in_short(&met).0);
    for part in ["\"step_up\"", "\"factor\"", "\"have\"", "NumberValue(300.0)", "\"Show your key.\""] {
        assert!(metadata(&met).contains(part), "{part}: {}", metadata(&met));
    }
    let missed = envoy::check_as(&world, EDGE, envoy::request(&[])).await.unwrap();
    assert_eq!(envoy::in_short(&missed), (false, vec![NOT_UNDERSTOOD.to_owned()]));
    assert!(!metadata(&missed).contains("step_up"));
    let request = envoy::sent_on("/a").body(Body::empty()).unwrap();
    let answer = world.send(MEETS, request).await;
    assert_eq!(answer.status(), 403);
    assert!(text(answer).await.contains(NOT_UNDERSTOOD));
}

#[tokio::test]
async fn doors_without_a_place_for_them_deny() {
    let world = World::with_policy(&stepping_up());
    for (dialect, _, fields) in forward_auth::proxies(&world) {
        let answer = forward_auth::ask_as(&world, MEETS, dialect, &fields).await;
        assert_eq!(answer.status(), 403, "{dialect}");
        assert!(text(answer).await.contains(NOT_UNDERSTOOD), "{dialect}");
    }
    for path in ["/v1/kubernetes/authorize", "/v1/kubernetes/authorize/no-opinion"] {
        let (_, answer) = kubernetes::post_as(&world, MEETS, path, &kubernetes::review()).await;
        let status = &answer["status"];
        assert_eq!((&status["allowed"], &status["denied"]), (&json!(false), &json!(true)));
        assert!(status["reason"].as_str().unwrap().contains(NOT_UNDERSTOOD));
    }
    assert!(world.logged().iter().all(|logged| logged.outcome == Outcome::Deny));
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_those_who_meet_it() {
    let world = World::with_policy(&stepping_up());
    let data = Events::of(&world, &format!("{}&understands=record,step_up", query())).await.expect("allow").await;
    assert_eq!(data["decision"]["obligations"], told());
    Events::of(&world, &query()).await.expect("deny").await;
    let data = Events::through(router(&world, MEETS, A_DAY), &query()).await.expect("allow").await;
    assert_eq!(data["decision"]["obligations"], told());
}
