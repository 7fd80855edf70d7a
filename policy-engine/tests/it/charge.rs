//! Policies that come into charge through the gate, and those that do not.

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use vouchsafe_model::{Outcome, Reason};
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::{
    ActivateError, DataApi, EngineSettings, EvaluatorKind, Gate, PolicyEngine, RecordTable, ReplaceError,
};

use crate::doors::{OPERATOR, World};
use crate::fixtures::{ALLOW_ALL, decide, good_ask, good_record, in_short, limits, policy};

fn gated(bundle: &Bundle, data_api: DataApi) -> Result<PolicyEngine, ActivateError> {
    let records = RecordTable::new();
    records.load([good_record(1)]);
    let settings = EngineSettings { limits: limits(), threads: 2 };
    PolicyEngine::gated(Gate::DangerInProcess, bundle, Arc::new(records), settings, data_api)
}

/// The codes for which a policy is refused.
fn refused(outcome: Result<impl Sized, ActivateError>) -> Vec<&'static str> {
    match outcome {
        Err(ActivateError::Refused(report)) => report.errors().map(|finding| finding.code.name()).collect(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it is in charge"),
    }
}

const ENDLESS: &str = "package vouchsafe_test\n\ntest_x if {\n\tevery a in numbers.range(1, 10000) {\n\t\t\
                       every b in numbers.range(1, 10000) { a + b > 0 }\n\t}\n}\n";

#[test]
fn what_does_not_pass_the_gate_never_decides_and_what_was_in_charge_stays() {
    let engine = gated(&policy(ALLOW_ALL), DataApi::default()).unwrap();
    let before = engine.policy();
    for (text, code) in [
        ("decision if decision", "rule.recursion"),
        ("decision := {\"allow\": count(numbers.range(1, 100000000)) > 1}", "builtin.unbounded"),
        ("decision := {", "policy.unreadable"),
        ("other := 1", "policy.unusable"),
        ("decision := {\"allow\": input.device.scor > 1}", "input.unknown_field"),
    ] {
        assert!(refused(engine.activate(&policy(text))).contains(&code), "{text}");
        assert!(refused(gated(&policy(text), DataApi::default())).contains(&code), "{text}");
        assert_eq!(engine.policy(), before);
        assert_eq!(in_short(&decide(&engine, good_ask(1))), (Outcome::Allow, vec![]));
    }
}

#[test]
fn a_rule_that_the_settings_list_and_a_new_policy_lacks_is_a_finding() {
    let data_api = || DataApi { entry_points: vec!["data.vouchsafe.extra".parse().unwrap()], ..DataApi::default() };
    let engine = gated(&policy(&format!("{ALLOW_ALL}\n\nextra := 1")), data_api()).unwrap();
    assert_eq!(refused(engine.activate(&policy(ALLOW_ALL))), ["policy.unusable"]);
}

#[test]
fn a_test_without_end_is_a_refusal() {
    let files = [("policy.rego", format!("package vouchsafe\n\n{ALLOW_ALL}")), ("x_test.rego", ENDLESS.to_owned())];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    let limits = vouchsafe_policy_engine::evaluate::EvaluationLimits::default();
    let settings = EngineSettings { limits, threads: 1 };
    let records = Arc::new(RecordTable::new());
    let engine = PolicyEngine::gated(Gate::DangerInProcess, &bundle, records, settings, DataApi::default());
    assert_eq!(refused(engine), ["test.failed"]);
}

#[test]
fn an_input_of_which_nothing_is_known_is_no_allow() {
    let engine = gated(&policy("decision := {\"allow\": input.device.score > 0}"), DataApi::default()).unwrap();
    let mut ask = good_ask(1);
    ask.device = None;
    assert_eq!(decide(&engine, ask).outcome(), Outcome::Deny);
}

fn writable() -> World {
    let files = [
        ("policy.rego", "package vouchsafe\n\ndecision := {\"allow\": input.request.resource in data.open}\n"),
        ("data.json", r#"{"open": ["db:orders"]}"#),
        ("x_test.rego", "package vouchsafe_test\n\ntest_x if \"db:orders\" in data.open\n"),
    ];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))).unwrap();
    let data_api =
        DataApi { danger_writable: vec!["open".parse().unwrap(), "vouchsafe".parse().unwrap()], ..DataApi::default() };
    World::new(gated(&bundle, data_api).unwrap())
}

