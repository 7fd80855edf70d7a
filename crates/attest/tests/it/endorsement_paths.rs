//! Endorsements: names, keys and signatures along a chain, hostile webs, and extensions.

use std::slice::from_ref;

use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair};
use vouchsafe_attest::endorsement::{
    ChainFault, ChainNote, EndorsementRejected, MAX_PRESENTED_INTERMEDIATES, MAX_SIGNATURE_CHECKS, TrustAnchors,
};
use vouchsafe_model::EndorsementGrade;

use crate::certificates::{Ca, Ek, anchors, ca_params, p256, part};
use crate::der_tree::Node;
use crate::grading::{NOBODY, assert_fault, assert_unendorsed, assert_vendor, ders, graded, hierarchy, name};

// ---- Names, keys and signatures ----

#[test]
fn a_chain_whose_issuer_is_not_known_falls_to_none_and_names_it() {
    let ek = Ek::generate();
    let chain = hierarchy(2);
    let certificate = chain[2].certify(&ek);
    let key_id = |ca: &Ca| Some(hex::encode(ca.params.key_identifier(&ca.key)));
    let missing = ChainNote::MissingIssuer {
        subject: NOBODY.to_owned(),
        issuer: name("Intermediate 2"),
        key_id: key_id(&chain[2]),
    };
    assert_unendorsed(graded(&ek, &certificate, &[], &anchors(&[&chain[0].der], &[])), missing);
    let missing = ChainNote::MissingIssuer {
        subject: name("Intermediate 2"),
        issuer: name("Intermediate 1"),
        key_id: key_id(&chain[1]),
    };
    let endorsement = graded(&ek, &certificate, from_ref(&chain[2].der), &anchors(&[&chain[0].der], &[]));
    assert_unendorsed(endorsement, missing);
}

#[test]
fn the_right_key_under_another_name_is_no_issuer() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let impostor = Ca {
        params: Ca::root("Another").params,
        key: KeyPair::from_pem(&root.key.serialize_pem()).unwrap(),
        der: Vec::new(),
    };
    let endorsement = graded(&ek, &impostor.certify(&ek), &[], &anchors(&[&root.der], &[])).unwrap();
    assert_eq!(endorsement.grade, EndorsementGrade::None);
    assert!(matches!(&endorsement.notes[..], [ChainNote::MissingIssuer { issuer, .. }] if *issuer == name("Another")));
}

#[test]
fn a_swapped_signature_is_refused_at_every_place_of_the_chain() {
    let ek = Ek::generate();
    let chain = hierarchy(2);
    let certificate = chain[2].certify(&ek);
    let swap = |into: &[u8], from: &[u8]| {
        let mut certificate = Node::parse(into);
        *certificate.at(&part::SIGNATURE) = Node::parse(from).at(&part::SIGNATURE).clone();
        certificate.encode()
    };
    let anchored = anchors(&[&chain[0].der], &[]);

    let other = chain[2].certify_with(&ek, |params| params.serial_number = Some(99u64.into()));
    let swapped = swap(&certificate, &other);
    let fault = ChainFault::BrokenSignature { subject: NOBODY.to_owned(), issuer: name("Intermediate 2") };
    assert_fault(&graded(&ek, &swapped, &ders(&chain[1..]), &anchored), fault);

    let other = chain[0].issue("Intermediate 1");
    let swapped = [swap(&chain[1].der, &other.der), chain[2].der.clone()];
    let fault = ChainFault::BrokenSignature { subject: name("Intermediate 1"), issuer: name("Root") };
    assert_fault(&graded(&ek, &certificate, &swapped, &anchored), fault);
}

