//! The gate, as people and servers put policies through it: whatever is in a policy, the gate says so and lives.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Ran, run_in};

/// A folder with these files in `policies`.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join("policies").join(name), text).unwrap();
    }
    dir
}

fn check(dir: &Path, more: &[&str]) -> Ran {
    run_in(dir, ["policy", "check", "policies"].iter().chain(more))
}

/// The report on a policy that decides so.
fn report(policy: &str) -> (i32, Value) {
    let dir = folder(&[("policy.rego", &format!("package vouchsafe\n\n{policy}\n"))]);
    let ran = check(dir.path(), &["--format", "json"]);
    assert_eq!(ran.stderr, "");
    (ran.code, serde_json::from_str(&ran.stdout).unwrap())
}

/// The code for which a policy is refused first.
fn refused_for(policy: &str) -> String {
    let (code, report) = report(policy);
    assert_eq!((code, report["passed"].as_bool()), (2, Some(false)), "{report}");
    report["findings"].as_array().unwrap().iter().find(|finding| finding["severity"] == "error").unwrap()["code"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_built_in_policy_passes_and_runs_on_the_fast_evaluator() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run_in(dir.path(), ["policy", "show", "--out", "policies"]).code, 0);
    let ran = check(dir.path(), &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("evaluator  fast\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("ok: it may be put in charge; 0 warnings\n"), "{}", ran.stdout);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_write_instead() {
    let policy = "package vouchsafe\n\ndecision := {\"allow\": allow}\n\ndefault allow := false\n\nallow if {\n\
                  \tinput.device.scor > 80\n\tinput.device.score >= \"80\"\n\tnot startswith(input.user.id, \"x\")\n\
                  \tinput.device.state == \"activ\"\n\tio.jwt.decode(input.request.action)\n\
                  \tx := input.request.resource\n\tcount(x) > 1\n\tx\n\t(1 + 1) == 2\n}\n";
    let dir = folder(&[("policy.rego", policy)]);
    let ran = check(dir.path(), &[]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_policy_that_would_end_its_evaluator_is_refused_and_ends_nothing() {
    assert_eq!(refused_for("decision := {\"allow\": x}\n\nx if y\n\ny if x"), "rule.recursion");
    assert_eq!(refused_for("decision := {\"allow\": count(numbers.range(1, 100000000)) > 1}"), "builtin.unbounded");
    assert_eq!(refused_for("decision := {"), "policy.unreadable");
    assert_eq!(refused_for("other := 1"), "policy.unusable");
}

#[test]
fn brackets_that_the_parser_would_read_for_minutes_are_refused_by_every_command() {
    let brackets = format!("x := {}0{}", "[".repeat(22), "][0]".repeat(22));
    assert_eq!(refused_for(&format!("decision := {{\"allow\": false}}\n\n{brackets}")), "expression.too_deep");
    let policy = format!("package vouchsafe\n\ndecision := {{\"allow\": false}}\n\n{brackets}\n");
    let dir = folder(&[("policy.rego", &policy)]);
    fs::write(dir.path().join("input.json"), "{}").unwrap();
    for line in [
        ["policy", "eval", "--policy", "policies", "data.vouchsafe.x"].as_slice(),
        &["policy", "eval", "--rego-v0", "--policy", "policies", "data.vouchsafe.x"],
        &["policy", "test", "policies"],
        &["policy", "coverage", "policies"],
        &["policy", "bench", "policies", "--input", "input.json"],
    ] {
        let ran = run_in(dir.path(), line);
        assert_ne!(ran.code, 0, "{line:?}");
        assert!(
            ran.stderr.contains("policy.rego:5:23") && ran.stderr.contains("brackets are nested"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn what_the_fast_evaluator_would_do_otherwise_is_left_to_the_other_one_and_said() {
    let (code, report) = report("decision := {\"allow\": true} if {\n\tx := input.user.id\n}");
    assert_eq!((code, report["evaluator"].as_str()), (0, Some("reference")), "{report}");
    assert_eq!(report["because"][0]["location"]["line"], 4);
    let message = report["because"][0]["message"].as_str().unwrap();
    assert!(message.contains("holds even when there is nothing to assign"), "{message}");
}

#[test]
fn a_test_that_goes_on_without_end_is_a_failed_test() {
    let endless = "package vouchsafe_test\n\ntest_endless if {\n\tsome a in numbers.range(1, 10000)\n\
                   \tsome b in numbers.range(1, 10000)\n\tsome c in numbers.range(1, 10000)\n\ta + b + c < 0\n}\n";
    let policy = "package vouchsafe\n\ndecision := {\"allow\": false}\n";
    let dir = folder(&[("policy.rego", policy), ("policy_test.rego", endless)]);
    let ran = check(dir.path(), &["--format", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, report["findings"][0]["code"].as_str()), (2, Some("test.failed")), "{report}");
}

#[test]
fn a_test_that_takes_all_memory_ends_the_child_alone() {
    // Doubles a text in tests that are within every limit but that of memory.
    let doubled: Vec<_> = (0..40).map(|n| format!("\ts{} := concat(\"\", [s{n}, s{n}])", n + 1)).collect();
    let hungry = format!(
        "package vouchsafe_test\n\ntest_hungry if {{\n\ts0 := \"{}\"\n{}\n\tcount(s40) > 0\n}}\n",
        "x".repeat(4096),
        doubled.join("\n")
    );
    let policy = "package vouchsafe\n\ndecision := {\"allow\": false}\n";
    let dir = folder(&[("policy.rego", policy), ("policy_test.rego", &hungry)]);
    let ran = check(dir.path(), &["--format", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code, 2, "{report}");
    let code = report["findings"][0]["code"].as_str().unwrap();
    assert!(matches!(code, "gate.died" | "test.failed"), "{report}");
}

#[test]
fn coverage_names_the_lines_that_no_test_reaches() {
    let policy = "package vouchsafe\n\ndecision := {\"allow\": allow}\n\ndefault allow := false\n\n\
                  allow if input.request.action == \"read\"\n\nallow if {\n\tinput.request.action == \"write\"\n\
                  \tinput.device.state == \"active\"\n}\n";
    let test = "package vouchsafe_test\n\nimport data.vouchsafe\n\n\
                test_read if vouchsafe.decision.allow with input as {\"request\": {\"action\": \"read\"}}\n";
    let dir = folder(&[("policy.rego", policy), ("policy_test.rego", test)]);
    let ran = run_in(dir.path(), ["policy", "coverage", "policies"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("not reached: policy.rego:11\n"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("by 1 tests\n"), "{}", ran.stdout);
    assert_eq!(run_in(dir.path(), ["policy", "coverage", "policies", "--minimum", "100"]).code, 1);
    let ran = run_in(dir.path(), ["policy", "coverage", "policies", "--format", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["files"][0]["not_covered"], serde_json::json!([11]), "{report}");
}

#[test]
fn bench_measures_both_evaluators() {
    let dir =
        folder(&[("policy.rego", "package vouchsafe\n\ndecision := {\"allow\": input.request.action == \"read\"}\n")]);
    fs::write(dir.path().join("input.json"), r#"{"request": {"action": "read"}}"#).unwrap();
    let line = ["policy", "bench", "policies", "--input", "input.json", "--times", "50", "--format", "json"];
    let ran = run_in(dir.path(), line);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let bench: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(bench["decides"], "fast");
    for evaluator in ["fast", "reference"] {
        let measured = &bench[evaluator];
        assert_eq!(measured["result"], serde_json::json!({"allow": true}), "{bench}");
        assert!(measured["median_us"].as_f64().unwrap() <= measured["p99_us"].as_f64().unwrap(), "{bench}");
    }
}
