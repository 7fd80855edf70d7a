//! Answers of a server, as tests show them.

use std::time::Duration;

use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::trust::{Ceiling, FactorName, FactorParams, FactorState, TrustCurve, Veto};
use vouchsafe_model::{
    AttestationId, Coverage, Decision, DecisionId, DeviceId, DeviceState, EndorsementGrade, Finding, FindingCode,
    HashAlgorithm, HostFacts, Image, PcrBank, PcrIndex, Reason, ReferenceValues, Sha256Digest, Timestamp, TokenId,
    TrustScore, Verdict,
};
use vouchsafe_trust_engine::result::claims::{Concluded, VerifierId};
use vouchsafe_trust_engine::result::{EarClaims, ResultNonce};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::enrol::{JoinFile, JoinSecret};
use vouchsafe_wire::v1::operate::{CreatedToken, DeviceSummary, DeviceView, TokenView, TrustView};

/// What the verdicts here looked at.
const COVERAGE: Coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: false };

/// The secret of [`created_token`].
pub(crate) const SECRET: &str = "vs1-0123456789abcdef";

/// 2026-01-31T12:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_secs(1_769_860_800)
}

fn ago(secs: u64) -> Timestamp {
    now().minus(Duration::from_secs(secs))
}

fn digest(byte: u8) -> Sha256Digest {
    Sha256Digest::new([byte; 32])
}

fn device_id(byte: u8) -> DeviceId {
    DeviceId::from_ek_digest(&digest(byte))
}

fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

fn curve(ceilings: Vec<Ceiling>) -> TrustCurve {
    let factor = |name, half_life: f64| {
        let params = FactorParams::new(0.3, 2.0, half_life, half_life * 10.0, 20.0, 1.0 / 6.0).unwrap();
        (name, params, FactorState::unknown(ago(60)).absorb(&params, 18.0, 0.0, ago(60)))
    };
    let half_lives = [7200.0, 604_800.0, 86_400.0, 86_400.0, 2_592_000.0, 604_800.0];
    let factors = FactorName::DEVICE.into_iter().zip(half_lives).map(|(name, half)| factor(name, half)).collect();
    TrustCurve::new(digest(0xA5), factors, ceilings)
}

fn trust_of(curve: &TrustCurve) -> TrustView {
    let threshold = TrustScore::new(60.0);
    TrustView {
        device: device_id(0xA5),
        explanation: curve.explain_at(now()),
        curve: curve.sample(now(), now().plus(Duration::from_secs(86_400)), super::chart::COLUMNS),
        below_at: curve.first_below(threshold, now()),
        threshold,
    }
}

pub(crate) fn trust() -> TrustView {
    trust_of(&curve(Vec::new()))
}

pub(crate) fn trust_held_down() -> TrustView {
    let ceiling = |veto, points| Ceiling { veto, ceiling: TrustScore::new(points), from: ago(60) };
    trust_of(&curve(vec![ceiling(Veto::UnknownImage, 40.0), ceiling(Veto::AttestationFailed, 0.0)]))
}

pub(crate) fn created_token() -> CreatedToken {
    CreatedToken {
        id: TokenId::new(now(), &[7; 10]),
        join: JoinFile {
            enrol_url: "https://engine.example.org:8441".into(),
            attest_url: "https://engine.example.org:8443".into(),
            trust_bundle_pem: "-----BEGIN CERTIFICATE-----\n".into(),
            token: JoinSecret::try_from(SECRET.to_owned()).unwrap(),
            expires_at: now().plus(Duration::from_secs(3600)),
        },
    }
}

pub(crate) fn tokens() -> Vec<TokenView> {
    let good = TokenView {
        id: TokenId::new(now(), &[1; 10]),
        label: "rack 12".into(),
        created_at: ago(60),
        expires_at: now().plus(Duration::from_secs(172_740)),
        max_uses: 50,
        uses: 3,
        pinned_ek: None,
        image: Some("web@2026.1".parse().unwrap()),
        revoked_at: None,
    };
    let id = |byte| TokenId::new(ago(u64::from(byte) * 60), &[byte; 10]);
    let spent =
        TokenView { id: id(2), uses: 1, max_uses: 1, pinned_ek: Some(digest(0xAB)), image: None, ..good.clone() };
    let expired = TokenView { id: id(3), expires_at: ago(7200), label: String::new(), image: None, ..good.clone() };
    let revoked = TokenView { id: id(4), revoked_at: Some(ago(30)), label: "lost".into(), ..good.clone() };
    vec![good, spent, expired, revoked]
}

fn verdict(findings: Vec<Finding>) -> Verdict {
    Verdict::new(
        AttestationId::new(ago(90), &[0; 10]),
        ago(90),
        ago(95),
        Some("web@2026.1".parse().unwrap()),
        COVERAGE,
        findings,
    )
}

fn healthy() -> DeviceSummary {
    DeviceSummary {
        id: device_id(0xA5),
        hostname: "web1".into(),
        state: DeviceState::Active,
        endorsement: EndorsementGrade::Vendor,
        image: Some("web@2026.1".parse().unwrap()),
        score: TrustScore::new(87.25),
        verdict: Some(verdict(Vec::new())),
    }
}