#[test]
fn a_namesake_with_another_key_identifier_is_no_broken_signature() {
    let (ek, root, namesake) = (Ek::generate(), Ca::root("Root"), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let endorsement = graded(&ek, &certificate, &[], &anchors(&[&namesake.der], &[])).unwrap();
    assert_eq!(endorsement.grade, EndorsementGrade::None);
    assert!(matches!(endorsement.notes[..], [ChainNote::MissingIssuer { .. }]));
    assert_vendor(graded(&ek, &certificate, &[], &anchors(&[&namesake.der, &root.der], &[])), &[]);
    // The forger of a namesake who also copies the identifier is told from an honest TPM.
    let mut params = root.params.clone();
    params.key_identifier_method = KeyIdMethod::PreSpecified(root.params.key_identifier(&root.key));
    let forged = Ca { params, key: p256(), der: Vec::new() }.certify(&ek);
    let fault = ChainFault::BrokenSignature { subject: NOBODY.to_owned(), issuer: name("Root") };
    assert_fault(&graded(&ek, &forged, &[], &anchors(&[&root.der], &[])), fault);
}

#[test]
fn namesakes_without_key_identifiers_are_each_tried() {
    let ek = Ek::generate();
    let roots = (0..10).map(|_| Ca::root("Root")).collect::<Vec<_>>();
    let all = roots.iter().map(|root| root.der.as_slice()).collect::<Vec<_>>();
    let anchored = anchors(&all, &[]);
    for root in &roots {
        let certificate = root.certify_with(&ek, |params| params.use_authority_key_identifier_extension = false);
        assert_vendor(graded(&ek, &certificate, &[], &anchored), &[]);
    }
}

#[test]
fn the_search_backs_out_of_a_way_that_leads_nowhere() {
    let ek = Ek::generate();
    let (trusted, unknown) = (Ca::root("Trusted"), Ca::root("Unknown"));
    let key = p256();
    let copy = || KeyPair::from_pem(&key.serialize_pem()).unwrap();
    // One CA, certified by both: same name, same key, same identifier.
    let (wrong, right) = (unknown.issue_with("CA", copy(), |_| {}), trusted.issue_with("CA", copy(), |_| {}));
    let below = right.issue("Below");
    let certificate = below.certify(&ek);
    for presented in [[&wrong, &right], [&right, &wrong]] {
        let mut presented = presented.map(|ca| ca.der.clone()).to_vec();
        presented.push(below.der.clone());
        assert_vendor(graded(&ek, &certificate, &presented, &anchors(&[&trusted.der], &[])), &[]);
    }
    // A way that is broken does not spoil the one that is not.
    let forged = Ca::root("Trusted").issue_with("CA", copy(), |params| params.serial_number = Some(5u64.into()));
    let presented = [forged.der, right.der, below.der];
    assert_vendor(graded(&ek, &certificate, &presented, &anchors(&[&trusted.der], &[])), &[]);
}

#[test]
fn a_wrong_key_identifier_under_a_right_signature_is_noted() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let mut params = root.params.clone();
    params.key_identifier_method = KeyIdMethod::PreSpecified(vec![1, 2, 3]);
    let certificate =
        Ca { params, key: KeyPair::from_pem(&root.key.serialize_pem()).unwrap(), der: Vec::new() }.certify(&ek);
    let note = ChainNote::KeyIdentifierMismatch { subject: NOBODY.to_owned(), issuer: name("Root") };
    assert_vendor(graded(&ek, &certificate, &[], &anchors(&[&root.der], &[])), &[note]);
}

// ---- Circles and hostile webs ----

#[test]
fn a_root_that_nobody_trusts_is_named() {
    let ek = Ek::generate();
    let chain = hierarchy(1);
    let endorsement = graded(&ek, &chain[1].certify(&ek), &ders(&chain), &TrustAnchors::default());
    assert_unendorsed(endorsement, ChainNote::UntrustedRoot { subject: name("Root") });
}

#[test]
fn a_circle_of_issuers_ends() {
    let ek = Ek::generate();
    let (first, second) = (Ca::root("First"), Ca::root("Second"));
    let copy = |ca: &Ca| KeyPair::from_pem(&ca.key.serialize_pem()).unwrap();
    let first_by_second = second.issue_with("First", copy(&first), |_| {});
    let second_by_first = first.issue_with("Second", copy(&second), |_| {});
    let presented = [first_by_second.der, second_by_first.der];
    let endorsement = graded(&ek, &first.certify(&ek), &presented, &anchors(&[&Ca::root("Root").der], &[]));
    assert_unendorsed(endorsement, ChainNote::IssuerLoop { subject: name("Second") });
}

#[test]
fn a_web_of_cross_certificates_costs_no_more_than_the_bound() {
    let ek = Ek::generate();
    let origin = Ca::root("Web");
    let web = (0..MAX_PRESENTED_INTERMEDIATES as u64)
        .map(|serial| {
            let key = KeyPair::from_pem(&origin.key.serialize_pem()).unwrap();
            origin.issue_with("Web", key, |params| params.serial_number = Some(serial.into())).der
        })
        .collect::<Vec<_>>();
    let endorsement = graded(&ek, &origin.certify(&ek), &web, &TrustAnchors::default());
    assert!(
        matches!(
            endorsement,
            Err(EndorsementRejected::Chain(ChainFault::TooManySignatureChecks | ChainFault::TooDeep))
        ),
        "{endorsement:?}"
    );
}