#[tokio::test]
async fn data_with_which_the_policy_does_not_pass_is_refused_with_the_findings() {
    let world = writable();
    let before = world.doors.decider.engine.policy();
    let put = |path: &'static str, body: &'static str| {
        let world = &world;
        async move { world.send(OPERATOR, Request::put(format!("/v1/data/{path}")), body).await }
    };
    let refused = put("vouchsafe", r#"{"decision": {"allow": true}}"#).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    let body = refused.json();
    assert_eq!(body["errors"][0]["code"], "policy.unusable", "{body}");
    assert_eq!(world.doors.decider.engine.policy(), before);
    let allowed = || decide(&world.doors.decider.engine, good_ask(1));
    assert_eq!(allowed().outcome(), Outcome::Allow);
    // The tests are of the data that the bundle came with.
    assert_eq!(put("open", "[]").await.status, StatusCode::NO_CONTENT);
    assert_eq!(allowed().outcome(), Outcome::Deny);
}

#[test]
fn while_the_policy_is_withheld_everything_is_denied_for_that_reason() {
    let engine = gated(&policy(ALLOW_ALL), DataApi::default()).unwrap();
    let mut waiting = engine.records().changes().subscribe(None);
    let stale = Reason { code: "policy.stale".to_owned(), message: "Old.".to_owned(), fix: None };
    engine.withhold(stale.clone());
    assert!(!engine.is_ready());
    assert_eq!(engine.withheld(), Some(stale));
    assert_eq!(in_short(&decide(&engine, good_ask(1))), (Outcome::Deny, vec!["policy.stale"]));
    engine.resume();
    assert!(engine.is_ready());
    assert_eq!(in_short(&decide(&engine, good_ask(1))), (Outcome::Allow, vec![]));
    assert!(futures_util::FutureExt::now_or_never(waiting.changed()).is_some(), "watches are told");
}

#[test]
fn decisions_are_compared_while_the_engine_runs_and_what_is_the_same_changes_nothing() {
    let engine = Arc::new(gated(&policy(ALLOW_ALL), DataApi::default()).unwrap());
    engine.compare_one_in(std::num::NonZeroU32::MIN).unwrap();
    for _ in 0..200 {
        assert_eq!(in_short(&decide(&engine, good_ask(1))), (Outcome::Allow, vec![]));
    }
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(engine.evaluator().0, EvaluatorKind::Fast);
    drop(engine);
}

#[test]
fn a_policy_replaces_the_one_that_it_was_held_against_and_no_other() {
    let engine = gated(&policy(ALLOW_ALL), DataApi::default()).unwrap();
    let (before, next) = (engine.policy(), policy("decision := {\"allow\": false}"));
    let never = || -> Result<(), _> { panic!("nothing may be kept") };

    let stale = engine.replace(next.hash(), &next, never).unwrap_err();
    assert!(matches!(stale, ReplaceError::Changed { in_charge } if in_charge == before), "{stale}");
    let refused = engine.replace(before, &policy("decision if decision"), never).unwrap_err();
    assert!(matches!(refused, ReplaceError::Activate(ActivateError::Refused(_))), "{refused}");
    let unkept = engine.replace(before, &next, || Err("no room".into())).unwrap_err();
    assert!(matches!(unkept, ReplaceError::Keep(_)), "{unkept}");
    assert_eq!((engine.policy(), decide(&engine, good_ask(1)).outcome()), (before, Outcome::Allow));

    let mut in_charge_when_kept = None;
    let keep = || {
        in_charge_when_kept = Some(engine.policy());
        Ok(())
    };
    assert_eq!(engine.replace(before, &next, keep).unwrap(), next.hash());
    assert_eq!(in_charge_when_kept, Some(before), "it is kept before it decides");
    assert_eq!((engine.policy(), decide(&engine, good_ask(1)).outcome()), (next.hash(), Outcome::Deny));
}
