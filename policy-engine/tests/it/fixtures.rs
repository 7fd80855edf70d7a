//! Devices, questions and policies to decide with.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_model::trust::{Ceiling, FactorName, FactorParams, FactorState, TrustCurve, Veto};
use vouchsafe_model::{
    AttestationId, Coverage, Decision, DeviceId, DeviceState, EndorsementGrade, Finding, FindingCode, HashAlgorithm,
    HostFacts, Outcome, PcrIndex, Sha256Digest, Timestamp, TrustScore, Verdict,
};
use vouchsafe_policies::{Bundle, default_bundle};
use vouchsafe_policy_engine::evaluate::EvaluationLimits;
use vouchsafe_policy_engine::{EngineSettings, PolicyEngine, Question, RecordTable};
use vouchsafe_wire::v1::agent::{Application, Network, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::record::DeviceRecord;

/// What the verdicts here looked at.
pub(crate) const COVERAGE: Coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: false };

/// 2026-01-31T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_secs(1_769_860_800);

pub(crate) fn device(number: u8) -> DeviceId {
    DeviceId::from_ek_digest(&Sha256Digest::new([number; 32]))
}

/// A curve that is worth so many points at any time.
pub(crate) fn curve(points: f64, ceilings: Vec<Ceiling>) -> TrustCurve {
    let params = FactorParams::new(points / 100.0, 2.0, 600.0, 6000.0, 10.0, 1.0).unwrap();
    let factors = vec![(FactorName::Freshness, params, FactorState::unknown(NOW))];
    TrustCurve::new(Sha256Digest::new([9; 32]), factors, ceilings)
}

pub(crate) fn ceiling(veto: Veto) -> Ceiling {
    Ceiling { veto, ceiling: TrustScore::ZERO, from: NOW.minus(Duration::from_secs(1)) }
}

pub(crate) fn verdict(findings: Vec<Finding>) -> Verdict {
    let quoted_at = NOW.minus(Duration::from_secs(60));
    Verdict::new(AttestationId::new(quoted_at, &[1; 10]), quoted_at, quoted_at, None, COVERAGE, findings)
}

pub(crate) fn changed_pcr(pcr: u8) -> Finding {
    Finding::new(FindingCode::PcrMismatch).at_pcr(HashAlgorithm::Sha256, PcrIndex::new(pcr).unwrap())
}

/// A device that the default policy lets do what needs up to 79.5 points.
pub(crate) fn good_record(number: u8) -> DeviceRecord {
    DeviceRecord {
        id: device(number),
        state: DeviceState::Active,
        endorsement: EndorsementGrade::Vendor,
        enrolled_at: NOW.minus(Duration::from_secs(30 * 86_400)),
        image: Some("web-server@2026.1".parse().unwrap()),
        certificate_digest: Sha256Digest::new([7; 32]),
        certificate_expires_at: NOW.plus(Duration::from_secs(3_600)),
        verdict: Some(verdict(Vec::new())),
        curve: curve(79.5, Vec::new()),
        facts: HostFacts {
            hostname: "web-1".to_owned(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-42-amd64".to_owned(),
            architecture: "x86_64".to_owned(),
            tpm_manufacturer: "IBM".to_owned(),
            agent_version: "0.1.0".to_owned(),
        },
    }
}

/// A question that the default policy answers with allow for a good device.
pub(crate) fn good_ask(number: u8) -> AskDecision {
    AskDecision {
        device: Some(device(number)),
        user: Some(User {
            id: "alice".to_owned(),
            roles: vec!["ops".to_owned()],
            authenticated_at: Some(NOW.minus(Duration::from_secs(600))),
            factors: vec!["know".to_owned(), "have".to_owned()],
        }),
        application: Some(Application { id: "psql".to_owned(), version: Some("16.3".to_owned()) }),
        network: Some(Network { source_ip: Some([192, 0, 2, 1].into()), authenticated: true, encrypted: true }),
        request: Request::new("read", "db:orders"),
        understands: Vec::new(),
    }
}

/// A bundle of one policy without data.
pub(crate) fn policy(text: &str) -> Bundle {
    Bundle::from_files([("policy.rego".to_owned(), format!("package vouchsafe\n\n{text}\n").into_bytes())]).unwrap()
}

pub(crate) const ALLOW_ALL: &str = r#"decision := {"allow": true, "reasons": [], "obligations": []}"#;

/// The limits of a decision, but for the time: the machine that runs tests may be busy.
pub(crate) fn limits() -> EvaluationLimits {
    EvaluationLimits { time: Duration::from_secs(30), ..EvaluationLimits::default() }
}

/// An engine with one good device, number 1.
pub(crate) fn engine_with(bundle: &Bundle, limits: EvaluationLimits) -> PolicyEngine {
    let records = RecordTable::new();
    records.load([good_record(1)]);
    PolicyEngine::new(bundle, Arc::new(records), EngineSettings { limits, threads: 2 }).unwrap()
}

pub(crate) fn default_engine() -> PolicyEngine {
    engine_with(&default_bundle().unwrap(), limits())
}

/// Decides at [`NOW`].
pub(crate) fn decide(engine: &PolicyEngine, ask: AskDecision) -> Decision {
    decide_at(engine, ask, NOW)
}

pub(crate) fn decide_at(engine: &PolicyEngine, ask: AskDecision, now: Timestamp) -> Decision {
    engine.decide(&Question::check(ask).unwrap(), now, &[3; 10])
}

/// Its outcome and the codes of its reasons.
pub(crate) fn in_short(decision: &Decision) -> (Outcome, Vec<&str>) {
    (decision.outcome(), decision.reasons().iter().map(|reason| reason.code.as_str()).collect())
}
