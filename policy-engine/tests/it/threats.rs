//! Policies that go wrong: never an allow, never a dead process, and the next decision is as good as the first.

use std::num::NonZeroU64;
use std::time::Duration;

use vouchsafe_model::Outcome;
use vouchsafe_policy_engine::evaluate::{
    Document, Evaluate, EvaluationError, EvaluationLimits, FastEvaluator, ReferenceEvaluator,
};
use vouchsafe_policy_engine::{CompileError, GateError, PolicyEngine};

use crate::fixtures::{decide, engine_with, good_ask, in_short, limits, policy};

/// A policy that allows what is good and goes wrong over what is bad.
fn goes_wrong(how: &str) -> String {
    format!(
        "decision := {{\"allow\": true}} if input.request.resource == \"good\"\n\n\
         decision := {{\"allow\": value}} if {{\n\tinput.request.resource == \"bad\"\n\t{how}\n}}\n"
    )
}

fn asks(engine: &PolicyEngine, resource: &str) -> (Outcome, Vec<String>) {
    let mut ask = good_ask(1);
    resource.clone_into(&mut ask.request.resource);
    let decision = decide(engine, ask);
    let (outcome, codes) = in_short(&decision);
    (outcome, codes.into_iter().map(str::to_owned).collect())
}

/// The engine denies the bad thing by this code, again and again, and goes on allowing the good.
fn assert_denied(how: &str, limits: EvaluationLimits, code: &str) {
    let engine = engine_with(&policy(&goes_wrong(how)), limits);
    for _ in 0..3 {
        assert_eq!(asks(&engine, "good"), (Outcome::Allow, vec![]), "{how}");
        assert_eq!(asks(&engine, "bad"), (Outcome::Deny, vec![code.to_owned()]), "{how}");
    }
    assert_eq!(asks(&engine, "good"), (Outcome::Allow, vec![]), "{how}");
}

const ENDLESS: &str = "value := count([1 |
        some a in numbers.range(1, 10000)
        some b in numbers.range(1, 10000)
        some c in numbers.range(1, 10000)
        a + b + c < 0
    ]) == 0";

/// Doubles a text forty times: a billion times a thousand bytes.
fn memory_hungry() -> String {
    let doubled: Vec<_> = (0..40).map(|n| format!("s{} := concat(\"\", [s{n}, s{n}])", n + 1)).collect();
    format!("s0 := input.request.resource\n\t{}\n\tvalue := count(s40) > 0", doubled.join("\n\t"))
}

#[test]
fn undefined_denies() {
    assert_denied("value := input.nothing", limits(), "policy.undefined");
}

/// Says yes and no to the same thing. The reference evaluator calls it an error; the machine has no value for it.
const CONTRADICTION: &str =
    "decision := {\"allow\": true}\n\ndecision := {\"allow\": false} if input.request.resource == \"bad\"";

#[test]
fn a_contradiction_denies() {
    let engine = engine_with(&policy(CONTRADICTION), limits());
    assert_eq!(asks(&engine, "good"), (Outcome::Allow, vec![]));
    assert_eq!(asks(&engine, "bad"), (Outcome::Deny, vec!["policy.undefined".to_owned()]));
    assert_eq!(asks(&engine, "good"), (Outcome::Allow, vec![]));
}

#[test]
fn an_answer_of_another_shape_denies() {
    for value in ["1", "\"true\"", "null", "[true]", "{\"allow\": true}"] {
        assert_denied(&format!("value := {value}"), limits(), "policy.malformed");
    }
}

#[test]
fn an_error_denies() {
    assert_denied("value := 1e308 * (input.device.score + 1e308) > 0", limits(), "policy.error");
}

#[test]
fn an_endless_loop_denies() {
    assert_denied(ENDLESS, limits(), "policy.timeout");
}

#[test]
fn a_slow_policy_denies() {
    let limits = EvaluationLimits { time: Duration::from_millis(500), instructions: usize::MAX, ..limits() };
    assert_denied(ENDLESS, limits, "policy.timeout");
}