#[test]
fn the_last_signature_check_still_counts_and_one_more_is_not_made() {
    let ek = Ek::generate();
    let pem = p256().serialize_pem();
    let key = || KeyPair::from_pem(&pem).unwrap();
    let namesakes = (1..=MAX_SIGNATURE_CHECKS as u64)
        .map(|serial| {
            let mut params = ca_params("Root");
            params.serial_number = Some(serial.into());
            params.self_signed(&key()).unwrap().der().to_vec()
        })
        .collect::<Vec<_>>();
    let root = Ca::root("Root");
    let mut params = root.params.clone();
    params.key_identifier_method = KeyIdMethod::PreSpecified(vec![1, 2, 3]);
    let issuer = Ca { params, key: KeyPair::from_pem(&root.key.serialize_pem()).unwrap(), der: Vec::new() };
    let certificate = issuer.certify(&ek);
    let behind = |count: usize| {
        let roots = namesakes[..count].iter().chain([&root.der]).map(Vec::as_slice).collect::<Vec<_>>();
        graded(&ek, &certificate, &[], &anchors(&roots, &[]))
    };
    assert_eq!(behind(MAX_SIGNATURE_CHECKS - 1).unwrap().grade, EndorsementGrade::Vendor);
    assert_fault(&behind(MAX_SIGNATURE_CHECKS), ChainFault::TooManySignatureChecks);
}

#[test]
fn more_intermediates_than_the_maximum_are_refused_unread() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let junk = vec![vec![0xAA]; MAX_PRESENTED_INTERMEDIATES + 1];
    let refused = graded(&ek, &certificate, &junk, &anchors(&[&root.der], &[]));
    assert_eq!(refused, Err(EndorsementRejected::TooManyIntermediates { count: MAX_PRESENTED_INTERMEDIATES + 1 }));
    let endorsement = graded(&ek, &certificate, &junk[1..], &anchors(&[&root.der], &[])).unwrap();
    assert_eq!(endorsement.grade, EndorsementGrade::Vendor);
    assert_eq!(endorsement.notes.len(), MAX_PRESENTED_INTERMEDIATES, "each that cannot be read is noted");
    assert!(matches!(endorsement.notes[0], ChainNote::UnusableIntermediate { index: 0, .. }));
}

// ---- Extensions ----

fn critical(oid: &[u64]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, vec![0x30, 0]);
    extension.set_criticality(true);
    extension
}

#[test]
fn an_unknown_critical_extension_is_refused_on_the_leaf_and_above_but_not_those_of_tcg() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let anchored = anchors(&[&root.der], &[]);
    let unknown = critical(&[1, 2, 3, 4]);
    let certificate = root.certify_with(&ek, |params| params.custom_extensions.push(unknown.clone()));
    let fault = |subject: &str, oid: &str| ChainFault::UnknownCriticalExtension {
        subject: subject.to_owned(),
        oid: oid.to_owned(),
    };
    assert_fault(&graded(&ek, &certificate, &[], &anchored), fault(NOBODY, "1.2.3.4"));

    for (oid, text) in
        [(&[1u64, 2, 3, 4][..], "1.2.3.4"), (&[2, 5, 29, 36], "2.5.29.36"), (&[2, 5, 29, 30], "2.5.29.30")]
    {
        let ca = root.issue_with("CA", p256(), |params| params.custom_extensions.push(critical(oid)));
        assert_fault(&graded(&ek, &ca.certify(&ek), from_ref(&ca.der), &anchored), fault(&name("CA"), text));
    }
    let tcg = root.certify_with(&ek, |params| params.custom_extensions.push(critical(&[2, 23, 133, 2, 16])));
    assert_vendor(graded(&ek, &tcg, &[], &anchored), &[]);
}

#[test]
fn a_leaf_says_whether_it_endorses() {
    let ek = Ek::generate();
    let root = Ca::root("Root");
    let anchored = anchors(&[&root.der], &[]);
    let silent = root.certify_with(&ek, |params| params.extended_key_usages = Vec::new());
    assert_vendor(graded(&ek, &silent, &[], &anchored), &[ChainNote::MissingEkUsage]);
    let other = root.certify_with(&ek, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_unendorsed(graded(&ek, &other, &[], &anchored), ChainNote::OtherUsage);
    let ca = root.certify_with(&ek, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_vendor(graded(&ek, &ca, &[], &anchored), &[ChainNote::LeafIsCa]);
    let anonymous = root.certify_with(&ek, |params| params.custom_extensions = Vec::new());
    let endorsement = graded(&ek, &anonymous, &[], &anchored).unwrap();
    assert_eq!((endorsement.grade, endorsement.manufacturer), (EndorsementGrade::Vendor, None));
    assert_eq!(endorsement.notes, [ChainNote::MissingTpmIdentity]);
}
