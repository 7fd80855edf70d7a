//! EK certificates and trust anchors: what is read can be described, what is not loaded is named, and nothing that a
//! stranger sends is vouched for.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::endorsement::{AnchorRole, AnchorSource, EkCertificate, EndorsementClaim, TrustAnchors, grade};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::{EndorsementGrade, Timestamp};

/// An EK whose certificate nobody has: a point with the coordinates 1 and 2.
static EK: LazyLock<PublicArea> = LazyLock::new(|| {
    let mut area = vec![0, 0x23, 0, 0x0B, 0, 3, 0, 0xB2, 0, 0, 0, 6, 0, 0x80, 0, 0x43, 0, 0x10, 0, 3, 0, 0x10];
    area.extend([0, 1, 1, 0, 1, 2]);
    PublicArea::parse_tpmt(&area).expect("a public area")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = EkCertificate::parse(bytes) {
        assert!(bytes.starts_with(certificate.der()));
        let _ = (certificate.subject(), certificate.issuer(), certificate.serial(), certificate.identity());
        let _ = (certificate.not_before(), certificate.not_after(), certificate.has_ek_usage());
    }
    for role in [AnchorRole::Root, AnchorRole::Intermediate] {
        let (anchors, refusals) = TrustAnchors::load(&[AnchorSource { name: "fuzz", role, bytes }]);
        assert!(anchors.root_count() + anchors.intermediate_count() + refusals.len() > 0);
        refusals.iter().for_each(|refusal| assert!(!refusal.to_string().is_empty()));
        let presented = [bytes.to_vec()];
        let claim = EndorsementClaim {
            ek_public: &EK,
            ek_certificate: Some(bytes),
            extra_intermediates: &presented,
            pinned: None,
        };
        if let Ok(endorsement) = grade(claim, &anchors, Timestamp::from_unix_secs(1_800_000_000)) {
            assert_eq!(endorsement.grade, EndorsementGrade::None);
        }
    }
});
