//! Trust anchors: what loads, and what is refused by name.

use rcgen::{CustomExtension, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use vouchsafe_attest::endorsement::{
    AnchorRefusalReason, AnchorRole, AnchorSource, CertificateError, EndorsementClaim, MAX_ANCHORS,
    MAX_CERTIFICATE_LEN, MAX_SOURCE_LEN, TrustAnchors, grade,
};
use vouchsafe_model::EndorsementGrade;

use crate::certificates::{Ca, Ek, ca_params, now, p256, part};
use crate::der_tree::Node;

/// sha1WithRSAEncryption with its NULL.
const SHA1_WITH_RSA: [u8; 15] =
    [0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x05, 0x05, 0x00];

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

fn load(role: AnchorRole, bytes: &[u8]) -> (usize, Vec<AnchorRefusalReason>) {
    let (anchors, refusals) = TrustAnchors::load(&[AnchorSource { name: "file", role, bytes }]);
    let reasons = refusals.into_iter().map(|refusal| refusal.reason).collect();
    (anchors.root_count() + anchors.intermediate_count(), reasons)
}

#[track_caller]
fn assert_refused(role: AnchorRole, der: &[u8], reason: AnchorRefusalReason) {
    assert_eq!(load(role, der), (0, vec![reason]));
}

/// The certificate, said to be signed with SHA-1.
fn by_sha1(der: &[u8]) -> Vec<u8> {
    let mut certificate = Node::parse(der);
    *certificate.at(&part::TBS_ALGORITHM) = Node::parse(&SHA1_WITH_RSA);
    *certificate.at(&part::ALGORITHM) = Node::parse(&SHA1_WITH_RSA);
    certificate.encode()
}

#[test]
fn a_broken_certificate_is_named_and_the_rest_of_its_bundle_loads() {
    let (first, second) = (Ca::root("First"), Ca::root("Second"));
    let broken = {
        let mut certificate = Node::parse(&second.der);
        certificate.at(&part::SIGNATURE).content()[9] ^= 1;
        certificate.encode()
    };
    let bundle = [
        b"# comment in Latin-1: \xE9\r\n".to_vec(),
        pem("CERTIFICATE", &first.der).into_bytes(),
        b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n".to_vec(),
        pem("PRIVATE KEY", &[1, 2, 3]).into_bytes(),
        pem("CERTIFICATE", &broken).into_bytes(),
        pem("CERTIFICATE", &second.der[..200]).into_bytes(),
        pem("X509 CERTIFICATE", &second.der).replace('\n', "\r\n").into_bytes(),
        b"-----BEGIN CERTIFICATE-----\nMIIB".to_vec(),
    ]
    .concat();
    let source = AnchorSource { name: "bundle.pem", role: AnchorRole::Root, bytes: &bundle };
    let (anchors, refusals) = TrustAnchors::load(&[source]);
    assert_eq!(format!("{anchors:?}"), "TrustAnchors(2 roots, 0 intermediates)");
    let texts = refusals.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        texts,
        [
            "bundle.pem, certificate 2: broken PEM".to_owned(),
            "bundle.pem, certificate 3: 'PRIVATE KEY' is no certificate".to_owned(),
            "bundle.pem, certificate 4 ('O=Acme TPM, CN=Second'): its own signature over itself is broken".to_owned(),
            format!("bundle.pem, certificate 5: truncated: {} bytes needed, 200 there", second.der.len()),
            "bundle.pem, certificate 7: broken PEM".to_owned(),
        ]
    );
}

#[test]
fn der_certificates_load_one_after_another_with_padding_between() {
    let (first, second) = (Ca::root("First"), Ca::root("Second"));
    let padded = [&first.der[..], &[0xFF; 40], &second.der, &[0; 9], b"\n"].concat();
    assert_eq!(load(AnchorRole::Root, &padded), (2, Vec::new()));
    let with_junk = [&first.der[..], b"junk", &second.der].concat();
    assert_eq!(
        load(AnchorRole::Root, &with_junk),
        (1, vec![AnchorRefusalReason::Certificate(CertificateError::NotDer)])
    );
}

#[test]
fn the_same_certificate_twice_is_one_anchor() {
    let root = Ca::root("Root");
    assert_eq!(load(AnchorRole::Root, &[&root.der[..], &root.der].concat()), (1, Vec::new()));
}

#[test]
fn an_empty_or_endless_source_is_named() {
    for bytes in [&b""[..], b"\n\n", &[0xFF; 20]] {
        assert_refused(AnchorRole::Root, bytes, AnchorRefusalReason::Empty);
    }
    let endless = vec![0; MAX_SOURCE_LEN + 1];
    assert_refused(AnchorRole::Root, &endless, AnchorRefusalReason::SourceTooLong { len: MAX_SOURCE_LEN + 1 });
    assert_refused(AnchorRole::Root, &endless[1..], AnchorRefusalReason::Empty);
}

