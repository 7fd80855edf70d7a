//! The default policy against what it is meant to say, written a second time, and the two evaluators against each other.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::trust::{FactorName, FactorPart, Veto};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{
    DeviceId, DeviceState, EndorsementGrade, FindingCode, HostFacts, Outcome, Sha256Digest, Timestamp, TrustScore,
};
use vouchsafe_policies::default_bundle;
use vouchsafe_policy_engine::evaluate::{Document, Evaluate, EvaluationError, FastEvaluator, ReferenceEvaluator};
use vouchsafe_policy_engine::ruling;
use vouchsafe_wire::v1::agent::{
    Application, DeviceFacts, FindingFacts, Network, PolicyInput, Request, User, VerdictFacts,
};

use crate::fixtures::limits;

struct Both {
    fast: FastEvaluator,
    reference: ReferenceEvaluator,
}

static DEFAULT: LazyLock<Mutex<Both>> = LazyLock::new(|| {
    let bundle = default_bundle().unwrap();
    Mutex::new(Both {
        fast: FastEvaluator::compile(&bundle, limits()).unwrap(),
        reference: ReferenceEvaluator::new(&bundle, limits()).unwrap(),
    })
});

/// What both evaluators say, which is the same.
fn rule(input: &Document) -> Ruling {
    let mut both = DEFAULT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (fast, reference): (Result<_, EvaluationError>, _) =
        (both.fast.evaluate(input), both.reference.evaluate(input));
    // Two errors are two denies, each in its own words.
    assert!(fast == reference || fast.is_err() && reference.is_err(), "{input:?}\n{fast:?}\n{reference:?}");
    ruling::read(fast)
}

fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_000i64).prop_map(Timestamp::from_unix_millis)
}

fn any_score() -> impl Strategy<Value = TrustScore> {
    let edges = select(vec![0.0, 59.0, 59.99, 60.0, 60.01, 79.99, 80.0, 80.01, 100.0]);
    prop_oneof![edges, 0.0..100.0f64].prop_map(TrustScore::new)
}

prop_compose! {
    fn any_verdict()(
        status in select(vec![VerdictStatus::Affirming, VerdictStatus::Warning, VerdictStatus::Contraindicated]),
        appraised_at in any_timestamp(),
        age_secs in prop_oneof![select(vec![0, 1, 899, 900, 901, u64::MAX]), 0..2_000u64],
        findings in prop::collection::vec(
            (select(FindingCode::ALL), prop::option::of(0..24u8), any::<bool>())
                .prop_map(|(code, pcr, failure)| FindingFacts { code, pcr, failure }),
            0..5,
        ),
    ) -> VerdictFacts {
        VerdictFacts { status, appraised_at, age_secs, findings }
    }
}

prop_compose! {
    fn any_device()(
        id in any::<[u8; 32]>().prop_map(|digest| DeviceId::from_ek_digest(&Sha256Digest::new(digest))),
        state in prop_oneof![4 => Just(DeviceState::Active), 1 => Just(DeviceState::Revoked)],
        endorsement in select(vec![EndorsementGrade::None, EndorsementGrade::Pinned, EndorsementGrade::Vendor]),
        (enrolled_at, certificate_expires_at) in (any_timestamp(), any_timestamp()),
        image in prop::option::of(Just("web-server@2026.1".parse().unwrap())),
        score in any_score(),
        factors in prop::collection::vec((select(FactorName::DEVICE.to_vec()), 0.0..1.0f64), 0..6),
        vetoes in prop::collection::vec(select(vec![Veto::Revoked, Veto::CertificateExpired, Veto::UnknownImage]), 0..2),
        verdict in prop::option::weighted(0.9, any_verdict()),
        hostname in "[ -~]{0,20}",
    ) -> DeviceFacts {
        let factors = factors.into_iter().map(|(name, value)| FactorPart { name, value, weight: 0.2, points_lost: 3.5 });
        DeviceFacts {
            id, state, endorsement, enrolled_at, image, certificate_expires_at, score, factors: factors.collect(), vetoes,
            verdict, claims: HostFacts { hostname, ..HostFacts::default() },
        }
    }
}

