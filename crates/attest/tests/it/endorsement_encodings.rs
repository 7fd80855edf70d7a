//! Endorsements: the encodings of real vendors, and worse ones.

use proptest::prelude::*;
use vouchsafe_attest::endorsement::{
    AnchorRole, AnchorSource, CertificateError, ChainNote, EkCertificate, EndorsementClaim, TpmIdentity, TrustAnchors,
    grade,
};
use vouchsafe_model::{EndorsementGrade, Timestamp};

use crate::certificates::{Ca, Ek, anchors, now, part};
use crate::der_tree::Node;
use crate::grading::{assert_vendor_under, graded_under};

// ---- Around the certificate ----

#[test]
fn the_padding_of_an_nv_index_is_stripped_and_anything_else_is_not() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    for padding in [&[0xFF; 431][..], &[0; 100], &[0, 0xFF, 0xFF, 0], &[]] {
        let padded = [certificate.as_slice(), padding].concat();
        assert_eq!(EkCertificate::parse(&padded).unwrap().der(), certificate);
        assert_vendor_under(&root, &ek, &padded, &[]);
    }
    let followed = [certificate.as_slice(), &[0xFF, 0xFF, 0x01]].concat();
    assert_eq!(EkCertificate::parse(&followed).unwrap_err(), CertificateError::Trailing { len: 3 });
    let cut = &certificate[..certificate.len() - 1];
    let truncated = CertificateError::Truncated { needed: certificate.len(), len: cut.len() };
    assert_eq!(EkCertificate::parse(cut).unwrap_err(), truncated);
}

#[test]
fn every_truncation_is_an_error() {
    let certificate = Ca::root("Root").certify(&Ek::generate());
    for len in 0..certificate.len() {
        assert!(EkCertificate::parse(&certificate[..len]).is_err(), "{len} bytes");
    }
}

// ---- Within the certificate ----

#[test]
fn odd_serials_are_noted() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let odd = ChainNote::OddSerial { subject: "(empty name)".to_owned() };
    for serial in [&[0u8][..], &[0x80], &[0xFF, 0, 1], &[0x7F; 21]] {
        let certificate = root.resign(&certificate, |node| *node.at(&part::SERIAL).content() = serial.to_vec());
        assert_eq!(EkCertificate::parse(&certificate).unwrap().serial(), hex::encode(serial));
        assert_vendor_under(&root, &ek, &certificate, std::slice::from_ref(&odd));
    }
    let longest = root.resign(&certificate, |node| *node.at(&part::SERIAL).content() = vec![0x7F; 20]);
    assert_vendor_under(&root, &ek, &longest, &[]);
}

#[test]
fn names_match_across_string_types_set_order_and_case() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    // Each RDN of the issuer as a PrintableString in capitals.
    let printable = root.resign(&certificate, |node| {
        for rdn in node.at(&part::ISSUER).children() {
            let value = rdn.at(&[0, 1]);
            *value = Node::Primitive(0x13, value.content().to_ascii_uppercase());
        }
    });
    assert_vendor_under(&root, &ek, &printable, &[]);

    // One set of two attributes, in one order in the CA's certificate, in the other, which DER forbids, in the EK's.
    let merge = |name: &mut Node, reverse: bool| {
        let mut attributes = name.children().drain(..).map(|mut rdn| rdn.children().remove(0)).collect::<Vec<_>>();
        if reverse {
            attributes.reverse();
        }
        name.children().push(Node::Constructed(0x31, attributes));
    };
    let multi_der = root.resign(&root.der, |node| {
        merge(node.at(&part::ISSUER), false);
        merge(node.at(&part::SUBJECT), false);
    });
    let multi = Ca { der: multi_der, ..root };
    let reversed = multi.resign(&certificate, |node| merge(node.at(&part::ISSUER), true));
    assert_vendor_under(&multi, &ek, &reversed, &[]);
    let endorsement = graded_under(&ek, &certificate, &multi).unwrap();
    assert_eq!(endorsement.grade, EndorsementGrade::None, "two sets of one are not one set of two");
}

