//! Endorsements: every kind of key and signature.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature as sig;
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA256, PKCS_ECDSA_P521_SHA384,
    PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512, PublicKeyData, RsaKeySize,
    SignatureAlgorithm,
};
use vouchsafe_attest::endorsement::{ChainNote, EkCertificate, EndorsementRejected};
use vouchsafe_model::EndorsementGrade;

use crate::certificates::{Ca, Ek, part, resign_by};
use crate::der_tree::{Node, oid, sequence};
use crate::ek_templates::{LOW_RANGE, area_of_spki};
use crate::grading::{assert_vendor_under, graded_under};

#[test]
fn the_same_key_is_recognised_in_another_encoding() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let compressed = root.resign(&root.certify(&ek), |node| {
        let key = node.at(&part::SPKI).at(&[1]).content();
        let form = 2 + (key.last().unwrap() & 1);
        *key = [&[0, form], &key[2..34]].concat();
    });
    assert_vendor_under(&root, &ek, &compressed, &[]);
    let negated = root.resign(&compressed, |node| node.at(&part::SPKI).at(&[1]).content()[1] ^= 1);
    assert_eq!(graded_under(&ek, &negated, &root), Err(EndorsementRejected::CertificateOfAnotherKey));

    let ek = rsa_ek(RsaKeySize::_2048);
    let certificate = root.certify(&ek);
    let oaep = root.resign(&certificate, |node| {
        *node.at(&part::SPKI).at(&[0, 0]) = oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x07]);
    });
    assert_vendor_under(&root, &ek, &oaep, &[]);
    let negative_modulus = root.resign(&certificate, |node| {
        let bits = node.at(&part::SPKI).at(&[1]).content();
        let mut key = Node::parse(&bits[1..]);
        key.at(&[0]).content().remove(0);
        *bits = [&[0], key.encode().as_slice()].concat();
    });
    assert_vendor_under(&root, &ek, &negative_modulus, &[]);
    let other_exponent = root.resign(&certificate, |node| {
        let bits = node.at(&part::SPKI).at(&[1]).content();
        *bits.last_mut().unwrap() ^= 2;
    });
    assert_eq!(graded_under(&ek, &other_exponent, &root), Err(EndorsementRejected::CertificateOfAnotherKey));
}

#[test]
fn a_curve_without_a_name_is_refused() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let refused = |parameters: Node| {
        let edited = root.resign(&certificate, |node| *node.at(&part::SPKI).at(&[0, 1]) = parameters);
        EkCertificate::parse(&edited).unwrap_err().to_string()
    };
    let text = "its public key is not supported: an elliptic curve without a name";
    assert_eq!(refused(sequence(vec![Node::Primitive(0x02, vec![1])])), text);
    let text = "its public key is not supported: the elliptic curve 1.3.132.0.10";
    assert_eq!(refused(oid(&[0x2B, 0x81, 0x04, 0x00, 0x0A])), text);
}

fn rsa_key(algorithm: &'static SignatureAlgorithm, size: RsaKeySize) -> KeyPair {
    KeyPair::generate_rsa_for(algorithm, size).unwrap()
}

fn rsa_ek(size: RsaKeySize) -> Ek {
    let key = rsa_key(&PKCS_RSA_SHA256, size);
    let area = area_of_spki(&key.subject_public_key_info(), LOW_RANGE);
    Ek { key, area }
}

#[test]
fn every_kind_of_key_signs_for_every_kind_of_ek() {
    let eks = [Ek::generate(), Ek::generate_for(&PKCS_ECDSA_P384_SHA384), rsa_ek(RsaKeySize::_3072)];
    let issuers = [
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P521_SHA256).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P521_SHA384).unwrap(),
        KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap(),
        rsa_key(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        rsa_key(&PKCS_RSA_SHA384, RsaKeySize::_2048),
        rsa_key(&PKCS_RSA_SHA512, RsaKeySize::_4096),
    ];
    for key in issuers {
        let algorithm = key.algorithm();
        let root = Ca::root_of("Root", key);
        for ek in &eks {
            let endorsement = graded_under(ek, &root.certify(ek), &root).unwrap();
            assert_eq!(endorsement.grade, EndorsementGrade::Vendor, "{algorithm:?}");
        }
    }
}

/// An `AlgorithmIdentifier` of RSASSA-PSS (RFC 4055, 3.1) with SHA-256 and this salt length.
fn pss_identifier(salt_len: u8) -> Node {
    let explicit = |tag: u8, node: Node| Node::Constructed(tag, vec![node]);
    let sha256 =
        || sequence(vec![oid(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]), Node::Primitive(5, vec![])]);
    let mgf1 = sequence(vec![oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x08]), sha256()]);
    let salt = Node::Primitive(0x02, vec![salt_len]);
    let parameters = sequence(vec![explicit(0xA0, sha256()), explicit(0xA1, mgf1), explicit(0xA2, salt)]);
    sequence(vec![oid(&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0A]), parameters])
}

#[test]
fn pss_signatures_count_and_unusual_ones_are_named() {
    let ek = Ek::generate();
    let root = Ca::root_of("Root", rsa_key(&PKCS_RSA_SHA256, RsaKeySize::_2048));
    let signer = sig::RsaKeyPair::from_pkcs8(root.key.serialized_der()).unwrap();
    let by_pss = |identifier: Node| {
        let edit = |node: &mut Node| {
            *node.at(&part::TBS_ALGORITHM) = identifier.clone();
            *node.at(&part::ALGORITHM) = identifier;
        };
        resign_by(&root.certify(&ek), edit, |message| {
            let mut signature = vec![0; signer.public_modulus_len()];
            signer.sign(&sig::RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        })
    };
    assert_vendor_under(&root, &ek, &by_pss(pss_identifier(32)), &[]);
    let unusual = graded_under(&ek, &by_pss(pss_identifier(20)), &root).unwrap();
    assert_eq!(unusual.grade, EndorsementGrade::None);
    let (subject, algorithm) = ("(empty name)".to_owned(), "RSASSA-PSS with unusual parameters".to_owned());
    assert_eq!(unusual.notes, [ChainNote::UnreliableSignature { subject, algorithm }]);

    // A CA whose key is marked for PSS alone makes no PKCS #1 signatures.
    let marked_der = root.resign(&root.der, |node| {
        *node.at(&part::SPKI).at(&[0]) = pss_identifier(32);
    });
    let marked_root = resign_by(
        &marked_der,
        |node| {
            *node.at(&part::TBS_ALGORITHM) = pss_identifier(32);
            *node.at(&part::ALGORITHM) = pss_identifier(32);
        },
        |message| {
            let mut signature = vec![0; signer.public_modulus_len()];
            signer.sign(&sig::RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
            signature
        },
    );
    let (by_pss, by_pkcs1) = (by_pss(pss_identifier(32)), root.certify(&ek));
    let marked = Ca { der: marked_root, ..root };
    assert_vendor_under(&marked, &ek, &by_pss, &[]);
    assert!(matches!(graded_under(&ek, &by_pkcs1, &marked), Err(EndorsementRejected::Chain(_))));
}
