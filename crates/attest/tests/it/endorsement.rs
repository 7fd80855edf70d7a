//! Endorsements: depth, pins, time, and what issuers may.

use std::slice::from_ref;
use std::time::Duration;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use time::macros::datetime;
use vouchsafe_attest::endorsement::{
    ChainFault, ChainNote, EndorsementClaim, EndorsementRejected, MAX_INTERMEDIATES, TrustAnchors, grade,
};
use vouchsafe_model::{EndorsementGrade, Sha256Digest, Timestamp};

use crate::certificates::{Ca, Ek, NOW, anchors, now, p256};
use crate::grading::{NOBODY, assert_fault, assert_vendor, ders, graded, graded_at, hierarchy, name};

// ---- Depth ----

#[test]
fn chains_of_every_depth_up_to_the_maximum_lead_to_the_root() {
    let ek = Ek::generate();
    for depth in 0..=MAX_INTERMEDIATES {
        let chain = hierarchy(depth);
        let certificate = chain.last().unwrap().certify(&ek);
        let intermediates = ders(&chain[1..]);
        let known = intermediates.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let configured = graded(&ek, &certificate, &[], &anchors(&[&chain[0].der], &known));
        assert_eq!(configured.as_ref().unwrap().root, Some(name("Root")));
        assert_vendor(configured, &[]);
        let mut presented = intermediates.clone();
        presented.reverse();
        assert_vendor(graded(&ek, &certificate, &presented, &anchors(&[&chain[0].der], &[])), &[]);
    }
}

#[test]
fn a_chain_deeper_than_the_maximum_is_refused() {
    let ek = Ek::generate();
    let chain = hierarchy(MAX_INTERMEDIATES + 1);
    let certificate = chain.last().unwrap().certify(&ek);
    let endorsement = graded(&ek, &certificate, &ders(&chain[1..]), &anchors(&[&chain[0].der], &[]));
    assert_fault(&endorsement, ChainFault::TooDeep);
}

#[test]
fn an_intermediate_that_the_operator_trusts_as_root_ends_the_chain() {
    let ek = Ek::generate();
    let chain = hierarchy(2);
    let certificate = chain[2].certify(&ek);
    let endorsement = graded(&ek, &certificate, &ders(&chain[2..]), &anchors(&[&chain[1].der], &[]));
    assert_eq!(endorsement.as_ref().unwrap().root, Some(name("Intermediate 1")));
    assert_vendor(endorsement, &[]);
}

// ---- No certificate, pins, other keys ----

#[test]
fn without_certificate_the_grade_is_the_pin_or_none() {
    let ek = Ek::generate();
    let claim = EndorsementClaim { ek_public: &ek.area, ek_certificate: None, extra_intermediates: &[], pinned: None };
    let unpinned = grade(claim, &TrustAnchors::default(), now()).unwrap();
    assert_eq!((unpinned.grade, unpinned.notes), (EndorsementGrade::None, vec![ChainNote::NoCertificate]));
    let claim = EndorsementClaim { pinned: Some(&unpinned.ek_digest), ..claim };
    let pinned = grade(claim, &TrustAnchors::default(), now()).unwrap();
    assert_eq!((pinned.grade, pinned.notes), (EndorsementGrade::Pinned, vec![ChainNote::NoCertificate]));
}

#[test]
fn the_digest_is_that_of_the_public_key_info() {
    let ek = Ek::generate();
    let endorsement = graded(&ek, &Ca::root("Root").certify(&ek), &[], &TrustAnchors::default()).unwrap();
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &ek.area.to_spki_der());
    assert_eq!(endorsement.ek_digest, Sha256Digest::new(expected.as_ref().try_into().unwrap()));
}

#[test]
fn a_pin_holds_a_chain_that_leads_nowhere_and_yields_to_one_that_leads_to_a_root() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let pin = graded(&ek, &certificate, &[], &TrustAnchors::default()).unwrap().ek_digest;
    let claim = EndorsementClaim {
        ek_public: &ek.area,
        ek_certificate: Some(&certificate),
        extra_intermediates: &[],
        pinned: Some(&pin),
    };
    let nowhere = grade(claim, &TrustAnchors::default(), now()).unwrap();
    assert_eq!((nowhere.grade, nowhere.manufacturer), (EndorsementGrade::Pinned, None));
    assert!(matches!(nowhere.notes[..], [ChainNote::MissingIssuer { .. }]));
    assert_vendor(grade(claim, &anchors(&[&root.der], &[]), now()), &[]);
}

