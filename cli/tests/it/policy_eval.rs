//! `vouchsafe policy eval`: what is asked, who answers, and what becomes of questions that have no answer.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ran, run_in};

/// A folder with a policy of package `p`, data and an input.
fn folder(policy: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.rego"), format!("package p\n\n{policy}\n")).unwrap();
    fs::write(dir.path().join("d.json"), r#"{"limits": {"most": 10}}"#).unwrap();
    fs::write(dir.path().join("i.json"), r#"{"n": 3, "xs": ["a", "b"]}"#).unwrap();
    dir
}

fn eval(dir: &tempfile::TempDir, query: &str, more: &[&str]) -> Ran {
    let line = ["policy", "eval", "--policy", "p.rego", "--data", "d.json", "--input", "i.json"];
    run_in(dir.path(), line.iter().chain(more).chain(&[query, "--format", "json"]))
}

/// The answer to a place of a policy, and the exit code.
fn answer(policy: &str, query: &str) -> (i32, Value) {
    let ran = eval(&folder(policy), query, &[]);
    assert_eq!(ran.stderr, "");
    (ran.code, serde_json::from_str(&ran.stdout).unwrap())
}

#[test]
fn a_rule_is_answered_by_the_fast_evaluator_and_a_package_by_the_other() {
    let policy = "x := input.n < data.limits.most\n\ny if input.n > 5";
    assert_eq!(answer(policy, "data.p.x"), (0, json!({"result": true, "evaluator": "fast"})));
    assert_eq!(answer(policy, "data.p.y"), (0, json!({"evaluator": "fast"})));
    assert_eq!(answer(policy, "data.p"), (0, json!({"result": {"x": true}, "evaluator": "reference"})));
    assert_eq!(answer(policy, "data.limits.most"), (0, json!({"result": 10, "evaluator": "reference"})));
    assert_eq!(answer(policy, "data.nowhere"), (0, json!({"evaluator": "reference"})));
}

#[test]
fn what_the_fast_evaluator_gets_wrong_is_answered_by_the_other() {
    for (policy, result) in [
        ("x := [y | y := input.missing]", json!([])),
        ("x := count([1 | y := input.missing])", json!(0)),
        ("x := {i: input.missing | some i, y in input.xs}", json!({})),
        ("x := z.a\n\nz.a.b := 1", json!({"b": 1})),
        ("default x := {\"ys\": [y | some y in [1]]}\n\nx := 1 if input.missing", json!({"ys": [1]})),
        ("x := z if z := y with input as {\"n\": 7}\n\ny := input.n", json!(7)),
        ("x[\"a\"] := 1", json!({"a": 1})),
    ] {
        assert_eq!(answer(policy, "data.p.x"), (0, json!({"result": result, "evaluator": "reference"})), "{policy}");
    }
    let holds_of_nothing = "x if y := input.missing";
    assert_eq!(answer(holds_of_nothing, "data.p.x"), (0, json!({"evaluator": "reference"})));
}

#[test]
fn what_fails_is_an_error_that_exits_2() {
    for (policy, code) in [
        ("x := 1\n\nx := 2 if input.n", "evaluation.failed"),
        ("x := y if some y in input.xs", "evaluation.failed"),
        ("x := {", "policy.unreadable"),
        ("x if x", "evaluation.failed"),
        ("x := f(1)\n\nf(n) := f(n + 1)", "evaluation.died"),
    ] {
        let (exit, answer) = answer(policy, "data.p.x");
        assert_eq!((exit, answer["error"]["code"].as_str()), (2, Some(code)), "{policy}: {answer}");
        assert!(answer.get("result").is_none() && answer["error"]["message"].is_string(), "{answer}");
    }
    let (_, error) = answer("x := {", "data.p.x");
    assert_eq!(error["error"]["location"]["file"], "p.rego");
    assert_eq!(answer("x := 1", "data.p.x == 1").1["error"]["code"], "query.unreadable");
}

#[test]
fn the_old_edition_is_read_when_it_is_asked_for() {
    let dir = folder("x { input.n == 3 }");
    assert_eq!(eval(&dir, "data.p.x", &[]).code, 2);
    let ran = eval(&dir, "data.p.x", &["--rego-v0"]);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["result"], true);
}

#[test]
fn folders_several_files_and_the_query_are_told_apart() {
    let dir = folder("x := data.q.y");
    fs::create_dir(dir.path().join("lib")).unwrap();
    fs::write(dir.path().join("lib/q.rego"), "package q\n\ny := data.given\n").unwrap();
    fs::write(dir.path().join("lib/data.json"), r#"{"given": [1]}"#).unwrap();
    let ran = run_in(dir.path(), ["policy", "eval", "--policy", "p.rego", "lib", "data.p.x"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "[1]\n(by the fast evaluator)\n"), "{}", ran.stderr);
    let ran = run_in(dir.path(), ["policy", "eval", "--policy", "p.rego"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no place to evaluate is named"), "{}", ran.stderr);
    let ran = run_in(dir.path(), ["policy", "eval", "--policy", "nowhere.rego", "data.p.x", "--format", "json"]);
    let error: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, error["error"]["code"].as_str()), (2, Some("trial.unreadable")));
}
