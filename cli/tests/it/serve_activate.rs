//! An operator puts a policy in charge of a server, sees that it is, and finds it there after a restart.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::server::{Server, until};

const ALLOW: &str = "decision := {\"allow\": true, \"reasons\": []}";
const DENY: &str = "decision := {\"allow\": false, \"reasons\": [{\"code\": \"closed\", \"message\": \"Closed.\"}]}";
const OTHER: &str = "decision := {\"allow\": false, \"reasons\": [{\"code\": \"away\", \"message\": \"Away.\"}]}";
const RECURSION: &str = "decision := {\"allow\": x}\n\nx if y\n\ny if x";

/// A server whose folder of policies allows everything.
fn allowing() -> Server {
    let mut server = Server::init("dir = \"policies\"");
    server.write_policy(ALLOW, "");
    server.start();
    server
}

/// A folder with a policy that decides so.
fn candidate(server: &Server, decision: &str) -> PathBuf {
    let folder = server.path("candidate");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("policy.rego"), format!("package vouchsafe\n\n{decision}\n")).unwrap();
    folder
}

fn activate(server: &Server, decision: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let folder = candidate(server, decision);
    let line = ["policy", "activate", "--candidate", folder.to_str().unwrap()];
    server.operator(&[&line[..], more].concat())
}

