//! The program, run as an operator runs it, on a host without a TPM.

use std::path::Path;
use std::process::{Command, Output};

fn agent(state: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vouchsafe-agent"))
        .arg("--state-dir")
        .arg(state)
        .args(["--tcti", "device:/nonexistent/tpm"])
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn join_file(directory: &Path) -> String {
    let bundle = rcgen::generate_simple_self_signed(vec!["engine".to_owned()]).unwrap().cert.pem();
    let join = serde_json::json!({
        "enrol_url": "https://127.0.0.1:1", "attest_url": "https://127.0.0.1:1", "trust_bundle_pem": bundle,
        "token": "vs1-abcdefghijklmnop", "expires_at": "2030-01-01T00:00:00Z",
    });
    let path = directory.join("join.json");
    std::fs::write(&path, join.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn a_device_that_never_enrolled_says_so_by_its_exit_code() {
    let scratch = tempfile::tempdir().unwrap();
    let status = agent(&scratch.path().join("state"), &["status"]);
    assert_eq!(status.status.code(), Some(8), "{}", said(&status));
    assert!(said(&status).contains("enrolled       no"));
    let json = agent(&scratch.path().join("state"), &["status", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["enrolled"], false);
    let run = agent(&scratch.path().join("state"), &["run"]);
    assert_eq!(run.status.code(), Some(8), "{}", said(&run));
    assert!(said(&run).contains("--join FILE"), "{}", said(&run));
}

#[test]
fn a_status_says_which_logs_there_are() {
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("log").display().to_string();
    std::fs::write(&log, "measured").unwrap();
    let logs = ["--event-log", &log, "--ima-log", "/nonexistent/list", "status"];
    let status = agent(&scratch.path().join("state"), &logs);
    assert!(said(&status).contains(&format!("event log      {log}: 8 bytes, SHA-256 ")), "{}", said(&status));
    assert!(said(&status).contains("ima log        none: there is no /nonexistent/list"), "{}", said(&status));
    let json = agent(&scratch.path().join("state"), &[&logs[..], &["--format", "json"]].concat());
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["logs"]["event_log"]["bytes"], 8);
    assert_eq!(report["logs"]["ima"]["path"], "/nonexistent/list");
}

#[test]
fn without_a_tpm_nothing_is_sent_and_the_reason_is_clear() {
    let scratch = tempfile::tempdir().unwrap();
    let join = join_file(scratch.path());
    let enrol = agent(&scratch.path().join("state"), &["enrol", "--join", &join]);
    assert_eq!(enrol.status.code(), Some(4), "{}", said(&enrol));
    assert!(said(&enrol).contains("there is no such device"), "{}", said(&enrol));
    assert!(!said(&enrol).contains("vs1-"), "the token is in the log: {}", said(&enrol));
    let out = scratch.path().join("quote").display().to_string();
    let quote = agent(&scratch.path().join("state"), &["quote", "--nonce", "9009", "--out", &out]);
    assert_eq!(quote.status.code(), Some(4), "{}", said(&quote));
    assert!(!Path::new(&out).exists(), "a quote that was not made leaves no files");
}

#[test]
fn what_cannot_be_used_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let state = scratch.path().join("state");
    for (arguments, code, named) in [
        (&["enrol", "--join", "/nonexistent/join.json"][..], 3, "no join file /nonexistent/join.json"),
        (&["--config", "/nonexistent/agent.toml", "status"], 3, "no configuration file /nonexistent/agent.toml"),
        (&["--log-level", "loud", "status"], 3, "loud"),
        (&["--ek", "dsa", "status"], 2, "dsa"),
        (&["quote", "--nonce", "xyz", "--out", "q"], 2, "hexadecimal"),
    ] {
        let output = agent(&state, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(named), "{arguments:?}: {}", said(&output));
    }
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("state.json"), "{").unwrap();
    let damaged = agent(&state, &["status"]);
    assert_eq!(damaged.status.code(), Some(3), "{}", said(&damaged));
}

#[test]
fn json_logs_are_one_object_a_line() {
    let scratch = tempfile::tempdir().unwrap();
    let run = agent(&scratch.path().join("state"), &["--log-format", "json", "run"]);
    let text = String::from_utf8_lossy(&run.stderr).into_owned();
    let lines: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // The last line is for people: it is what a shell shows.
    assert_eq!(lines.len() + 1, text.lines().count(), "{text}");
    assert!(lines.iter().any(|line| line["message"] == "starting" && line["tpm.tcti"] == "device:/nonexistent/tpm"));
}

#[test]
fn packagers_get_completions_and_manual_pages() {
    let scratch = tempfile::tempdir().unwrap();
    let completions = agent(scratch.path(), &["completions", "bash"]);
    assert!(
        String::from_utf8_lossy(&completions.stdout).contains("complete -F _vouchsafe__agent"),
        "{}",
        said(&completions)
    );
    let pages = scratch.path().join("man").display().to_string();
    assert!(agent(scratch.path(), &["man", &pages]).status.success());
    let page = std::fs::read_to_string(scratch.path().join("man/vouchsafe-agent.1")).unwrap();
    assert!(page.contains("Exit codes"));
    assert!(scratch.path().join("man/vouchsafe-agent-quote.1").exists());
}
