//! `vouchsafe policy test`: the tests of a bundle.

use vouchsafe_model::Outcome;
use vouchsafe_policies::{Bundle, default_bundle};
use vouchsafe_policy_engine::EvaluatorKind;
use vouchsafe_policy_engine::gate::examine;
use vouchsafe_policy_engine::testing::{FastResult, TestReport, TestResult, run};

use crate::fixtures::{decide, engine_with, good_ask, in_short, limits};

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    Bundle::from_files(files).unwrap()
}

fn tested(files: &[(&str, &str)]) -> TestReport {
    run(&bundle(files), limits()).unwrap()
}

const POLICY: &str = "package vouchsafe\n\ndefault decision := {\"allow\": false}\n\n\
                      decision := {\"allow\": true} if input.x == 1\n";

#[test]
fn the_default_policy_passes_its_own_tests_on_both_evaluators() {
    let report = run(&default_bundle().unwrap(), limits()).unwrap();
    for test in &report.tests {
        assert_eq!(test.result, TestResult::Passed, "{} at {}", test.name, test.location);
    }
    assert!(report.tests.len() >= 20);
    assert!(report.differences.is_empty(), "{:#?}", report.differences);
    assert!(report.inputs_compared >= 20, "{}", report.inputs_compared);
    assert!(report.passed());
}

#[test]
fn every_example_passes_its_own_tests_on_both_evaluators() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/examples");
    let examples: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let report = run(&Bundle::from_dir(&example).unwrap(), limits()).unwrap();
        for test in &report.tests {
            let (name, place, prints) = (&test.name, &test.location, &test.prints);
            assert_eq!(test.result, TestResult::Passed, "{name} at {place} of {}: {prints:?}", example.display());
        }
        assert!(report.tests.len() >= 5, "{}", example.display());
        assert!(report.differences.is_empty(), "{}: {:#?}", example.display(), report.differences);
        assert!(report.inputs_compared > 0 && report.passed(), "{}", example.display());
    }
}

#[test]
fn every_outcome_is_told_with_its_place() {
    let tests = "package vouchsafe_test\n\nimport data.vouchsafe\n\n\
                 test_passes if vouchsafe.decision.allow with input as {\"x\": 1}\n\n\
                 test_fails if vouchsafe.decision.allow with input as {\"x\": 2}\n\n\
                 test_fails_by_value := 1\n\n\
                 test_errs if strings.count(\"a\", \"\") == 2\n\n\
                 test_prints if {\n\tprint(\"here\", 1)\n\tcount([1]) == 1\n}\n\n\
                 todo_test_later if false\n\n\
                 no_test if false\n";
    let report = tested(&[("policy.rego", POLICY), ("a/policy_test.rego", tests)]);
    let told: Vec<_> =
        report.tests.iter().map(|test| (test.name.as_str(), test.location.to_string(), &test.result)).collect();
    let errored = TestResult::Errored("the policy made a builtin panic: window size must be non-zero".to_owned());
    assert_eq!(
        told,
        [
            ("data.vouchsafe_test.test_passes", "a/policy_test.rego:5:1".to_owned(), &TestResult::Passed),
            ("data.vouchsafe_test.test_fails", "a/policy_test.rego:7:1".to_owned(), &TestResult::Failed),
            ("data.vouchsafe_test.test_fails_by_value", "a/policy_test.rego:9:1".to_owned(), &TestResult::Failed),
            ("data.vouchsafe_test.test_errs", "a/policy_test.rego:11:1".to_owned(), &errored),
            ("data.vouchsafe_test.test_prints", "a/policy_test.rego:13:1".to_owned(), &TestResult::Passed),
            ("data.vouchsafe_test.todo_test_later", "a/policy_test.rego:18:1".to_owned(), &TestResult::Todo),
        ]
    );
    assert_eq!(report.tests[0].fast, FastResult::NotRun);
    assert_eq!(report.tests[2].fast, FastResult::Same);
    assert!(report.tests[4].prints[0].contains("here 1"), "{:?}", report.tests[4].prints);
    assert_eq!(report.inputs_compared, 2);
    assert!(!report.passed());
}

#[test]
fn inputs_that_tests_build_are_compared_and_those_that_need_their_variables_are_not() {
    let tests = "package vouchsafe_test\n\nimport data.vouchsafe as subject\n\n\
                 base := {\"x\": 1}\n\nchanged(more) := object.union(base, more)\n\n\
                 test_rule if subject.decision.allow with input as base\n\n\
                 test_function if not subject.decision.allow with input as changed({\"x\": 2})\n\n\
                 test_every if {\n\tevery x in [2, 3] {\n\t\tnot subject.decision.allow with input as {\"x\": x}\n\t}\n}\n";
    let report = tested(&[("policy.rego", POLICY), ("policy_test.rego", tests)]);
    assert!(report.passed(), "{report:#?}");
    assert_eq!(report.inputs_compared, 2);
}

#[test]
fn an_input_that_the_evaluators_differ_over_is_reported() {
    // A text plus one: the reference evaluator calls it an error, and the fast one takes it for nothing, as OPA does.
    let policy =
        "package vouchsafe\n\ndecision := {\"allow\": true} if not blocked\n\nblocked if input.device.score + 1 > 5\n";
    let tests = "package vouchsafe_test\n\nimport data.vouchsafe\n\n\
                 test_some if vouchsafe.decision.allow with input as {\"device\": {\"score\": \"x\"}}\n";
    let files = [("policy.rego", policy), ("policy_test.rego", tests)];
    let report = tested(&files);
    assert_eq!(report.evaluator, EvaluatorKind::Fast);
    assert!(!report.passed());
    assert!(matches!(report.tests[0].result, TestResult::Errored(_)));
    let difference = &report.differences[0];
    assert_eq!(difference.location.to_string(), "policy_test.rego:5:53");
    assert_eq!(difference.input, serde_json::json!({"device": {"score": "x"}}));
    assert_eq!(difference.fast, r#"{"allow":true}"#);
    assert!(difference.reference.contains("expects numeric argument"), "{}", difference.reference);
    // The gate leaves such a policy to the reference evaluator.
    let report = examine(&bundle(&files), limits());
    assert_eq!(report.evaluator, EvaluatorKind::Reference);
    assert_eq!(report.because[0].location.as_ref().unwrap().to_string(), "policy_test.rego:5:53");
}

#[test]
fn what_the_fast_evaluator_would_do_otherwise_the_reference_evaluator_does() {
    // One rule, two values: an error, as in OPA, of which the fast one would take the last.
    let policy = "package vouchsafe\n\ndecision := {\"allow\": value} if some value in input.user.roles\n";
    let report = tested(&[("policy.rego", policy)]);
    assert_eq!(report.evaluator, EvaluatorKind::Reference);
    assert_eq!(
        report.because[0].to_string(),
        "policy.rego:3:13: of several values of data.vouchsafe.decision it takes the last"
    );
    let engine = engine_with(&bundle(&[("policy.rego", policy)]), limits());
    assert_eq!(engine.evaluator().0, EvaluatorKind::Reference);
    let mut ask = good_ask(1);
    ask.user.as_mut().unwrap().roles = vec!["a".into(), "b".into()];
    let decision = decide(&engine, ask);
    assert_eq!(in_short(&decision), (Outcome::Deny, vec!["policy.error"]));
}

#[test]
fn a_bundle_without_tests_passes_and_says_so() {
    let report = tested(&[("policy.rego", POLICY)]);
    assert!(report.tests.is_empty() && report.passed());
}
