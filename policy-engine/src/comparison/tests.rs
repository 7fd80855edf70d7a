use std::time::{Duration, Instant};

use serde_json::json;
use vouchsafe_model::{Outcome, Timestamp};
use vouchsafe_policies::Bundle;
use vouchsafe_wire::v1::agent::Request;
use vouchsafe_wire::v1::decide::AskDecision;

use super::*;
use crate::compile::EvaluatorKind;
use crate::{DataApi, EngineSettings, Question, RecordTable};

#[test]
fn a_deny_that_failed_is_as_good_as_one_without_a_value_and_an_allow_is_neither() {
    let failed = || Err(EvaluationError::Failed { message: "conflict".to_owned() });
    let late = || Err(EvaluationError::TimeLimit { limit: Duration::ZERO });
    let allow = Document::of(&json!({"allow": true}));
    let deny = Document::of(&json!({"allow": false}));
    let undefined = Document::new(regorus::Value::Undefined);
    for (fast, reference, verdict) in [
        (Some(&allow), Ok(allow.clone()), Verdict::Same),
        (Some(&allow), Ok(deny.clone()), Verdict::Differs),
        (Some(&allow), Ok(undefined.clone()), Verdict::Differs),
        (Some(&allow), failed(), Verdict::Differs),
        (Some(&undefined), failed(), Verdict::Same),
        (None, failed(), Verdict::Same),
        (None, Ok(undefined.clone()), Verdict::Same),
        (None, Ok(deny.clone()), Verdict::Differs),
        (Some(&allow), late(), Verdict::Unknown),
    ] {
        assert_eq!(judge(fast, &reference), verdict, "{fast:?} {reference:?}");
    }
}

#[test]
fn one_in_so_many_is_due() {
    let (queue, _samples) = sync_channel(1);
    let comparison = |one_in: u32| Comparison { one_in: NonZeroU32::new(one_in).unwrap(), queue: queue.clone() };
    let due = |comparison: &Comparison| {
        let entropies = (0..1000_u32).map(|number| {
            let mut entropy = [0xff; 10];
            entropy[..4].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
            entropy
        });
        entropies.filter(|entropy| comparison.is_due(entropy)).count()
    };
    assert_eq!(due(&comparison(1)), 1000);
    assert!((60..140).contains(&due(&comparison(10))));
}

fn bundle(decision: &str) -> Bundle {
    let text = format!("package vouchsafe\n\ndecision := {{\"allow\": {decision}}}\n");
    Bundle::from_files([("policy.rego".to_owned(), text.into_bytes())]).unwrap()
}

fn engine(decision: &str) -> Arc<PolicyEngine> {
    let records = RecordTable::new();
    records.load([]);
    let data_api = DataApi { danger_writable: vec!["x".parse().unwrap()], ..DataApi::default() };
    let engine = PolicyEngine::with_data_api(&bundle(decision), Arc::new(records), EngineSettings::default(), data_api);
    Arc::new(engine.unwrap())
}

fn decide(engine: &PolicyEngine) -> Outcome {
    let ask = AskDecision {
        device: None,
        user: None,
        application: None,
        network: None,
        request: Request::new("read", "x"),
        understands: Vec::new(),
    };
    engine.decide(&Question::check(ask).unwrap(), Timestamp::UNIX_EPOCH, &[0; 10]).outcome()
}

fn until_reference(engine: &PolicyEngine) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while engine.evaluator().0 == EvaluatorKind::Fast {
        assert!(Instant::now() < deadline, "the fast evaluator still decides");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn at_the_first_difference_the_reference_evaluator_takes_over() {
    let engine = engine("false");
    engine.charge.mislead(&bundle("true"));
    engine.compare_one_in(NonZeroU32::MIN).unwrap();
    assert_eq!(decide(&engine), Outcome::Allow, "the fast evaluator is wrong");
    until_reference(&engine);
    assert_eq!(decide(&engine), Outcome::Deny);
    // Data that is written over the policy does not bring it back; another policy does.
    engine.write_data(&"x".parse().unwrap(), crate::written::DataChange::Put(json!(1))).unwrap();
    assert_eq!(engine.evaluator().0, EvaluatorKind::Reference);
    engine.activate(&bundle("true")).unwrap();
    assert_eq!(engine.evaluator().0, EvaluatorKind::Fast);
}

#[test]
fn a_difference_of_a_policy_that_is_no_longer_in_charge_changes_nothing() {
    let engine = engine("false");
    engine.charge.mislead(&bundle("true"));
    let caught = engine.charge.active_for_long();
    engine.activate(&bundle("true")).unwrap();
    engine.distrust_fast(&caught);
    assert_eq!(engine.evaluator().0, EvaluatorKind::Fast);
}

#[test]
fn what_is_another_value_each_time_is_not_compared() {
    let engine = engine("time.now_ns() > 0");
    assert_eq!(engine.evaluator().0, EvaluatorKind::Fast);
    assert!(!engine.charge.active().pool.is_comparable());
}

#[test]
fn what_is_due_while_the_thread_lags_is_dropped_and_nobody_waits() {
    let engine = engine("true");
    let (queue, _nobody_takes_them) = sync_channel(1);
    let comparison = Comparison { one_in: NonZeroU32::MIN, queue };
    let (active, input) = (engine.charge.active_for_long(), Document::of(&json!({})));
    let id = DecisionId::new(Timestamp::UNIX_EPOCH, &[0; 10]);
    for _ in 0..3 {
        comparison.offer(&active, id, &[0; 10], &input, &Ok(input.clone()));
    }
}
