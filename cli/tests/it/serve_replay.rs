//! Yesterday's decisions against tomorrow's policy, on a server.

use std::fs;

use serde_json::Value;

use crate::server::{Server, until};

const ALLOWS_DB: &str = "decision := {\"allow\": startswith(input.request.resource, \"db:\"), \"reasons\": reasons}\n\n\
     reasons contains {\"code\": \"not_db\", \"message\": \"No.\"} if not startswith(input.request.resource, \"db:\")";

const ALLOWS_WIKI: &str = "decision := {\"allow\": input.request.resource == \"wiki\", \"reasons\": reasons}\n\n\
     reasons contains {\"code\": \"not_wiki\", \"message\": \"No.\"} if input.request.resource != \"wiki\"";

/// The policy with its set of reasons as a list.
fn with_list(policy: &str) -> String {
    policy.replace("\"reasons\": reasons", "\"reasons\": [r | some r in reasons]")
}

#[test]
fn a_candidate_is_held_against_what_was_decided_and_changes_nothing() {
    let mut server = Server::init("dir = \"policies\"");
    server.write_policy(&with_list(ALLOWS_DB), "");
    server.start();
    for resource in ["db:orders", "db:customers", "wiki", "mail"] {
        server.decide(resource);
    }
    let candidate = server.path("candidate");
    fs::create_dir(&candidate).unwrap();
    let write = |text: &str| {
        let text = with_list(text);
        fs::write(candidate.join("policy.rego"), format!("package vouchsafe\n\n{text}\n")).unwrap();
    };
    write(ALLOWS_WIKI);
    let folder = candidate.to_str().unwrap();
    let replay = ["policy", "replay", "--candidate", folder];
    let (code, stdout, stderr) = server.operator(&[&replay[..], &["--format", "json"]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&report["compared"], &report["changed"], &report["same"]),
        (&4.into(), &3.into(), &1.into()),
        "{report}"
    );
    assert_eq!(report["allow_to_deny"]["not_wiki"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["deny_to_allow"]["not_db"].as_array().unwrap().len(), 1, "{report}");

    let (_, text, _) = server.operator(&replay);
    assert!(text.contains("allowed, and would be denied:") && text.contains("not_wiki"), "{text}");
    assert!(text.ends_with("4 decisions made again, 3 come out otherwise\n"), "{text}");
    let (_, text, _) = server.operator(&[&replay[..], &["--until", "2026-01-01T00:00:00Z"]].concat());
    assert_eq!(text, "0 decisions made again, 0 come out otherwise\n");

    write("decision := {\"allow\": x}\n\nx if y\n\ny if x");
    let (code, text, _) = server.operator(&replay);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("rule.recursion"), "{text}");
    // What was tried decides nothing.
    assert_eq!(server.decide("db:orders").0, "allow");
}

#[test]
fn a_decision_is_explained_by_the_value_of_each_rule_and_the_lines_that_were_not_reached() {
    let mut server = Server::init("dir = \"policies\"");
    server.write_policy(
        "default allow := false\n\nallow if {\n\tis_db\n\tinput.request.action == \"write\"\n}\n\n\
         is_db if startswith(input.request.resource, \"db:\")\n\ndecision := {\"allow\": allow, \"reasons\": []}",
        "",
    );
    server.start();
    server.decide("db:orders");
    let (_, listed, _) = server.operator(&["log", "query", "--format", "json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap();

    let (code, explained, stderr) = server.operator(&["log", "explain", id, "--format", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let explained: Value = serde_json::from_str(&explained).unwrap();
    assert_eq!((&explained["outcome"], &explained["outcome_now"]), (&"deny".into(), &"deny".into()));
    assert_eq!(explained["policy"], explained["explained_by"]);
    let value_of = |rule: &str| {
        let rules = explained["rules"].as_array().unwrap();
        rules.iter().find(|value| value["rule"] == rule).unwrap()["value"].clone()
    };
    assert_eq!(value_of("data.vouchsafe.is_db"), true);
    assert_eq!(value_of("data.vouchsafe.allow"), false);

    let (_, text, _) = server.operator(&["log", "explain", id]);
    assert!(
        text.contains("data.vouchsafe.is_db") && text.contains("outcome") && !text.contains("another policy"),
        "{text}"
    );
    let (code, _, stderr) = server.operator(&["log", "explain", "019c13ec-9e00-7707-8707-070707070707"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no decision") || stderr.contains("no such decision"), "{stderr}");
}

#[test]
fn a_shadow_makes_every_decision_once_more_and_answers_nobody() {
    let mut server = Server::init("dir = \"policies\"\nshadow = \"shadow\"");
    server.write_policy(&with_list(ALLOWS_DB), "");
    let shadow = server.path("shadow");
    fs::create_dir(&shadow).unwrap();
    let write = |text: &str| fs::write(shadow.join("policy.rego"), format!("package vouchsafe\n\n{text}\n")).unwrap();
    write("decision := {\"allow\": x}\n\nx if y\n\ny if x");
    assert_eq!(server.start_in_vain(), Some(2), "a shadow passes the same gate");
    assert!(server.log().contains("rule.recursion"), "{}", server.log());

    write(&with_list(ALLOWS_WIKI));
    server.start();
    assert_eq!(server.decide("db:orders"), ("allow".to_owned(), vec![]));
    assert_eq!(server.decide("wiki"), ("deny".to_owned(), vec!["not_db".to_owned()]));
    assert_eq!(server.decide("mail"), ("deny".to_owned(), vec!["not_db".to_owned()]));
    for outcome in ["allow_to_deny", "deny_to_allow", "same"] {
        let metric = format!("policy_shadow_decisions_total{{outcome=\"{outcome}\"}}");
        assert!(until(|| server.metric(&metric).as_deref() == Some("1")), "{outcome}: {}", server.log());
    }
    server.until_logged("the shadow policy decides otherwise", 2);
    assert!(server.log().contains("not_wiki"), "{}", server.log());
}
