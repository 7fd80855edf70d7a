//! What AuthZEN leaves to an implementation: who may ask, what is logged, and what the answer tells.

use axum::http::StatusCode;
use insta::assert_snapshot;
use serde_json::{Value, json};
use vouchsafe_model::Outcome;
use vouchsafe_wire::v1::agent::Network;
use vouchsafe_wire::v1::limits::{ACCESS_BODY, ACCESSES_BODY};

use super::{access, action, ask, engine, post, record, user, world};
use crate::doors::{Caller, EDGE, MUTE, MemoryLog, OPERATOR, STRANGER, World};
use crate::fixtures::{default_engine, device};

fn shown(body: &Value, world: &World) -> String {
    let policy = world.doors.decider.engine.policy().to_string();
    serde_json::to_string_pretty(body).unwrap().replace(&policy, "[policy]")
}

#[tokio::test]
async fn a_deny_tells_its_id_and_why_to_each_who_should_know() {
    let world = world();
    let body = access(user("bob"), action("write"), record("record-1"));
    assert_snapshot!(shown(&ask(&world, "evaluation", &body).await.json(), &world), @r#"
    {
      "context": {
        "decided_at": "2026-01-31T12:00:00.000Z",
        "id": "019c13ec-9e00-7100-8000-000000000000",
        "policy": "[policy]",
        "reason_admin": {
          "403": "access.denied: bob may not write record:record-1."
        },
        "reason_user": {
          "403": "Ask an editor, or an administrator if it is archived."
        },
        "reasons": [
          {
            "code": "access.denied",
            "fix": "Ask an editor, or an administrator if it is archived.",
            "message": "bob may not write record:record-1."
          }
        ]
      },
      "decision": false
    }
    "#);
    let views = world.log.views();
    let view = views.first().unwrap();
    assert_eq!(
        (view.outcome, view.asked_by.as_ref().unwrap().to_string().as_str()),
        (Outcome::Deny, "spiffe://example.org/enforcement/edge-1")
    );
    assert_eq!(view.question.user.as_ref().unwrap().id, "bob");
    assert_eq!(view.question.request.access.as_ref().unwrap().resource.id, "record-1");
}

#[tokio::test]
async fn a_user_with_a_device_that_earned_it_is_permitted_by_the_default_policy() {
    let world = World::new(default_engine());
    let network = Network { source_ip: None, authenticated: true, encrypted: true };
    let with = |number: u8| {
        let mut body = access(user("ada"), action("read"), json!({"type": "db", "id": "orders"}));
        body["context"] = json!({"vouchsafe": {"device": device(number), "network": network}});
        body
    };
    let permitted = ask(&world, "evaluation", &with(1)).await.json();
    assert_eq!((&permitted["decision"], &permitted["context"]["score"]), (&json!(true), &json!(79.5)));
    let unknown = ask(&world, "evaluation", &with(2)).await.json();
    assert_eq!(
        (&unknown["decision"], &unknown["context"]["reasons"][0]["code"]),
        (&json!(false), &json!("device.unknown"))
    );
    let itself =
        access(json!({"type": "device", "id": device(1)}), action("read"), json!({"type": "db", "id": "orders"}));
    let alone = ask(&world, "evaluation", &itself).await.json();
    assert_eq!(alone["context"]["reasons"][0]["code"], "network.unknown");
}

#[tokio::test]
async fn what_a_point_is_not_registered_to_pass_on_is_refused() {
    let world = world();
    let body = access(user("alice"), action("read"), record("record-1"));
    let batch = json!({"evaluations": [body]});
    let search = json!({"subject": {"type": "user"}, "action": action("read"), "resource": record("record-1")});
    for caller in [MUTE, STRANGER] {
        for (endpoint, body) in [("evaluation", &body), ("evaluations", &batch), ("search/subject", &search)] {
            let answer = world.post(&format!("/access/v1/{endpoint}"), caller, &body.to_string()).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{endpoint} {caller:?}");
            assert!(answer.body.contains("is not registered to pass on user"), "{}", answer.body);
            assert!(answer.header("content-type").starts_with("text/plain"));
        }
    }
    // Whatever a subject calls itself, it is somebody else than the point.
    let other = access(json!({"type": "employee", "id": "alice"}), action("read"), record("record-1"));
    assert_eq!(world.post("/access/v1/evaluation", MUTE, &other.to_string()).await.status, StatusCode::FORBIDDEN);
    assert!(world.log.views().is_empty());
    assert_eq!(world.post("/access/v1/evaluation", OPERATOR, &body.to_string()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn nobody_and_those_who_may_not_ask_are_told_so_in_words() {
    let world = world();
    let body = access(user("alice"), action("read"), record("record-1")).to_string();
    for (caller, status) in
        [(Caller::Nobody, StatusCode::UNAUTHORIZED), (Caller::Certificate("server/engine"), StatusCode::FORBIDDEN)]
    {
        let answer = world.send(caller, post("evaluation").header("x-request-id", "a b"), &body).await;
        assert_eq!((answer.status, answer.header("x-request-id")), (status, "a b"));
        assert!(answer.header("content-type").starts_with("text/plain") && !answer.body.is_empty());
    }
}

#[tokio::test]
async fn what_is_not_on_record_is_not_answered() {
    let world = World::with_log(engine(), MemoryLog { fails: true, ..MemoryLog::default() });
    let body = access(user("alice"), action("read"), record("record-1"));
    let batch = json!({"evaluations": [body]});
    let search = json!({"subject": {"type": "user"}, "action": action("read"), "resource": record("record-1")});
    for (endpoint, body) in [("evaluation", body), ("evaluations", batch), ("search/subject", search)] {
        let answer = ask(&world, endpoint, &body).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{endpoint}");
        assert!(!answer.body.contains("disk full") && !answer.body.contains("true"), "{}", answer.body);
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = world();
    let body = access(user("alice"), action("read"), record("record-1")).to_string();
    for (endpoint, most) in [("evaluation", ACCESS_BODY), ("evaluations", ACCESSES_BODY)] {
        let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
        assert_eq!(world.send(EDGE, post(endpoint), &padded(most)).await.status, StatusCode::OK);
        assert_eq!(world.send(EDGE, post(endpoint), &padded(most + 1)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn a_path_that_only_looks_like_one_is_none() {
    let world = world();
    let body = access(user("alice"), action("read"), record("record-1")).to_string();
    for path in
        ["evaluation/", "/evaluation", "Evaluation", "evaluation%2f", "search/user", "evaluation;x", "../v1/evaluation"]
    {
        assert_eq!(world.send(EDGE, post(path), &body).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