fn tampered() -> DeviceSummary {
    let mismatch = |index| {
        Finding::new(FindingCode::PcrMismatch)
            .at_pcr(HashAlgorithm::Sha256, pcr(index))
            .with("00".repeat(32), "ff".repeat(32))
    };
    let findings = vec![Finding::new(FindingCode::TpmReset), mismatch(4), mismatch(14)];
    DeviceSummary {
        id: device_id(0x5A),
        hostname: "web2\x1b[2J".into(),
        score: TrustScore::ZERO,
        verdict: Some(verdict(findings)),
        ..healthy()
    }
}

fn unknown() -> DeviceSummary {
    DeviceSummary {
        id: device_id(1),
        hostname: String::new(),
        state: DeviceState::Revoked,
        endorsement: EndorsementGrade::Pinned,
        image: None,
        score: TrustScore::ZERO,
        verdict: None,
    }
}

pub(crate) fn devices() -> Vec<DeviceSummary> {
    vec![healthy(), tampered(), unknown()]
}

fn device_view(summary: DeviceSummary) -> DeviceView {
    DeviceView {
        summary,
        enrolled_at: ago(200_000),
        revocation_reason: None,
        certificate_expires_at: now().plus(Duration::from_secs(40_000)),
        ek_digest: digest(0x5A),
        ak_public: Bytes::new([1, 2, 3]).unwrap(),
        facts: HostFacts {
            hostname: "web2\x1b[2J".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.1.0-18-amd64".into(),
            architecture: "x86_64".into(),
            tpm_manufacturer: "STM ".into(),
            agent_version: String::new(),
        },
    }
}

pub(crate) fn tampered_device() -> DeviceView {
    device_view(tampered())
}

pub(crate) fn revoked_device() -> DeviceView {
    DeviceView { revocation_reason: Some("stolen, ticket 4711".into()), ..device_view(unknown()) }
}

fn image(id: &str, values: &[(u8, u8)], ignored: &[u8]) -> Image {
    let value = |byte| PcrValue::new(vec![byte; 32]).unwrap();
    Image {
        id: id.parse().unwrap(),
        created_at: ago(86_400),
        reference: ReferenceValues {
            banks: vec![PcrBank {
                bank: HashAlgorithm::Sha256,
                values: values.iter().map(|(index, byte)| (pcr(*index), value(*byte))).collect(),
            }],
            ignored: ignored.iter().map(|index| pcr(*index)).collect(),
        },
        retired_at: None,
        activated_at: ago(86_400),
        document: None,
    }
}

pub(crate) fn images() -> Vec<Image> {
    let old = Image { retired_at: Some(ago(60)), ..image("web@2025.4", &[(0, 1), (4, 2), (7, 3)], &[1, 5]) };
    vec![old, image("web@2026.1", &[(0, 1), (4, 9), (7, 3), (14, 4)], &[])]
}

fn reason(code: &str, message: &str, fix: Option<&str>) -> Reason {
    Reason { code: code.into(), message: message.into(), fix: fix.map(Into::into) }
}

fn decision(ruling: vouchsafe_model::decision::Ruling, trust: TrustView) -> Decision {
    let id = DecisionId::new(now(), &[9; 10]);
    let ruling = ruling.needing(Some(trust.threshold));
    let crosses_at = trust.below_at.filter(|at| *at > now());
    let decision = Decision::new(id, now(), ruling, Some(trust.device), Some(trust.explanation), digest(0xC3));
    decision.over_revision(7).crossing_at(crosses_at)
}

pub(crate) fn allow() -> Decision {
    decision(vouchsafe_model::decision::Ruling::allow(Vec::new()), trust())
}

pub(crate) fn deny() -> Decision {
    let reasons = vec![
        reason(
            "device.pcr_mismatch",
            "PCRs 4, 14 do not have the values of the golden image.",
            Some("Find out what changed in what is measured there. If the change was meant, capture a new image."),
        ),
        reason("device.score_too_low", "The device's trust score is 0, and db:orders needs 60.", None),
    ];
    decision(vouchsafe_model::decision::Ruling::deny(reasons), trust_held_down())
}

pub(crate) fn deny_with_message(message: &str) -> Decision {
    let reasons = vec![reason("a\nb", message, Some(message))];
    decision(vouchsafe_model::decision::Ruling::deny(reasons), trust_held_down())
}

fn concluded(verdict: &Verdict, vetoes: &[(Veto, TrustScore)], nonce: Option<&ResultNonce>) -> EarClaims {
    let concluded = Concluded {
        trust_domain: &"example.org".parse().unwrap(),
        device: device_id(0x5A),
        verdict,
        vetoes,
        max_age: Duration::from_secs(900),
        token_id: [0xC3; 16],
        nonce,
    };
    let claims = concluded.claims(now()).unwrap();
    let verifier = VerifierId { build: "vouchsafe 1.2.3".into(), ..claims.verifier };
    EarClaims { verifier, ..claims }
}

pub(crate) fn result() -> EarClaims {
    let changed = Finding::new(FindingCode::FileChanged)
        .at_pcr(HashAlgorithm::Sha256, pcr(10))
        .at_entry(812)
        .about("/usr/bin/\u{1b}[2Jssh")
        .with("ab".repeat(32), "cd".repeat(32));
    let verdict = verdict(vec![Finding::new(FindingCode::TpmReset), changed]);
    let nonce = "00112233445566778899".parse().unwrap();
    concluded(&verdict, &[(Veto::Revoked, TrustScore::ZERO), (Veto::AttestationFailed, TrustScore::ZERO)], Some(&nonce))
}

pub(crate) fn affirming_result() -> EarClaims {
    concluded(&verdict(Vec::new()), &[], None)
}
