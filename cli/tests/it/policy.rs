//! Testing policies, and seeing the built-in one.

use std::path::Path;

use crate::support::{Ran, run_in};

/// A folder with the built-in policy in `policies`.
fn built_in() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), ["policy", "show", "--out", "policies"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    dir
}

fn test(dir: &Path, more: &[&str]) -> Ran {
    run_in(dir, ["policy", "test", "policies"].iter().chain(more))
}

fn refused(dir: &Path) -> String {
    let ran = test(dir, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn the_built_in_policy_passes_its_own_tests() {
    let dir = built_in();
    let ran = test(dir.path(), &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("ok: "), "{}", ran.stdout);
    let ran = test(dir.path(), &["--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["passed"], true);
    assert!(
        report["tests"].as_array().unwrap().len() > 10 && report["inputs_compared"].as_u64().unwrap() > 0,
        "{report}"
    );
}

#[test]
fn a_test_that_fails_is_named_and_exits_1() {
    let dir = built_in();
    let file = dir.path().join("policies/mine_test.rego");
    std::fs::write(&file, "package mine_test\n\ntest_of_mine if {\n\tprint(\"seen\")\n\t1 == 2\n}\n").unwrap();
    let ran = test(dir.path(), &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("FAILED data.mine_test.test_of_mine (mine_test.rego:3:"), "{}", ran.stdout);
    let ran = test(dir.path(), &["--format", "json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()["passed"], false);
}

#[test]
fn a_folder_that_is_no_policy_is_refused_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refused(dir.path()).contains("error: cannot read the policy in policies: "));
    std::fs::create_dir(dir.path().join("policies")).unwrap();
    assert!(refused(dir.path()).contains("\nhint: a policy is a folder of *.rego"));

    let policy = dir.path().join("policies/policy.rego");
    std::fs::write(&policy, "this is no Rego").unwrap();
    assert!(refused(dir.path()).contains("error: the policy in policies cannot be used: policy.rego cannot be parsed"));
    std::fs::write(&policy, "package vouchsafe\n\ndecision := {\"allow\": endless}\n\nendless if endless\n").unwrap();
    let told = refused(dir.path());
    assert!(told.contains("cannot be used") && told.contains("depends on itself"), "{told}");
    std::fs::write(
        &policy,
        "package vouchsafe\n\ndecision := {\"allow\": false, \"reasons\": [], \"obligations\": []}\n",
    )
    .unwrap();
    assert!(refused(dir.path()).starts_with("error: the policy in policies has no tests\nhint: "));
}

#[test]
fn the_built_in_policy_is_shown_and_never_written_over_another() {
    let dir = built_in();
    let ran = run_in(dir.path(), ["policy", "show"]);
    assert_eq!(ran.code, 0);
    for name in ["policy.rego", "policy_test.rego", "data.json", "input.schema.json"] {
        assert!(ran.stdout.contains(&format!("# ---- {name} ----")), "{name}");
        assert!(dir.path().join("policies").join(name).exists());
    }
    let ran = run_in(dir.path(), ["policy", "show", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(shown["files"]["policy.rego"].as_str().unwrap().contains("package vouchsafe"));

    std::fs::remove_file(dir.path().join("policies/data.json")).unwrap();
    let ran = run_in(dir.path(), ["policy", "show", "--out", "policies"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("exists already and is not overwritten\nhint: name another folder"), "{}", ran.stderr);
    assert!(!dir.path().join("policies/data.json").exists(), "nothing was written");
}
