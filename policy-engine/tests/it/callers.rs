//! Who may ask at our own door, and what is believed of what they pass on.

use axum::http::StatusCode;

use crate::doors::{Caller, EDGE, MUTE, OPERATOR, STRANGER, World};
use crate::fixtures::{default_engine, good_ask};

fn question() -> String {
    serde_json::to_string(&good_ask(1)).unwrap()
}

#[tokio::test]
async fn a_point_with_a_key_asks_as_one_with_a_certificate_does() {
    let world = World::new(default_engine());
    for caller in [EDGE, Caller::Certificate("enforcement/edge-1"), OPERATOR, STRANGER] {
        let answer = world.post("/v1/decision", caller, &question()).await;
        assert_eq!((answer.status, &answer.json()["outcome"]), (StatusCode::OK, &"allow".into()), "{caller:?}");
    }
    let asked_by: Vec<_> = world.log.views().iter().map(|view| view.asked_by.clone().unwrap().to_string()).collect();
    let of = |name: &str| format!("spiffe://example.org/{name}");
    assert_eq!(
        asked_by,
        [of("enforcement/edge-1"), of("enforcement/edge-1"), of("operator/ops"), of("enforcement/stranger")]
    );
}

#[tokio::test]
async fn what_a_registered_point_is_not_registered_for_is_refused_and_nothing_is_decided() {
    let world = World::new(default_engine());
    let refused = world.post("/v1/decision", MUTE, &question()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let problem = refused.json();
    assert_eq!(problem["code"], "caller.not_registered");
    assert_eq!(
        problem["detail"],
        "spiffe://example.org/enforcement/mute is not registered to pass on user. An operator registers it: [[points]] in \
         the settings, forwards = [\"user\"]."
    );
    let mut plain = good_ask(1);
    (plain.user, plain.device, plain.application) = (None, None, None);
    let plain = serde_json::to_string(&plain).unwrap();
    let both = format!(r#"{{"questions": [{plain}, {}]}}"#, question());
    assert_eq!(world.post("/v1/decisions", MUTE, &both).await.status, StatusCode::FORBIDDEN);
    assert!(world.log.views().is_empty());
    assert_eq!(world.post("/v1/decision", MUTE, &plain).await.json()["outcome"], "deny");
}

#[tokio::test]
async fn nobody_and_those_who_may_not_ask_are_refused() {
    let world = World::new(default_engine());
    for (caller, status) in
        [(Caller::Nobody, StatusCode::UNAUTHORIZED), (Caller::Certificate("server/engine"), StatusCode::FORBIDDEN)]
    {
        let answer = world.post("/v1/decision", caller, &question()).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"), "{caller:?}");
    }
    assert!(world.log.views().is_empty());
}