#[test]
fn a_certificate_longer_than_the_maximum_is_named() {
    let with_len = |len: usize| {
        let root = Ca::root("Root");
        root.issue_with("Big", p256(), |params| {
            params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 2, 3], vec![0; len]));
        })
        .der
    };
    let overhead = with_len(10_000).len() - 10_000;
    // A signature's length varies by a byte or two, so the bound is met from both sides with some room.
    let fits = with_len(MAX_CERTIFICATE_LEN - overhead - 8);
    assert_eq!(load(AnchorRole::Intermediate, &fits), (1, Vec::new()));
    let too_long = with_len(MAX_CERTIFICATE_LEN - overhead + 8);
    let reason = CertificateError::TooLong { len: too_long.len() };
    assert_refused(AnchorRole::Intermediate, &too_long, AnchorRefusalReason::Certificate(reason));
}

#[test]
fn no_more_than_the_maximum_are_loaded() {
    let root = Ca::root("Root");
    let mut bundle = Vec::new();
    for serial in 0..=MAX_ANCHORS as u64 {
        let mut certificate = Node::parse(&root.issue_with("CA", p256_shared(), |_| {}).der);
        *certificate.at(&part::SERIAL).content() = serial.to_be_bytes().to_vec();
        bundle.extend(certificate.encode());
    }
    assert_eq!(load(AnchorRole::Intermediate, &bundle), (MAX_ANCHORS, vec![AnchorRefusalReason::TooMany]));
}

/// One key for thousands of certificates: making keys takes longer than the test.
fn p256_shared() -> rcgen::KeyPair {
    static PEM: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| p256().serialize_pem());
    rcgen::KeyPair::from_pem(&PEM).unwrap()
}

#[test]
fn what_is_no_ca_is_refused_by_what_it_lacks() {
    let root = Ca::root("Root");
    let issue = |edit: &dyn Fn(&mut rcgen::CertificateParams)| root.issue_with("CA", p256(), edit).der;
    for role in [AnchorRole::Root, AnchorRole::Intermediate] {
        assert_refused(role, &root.certify(&Ek::generate()), AnchorRefusalReason::EmptySubject);
        for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa] {
            let der = issue(&move |params| params.is_ca = is_ca);
            assert_refused(role, &der, AnchorRefusalReason::NotACa);
        }
        let der = issue(&|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
        assert_refused(role, &der, AnchorRefusalReason::MayNotSign);
        let der = issue(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
        assert_refused(role, &der, AnchorRefusalReason::OtherUsage);
        let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        unknown.set_criticality(true);
        let der = issue(&|params| params.custom_extensions.push(unknown.clone()));
        assert_refused(role, &der, AnchorRefusalReason::UnknownCriticalExtension { oid: "1.2.3.4".to_owned() });
        let der = issue(&|params| params.distinguished_name = DistinguishedName::new());
        assert_refused(role, &der, AnchorRefusalReason::EmptySubject);
    }
}

#[test]
fn sha1_is_good_enough_for_a_root_and_for_nothing_whose_signature_counts() {
    let (root, ek) = (Ca::root("Root"), Ek::generate());
    let old_root = by_sha1(&root.der);
    assert_eq!(load(AnchorRole::Root, &old_root), (1, Vec::new()));
    let sha1 = || "sha1WithRSAEncryption".to_owned();
    let reason = AnchorRefusalReason::UnreliableSignature { algorithm: sha1() };
    assert_refused(AnchorRole::Intermediate, &by_sha1(&root.issue("CA").der), reason);

    let source = AnchorSource { name: "root", role: AnchorRole::Root, bytes: &old_root };
    let (anchors, _) = TrustAnchors::load(&[source]);
    let graded = |certificate: &[u8], presented: &[Vec<u8>]| {
        let claim = EndorsementClaim {
            ek_public: &ek.area,
            ek_certificate: Some(certificate),
            extra_intermediates: presented,
            pinned: None,
        };
        grade(claim, &anchors, now()).unwrap()
    };
    assert_eq!(graded(&root.certify(&ek), &[]).grade, EndorsementGrade::Vendor);
    let ca = root.issue("CA");
    for weak in [graded(&by_sha1(&root.certify(&ek)), &[]), graded(&ca.certify(&ek), &[by_sha1(&ca.der)])] {
        assert_eq!(weak.grade, EndorsementGrade::None);
        let text = weak.notes.last().unwrap().to_string();
        assert!(text.ends_with("by sha1WithRSAEncryption cannot be relied on"), "{text}");
    }
}

#[test]
fn a_root_that_its_old_key_signed_is_no_broken_one() {
    let old = Ca::root("Root");
    let new = old.issue_with("Root", p256(), |_| {});
    assert_eq!(load(AnchorRole::Root, &new.der), (1, Vec::new()));
    // Without an identifier of the other key, it can only be its own signature, and that is wrong.
    let silent = old.issue_with("Root", p256(), |params| params.use_authority_key_identifier_extension = false);
    assert_refused(AnchorRole::Root, &silent.der, AnchorRefusalReason::BrokenSelfSignature);
}

#[test]
fn keys_that_are_not_supported_are_named() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let der = ca_params("Ed").self_signed(&key).unwrap().der().to_vec();
    let reason = CertificateError::UnsupportedKey { algorithm: "1.3.101.112".to_owned() };
    assert_refused(AnchorRole::Root, &der, AnchorRefusalReason::Certificate(reason));
}