#[test]
fn a_memory_hungry_policy_denies() {
    let limits = EvaluationLimits { memory: NonZeroU64::new(4 * 1024 * 1024).unwrap(), ..limits() };
    assert_denied(&memory_hungry(), limits, "policy.timeout");
    let bundle = policy(&goes_wrong(&memory_hungry()));
    let mut fast = FastEvaluator::compile(&bundle, limits).unwrap();
    let outcome = fast.evaluate(&Document::from_json(r#"{"request": {"resource": "bad"}}"#).unwrap());
    assert_eq!(outcome, Err(EvaluationError::MemoryLimit { limit: 4 * 1024 * 1024 }));
}

#[test]
fn a_panic_in_a_builtin_denies() {
    assert_denied("value := strings.count(input.request.action, \"\") >= 0", limits(), "policy.error");
}

type IsExpected = fn(&EvaluationError) -> bool;

#[test]
fn the_reference_evaluator_survives_panics_loops_and_errors() {
    let limits = EvaluationLimits { time: Duration::from_secs(2), ..limits() };
    let good = Document::from_json(r#"{"request": {"resource": "good"}}"#).unwrap();
    let bad =
        Document::from_json(r#"{"request": {"resource": "bad", "action": "x"}, "device": {"score": 1.5}}"#).unwrap();
    let cases: [(&str, IsExpected); 3] = [
        (ENDLESS, |error| matches!(error, EvaluationError::TimeLimit { .. })),
        ("value := strings.count(input.request.action, \"\") >= 0", |error| {
            matches!(error, EvaluationError::Panicked { .. })
        }),
        ("value := 1e308 * (input.device.score + 1e308) > 0", |error| matches!(error, EvaluationError::Failed { .. })),
    ];
    let contradiction: (String, IsExpected) =
        (CONTRADICTION.to_owned(), |error| matches!(error, EvaluationError::Failed { .. }));
    let cases = cases.into_iter().map(|(how, is_expected)| (goes_wrong(how), is_expected)).chain([contradiction]);
    for (how, is_expected) in cases {
        let mut reference = ReferenceEvaluator::new(&policy(&how), limits).unwrap();
        for _ in 0..2 {
            assert_eq!(reference.evaluate(&good).unwrap().to_json(), serde_json::json!({"allow": true}), "{how}");
            let error = reference.evaluate(&bad).unwrap_err();
            assert!(is_expected(&error), "{how}: {error:?}");
        }
    }
}

#[test]
fn recursion_and_huge_ranges_never_take_charge() {
    let refused = |text: &str| match FastEvaluator::compile(&policy(text), limits()) {
        Err(CompileError::Gate(error)) => error,
        Err(other) => panic!("{text}: {other}"),
        Ok(_) => panic!("{text}: compiled"),
    };
    assert!(matches!(refused("decision if decision"), GateError::Recursion { .. }));
    assert!(matches!(refused("decision := f(1)\n\nf(n) := f(n + 1)"), GateError::Recursion { .. }));
    assert!(matches!(refused("decision := numbers.range(1, 5000000)"), GateError::Unbounded { .. }));
    assert!(matches!(refused("decision := numbers.range(1, input.n)"), GateError::Unbounded { .. }));
}

#[test]
fn the_deepest_policy_runs_on_the_stack_of_a_worker() {
    let chain: Vec<_> = (1..31).map(|n| format!("r{n} := [x | x := r{}[_]]", n + 1)).collect();
    let chain = chain.join("\n");
    let bundle =
        policy(&format!("decision := {{\"allow\": count(r1) == 1}}\n{chain}\nr31 := [input.request.resource]"));
    // The stack of a worker thread of tokio.
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let thread = worker.spawn(move || {
        let engine = engine_with(&bundle, limits());
        assert_eq!(asks(&engine, "x"), (Outcome::Allow, vec![]));
        let mut reference = ReferenceEvaluator::new(&bundle, limits()).unwrap();
        let input = Document::from_json(r#"{"request": {"resource": "x"}}"#).unwrap();
        assert_eq!(reference.evaluate(&input).unwrap().to_json(), serde_json::json!({"allow": true}));
    });
    thread.unwrap().join().unwrap();
}
