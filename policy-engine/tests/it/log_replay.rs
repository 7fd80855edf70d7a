//! What a decision was made over is in the log, so that it can be decided over again, and by another policy.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use vouchsafe_model::trust::{Ceiling, FactorName, FactorParams, FactorState, TrustCurve, Veto};
use vouchsafe_model::{
    Decision, DeviceState, EndorsementGrade, Finding, FindingCode, HostFacts, Reason, Sha256Digest, Timestamp,
    TrustScore, Verdict,
};
use vouchsafe_policies::{Bundle, default_bundle};
use vouchsafe_policy_engine::evaluate::{Document, Evaluate, FastEvaluator};
use vouchsafe_policy_engine::log::{LogEntry, MAX_REQUEST_LEN, NotReplayable, Replay, replay_input};
use vouchsafe_policy_engine::{PolicyEngine, Query, Question, Seen, ruling};
use vouchsafe_wire::v1::agent::{Access, HttpRequest};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::limits::DATA_BODY;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::default_policy::any_input;
use crate::fixtures::{NOW, default_engine, device, engine_with, good_ask, good_record, limits, policy, verdict};

/// The entry of a decision, as it goes to the log.
fn logged(engine: &PolicyEngine, ask: AskDecision, now: Timestamp) -> (Decision, LogEntry) {
    let question = Question::check(ask).unwrap();
    let (decision, seen) = engine.decide_noting(&question, Vec::new(), now, &[3; 10]);
    let answer = serde_json::to_vec(&decision).unwrap();
    let asker = "spiffe://example.org/enforcement/edge-1".parse().unwrap();
    let entry = LogEntry::new(&decision, &answer, &question, &seen, Some(asker)).unwrap();
    (decision, entry)
}

fn text(entry: &LogEntry) -> &str {
    std::str::from_utf8(entry.json().unwrap()).unwrap()
}

fn json(entry: &LogEntry) -> Value {
    serde_json::from_str(text(entry)).unwrap()
}

fn replayed(entry: &LogEntry) -> Result<Replay, NotReplayable> {
    replay_input(text(entry))
}

#[test]
fn the_log_has_the_facts_about_the_device_as_the_policy_saw_them() {
    let engine = default_engine();
    let (decision, entry) = logged(&engine, good_ask(1), NOW);
    let facts = &json(&entry)["device"];
    assert_eq!((facts.get("score"), &facts["state"]), (None, &json!("active")), "the decision tells the score");
    assert_eq!((&facts["verdict"]["age_secs"], &facts["claims"]["hostname"]), (&json!(60), &json!("web-1")));
    let replay = replayed(&entry).unwrap();
    assert_eq!((replay.id, replay.outcome, replay.policy), (decision.id(), decision.outcome(), engine.policy()));
    assert_eq!(replay.input, engine.input(&Question::check(good_ask(1)).unwrap(), NOW));
}

#[test]
fn a_device_that_is_not_known_is_told_from_nothing() {
    let engine = default_engine();
    let (_, entry) = logged(&engine, good_ask(9), NOW);
    assert_eq!(json(&entry).get("device"), Some(&Value::Null));
    assert_eq!(replayed(&entry).unwrap().input.device, None);
}

#[test]
fn a_decision_that_the_policy_was_not_asked_for_is_not_made_again() {
    let (engine, question) = (default_engine(), Question::check(good_ask(1)).unwrap());
    let reason = Reason { code: "request.path_ambiguous".into(), message: "It is.".into(), fix: None };
    let decision = engine.deny(&question, reason, NOW, &[3; 10]);
    let answer = serde_json::to_vec(&decision).unwrap();
    let entry = LogEntry::new(&decision, &answer, &question, &Seen::Nothing, None).unwrap();
    assert!(matches!(replayed(&entry), Err(NotReplayable::Unseen)));
    let query = Query::check("data.authz.allow".parse().unwrap(), Some(json!({"a": 1}))).unwrap();
    let entry = LogEntry::of_query(&decision, &answer, &query, None).unwrap();
    assert!(matches!(replayed(&entry), Err(NotReplayable::AnotherRule)));
    for entry in ["", "null", "{}", r#"{"decision": {}}"#] {
        assert!(matches!(replay_input(entry), Err(NotReplayable::Unreadable(_))), "{entry}");
    }
}

