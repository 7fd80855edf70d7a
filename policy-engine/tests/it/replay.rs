//! Recorded decisions against another policy: exactly those that it changes are named.

use std::collections::BTreeMap;

use vouchsafe_model::{Decision, DecisionId, Outcome};
use vouchsafe_policies::{Bundle, default_bundle};
use vouchsafe_policy_engine::log::LogEntry;
use vouchsafe_policy_engine::replay::{Candidate, Replayed, Skipped};
use vouchsafe_policy_engine::{Choose, PolicyEngine, Question, Seen};
use vouchsafe_wire::v1::decide::AskDecision;

use crate::fixtures::{NOW, default_engine, good_ask, limits, policy};

/// Denies what begins with `db:secret`, and allows the rest.
const CLOSES_SECRETS: &str = r#"default allow := true

allow := false if startswith(input.request.resource, "db:secret")

decision := {"allow": allow, "reasons": [{"code": "secret", "message": "It is secret."} | not allow]}"#;

fn candidate(bundle: &Bundle) -> Candidate {
    Candidate::compile(bundle, Choose::ByThePolicy, limits(), 1).unwrap()
}

fn ask(resource: String) -> AskDecision {
    let mut ask = good_ask(1);
    ask.request.resource = resource;
    ask
}

/// A decision and its entry; the number makes its name another.
fn logged(engine: &PolicyEngine, number: u8, ask: AskDecision) -> (Decision, String) {
    let question = Question::check(ask).unwrap();
    let (decision, seen) = engine.decide_noting(&question, Vec::new(), NOW, &[number; 10]);
    (decision.clone(), entry(&decision, &question, &seen))
}

fn entry(decision: &Decision, question: &Question, seen: &Seen) -> String {
    let answer = serde_json::to_vec(decision).unwrap();
    let entry = LogEntry::new(decision, &answer, question, seen, None).unwrap();
    String::from_utf8(entry.json().unwrap().to_vec()).unwrap()
}

fn tried<'a>(candidate: &Candidate, entries: impl IntoIterator<Item = &'a str>) -> Replayed {
    let mut found = Replayed::default();
    entries.into_iter().for_each(|entry| candidate.try_on(Some(entry), &mut found));
    found
}

#[test]
fn exactly_what_another_policy_changes_is_named_by_its_reason() {
    let engine = default_engine();
    let resources = ["db:orders", "db:secrets", "wiki", "db:secret", "admin:users"];
    let all: Vec<_> = (0..100u8)
        .map(|number| logged(&engine, number, ask(format!("{}{number}", resources[usize::from(number) % 5]))))
        .collect();
    let named = |wanted: Outcome, resource: [usize; 2]| -> Vec<DecisionId> {
        let is_wanted = |(number, (decision, _)): &(usize, &(Decision, String))| {
            resource.contains(&(number % 5)) && decision.outcome() == wanted
        };
        all.iter().enumerate().filter(is_wanted).map(|(_, (decision, _))| decision.id()).collect()
    };

    let found = tried(&candidate(&policy(CLOSES_SECRETS)), all.iter().map(|(_, entry)| entry.as_str()));
    assert_eq!((found.compared, found.same, found.changed()), (100, 20, 80));
    assert_eq!(found.allow_to_deny, BTreeMap::from([("secret".to_owned(), named(Outcome::Allow, [1, 3]))]));
    let expected = [
        ("device.score_too_low".to_owned(), named(Outcome::Deny, [4, 4])),
        ("request.flow_not_listed".to_owned(), named(Outcome::Deny, [2, 2])),
    ];
    assert_eq!(found.deny_to_allow, BTreeMap::from(expected));
    assert!(found.not_compared.is_empty());
}

#[test]
fn the_same_policy_changes_nothing() {
    let engine = default_engine();
    let all: Vec<_> = (0..50u8).map(|number| logged(&engine, number, ask(format!("admin:{number}"))).1).collect();
    let found = tried(&candidate(&default_bundle().unwrap()), all.iter().map(String::as_str));
    assert_eq!((found.compared, found.changed()), (50, 0));
}

#[test]
fn what_the_record_does_not_hold_is_counted_and_not_guessed_at() {
    let engine = default_engine();
    let question = Question::check(good_ask(1)).unwrap();
    let (_, whole) = logged(&engine, 1, good_ask(1));
    let not_asked = entry(
        &engine.deny(
            &question,
            vouchsafe_model::Reason { code: "request.path_ambiguous".into(), message: "No.".into(), fix: None },
            NOW,
            &[2; 10],
        ),
        &question,
        &Seen::Nothing,
    );
    let mut erased: serde_json::Value = serde_json::from_str(&whole).unwrap();
    erased["erased"] = serde_json::json!(["/question/user"]);

    let candidate = candidate(&policy(CLOSES_SECRETS));
    let others = [not_asked, erased.to_string(), "{".to_owned()];
    let mut found = tried(&candidate, others.iter().map(String::as_str));
    candidate.try_on(None, &mut found);
    assert_eq!(found.compared, 0);
    let expected = [(Skipped::LeftOut, 2), (Skipped::NotAsked, 1), (Skipped::Unreadable, 1)];
    assert_eq!(found.not_compared, BTreeMap::from(expected));
}