#[test]
fn a_true_that_is_not_0xff_is_true() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let with_flag = |value: u8| {
        root.resign(&root.certify(&ek), |node| {
            for extension in node.at(&part::EXTENSIONS).children() {
                if let Node::Primitive(0x01, flag) = extension.at(&[1]) {
                    *flag = vec![value];
                }
            }
        })
    };
    assert_vendor_under(&root, &ek, &with_flag(0x01), &[]);
    // A default that is written out.
    assert_vendor_under(&root, &ek, &with_flag(0x00), &[]);
}

#[test]
fn an_extension_that_occurs_twice_is_refused() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let twice = root.resign(&root.certify(&ek), |node| {
        let extensions = node.at(&part::EXTENSIONS).children();
        extensions.push(extensions[0].clone());
    });
    assert!(matches!(EkCertificate::parse(&twice), Err(CertificateError::DuplicateExtension { .. })));
}

#[test]
fn an_extension_that_limits_must_be_readable_critical_or_not() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let break_extension = |last_arc: u8| {
        root.resign(&root.certify(&ek), |node| {
            for extension in node.at(&part::EXTENSIONS).children() {
                let parts = extension.children();
                if *parts[0].content() == [0x55, 0x1D, last_arc] {
                    parts.retain(|part| !matches!(part, Node::Primitive(0x01, _)));
                    *parts.last_mut().unwrap().content() = vec![0xAA, 0xAA];
                }
            }
        })
    };
    for (arc, name) in [(15, "2.5.29.15"), (19, "2.5.29.19"), (37, "2.5.29.37")] {
        let malformed = CertificateError::MalformedExtension { oid: name.to_owned() };
        assert_eq!(EkCertificate::parse(&break_extension(arc)).unwrap_err(), malformed);
    }
    // The alternative name only informs.
    let endorsement = graded_under(&ek, &break_extension(17), &root).unwrap();
    assert_eq!(endorsement.grade, EndorsementGrade::Vendor);
    assert_eq!(endorsement.notes, [ChainNote::MissingTpmIdentity]);
}

#[test]
fn the_algorithm_inside_must_be_the_one_outside() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let mut certificate = Node::parse(&root.certify(&ek));
    // ecdsa-with-SHA384 instead of SHA256.
    *certificate.at(&part::ALGORITHM).at(&[0]).content().last_mut().unwrap() = 0x03;
    assert_eq!(EkCertificate::parse(&certificate.encode()).unwrap_err(), CertificateError::AlgorithmsDiffer);
    // A NULL parameter that one of them lacks makes no difference.
    let mut certificate = Node::parse(&root.certify(&ek));
    certificate.at(&part::ALGORITHM).children().push(Node::Primitive(0x05, Vec::new()));
    assert_vendor_under(&root, &ek, &certificate.encode(), &[]);
}

#[test]
fn dates_of_every_form_are_read() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let not_after = |tag: u8, text: &str| {
        let edited = root.resign(&certificate, |node| {
            *node.at(&part::VALIDITY).at(&[1]) = Node::Primitive(tag, text.as_bytes().to_vec());
        });
        EkCertificate::parse(&edited).map(|certificate| certificate.not_after().to_string())
    };
    let (utc, generalized) = (0x17, 0x18);
    assert_eq!(not_after(utc, "491231235959Z").as_deref(), Ok("2049-12-31T23:59:59.000Z"));
    assert_eq!(not_after(utc, "500101000000Z").as_deref(), Ok("1950-01-01T00:00:00.000Z"));
    assert_eq!(not_after(generalized, "99991231235959Z").as_deref(), Ok("9999-12-31T23:59:59.000Z"));
    assert_eq!(not_after(generalized, "20300101000000Z").as_deref(), Ok("2030-01-01T00:00:00.000Z"));
    assert_eq!(not_after(utc, "370116130016+0000").as_deref(), Ok("2037-01-16T13:00:16.000Z"));
    for nonsense in ["", "491331235959Z", "never"] {
        assert!(matches!(not_after(utc, nonsense), Err(CertificateError::Malformed(_))), "{nonsense}");
    }
}

// ---- Which TPM ----