prop_compose! {
    /// Any input that the engine could assemble.
    pub(crate) fn any_input()(
        now in any_timestamp(),
        device in prop::option::weighted(0.95, any_device()),
        user in prop::option::of(("[a-z]{1,8}", prop::collection::vec("[a-z]{1,8}", 0..3), prop::option::of(any_timestamp()))),
        application in prop::option::of(("[a-z]{1,8}", prop::option::of("[0-9.]{1,8}"))),
        network in prop::option::weighted(0.9, (any::<Option<std::net::IpAddr>>(), prop::bool::weighted(0.9), prop::bool::weighted(0.9))),
        action in prop_oneof![3 => select(vec!["read", "write", "connect", "*"]).prop_map(str::to_owned), 1 => "[a-z]{1,8}"],
        resource in prop_oneof![select(vec!["db:orders", "db:", "ssh:web-1", "https://wiki/", "admin:users", "admin:", "admin", "%v%d%s"]).prop_map(str::to_owned), "\\PC{1,40}"],
    ) -> PolicyInput {
        PolicyInput {
            now,
            device,
            user: user.map(|(id, roles, authenticated_at)| User { id, roles, authenticated_at, factors: Vec::new() }),
            application: application.map(|(id, version)| Application { id, version }),
            network: network.map(|(source_ip, authenticated, encrypted)| Network { source_ip, authenticated, encrypted }),
            request: Request::new(action, resource),
        }
    }
}

/// The score that a resource should need.
fn least(resource: &str) -> f64 {
    if resource.starts_with("admin:") { 80.0 } else { 60.0 }
}

/// The codes by which the default policy should deny; none when it should allow.
fn expected_codes(input: &PolicyInput) -> BTreeSet<&'static str> {
    let mut codes = BTreeSet::new();
    let mut deny = |code, when| {
        if when {
            codes.insert(code);
        }
    };
    let least = least(&input.request.resource);
    deny("device.unknown", input.device.is_none());
    if let Some(device) = &input.device {
        deny("device.not_active", device.state != DeviceState::Active);
        deny("device.certificate_expired", device.vetoes.contains(&Veto::CertificateExpired));
        deny("device.never_attested", device.verdict.is_none());
        deny("device.score_too_low", device.score.points() < least);
        deny("device.endorsement_too_weak", device.endorsement < EndorsementGrade::Pinned);
        if let Some(verdict) = &device.verdict {
            let contraindicated = verdict.status == VerdictStatus::Contraindicated;
            let mismatch = |finding: &FindingFacts| finding.code == FindingCode::PcrMismatch;
            deny("device.evidence_too_old", verdict.age_secs > 900);
            deny("device.pcr_mismatch", contraindicated && verdict.findings.iter().any(mismatch));
            let other = verdict.findings.iter().any(|finding| finding.failure && !mismatch(finding));
            deny("device.contraindicated", contraindicated && other);
        }
    }
    let prefixes = ["admin:", "http://", "https://", "kubernetes:"];
    let Request { action, resource, .. } = &input.request;
    let is_listed = prefixes.iter().any(|prefix| resource.starts_with(prefix))
        || resource.starts_with("db:") && ["read", "write"].contains(&action.as_str())
        || resource.starts_with("kubernetes-url:") && action == "get"
        || ["ws://", "wss://"].iter().any(|prefix| resource.starts_with(prefix))
            && ["connect", "GET"].contains(&action.as_str())
        || resource.starts_with("ssh:") && action == "connect";
    deny("request.flow_not_listed", !is_listed);
    deny("network.unknown", input.network.is_none());
    if let Some(network) = &input.network {
        deny("network.not_authenticated", !network.authenticated);
        deny("network.not_encrypted", !network.encrypted);
    }
    codes
}

/// Whether every condition of the default policy holds of a document that may be anything.
fn may_pass(input: &Value) -> bool {
    let device = &input["device"];
    let number = |value: &Value| value.as_f64();
    let not_expired = device["vetoes"].as_array().is_some_and(|all| !all.contains(&json!("certificate_expired")));
    let is_listed = |request: &Value| {
        let (Some(action), Some(resource)) = (request["action"].as_str(), request["resource"].as_str()) else {
            return false;
        };
        let any = ["admin:", "http://", "https://"].iter().any(|prefix| resource.starts_with(prefix));
        any || resource.starts_with("db:") && ["read", "write"].contains(&action)
            || resource.starts_with("ssh:") && action == "connect"
    };
    let least = input["request"]["resource"].as_str().map_or(60.0, least);
    device["state"] == "active"
        && (device["verdict"]["status"] == "affirming" || device["verdict"]["status"] == "warning")
        && number(&device["verdict"]["age_secs"]).is_some_and(|age| age <= 900.0)
        && number(&device["score"]).is_some_and(|score| score >= least)
        && (device["endorsement"] == "pinned" || device["endorsement"] == "vendor")
        && input["network"]["authenticated"] == true
        && input["network"]["encrypted"] == true
        && is_listed(&input["request"])
        && not_expired
}