#[test]
fn another_ek_than_the_pinned_one_is_refused_even_with_a_good_certificate() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let pinned = Sha256Digest::new([7; 32]);
    let claim = EndorsementClaim {
        ek_public: &ek.area,
        ek_certificate: Some(&certificate),
        extra_intermediates: &[],
        pinned: Some(&pinned),
    };
    let refused = grade(claim, &anchors(&[&root.der], &[]), now());
    assert!(matches!(refused, Err(EndorsementRejected::PinMismatch { pinned: p, .. }) if p == pinned), "{refused:?}");
}

#[test]
fn a_certificate_of_another_ek_is_refused_and_never_a_downgrade() {
    let (ek, other, root) = (Ek::generate(), Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&other);
    for anchors in [anchors(&[&root.der], &[]), TrustAnchors::default()] {
        let refused = graded(&ek, &certificate, &[], &anchors);
        assert_eq!(refused, Err(EndorsementRejected::CertificateOfAnotherKey));
    }
    let pin = graded(&other, &certificate, &[], &TrustAnchors::default()).unwrap().ek_digest;
    let claim = EndorsementClaim {
        ek_public: &other.area,
        ek_certificate: Some(&root.certify(&ek)),
        extra_intermediates: &[],
        pinned: Some(&pin),
    };
    assert_eq!(grade(claim, &anchors(&[&root.der], &[]), now()), Err(EndorsementRejected::CertificateOfAnotherKey));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let ek = Ek::generate();
    for junk in [&b""[..], b"\0\0\0\0", b"-----BEGIN CERTIFICATE-----", &[0x30, 0x82, 0xFF, 0xFF], &[0x30, 0x80, 0, 0]]
    {
        let refused = graded(&ek, junk, &[], &TrustAnchors::default());
        assert!(matches!(refused, Err(EndorsementRejected::UnreadableCertificate(_))), "{junk:?}: {refused:?}");
    }
}

// ---- Time ----

#[test]
fn what_expired_is_noted_and_still_leads_to_the_root() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let over = datetime!(2021-05-04 03:02:01 UTC);
    let intermediate = root.issue_with("Intermediate", p256(), |params| params.not_after = over);
    let certificate = intermediate.certify_with(&ek, |params| params.not_after = over);
    let not_after = Timestamp::from(over);
    let anchored = anchors(&[&root.der], &[&intermediate.der]);
    let subject = name("Intermediate");
    let notes =
        [ChainNote::LeafExpired { not_after }, ChainNote::IntermediateExpired { subject: subject.clone(), not_after }];
    assert_vendor(graded(&ek, &certificate, &[], &anchored), &notes);
    assert_vendor(graded_at(&ek, &certificate, &[], &anchored, not_after), &[]);
    let as_root = anchors(&[&intermediate.der], &[]);
    let notes = [ChainNote::LeafExpired { not_after }, ChainNote::RootExpired { subject, not_after }];
    assert_vendor(graded(&ek, &certificate, &[], &as_root), &notes);
}

#[test]
fn a_renewed_intermediate_is_preferred_to_the_expired_one_of_the_same_key() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let over = |params: &mut rcgen::CertificateParams| params.not_after = datetime!(2021-01-01 00:00:00 UTC);
    let expired = root.issue_with("Intermediate", p256(), over);
    let key = KeyPair::from_pem(&expired.key.serialize_pem()).unwrap();
    let renewed = root.issue_with("Intermediate", key, |_| {});
    let certificate = expired.certify(&ek);
    for order in [[&expired.der, &renewed.der], [&renewed.der, &expired.der]] {
        let order = order.map(Vec::as_slice);
        assert_vendor(graded(&ek, &certificate, &[], &anchors(&[&root.der], &order)), &[]);
    }
}

