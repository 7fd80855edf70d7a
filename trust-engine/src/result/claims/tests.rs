use vouchsafe_model::{Coverage, EndorsementGrade, FindingCode, Sha256Digest};

use super::*;

const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_100);
const FULL: Coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: true };

fn at(secs: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(secs))
}

fn verdict(quoted: u64, findings: Vec<Finding>) -> Verdict {
    let image = Some("web@2026.1".parse().unwrap());
    Verdict::new(AttestationId::new(at(10), &[3; 10]), at(10), at(quoted), image, FULL, findings)
}

fn codes(codes: &[FindingCode]) -> Vec<Finding> {
    codes.iter().map(|code| Finding::new(*code)).collect()
}

fn conclude(
    verdict: &Verdict,
    vetoes: &[(Veto, TrustScore)],
    nonce: Option<&ResultNonce>,
) -> Result<EarClaims, Refused> {
    let concluded = Concluded {
        trust_domain: &"example.org".parse().unwrap(),
        device: DeviceId::from_ek_digest(&Sha256Digest::new([0xA5; 32])),
        verdict,
        vetoes,
        max_age: Duration::from_secs(900),
        token_id: [0xC3; 16],
        nonce,
    };
    concluded.claims(NOW)
}

#[test]
fn a_verdict_becomes_the_claims_of_the_draft() {
    let changed = Finding::new(FindingCode::FileChanged)
        .at_pcr(HashAlgorithm::Sha256, PcrIndex::new(10).unwrap())
        .at_entry(812)
        .about("/usr/bin/ssh")
        .with("ab".repeat(32), "cd".repeat(32));
    let verdict = verdict(12, vec![Finding::new(FindingCode::TpmReset), changed]);
    let nonce = "00112233445566778899".parse().unwrap();
    let claims = conclude(&verdict, &[(Veto::AttestationFailed, TrustScore::ZERO)], Some(&nonce)).unwrap();
    let mut shown = serde_json::to_value(&claims).unwrap();
    assert_eq!(shown["ear_verifier_id"]["build"], concat!("vouchsafe ", env!("CARGO_PKG_VERSION")));
    shown["ear_verifier_id"]["build"] = "vouchsafe VERSION".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}

#[test]
fn claims_survive_being_written_and_read() {
    let verdict = verdict(12, codes(&[FindingCode::PcrMismatch]));
    let claims = conclude(&verdict, &[], None).unwrap();
    let text = serde_json::to_string(&claims).unwrap();
    assert_eq!(serde_json::from_str::<EarClaims>(&text).unwrap(), claims);
    assert!(!text.contains("eat_nonce"), "{text}");
}

#[test]
fn status_and_vector_are_those_of_the_verdict_when_nothing_holds_it_down() {
    for (found, status) in [
        (&[][..], VerdictStatus::Affirming),
        (&[FindingCode::WeakBank], VerdictStatus::Warning),
        (&[FindingCode::WeakBank, FindingCode::PcrMismatch], VerdictStatus::Contraindicated),
    ] {
        let verdict = verdict(12, codes(found));
        let claims = conclude(&verdict, &[], None).unwrap();
        assert_eq!((claims.status, claims.submods[SUBMODULE].status), (status, status));
        assert_eq!(claims.submods[SUBMODULE].vector, verdict.vector());
    }
}

#[test]
fn no_veto_leaves_an_affirming_verdict_affirming() {
    let affirming = verdict(12, Vec::new());
    for veto in Veto::ALL {
        for ceiling in [TrustScore::ZERO, TrustScore::new(40.0), TrustScore::new(100.0)] {
            let Ok(claims) = conclude(&affirming, &[(veto, ceiling)], None) else {
                assert_eq!(veto, Veto::NeverAttested);
                continue;
            };
            assert!(claims.status > VerdictStatus::Affirming, "{veto} {ceiling:?}");
            let appraisal = &claims.submods[SUBMODULE];
            assert_eq!(worst(appraisal.vector), Some(appraisal.status), "{veto} {ceiling:?}");
            assert_eq!(appraisal.verifier_claims.vouchsafe.held_down_by, [veto.name()]);
        }
    }
    let claims = |veto| conclude(&affirming, &[(veto, TrustScore::ZERO)], None).unwrap();
    assert_eq!(claims(Veto::Revoked).submods[SUBMODULE].vector.instance_identity.get(), 96);
    assert_eq!(claims(Veto::AttestationFailed).submods[SUBMODULE].vector.instance_identity.get(), 99);
    assert_eq!(claims(Veto::AttestationFailed).status, VerdictStatus::Contraindicated);
}

#[test]
fn a_result_is_good_from_its_quote_on_and_not_from_its_verdict() {
    let claims = conclude(&verdict(899, Vec::new()), &[], None).unwrap();
    assert_eq!(claims.expires_at - NOW.unix_secs(), 1);
    assert_eq!(NOW.unix_secs() - claims.appraised_at, 10);
    assert_eq!(conclude(&verdict(900, Vec::new()), &[], None), Err(Refused::TooOld));
    assert_eq!(conclude(&verdict(900_000, codes(&[FindingCode::PcrMismatch])), &[], None), Err(Refused::TooOld));
}

#[test]
fn the_worst_findings_are_told_and_the_rest_counted() {
    let many = |count| {
        let mut findings = codes(&[FindingCode::TpmReset]);
        findings.resize(count, Finding::new(FindingCode::FileUnlisted));
        conclude(&verdict(12, findings), &[], None).unwrap().submods[SUBMODULE].verifier_claims.vouchsafe.clone()
    };
    let all = many(MAX_FINDINGS);
    assert_eq!((all.findings.len(), all.findings_omitted), (MAX_FINDINGS, 0));
    assert_eq!((all.findings[0].code.as_str(), all.findings[255].code.as_str()), ("ima.file_unlisted", "tpm.reset"));
    let cut = many(MAX_FINDINGS + 1);
    assert_eq!((cut.findings.len(), cut.findings_omitted), (MAX_FINDINGS, 1));
    assert!(cut.findings.iter().all(|finding| finding.code == "ima.file_unlisted"), "the least is left out");
}

#[test]
fn the_longest_result_fits_a_token() {
    use vouchsafe_pki::LocalKey;
    let text = "\u{1}".repeat(Finding::MAX_TEXT_LEN);
    let finding = Finding::new(FindingCode::FileChanged).about(&text).with(&text, &text);
    let claims = conclude(&verdict(12, vec![finding; MAX_FINDINGS + 9]), &[], None).unwrap();
    let keys = crate::ResultKeys::new(LocalKey::generate().unwrap(), &[]).unwrap();
    assert!(keys.sign(&claims).is_ok());
}

#[test]
fn a_code_that_this_version_does_not_know_is_read() {
    let claims = conclude(&verdict(12, codes(&[FindingCode::PcrMismatch])), &[], None).unwrap();
    let text = serde_json::to_string(&claims).unwrap().replace("pcr.mismatch", "quantum.mismatch");
    let read: EarClaims = serde_json::from_str(&text).unwrap();
    assert_eq!(read.submods[SUBMODULE].verifier_claims.vouchsafe.findings[0].code, "quantum.mismatch");
}