#[test]
fn a_body_that_was_decided_over_is_missed() {
    let mut ask = good_ask(1);
    ask.request.http =
        Some(HttpRequest { method: "GET".into(), path: "/".into(), raw_path: "/".into(), ..HttpRequest::default() });
    let engine = default_engine();
    assert!(replayed(&logged(&engine, ask.clone(), NOW).1).is_ok());
    ask.request.http.as_mut().unwrap().body = Some("secret".into());
    let (_, entry) = logged(&engine, ask, NOW);
    assert!(!text(&entry).contains("secret"));
    let told = replayed(&entry).unwrap_err().to_string();
    assert_eq!(told, "/question/request/http/body is not in the log as it was");
}

/// The entry of a good decision, masked by these rules.
fn masked(rules: &str) -> LogEntry {
    let decides = "package vouchsafe\n\ndecision := {\"allow\": true}\n".to_owned();
    let files = [("policy.rego", decides), ("log.rego", format!("package vouchsafe.log\n\n{rules}\n"))];
    let bundle = Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.into_bytes()))).unwrap();
    let engine = engine_with(&bundle, limits());
    engine.mask(logged(&engine, good_ask(1), NOW).1).unwrap()
}

#[test]
fn what_a_policy_masks_is_masked_in_the_facts_as_well_and_missed() {
    for rule in [
        "mask contains \"/decision/device\"",
        "mask contains \"/decision/score\"",
        "mask contains \"/decision/score/factors\"",
        "mask contains \"/question/device\"",
        "mask contains {\"op\": \"upsert\", \"path\": \"/question/device\", \"value\": \"hidden\"}",
        "mask contains \"/question\"",
        "mask contains \"/device\"",
    ] {
        let entry = masked(rule);
        assert_eq!(json(&entry).get("device"), None, "{rule}");
        assert!(json(&entry)["erased"].as_array().unwrap().contains(&json!("/device")), "{rule}");
        assert!(matches!(replayed(&entry), Err(NotReplayable::LeftOut { .. })), "{rule}");
    }
    let entry = masked("mask contains \"/device/claims/hostname\"");
    assert!(!text(&entry).contains("web-1") && text(&entry).contains("Debian"));
    assert!(matches!(replayed(&entry), Err(NotReplayable::LeftOut { place }) if place == "/device/claims/hostname"));
    for rule in ["mask contains \"/decision/reasons\"", "mask contains \"/asked_by\"", "mask contains \"/device/no\""] {
        assert!(replayed(&masked(rule)).is_ok(), "{rule}");
    }
}

#[test]
fn the_longest_facts_fit_the_log_beside_the_longest_question() {
    let engine = default_engine();
    let longest_code = FindingCode::ALL.iter().copied().max_by_key(|code| code.name().len()).unwrap();
    let finding = Finding { pcr: Some(vouchsafe_model::PcrIndex::new(23).unwrap()), ..Finding::new(longest_code) };
    let fact = || "\"".repeat(HostFacts::MAX_LEN);
    let facts = HostFacts {
        hostname: fact(),
        os: fact(),
        kernel: fact(),
        architecture: fact(),
        tpm_manufacturer: fact(),
        agent_version: fact(),
    };
    let verdict = Some(verdict(vec![finding; Verdict::MAX_FINDINGS]));
    let ceilings = Veto::ALL.map(crate::fixtures::ceiling).to_vec();
    let curve = crate::fixtures::curve(33.3, ceilings);
    engine.records().apply(RecordChange::Put(Box::new(DeviceRecord { verdict, facts, curve, ..good_record(1) })));
    let (decision, entry) = logged(&engine, good_ask(1), NOW);
    let request = text(&entry).len() - serde_json::to_vec(&decision).unwrap().len();
    // A rule other than the one that decides is asked more, and sees no device of ours.
    assert!(request > DATA_BODY / 4 && request < DATA_BODY / 2, "{request}");
    const { assert!(DATA_BODY <= MAX_REQUEST_LEN) };
    assert!(replayed(&entry).is_ok());
}