#[test]
fn what_begins_in_the_future_is_refused_beyond_one_day() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let anchored = anchors(&[&root.der], &[]);
    let soon = root.certify_with(&ek, |params| params.not_before = NOW + Duration::from_secs(86_400));
    let not_before = now().plus(Duration::from_secs(86_400));
    assert_vendor(graded(&ek, &soon, &[], &anchored), &[ChainNote::LeafNotYetValid { not_before }]);
    let later = root.certify_with(&ek, |params| params.not_before = NOW + Duration::from_secs(86_401));
    let not_before = now().plus(Duration::from_secs(86_401));
    let fault = ChainFault::NotYetValid { subject: NOBODY.to_owned(), not_before };
    assert_fault(&graded(&ek, &later, &[], &anchored), fault);
    let future = root.issue_with("Future", p256(), |params| params.not_before = NOW + Duration::from_secs(86_401));
    let fault = ChainFault::NotYetValid { subject: name("Future"), not_before };
    assert_fault(&graded(&ek, &future.certify(&ek), from_ref(&future.der), &anchored), fault);
}

// ---- What issuers may ----

#[test]
fn an_issuer_that_is_no_ca_is_refused() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let issuer = root.issue_with("Not a CA", p256(), |params| params.is_ca = is_ca);
        let endorsement = graded(&ek, &issuer.certify(&ek), from_ref(&issuer.der), &anchors(&[&root.der], &[]));
        assert_fault(&endorsement, ChainFault::IssuerIsNoCa { issuer: name("Not a CA") });
    }
}

#[test]
fn a_version_1_certificate_is_no_intermediate() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let issuer = root.issue("Old");
    let version_1 = root.resign(&issuer.der, |certificate| {
        let tbs = certificate.at(&[0]).children();
        tbs.pop();
        tbs.remove(0);
    });
    let endorsement = graded(&ek, &issuer.certify(&ek), from_ref(&version_1), &anchors(&[&root.der], &[]));
    assert_fault(&endorsement, ChainFault::IssuerIsNoCa { issuer: name("Old") });
    // As a root it is what the operator chose.
    assert_vendor(graded(&ek, &issuer.certify(&ek), &[], &anchors(&[&version_1], &[])), &[]);
}

#[test]
fn an_issuer_whose_key_may_not_sign_certificates_is_refused() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let issuer = root.issue_with("CRLs only", p256(), |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]);
    let endorsement = graded(&ek, &issuer.certify(&ek), from_ref(&issuer.der), &anchors(&[&root.der], &[]));
    assert_fault(&endorsement, ChainFault::IssuerMayNotSign { issuer: name("CRLs only") });
    let silent = root.issue_with("Silent", p256(), |params| params.key_usages = Vec::new());
    assert_vendor(graded(&ek, &silent.certify(&ek), from_ref(&silent.der), &anchors(&[&root.der], &[])), &[]);
}

#[test]
fn a_ca_for_attestation_keys_endorses_nothing() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let usage = |last| ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, last]);
    let aik_ca = root.issue_with("AIK CA", p256(), |params| params.extended_key_usages = vec![usage(3)]);
    let endorsement = graded(&ek, &aik_ca.certify(&ek), from_ref(&aik_ca.der), &anchors(&[&root.der], &[]));
    assert_fault(&endorsement, ChainFault::IssuerIsForOtherUses { issuer: name("AIK CA") });
    for usages in [vec![usage(3), usage(1)], vec![ExtendedKeyUsagePurpose::Any]] {
        let ca = root.issue_with("EK CA", p256(), |params| params.extended_key_usages = usages);
        assert_vendor(graded(&ek, &ca.certify(&ek), from_ref(&ca.der), &anchors(&[&root.der], &[])), &[]);
    }
}

#[test]
fn a_path_length_holds_and_counts_no_self_issued_certificates() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let limited = root.issue_with("Limited", p256(), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let anchored = anchors(&[&root.der], &[]);
    assert_vendor(graded(&ek, &limited.certify(&ek), from_ref(&limited.der), &anchored), &[]);

    let below = limited.issue("Below");
    let presented = [limited.der.clone(), below.der.clone()];
    let fault = ChainFault::PathTooLong { issuer: name("Limited"), allowed: 0, found: 1 };
    assert_fault(&graded(&ek, &below.certify(&ek), &presented, &anchored), fault);

    let rolled_over = limited.issue("Limited");
    let presented = [limited.der.clone(), rolled_over.der.clone()];
    assert_vendor(graded(&ek, &rolled_over.certify(&ek), &presented, &anchored), &[]);
}
