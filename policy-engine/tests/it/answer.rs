//! What an answer says besides yes or no: the score that is needed, when it will be missed, and which record was seen.

use std::time::Duration;

use serde_json::{Value, json};
use vouchsafe_model::trust::{FactorName, FactorParams, FactorState, TrustCurve};
use vouchsafe_model::{DeviceState, Outcome, Sha256Digest, Timestamp, TrustScore};
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::PolicyEngine;
use vouchsafe_policy_engine::ruling::NOT_UNDERSTOOD;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::fixtures::{
    NOW, curve, decide, decide_at, default_engine, engine_with, good_ask, good_record, in_short, limits, policy,
};

/// A curve that falls from well above 60 to well below it.
pub(crate) fn falling() -> TrustCurve {
    let params = FactorParams::new(0.1, 1.0, 60.0, 600.0, 40.0, 1.0).unwrap();
    let state = FactorState::unknown(NOW).absorb(&params, 20.0, 0.0, NOW);
    TrustCurve::new(Sha256Digest::new([9; 32]), vec![(FactorName::Freshness, params, state)], Vec::new())
}

fn below(threshold: f64) -> Option<Timestamp> {
    falling().first_below(TrustScore::new(threshold), NOW)
}

fn put(engine: &PolicyEngine, change: impl FnOnce(&mut DeviceRecord)) {
    let mut record = good_record(1);
    change(&mut record);
    engine.records().apply(RecordChange::Put(Box::new(record)));
}

/// An engine whose policy answers this, and whose device has a score that falls.
fn answering(answer: &str) -> PolicyEngine {
    let engine = engine_with(&policy(&format!("decision := {answer}")), limits());
    put(&engine, |record| record.curve = falling());
    engine
}

#[test]
fn an_allow_says_which_score_is_needed_and_when_it_will_be_missed() {
    let engine = default_engine();
    put(&engine, |record| record.curve = falling());
    let decision = decide(&engine, good_ask(1));
    assert_eq!((decision.outcome(), decision.required_score()), (Outcome::Allow, Some(TrustScore::new(60.0))));
    assert_eq!(decision.crosses_at(), below(60.0));
    // The instant does not depend on when it is asked for.
    let last = below(60.0).unwrap().minus(Duration::from_millis(1));
    assert_eq!(decide_at(&engine, good_ask(1), last).crosses_at(), below(60.0));
    let missed = decide_at(&engine, good_ask(1), below(60.0).unwrap());
    assert_eq!((missed.outcome(), missed.required_score()), (Outcome::Deny, Some(TrustScore::new(60.0))));
    assert_eq!(missed.crosses_at(), None);
}

#[test]
fn a_score_that_never_falls_so_far_has_no_such_instant() {
    assert_eq!(decide(&default_engine(), good_ask(1)).crosses_at(), None);
    assert_eq!(decide(&answering(r#"{"allow": true, "needs": {"score": 5}}"#), good_ask(1)).crosses_at(), None);
}

#[test]
fn only_an_allow_that_says_what_it_needs_of_a_device_crosses() {
    for (answer, number) in [
        (r#"{"allow": true}"#, 1),
        (r#"{"allow": true, "needs": {}}"#, 1),
        (r#"{"allow": false, "needs": {"score": 60}}"#, 1),
        (r#"{"allow": true, "needs": {"score": 99}}"#, 1),
        (r#"{"allow": true, "needs": {"score": 60}}"#, 9),
    ] {
        assert_eq!(decide(&answering(answer), good_ask(number)).crosses_at(), None, "{answer}");
    }
}

#[test]
fn another_record_has_another_crossing() {
    let engine = answering(r#"{"allow": true, "needs": {"score": 60}}"#);
    assert_eq!(decide(&engine, good_ask(1)).crosses_at(), below(60.0));
    put(&engine, |_| ());
    assert_eq!(decide(&engine, good_ask(1)).crosses_at(), None);
}

#[test]
fn more_scores_than_are_kept_are_answered_as_well() {
    let engine = answering(r#"{"allow": true, "needs": {"score": to_number(input.request.resource)}}"#);
    for points in (40..80).chain(40..80) {
        let mut ask = good_ask(1);
        ask.request.resource = points.to_string();
        assert_eq!(decide(&engine, ask).crosses_at(), below(f64::from(points)), "{points}");
    }
}

#[test]
fn the_revision_grows_with_each_change_of_the_record() {
    let engine = default_engine();
    let revision = || decide(&engine, good_ask(1)).record_revision();
    let first = revision().unwrap();
    assert_eq!(revision(), Some(first), "a decision changes nothing");
    put(&engine, |record| record.state = DeviceState::Revoked);
    assert!(revision().unwrap() > first);
    let second = revision().unwrap();
    engine.records().load([good_record(1), good_record(2)]);
    assert!(revision().unwrap() > second);
    engine.records().apply(RecordChange::Remove(good_record(1).id));
    assert_eq!(revision(), None);
    assert!(decide(&engine, good_ask(2)).record_revision().is_some());
}

#[test]
fn what_there_is_nothing_to_say_of_is_left_out() {
    let told =
        |answer: &str, number| -> Value { serde_json::to_value(decide(&answering(answer), good_ask(number))).unwrap() };
    let bare = told(r#"{"allow": true}"#, 9);
    for field in ["required_score", "crosses_at", "record_revision"] {
        assert_eq!(bare.get(field), None, "{field}");
    }
    let full = told(r#"{"allow": true, "needs": {"score": 60}}"#, 1);
    assert_eq!((&full["required_score"], &full["record_revision"]), (&json!(60.0), &json!(2)));
    assert_eq!(full["crosses_at"], json!(below(60.0).unwrap()));
}

#[test]
fn the_example_of_a_step_up_is_a_deny_for_points_that_do_not_take_the_step() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/examples/step-up");
    let engine = engine_with(&Bundle::from_dir(folder).unwrap(), limits());
    put(&engine, |record| record.curve = curve(60.0, Vec::new()));
    let mut ask = good_ask(1);
    ask.user.as_mut().unwrap().factors = vec!["know".to_owned()];
    let decision = decide(&engine, ask.clone());
    assert_eq!(in_short(&decision), (Outcome::Deny, vec![NOT_UNDERSTOOD]));
    assert_eq!(decision.required_score(), Some(TrustScore::new(50.0)));
    ask.understands = vec!["step_up".to_owned()];
    let decision = decide(&engine, ask.clone());
    assert_eq!((decision.outcome(), decision.obligations().len()), (Outcome::Allow, 1));
    assert_eq!(json!(decision.obligations()[0].parameters), json!({"factor": "have", "max_age_secs": 300}));
    ask.understands.clear();
    ask.user.as_mut().unwrap().factors.push("have".to_owned());
    assert_eq!(in_short(&decide(&engine, ask)), (Outcome::Allow, vec![]));
}