prop_compose! {
    /// Any record that a device may have.
    fn any_record()(
        state in select(vec![DeviceState::Active, DeviceState::Revoked]),
        endorsement in select(vec![EndorsementGrade::None, EndorsementGrade::Pinned, EndorsementGrade::Vendor]),
        image in prop::option::of(Just("web-server@2026.1".parse().unwrap())),
        evidence in prop::collection::vec((0.0..40.0f64, 0.0..4.0f64, 0..100_000u64), 6),
        weight in 0.01..0.16f64,
        ceilings in prop::collection::vec((select(Veto::ALL.to_vec()), 0.0..100.0f64, 0..100_000u64), 0..3),
        verdict in prop::option::weighted(0.9, (prop::collection::vec(select(FindingCode::ALL.to_vec()), 0..4), 0..2_000_000u64)),
        hostname in "\\PC{0,20}",
    ) -> DeviceRecord {
        let before = |secs| NOW.minus(Duration::from_millis(secs));
        let params = FactorParams::new(0.3, 2.0, 600.0, 6000.0, 20.0, weight).unwrap();
        let factors = FactorName::DEVICE.into_iter().zip(evidence).map(|(name, (positive, negative, ago))| {
            (name, params, FactorState::unknown(before(ago)).absorb(&params, positive, negative, before(ago)))
        });
        let ceilings = ceilings.into_iter().map(|(veto, points, ago)| {
            Ceiling { veto, ceiling: TrustScore::new(points), from: before(ago) }
        });
        DeviceRecord {
            state, endorsement, image,
            curve: TrustCurve::new(Sha256Digest::new([9; 32]), factors.collect(), ceilings.collect()),
            verdict: verdict.map(|(codes, ago)| {
                let findings = codes.into_iter().map(Finding::new).collect();
                let id = vouchsafe_model::AttestationId::new(before(ago), &[1; 10]);
                Verdict::new(id, before(ago), before(ago), None, crate::fixtures::COVERAGE, findings)
            }),
            facts: HostFacts { hostname, ..HostFacts::default() },
            ..good_record(1)
        }
    }
}

prop_compose! {
    /// Any question about that device, or none.
    fn any_ask()(
        input in any_input(),
        number in select(vec![Some(1), Some(9), None]),
        understands in select(vec![vec![], vec!["step_up".to_owned()]]),
        access in prop::option::of(any::<f64>().prop_filter("JSON has no other numbers", |number| number.is_finite())),
    ) -> AskDecision {
        let access = access.map(|number| {
            let mut access = Access::default();
            let Access { subject, action, resource, .. } = &mut access;
            for text in [&mut subject.r#type, &mut subject.id, &mut action.name, &mut resource.r#type, &mut resource.id] {
                "x".clone_into(text);
            }
            access.context.insert("number".into(), number.into());
            access
        });
        let mut ask = AskDecision {
            device: number.map(device), user: input.user, application: input.application, network: input.network,
            request: input.request, understands,
        };
        ask.request.access = access;
        ask
    }
}

/// A policy that looks at all that there is.
const LOOKS_AT_ALL: &str = r#"decision := {"allow": input.device != null, "reasons": [
	{"code": "seen", "message": json.marshal(input)}
], "obligations": [{"code": "step_up", "parameters": {"age": age}} | age := input.device.verdict.age_secs; age % 2 == 0]}"#;

struct World {
    engine: PolicyEngine,
    evaluator: FastEvaluator,
}

fn world(bundle: &Bundle) -> Mutex<World> {
    let engine = engine_with(bundle, limits());
    Mutex::new(World { engine, evaluator: FastEvaluator::compile(bundle, limits()).unwrap() })
}

static WORLDS: LazyLock<Arc<[Mutex<World>]>> =
    LazyLock::new(|| [world(&default_bundle().unwrap()), world(&policy(LOOKS_AT_ALL))].into());

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_decision_that_is_made_again_from_the_log_comes_out_the_same(
        record in any_record(), ask in any_ask(), later in 0..1_000_000u64,
    ) {
        let now = NOW.plus(Duration::from_millis(later));
        for world in WORLDS.iter() {
            let World { engine, evaluator } = &mut *world.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            engine.records().apply(RecordChange::Put(Box::new(record.clone())));
            let (decision, entry) = logged(engine, ask.clone(), now);
            let replay = replayed(&entry).unwrap();
            prop_assert_eq!(&replay.input, &engine.input(&Question::check(ask.clone()).unwrap(), now));
            let ruling = ruling::read(evaluator.evaluate(&Document::of(&replay.input)));
            let ruling = ruling::for_asker(ruling, &replay.understands);
            prop_assert_eq!(ruling.outcome(), decision.outcome());
            prop_assert_eq!(ruling.reasons(), decision.reasons());
            prop_assert_eq!(ruling.required_score(), decision.required_score());
            prop_assert_eq!(ruling.obligations(), decision.obligations());
        }
    }
}