#[test]
fn the_identity_is_read_from_the_alternative_name_and_else_from_the_subject() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let certificate = root.certify(&ek);
    let expected = TpmIdentity {
        manufacturer: Some("ACME".to_owned()),
        model: Some("Model 1".to_owned()),
        version: Some("id:00010002".to_owned()),
    };
    let parsed = EkCertificate::parse(&certificate).unwrap();
    assert_eq!(parsed.identity(), &expected);
    assert!(parsed.has_ek_usage());
    assert_eq!(parsed.issuer(), "O=Acme TPM, CN=Root");
    assert_eq!(parsed.not_before(), "2020-01-01T00:00:00Z".parse::<Timestamp>().unwrap());

    let in_subject = root.resign(&certificate, |node| {
        let extensions = node.at(&part::EXTENSIONS).children();
        let index =
            extensions.iter_mut().position(|extension| *extension.at(&[0]).content() == [0x55, 0x1D, 17]).unwrap();
        let mut names = Node::parse(extensions.remove(index).children().last_mut().unwrap().content());
        *node.at(&part::SUBJECT) = names.at(&[0, 0]).clone();
    });
    assert_eq!(EkCertificate::parse(&in_subject).unwrap().identity(), &expected);
}

// ---- Properties ----

/// What a signature is about, and the signature.
pub(crate) fn signed_parts(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    (certificate.tbs_certificate.as_ref().to_vec(), certificate.signature_value.data.to_vec())
}

/// Beside the signed part and the signature there is only the algorithm's second mention, which nothing rests on.
#[test]
fn no_flipped_bit_of_what_is_signed_or_of_the_signature_leaves_a_certificate_endorsed() {
    let (ek, root) = (Ek::generate(), Ca::root("Root"));
    let anchored = anchors(&[&root.der], &[]);
    let certificate = root.certify(&ek);
    let mut endorsed = 0;
    for index in 0..certificate.len() * 8 {
        let mut flipped = certificate.clone();
        flipped[index / 8] ^= 1 << (index % 8);
        let claim = EndorsementClaim {
            ek_public: &ek.area,
            ek_certificate: Some(&flipped),
            extra_intermediates: &[],
            pinned: None,
        };
        if grade(claim, &anchored, now()).is_ok_and(|endorsement| endorsement.grade > EndorsementGrade::None) {
            assert_eq!(signed_parts(&flipped), signed_parts(&certificate), "bit {index}");
            endorsed += 1;
        }
    }
    assert!(endorsed < 16, "{endorsed} flips outside of what is signed");
}

fn read_everywhere(bytes: &[u8]) {
    let _ = EkCertificate::parse(bytes).map(|certificate| format!("{certificate:?}"));
    for role in [AnchorRole::Root, AnchorRole::Intermediate] {
        let (anchors, refusals) = TrustAnchors::load(&[AnchorSource { name: "arbitrary", role, bytes }]);
        let named = anchors.root_count() + anchors.intermediate_count() + refusals.len();
        assert!(named > 0, "bytes that were neither loaded nor refused");
        assert!(refusals.iter().all(|refusal| !refusal.to_string().is_empty()));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        read_everywhere(&bytes);
        read_everywhere(&[&[0x30, 0x82, 0x01, 0x00][..], &bytes].concat());
    }

    #[test]
    fn mutated_certificates_never_panic(
        which in 0..usize::MAX,
        edits in proptest::collection::vec((0..usize::MAX, any::<u8>()), 1..8),
        cut in 0..usize::MAX,
        splice in (0..usize::MAX, 0..usize::MAX),
    ) {
        let samples = crate::endorsement_vendors::sample_certificates();
        let mut bytes = samples[which % samples.len()].clone();
        for (index, value) in edits {
            let len = bytes.len();
            bytes[index % len] = value;
        }
        read_everywhere(&bytes);
        let (from, to) = (splice.0 % bytes.len(), splice.1 % bytes.len());
        let (from, to) = (from.min(to), from.max(to));
        let repeated = [&bytes[..to], &bytes[from..]].concat();
        read_everywhere(&repeated);
        bytes.drain(from..to);
        read_everywhere(&bytes);
        bytes.truncate(cut % (bytes.len() + 1));
        read_everywhere(&bytes);
    }
}
