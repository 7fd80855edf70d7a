//! `POST /v1/decision` and `/v1/decisions`, as enforcement points see them.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use insta::assert_snapshot;
use tower::ServiceExt;
use vouchsafe_http::entropy::EntropyFailed;
use vouchsafe_http::{Entropy, ManualClock, Peer};
use vouchsafe_model::Sha256Digest;
use vouchsafe_policy_engine::Decider;
use vouchsafe_policy_engine::doors::{Doors, PageKey, openapi, routes};
use vouchsafe_policy_engine::log::{DecisionLog, LogEntry, LogError};
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::fixtures::{NOW, changed_pcr, default_engine, good_ask, good_record, verdict};

struct FixedEntropy;

impl Entropy for FixedEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        buffer.fill(0x5A);
        Ok(())
    }
}

/// A log in memory that can be told to fail.
#[derive(Default)]
struct MemoryLog {
    fails: bool,
    entries: std::sync::Mutex<Vec<LogEntry>>,
}

#[async_trait]
impl DecisionLog for MemoryLog {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        if self.fails {
            return Err(LogError::Refused(Arc::new(std::io::Error::other("disk full"))));
        }
        self.entries.lock().unwrap().push(entry);
        Ok(())
    }
}

fn state(log: Arc<MemoryLog>) -> Decider {
    Decider {
        engine: Arc::new(default_engine()),
        log,
        clock: Arc::new(ManualClock::new(NOW)),
        entropy: Arc::new(FixedEntropy),
    }
}

fn peer(identity: &str) -> Peer {
    Peer {
        identity: identity.parse().unwrap(),
        certificate_digest: Sha256Digest::new([0; 32]),
        spki_der: Vec::new(),
        not_after: NOW,
    }
}

/// Posts a body as somebody, and shows what comes back.
async fn post(state: &Decider, identity: Option<&str>, body: &str) -> String {
    post_to("/v1/decision", state, identity, body).await
}