fn status(server: &Server) -> Value {
    let (code, stdout, stderr) = server.operator(&["policy", "status", "--format", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn denied(code: &str) -> (String, Vec<String>) {
    ("deny".to_owned(), vec![code.to_owned()])
}

#[test]
fn an_activated_policy_decides_at_once_and_after_a_restart_until_that_of_the_settings_is_activated() {
    let mut server = allowing();
    assert_eq!(server.decide("db:orders").0, "allow");
    let before = status(&server);
    assert_eq!((&before["source"]["kind"], &before["stale"]), (&"folder".into(), &false.into()), "{before}");

    let (code, stdout, stderr) = activate(&server, DENY, &["--yes", "--format", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["before"], &report["comparison"]["changed"]), (&before["policy"], &1.into()), "{report}");
    assert_eq!(server.decide("db:orders"), denied("closed"));

    let after = status(&server);
    assert_eq!(after, report["policy"]);
    assert_ne!(after["policy"], before["policy"]);
    assert_eq!(after["source"]["kind"], "activated");
    assert_eq!(after["source"]["before"], before["policy"]);
    assert_eq!(after["source"]["in_place_of"], "folder policies");
    let by = after["source"]["by"].as_str().unwrap();
    assert!(by.starts_with("spiffe://test.example/operator/"), "{by}");
    server.until_logged("policy activated", 1);
    assert_eq!(fs::metadata(server.path("policy.activated.json")).unwrap().mode() & 0o777, 0o600);

    // Neither SIGHUP nor a restart brings back what was replaced.
    server.hang_up();
    server.until_logged("the policy was not read again", 1);
    server.kill();
    server.start();
    assert_eq!(server.decide("db:orders"), denied("closed"));
    assert_eq!(status(&server), after, "who activated it, and when, is known as before");

    // What the settings name decides again when just that is activated, and is followed again.
    let (code, text, stderr) = activate(&server, ALLOW, &["--yes"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(text.contains("decides now (folder "), "{text}");
    assert!(!server.path("policy.activated.json").exists());
    server.write_policy(OTHER, "");
    server.hang_up();
    assert!(until(|| server.decide("db:orders") == denied("away")), "{}", server.log());
}

#[test]
fn what_was_activated_in_place_of_one_folder_counts_no_more_when_the_settings_name_another() {
    let mut server = allowing();
    assert_eq!(activate(&server, DENY, &["--yes"]).0, Some(0));
    server.kill();
    let settings = server.path("vouchsafe.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("dir = \"policies\"", "dir = \"others\"")).unwrap();
    fs::rename(server.path("policies"), server.path("others")).unwrap();
    server.start();
    assert_eq!(server.decide("db:orders").0, "allow");
    server.until_logged("it counts no more", 1);
    assert!(!server.path("policy.activated.json").exists());
}

#[test]
fn an_activated_policy_that_cannot_be_read_keeps_the_server_from_starting_by_another() {
    let mut server = allowing();
    assert_eq!(activate(&server, DENY, &["--yes"]).0, Some(0));
    server.kill();
    let kept = server.path("policy.activated.json");
    let text = fs::read(&kept).unwrap();
    fs::write(&kept, &text[..text.len() / 2]).unwrap();
    assert_eq!(server.start_in_vain(), Some(1));
    assert!(server.log().contains("the server then starts by the policy of its settings"), "{}", server.log());
    fs::remove_file(kept).unwrap();
    server.start();
    assert_eq!(server.decide("db:orders").0, "allow");
}

#[test]
fn nothing_is_activated_that_nobody_agreed_to_or_that_does_not_pass_the_gate() {
    let mut server = allowing();
    let before = status(&server);

    let (code, _, stderr) = activate(&server, DENY, &[]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("no terminal") && stderr.contains("--yes"), "{stderr}");

    let (code, stdout, _) = activate(&server, RECURSION, &["--yes"]);
    assert_eq!(code, Some(2), "{stdout}");
    assert!(stdout.contains("rule.recursion"), "{stdout}");

    assert_eq!(status(&server), before);
    assert!(!server.path("policy.activated.json").exists());
    assert_eq!(server.decide("db:orders").0, "allow");
    assert!(server.is_alive());
}

/// What others than our own command send.
#[test]
fn the_server_sees_for_itself_to_what_it_puts_in_charge() {
    let server = allowing();
    let before = status(&server);
    let hash = before["policy"].as_str().unwrap();
    let packed = |name: &str, decision: &str, more: &[&str]| {
        let folder = candidate(&server, decision);
        let output = server.path(name);
        let line = ["policy", "bundle", folder.to_str().unwrap(), "--revision", "1", "--output"];
        let (code, _, stderr) = server.operator(&[&line[..], &[output.to_str().unwrap()], more].concat());
        assert_eq!(code, Some(0), "{stderr}");
        fs::read(output).unwrap()
    };
    let (deny, recursive) = (packed("deny.tar.gz", DENY, &[]), packed("recursive.tar.gz", RECURSION, &[]));
    let stale = "0".repeat(64);
    for (if_match, body, status, code) in [
        (None, deny.clone(), 428, "policy.if_match_missing"),
        (Some("*".to_owned()), deny.clone(), 400, "policy.if_match"),
        (Some(format!("\"{stale}\"")), deny.clone(), 412, "policy.changed"),
        (Some(format!("\"{hash}\"")), b"no bundle".to_vec(), 422, "policy.no_bundle"),
        (
            Some(format!("\"{hash}\"")),
            packed("ends.tar.gz", DENY, &["--expires-at", "2099-01-01T00:00:00Z"]),
            422,
            "policy.ends",
        ),
        (Some(format!("\"{hash}\"")), recursive, 422, "policy.refused"),
        (
            Some(format!("\"{hash}\"")),
            vec![0; vouchsafe_wire::v1::limits::POLICY_BODY + 1],
            413,
            "request.body_too_large",
        ),
    ] {
        let (got, problem) = server.put_policy("operator", if_match.as_deref(), body);
        let problem: Value = serde_json::from_str(&problem).unwrap();
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
        if code == "policy.refused" {
            assert_eq!(problem["findings"][0]["code"], "rule.recursion", "{problem}");
        }
    }
    // A point has a certificate of the same authority.
    let issue = ["credential", "issue", "--role", "enforcement", "--name", "edge", "--out"];
    let (code, _, stderr) = server.operator(&[&issue[..], &[server.path("edge").to_str().unwrap()]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let (got, problem) = server.put_policy("edge/enforcement", Some(&format!("\"{hash}\"")), deny.clone());
    assert_eq!(got, 403, "{problem}");
    assert_eq!(status(&server), before);
    assert_eq!(server.decide("db:orders").0, "allow");

    let (got, body) = server.put_policy("operator", Some(&format!("\"{hash}\"")), deny);
    assert_eq!(got, 200, "{body}");
    assert_eq!(server.decide("db:orders"), denied("closed"));
}

/// On a terminal, which `script` makes. Only a yes is a yes.
#[test]
fn whoever_is_asked_has_to_say_yes() {
    let server = allowing();
    let folder = candidate(&server, DENY);
    let answer = |text: &str| {
        let typescript = server.path("typescript");
        let line = format!("{} policy activate --candidate {}", env!("CARGO_BIN_EXE_vouchsafe"), folder.display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line]).arg(typescript);
        script.env("VOUCHSAFE_PROFILE", server.path("operator.toml")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = script.spawn().unwrap();
        script.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = script.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for no in ["\n", "n\n", "yesterday\n", "y e s\n"] {
        let (code, said) = answer(no);
        assert_eq!(code, Some(1), "{no:?}: {said}");
        assert!(said.contains("Activate? [y/N]") && said.contains("nothing was activated"), "{said}");
        assert_eq!(status(&server)["source"]["kind"], "folder", "{no:?}");
    }
    let (code, said) = answer("y\n");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(server.decide("db:orders"), denied("closed"));
}
