//! Whom a certificate names: ours, and those that break a rule of X509-SVID each.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};
use vouchsafe_pki::peer::MAX_CERTIFICATE_LEN;
use vouchsafe_pki::{NotIdentified, PeerCertificate};

use crate::support::{DEVICE, NOW, SERIALS, new_authority, new_csr, request};

/// A self-signed leaf that follows the rules, after one change.
fn leaf(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.subject_alt_names = vec![uri(DEVICE)];
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn refused(change: impl FnOnce(&mut CertificateParams)) -> NotIdentified {
    PeerCertificate::identify(&leaf(change)).unwrap_err()
}

#[test]
fn names_the_holder_of_a_leaf() {
    assert_eq!(PeerCertificate::identify(&leaf(|_| ())).unwrap().identity.to_string(), DEVICE);
    let with_dns = leaf(|params| params.subject_alt_names.push(SanType::DnsName("a.example".try_into().unwrap())));
    assert!(PeerCertificate::identify(&with_dns).is_ok(), "other kinds of names may stand beside the one URI");
}

#[test]
fn refuses_none_and_two_uris() {
    assert_eq!(refused(|params| params.subject_alt_names.clear()), NotIdentified::UriCount { count: 0 });
    let second = uri("spiffe://example.org/operator/ops");
    assert_eq!(refused(|params| params.subject_alt_names.push(second)), NotIdentified::UriCount { count: 2 });
}

#[test]
fn refuses_a_uri_that_is_no_name_of_ours() {
    for text in ["https://example.org/", "spiffe://example.org", "spiffe://example.org/admin/x", ""] {
        let error = refused(|params| params.subject_alt_names = vec![uri(text)]);
        assert!(matches!(error, NotIdentified::Name(_)), "{text}: {error}");
    }
}

#[test]
fn refuses_authorities_and_keys_that_may_sign_certificates() {
    let constraints = BasicConstraints::Constrained(0);
    assert_eq!(refused(|params| params.is_ca = IsCa::Ca(constraints)), NotIdentified::Authority);
    for usages in [
        vec![],
        vec![KeyUsagePurpose::KeyEncipherment],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign],
    ] {
        let told = format!("{usages:?}");
        assert_eq!(refused(|params| params.key_usages = usages), NotIdentified::KeyUsage, "{told}");
    }
    let (_dir, authority) = new_authority();
    assert_eq!(PeerCertificate::identify(authority.intermediate_der()), Err(NotIdentified::Authority));
}

#[test]
fn refuses_an_extension_that_is_there_twice() {
    // id-ce-subjectAltName again, naming an operator: whoever looks at the second one must not be misled.
    let names = [&[0x30, 35, 0x86, 33][..], b"spiffe://example.org/operator/ops"].concat();
    let again = CustomExtension::from_oid_content(&[2, 5, 29, 17], names);
    let error = refused(|params| params.custom_extensions.push(again));
    assert_eq!(error, NotIdentified::Extension { extension: "subjectAltName" });
}

#[test]
fn refuses_what_follows_and_what_is_too_long() {
    let mut trailing = leaf(|_| ());
    trailing.push(0);
    assert_eq!(PeerCertificate::identify(&trailing), Err(NotIdentified::Malformed));
    assert_eq!(PeerCertificate::identify(&vec![0x30; MAX_CERTIFICATE_LEN]), Err(NotIdentified::Malformed));
    let length = MAX_CERTIFICATE_LEN + 1;
    assert_eq!(PeerCertificate::identify(&vec![0x30; length]), Err(NotIdentified::TooLarge { length }));
}

#[test]
fn the_last_second_of_a_certificate_belongs_to_it() {
    let (_dir, authority) = new_authority();
    let issued = authority.issue(&request(&new_csr(), DEVICE), NOW, SERIALS[0]).unwrap();
    let peer = PeerCertificate::identify(&issued.chain_der[0]).unwrap();
    assert!(!peer.is_expired(peer.not_after));
    assert!(!peer.is_expired(peer.not_after.plus(std::time::Duration::from_millis(999))));
    assert!(peer.is_expired(peer.not_after.plus(std::time::Duration::from_secs(1))));
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(PeerCertificate::identify(&bytes).is_err());
    }

    #[test]
    fn a_flipped_bit_never_panics(bit in 0..300usize * 8) {
        let mut der = leaf(|_| ());
        let at = bit % (der.len() * 8);
        der[at / 8] ^= 1 << (at % 8);
        drop(PeerCertificate::identify(&der));
    }
}