async fn post_to(path: &str, state: &Decider, identity: Option<&str>, body: &str) -> String {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(identity) = identity {
        request = request.extension(peer(identity));
    }
    let response = routes(&Doors::new(state.clone(), PageKey::new(&[7; 32])))
        .oneshot(request.body(Body::from(body.to_owned())).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let header = |name: &str| response.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let head =
        format!("{status}\ncontent-type: {}\ncache-control: {}", header("content-type"), header("cache-control"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let shown = format!("{head}\n\n{}", serde_json::to_string_pretty(&body).unwrap());
    shown.replace(&state.engine.policy().to_string(), "[the policy in charge]")
}

const EDGE: Option<&str> = Some("spiffe://example.org/enforcement/edge-1");

fn question() -> String {
    serde_json::to_string(&good_ask(1)).unwrap()
}

#[tokio::test]
async fn an_allow_is_explained_logged_and_never_stored_on_the_way() {
    let log = Arc::new(MemoryLog::default());
    assert_snapshot!(post(&state(log.clone()), EDGE, &question()).await, @r#"
    200 OK
    content-type: application/json
    cache-control: no-store

    {
      "decided_at": "2026-01-31T12:00:00.000Z",
      "device": "aeaqcaibaeaqcaibaeaqcaibaeaqcaib",
      "id": "019c13ec-9e00-7a5a-9a5a-5a5a5a5a5a5a",
      "outcome": "allow",
      "policy": "[the policy in charge]",
      "reasons": [],
      "record_revision": 1,
      "required_score": 60.0,
      "score": {
        "at": "2026-01-31T12:00:00.000Z",
        "ceilings": [],
        "factors": [
          {
            "name": "freshness",
            "points_lost": 20.5,
            "value": 0.795,
            "weight": 1.0
          }
        ],
        "model": "0909090909090909090909090909090909090909090909090909090909090909",
        "score": 79.5
      }
    }
    "#);
    let entries = log.entries.lock().unwrap();
    let view = entries[0].view().unwrap();
    assert_eq!(view.question, good_ask(1));
    assert_eq!(view.asked_by, Some(EDGE.unwrap().parse().unwrap()));
}

#[tokio::test]
async fn a_deny_says_why_and_what_to_do() {
    let state = state(Arc::default());
    let record = DeviceRecord { verdict: Some(verdict(vec![changed_pcr(14)])), ..good_record(1) };
    state.engine.records().apply(RecordChange::Put(Box::new(record)));
    assert_snapshot!(post(&state, EDGE, &question()).await, @r#"
    200 OK
    content-type: application/json
    cache-control: no-store

    {
      "decided_at": "2026-01-31T12:00:00.000Z",
      "device": "aeaqcaibaeaqcaibaeaqcaibaeaqcaib",
      "id": "019c13ec-9e00-7a5a-9a5a-5a5a5a5a5a5a",
      "outcome": "deny",
      "policy": "[the policy in charge]",
      "reasons": [
        {
          "code": "device.pcr_mismatch",
          "fix": "Find out what changed in what is measured there. If the change was meant, capture a new image.",
          "message": "PCR 14 does not have the value of the golden image."
        }
      ],
      "record_revision": 2,
      "required_score": 60.0,
      "score": {
        "at": "2026-01-31T12:00:00.000Z",
        "ceilings": [],
        "factors": [
          {
            "name": "freshness",
            "points_lost": 20.5,
            "value": 0.795,
            "weight": 1.0
          }
        ],
        "model": "0909090909090909090909090909090909090909090909090909090909090909",
        "score": 79.5
      }
    }
    "#);
}

#[tokio::test]
async fn a_decision_that_cannot_be_logged_is_no_answer() {
    let log = Arc::new(MemoryLog { fails: true, ..MemoryLog::default() });
    assert_snapshot!(post(&state(log), EDGE, &question()).await, @r#"
    503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store

    {
      "code": "decision.not_logged",
      "detail": "Treat this as a deny, and ask again.",
      "status": 503,
      "title": "The decision could not be put on record",
      "type": "urn:vouchsafe:problem:decision.not_logged"
    }
    "#);
}

#[tokio::test]
async fn operators_may_ask_and_devices_strangers_and_nobody_may_not() {
    let state = state(Arc::default());
    let device = format!("spiffe://example.org/device/{}", crate::fixtures::device(1));
    for (identity, status) in [
        (Some("spiffe://example.org/operator/ops"), StatusCode::OK),
        (Some(device.as_str()), StatusCode::FORBIDDEN),
        (Some("spiffe://example.org/server/engine"), StatusCode::FORBIDDEN),
        (None, StatusCode::UNAUTHORIZED),
    ] {
        let answer = post(&state, identity, &question()).await;
        assert!(answer.starts_with(status.as_str()), "{identity:?}: {answer}");
    }
}

#[tokio::test]
async fn a_question_out_of_bounds_is_refused_by_its_field() {
    let mut ask = good_ask(1);
    ask.request.resource = "x".repeat(4097);
    let body = serde_json::to_string(&ask).unwrap();
    assert_snapshot!(post(&state(Arc::default()), EDGE, &body).await, @r#"
    422 Unprocessable Entity
    content-type: application/problem+json
    cache-control: no-store

    {
      "code": "decision.question",
      "detail": "request.resource is longer than 4096 bytes.",
      "status": 422,
      "title": "The request is not acceptable",
      "type": "urn:vouchsafe:problem:decision.question"
    }
    "#);
}

#[tokio::test]
async fn fields_that_stand_twice_or_are_unknown_or_missing_are_refused() {
    let state = state(Arc::default());
    for body in [
        r#"{"request": {"action": "a", "resource": "b"}, "request": {"action": "a", "resource": "c"}}"#,
        r#"{"request": {"action": "a", "resource": "b"}, "score": 100}"#,
        r#"{"request": {"action": "a"}}"#,
        r#"{"network": {"authenticated": "true", "encrypted": true}, "request": {"action": "a", "resource": "b"}}"#,
        "{}",
    ] {
        let answer = post(&state, EDGE, body).await;
        assert!(answer.starts_with("422"), "{body}: {answer}");
    }
    assert!(post(&state, EDGE, "{").await.starts_with("400"));
}

#[tokio::test]
async fn a_body_of_one_byte_more_than_the_most_is_refused() {
    let padded = |length: usize| {
        let body = question();
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    let state = state(Arc::default());
    let most = vouchsafe_wire::v1::limits::DECISION_BODY;
    assert!(post(&state, EDGE, &padded(most)).await.starts_with("200"));
    assert!(post(&state, EDGE, &padded(most + 1)).await.starts_with("413"));
}

#[tokio::test]
async fn several_questions_are_answered_in_their_order_and_logged_each() {
    let log = Arc::new(MemoryLog::default());
    let state = state(log.clone());
    let (good, stranger) = (good_ask(1), good_ask(2));
    let body = serde_json::json!({"questions": [stranger, good]}).to_string();
    let answer = post_to("/v1/decisions", &state, EDGE, &body).await;
    let (head, body) = answer.split_once("\n\n").unwrap();
    assert!(head.starts_with("200") && head.contains("no-store"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let outcomes: Vec<_> = body["decisions"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["deny", "allow"]);
    let logged: Vec<_> = log.entries.lock().unwrap().iter().map(|entry| entry.view().unwrap().question).collect();
    assert_eq!(logged, [stranger, good]);
}

#[tokio::test]
async fn one_question_that_is_not_acceptable_stops_all_and_is_named() {
    let log = Arc::new(MemoryLog::default());
    let state = state(log.clone());
    let mut bad = good_ask(1);
    bad.request.action.clear();
    let body = serde_json::json!({"questions": [good_ask(1), bad]}).to_string();
    let answer = post_to("/v1/decisions", &state, EDGE, &body).await;
    assert!(answer.starts_with("422") && answer.contains("questions[1]: request.action is empty."), "{answer}");
    assert!(log.entries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn there_are_one_to_a_hundred_questions() {
    let state = state(Arc::default());
    let many = |count: usize| serde_json::json!({"questions": vec![good_ask(1); count]}).to_string();
    for (count, status) in [(0, "422"), (1, "200"), (100, "200"), (101, "422")] {
        let answer = post_to("/v1/decisions", &state, EDGE, &many(count)).await;
        assert!(answer.starts_with(status), "{count}: {answer}");
    }
}

#[tokio::test]
async fn no_answer_of_several_leaves_when_one_cannot_be_logged() {
    let log = Arc::new(MemoryLog { fails: true, ..MemoryLog::default() });
    let body = serde_json::json!({"questions": [good_ask(1), good_ask(1)]}).to_string();
    assert!(post_to("/v1/decisions", &state(log), EDGE, &body).await.starts_with("503"));
}

#[test]
fn the_door_describes_itself() {
    let api = openapi();
    let operation = api.paths.paths["/v1/decision"].post.as_ref().unwrap();
    assert!(operation.responses.responses.contains_key("503"));
    assert!(api.components.unwrap().schemas.contains_key("AskDecision"));
}
