//! Decisions over records: always anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vouchsafe_model::trust::Veto;
use vouchsafe_model::{DeviceState, EndorsementGrade, Finding, FindingCode, Outcome};
use vouchsafe_policies::default_bundle;
use vouchsafe_policy_engine::{EngineSettings, PolicyEngine, Question, RecordTable};
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::fixtures::{
    ALLOW_ALL, NOW, ceiling, changed_pcr, curve, decide, decide_at, default_engine, device, engine_with, good_ask,
    good_record, in_short, limits, policy, verdict,
};

const ALLOWED: (Outcome, Vec<&str>) = (Outcome::Allow, Vec::new());

#[test]
fn a_good_device_may_and_the_answer_explains_itself() {
    let engine = default_engine();
    let decision = decide(&engine, good_ask(1));
    assert_eq!(in_short(&decision), ALLOWED);
    assert_eq!(decision.device(), Some(device(1)));
    assert_eq!(decision.decided_at(), NOW);
    assert_eq!(decision.policy(), default_bundle().unwrap().hash());
    let score = decision.score().unwrap();
    assert!((score.score.points() - 79.5).abs() < 1e-9);
    assert_eq!(score.at, NOW);
    assert_eq!(score.factors.len(), 1);
}

#[test]
fn every_change_of_a_record_is_seen_by_the_next_decision() {
    type Change = (&'static str, fn(&mut DeviceRecord), &'static [&'static str]);
    let changes: [Change; 7] = [
        ("revoked", |record| record.state = DeviceState::Revoked, &["device.not_active"]),
        ("unvouched", |record| record.endorsement = EndorsementGrade::None, &["device.endorsement_too_weak"]),
        ("tampered with", |record| record.verdict = Some(verdict(vec![changed_pcr(14)])), &["device.pcr_mismatch"]),
        (
            "clock",
            |record| record.verdict = Some(verdict(vec![Finding::new(FindingCode::ClockWentBack)])),
            &["device.contraindicated"],
        ),
        ("silent", |record| record.verdict = None, &["device.never_attested"]),
        ("distrusted", |record| record.curve = curve(59.9, Vec::new()), &["device.score_too_low"]),
        (
            "expired",
            |record| record.curve = curve(79.5, vec![ceiling(Veto::CertificateExpired)]),
            &["device.certificate_expired", "device.score_too_low"],
        ),
    ];
    let engine = default_engine();
    for (name, change, codes) in changes {
        let mut record = good_record(1);
        change(&mut record);
        engine.records().apply(RecordChange::Put(Box::new(record)));
        assert_eq!(in_short(&decide(&engine, good_ask(1))), (Outcome::Deny, codes.to_vec()), "{name}");
        engine.records().apply(RecordChange::Put(Box::new(good_record(1))));
        assert_eq!(in_short(&decide(&engine, good_ask(1))), ALLOWED, "after {name}");
    }
    engine.records().apply(RecordChange::Remove(device(1)));
    assert_eq!(in_short(&decide(&engine, good_ask(1))), (Outcome::Deny, vec!["device.unknown"]));
}

#[test]
fn every_change_of_the_question_is_seen() {
    let engine = default_engine();
    let changed = |change: fn(&mut vouchsafe_wire::v1::decide::AskDecision)| {
        let mut ask = good_ask(1);
        change(&mut ask);
        let decision = decide(&engine, ask);
        assert_eq!(decision.outcome(), Outcome::Deny);
        let codes: Vec<_> = decision.reasons().iter().map(|reason| reason.code.clone()).collect();
        assert_eq!(in_short(&decide(&engine, good_ask(1))), ALLOWED);
        codes
    };
    assert_eq!(changed(|ask| ask.device = None), ["device.unknown"]);
    assert_eq!(changed(|ask| ask.device = Some(device(2))), ["device.unknown"]);
    assert_eq!(changed(|ask| ask.network = None), ["network.unknown"]);
    assert_eq!(changed(|ask| ask.network.as_mut().unwrap().encrypted = false), ["network.not_encrypted"]);
    assert_eq!(changed(|ask| ask.network.as_mut().unwrap().authenticated = false), ["network.not_authenticated"]);
    assert_eq!(changed(|ask| ask.request.resource = "admin:x".to_owned()), ["device.score_too_low"]);
}

#[test]
fn the_tampered_pcr_is_named_in_words() {
    let engine = default_engine();
    let record = DeviceRecord { verdict: Some(verdict(vec![changed_pcr(14)])), ..good_record(1) };
    engine.records().apply(RecordChange::Put(Box::new(record)));
    let decision = decide(&engine, good_ask(1));
    assert_eq!(decision.reasons()[0].message, "PCR 14 does not have the value of the golden image.");
}

#[test]
fn evidence_grows_old_and_scores_fall_while_nothing_happens() {
    let engine = default_engine();
    let last = NOW.plus(Duration::from_secs(840));
    assert_eq!(in_short(&decide_at(&engine, good_ask(1), last)), ALLOWED);
    let too_late = last.plus(Duration::from_millis(1));
    assert_eq!(in_short(&decide_at(&engine, good_ask(1), too_late)), (Outcome::Deny, vec!["device.evidence_too_old"]));
    let before_it_was_quoted = NOW.minus(Duration::from_secs(7_200));
    assert_eq!(
        in_short(&decide_at(&engine, good_ask(1), before_it_was_quoted)),
        (Outcome::Deny, vec!["device.evidence_too_old"])
    );
}

#[test]
fn a_policy_sees_all_that_it_looks_at() {
    for looks_at in [
        "input.user.id == \"alice\"",
        "\"ops\" in input[\"user\"].roles",
        "input.device.claims.hostname == \"web-1\"",
        "input.device.factors[0].name == \"freshness\"",
        "input[\"device\"][\"claims\"].os != \"\"",
        "object.get(input, [\"device\", \"claims\", \"hostname\"], \"\") == \"web-1\"",
        "[device | device := input.device][0].claims.hostname == \"web-1\"",
        "{\"user\": user} := input\n\tuser.id == \"alice\"",
        "some part in input\n\tpart.claims.hostname == \"web-1\"",
        "count(input.device.factors) == 1",
        "input.application.id == \"psql\"",
    ] {
        let bundle = policy(&format!("decision := {{\"allow\": true}} if {{\n\t{looks_at}\n}}"));
        let engine = engine_with(&bundle, limits());
        assert_eq!(in_short(&decide(&engine, good_ask(1))), ALLOWED, "{looks_at}");
    }
    let imported = "import input.user as somebody\n\ndecision := {\"allow\": true} if somebody.id == \"alice\"";
    assert_eq!(in_short(&decide(&engine_with(&policy(imported), limits()), good_ask(1))), ALLOWED);
}

#[test]
fn decisions_are_counted_by_their_outcome_and_timed() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let engine = default_engine();
    metrics::with_local_recorder(&recorder, || {
        decide(&engine, good_ask(1));
        decide(&engine, good_ask(2));
        decide(&engine, good_ask(2));
    });
    let shown = recorder.handle().render();
    assert!(shown.contains("decisions_total{outcome=\"allow\"} 1"), "{shown}");
    assert!(shown.contains("decisions_total{outcome=\"deny\"} 2"), "{shown}");
    assert!(shown.contains("decision_duration_seconds_count 3"), "{shown}");
}

#[test]
fn an_engine_that_knows_no_devices_yet_denies() {
    let engine =
        PolicyEngine::new(&policy(ALLOW_ALL), Arc::new(RecordTable::new()), EngineSettings::default()).unwrap();
    assert!(!engine.is_ready());
    let decision = decide(&engine, good_ask(1));
    assert_eq!(in_short(&decision), (Outcome::Deny, vec!["records.not_ready"]));
    assert_eq!(decision.device(), Some(device(1)));
    engine.records().load([]);
    assert!(engine.is_ready());
    assert_eq!(in_short(&decide(&engine, good_ask(1))), ALLOWED);
}

#[test]
fn a_snapshot_replaces_what_was_known() {
    let table = RecordTable::new();
    table.load([good_record(1), good_record(2)]);
    table.load([good_record(2), good_record(3)]);
    assert_eq!(table.len(), 2);
    assert!(table.get(&device(1)).is_none() && table.get(&device(3)).is_some());
}

#[test]
fn another_policy_takes_over_at_once_and_a_bad_one_never() {
    let engine = engine_with(&policy(ALLOW_ALL), limits());
    let first = engine.policy();
    assert_eq!(in_short(&decide(&engine, good_ask(9))), ALLOWED);

    assert!(engine.activate(&policy("decision := {")).is_err());
    assert!(engine.activate(&policy("decision if decision")).is_err());
    assert!(engine.activate(&policy("other := 1")).is_err());
    assert_eq!(engine.policy(), first);
    assert_eq!(in_short(&decide(&engine, good_ask(9))), ALLOWED);

    let second = engine.activate(&default_bundle().unwrap()).unwrap();
    assert_ne!(first, second);
    let decision = decide(&engine, good_ask(9));
    assert_eq!(decision.policy(), second);
    assert_eq!(in_short(&decision), (Outcome::Deny, vec!["device.unknown"]));
}

#[test]
fn decisions_at_the_same_time_each_belong_to_one_policy() {
    let allow = policy(ALLOW_ALL);
    let deny = policy(r#"decision := {"allow": false, "reasons": [{"code": "no", "message": "No."}]}"#);
    let engine = engine_with(&allow, limits());
    let question = Question::check(good_ask(1)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // More threads than the engine keeps evaluators for.
        for _ in 0..6 {
            scope.spawn(|| {
                let mut count = 0;
                while !done.load(Ordering::SeqCst) || count < 100 {
                    let decision = engine.decide(&question, NOW, &[0; 10]);
                    let expected = if decision.policy() == allow.hash() { Outcome::Allow } else { Outcome::Deny };
                    assert_eq!(decision.outcome(), expected);
                    count += 1;
                }
            });
        }
        for _ in 0..5 {
            engine.activate(&deny).unwrap();
            engine.activate(&allow).unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
}