/// An input that is allowed.
fn good() -> Value {
    json!({
        "now": "2026-01-31T12:00:00.000Z",
        "device": {
            "id": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "state": "active", "endorsement": "vendor",
            "enrolled_at": "2026-01-01T12:00:00.000Z", "image": "web@1", "certificate_expires_at": "2026-02-01T12:00:00.000Z",
            "score": 81.25, "factors": [{"name": "freshness", "value": 0.9, "weight": 1.0, "points_lost": 18.75}],
            "vetoes": [],
            "verdict": {"status": "warning", "appraised_at": "2026-01-31T11:59:00.000Z", "age_secs": 60,
                        "findings": [{"code": "pcr.weak_bank", "pcr": null, "failure": false}]},
            "claims": {"hostname": "a"},
        },
        "user": null, "application": null,
        "network": {"source_ip": null, "authenticated": true, "encrypted": true},
        "request": {"action": "read", "resource": "db:orders"},
    })
}

/// Every place in a document, as JSON pointers.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| places(value, &format!("{here}/{key}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{here}/{index}"), found));
        }
        _ => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        prop::num::f64::NORMAL.prop_map(|value| json!(value)),
        select(vec![
            "active",
            "affirming",
            "warning",
            "vendor",
            "99",
            "0",
            "",
            "certificate_expired",
            "admin:x",
            "true"
        ])
        .prop_map(|value| json!(value)),
        ".{0,8}".prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = select(vec![
            "state",
            "score",
            "status",
            "age_secs",
            "authenticated",
            "encrypted",
            "action",
            "resource",
            "a",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|entries| json!(entries)),
        ]
    })
}

/// A good input in which so many places hold something else, or nothing.
fn any_damaged() -> impl Strategy<Value = Value> {
    prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any_json())), 1..4).prop_map(|changes| {
        let mut input = good();
        for (index, replacement) in changes {
            let mut all = Vec::new();
            places(&input, "", &mut all);
            let place = index.get(&all);
            let Some((parent, key)) = place.rsplit_once('/') else {
                input = replacement.unwrap_or(json!({}));
                continue;
            };
            match (replacement, input.pointer_mut(parent)) {
                (Some(value), Some(Value::Object(fields))) => drop(fields.insert(key.to_owned(), value)),
                (None, Some(Value::Object(fields))) => drop(fields.remove(key)),
                (Some(value), Some(Value::Array(items))) => items[key.parse::<usize>().unwrap()] = value,
                (None, Some(Value::Array(items))) => drop(items.remove(key.parse().unwrap())),
                _ => {}
            }
        }
        input
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn it_says_what_it_is_meant_to_say_of_every_input(input in any_input()) {
        let ruling = rule(&Document::of(&input));
        let expected = expected_codes(&input);
        let codes: Vec<_> = ruling.reasons().iter().map(|reason| reason.code.as_str()).collect();
        prop_assert_eq!(ruling.required_score(), Some(TrustScore::new(least(&input.request.resource))));
        let contraindicated = input.device.as_ref().and_then(|device| device.verdict.as_ref())
            .is_some_and(|verdict| verdict.status == VerdictStatus::Contraindicated);
        if expected.is_empty() && contraindicated {
            prop_assert_eq!((ruling.outcome(), codes), (Outcome::Deny, vec!["input.incomplete"]));
        } else {
            let outcome = if expected.is_empty() { Outcome::Allow } else { Outcome::Deny };
            prop_assert_eq!((ruling.outcome(), codes), (outcome, expected.into_iter().collect::<Vec<_>>()));
        }
    }

    #[test]
    fn a_damaged_input_passes_only_if_every_condition_still_holds(input in any_damaged()) {
        let ruling = rule(&Document::of(&input));
        let expected = if may_pass(&input) { Outcome::Allow } else { Outcome::Deny };
        prop_assert_eq!(ruling.outcome(), expected);
        prop_assert!(expected == Outcome::Allow || !ruling.reasons().is_empty(), "a deny without a reason");
    }

    #[test]
    fn anything_at_all_is_decided(input in any_json()) {
        prop_assert_eq!(rule(&Document::of(&input)).outcome(), Outcome::Deny);
    }
}

#[test]
fn nothing_empty_passes() {
    assert_eq!(rule(&Document::of(&good())).outcome(), Outcome::Allow);
    for input in [
        json!({}),
        json!(null),
        json!([]),
        json!({"device": {}, "network": {}, "request": {}}),
        json!({"device": null}),
    ] {
        let ruling = rule(&Document::of(&input));
        assert_eq!(ruling.outcome(), Outcome::Deny, "{input}");
        assert!(!ruling.reasons().is_empty(), "{input}");
    }
}

#[test]
fn text_never_passes_for_a_number() {
    for (place, text) in [
        ("/device/score", "99"),
        ("/device/score", "zzz"),
        ("/device/verdict/age_secs", ""),
        ("/device/verdict/age_secs", "0"),
    ] {
        let mut input = good();
        *input.pointer_mut(place).unwrap() = json!(text);
        assert_eq!(rule(&Document::of(&input)).outcome(), Outcome::Deny, "{place} {text:?}");
    }
}
