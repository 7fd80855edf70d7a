//! Endorsement key certificates as NV memory holds them: DER, often followed by padding (0xFF, sometimes zeros).
//!
//! The attester reads just enough to tell whose key a certificate is about. Whether anybody should believe it is for the
//! verifier to say.

use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey as ParsedKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::spki::{PublicKey, without_leading_zeros};

const SEQUENCE: u8 = 0x30;

/// The DER elements at the start of `bytes`: as long as they are certificates, and no more than `max`.
pub(super) fn leading_certificates(mut bytes: &[u8], max: usize) -> Vec<&[u8]> {
    let mut certificates = Vec::new();
    while certificates.len() < max {
        let Some(len) = sequence_len(bytes) else { break };
        let Some((certificate, rest)) = bytes.split_at_checked(len) else { break };
        certificates.push(certificate);
        bytes = rest;
    }
    certificates
}

/// The length of the DER SEQUENCE at the start, header included; `None` when there is none.
fn sequence_len(bytes: &[u8]) -> Option<usize> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag != SEQUENCE {
        return None;
    }
    match first {
        1..=0x7F => Some(2 + usize::from(first)),
        0x81 => Some(3 + usize::from(*rest.first()?)),
        0x82 => Some(4 + usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]))),
        // None is so long; and an empty SEQUENCE is none: zeros after one must not be read as many of them.
        _ => None,
    }
}

/// The key that a certificate (DER, padding allowed) is about; `None` when it cannot be read.
pub(super) fn certified_key(certificate: &[u8]) -> Option<PublicKey> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    public_key(certificate.public_key())
}

fn public_key(spki: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    match spki.parsed().ok()? {
        ParsedKey::RSA(key) => rsa(&key),
        ParsedKey::EC(point) => Some(PublicKey::Ec { point: point.data().to_vec() }),
        // Some makers name the key RSAES-OAEP (EK Credential Profile 2.5, 3.2.7); it is encoded as any RSA key.
        ParsedKey::Unknown(bytes) => rsa(&RSAPublicKey::from_der(bytes).ok()?.1),
        _ => None,
    }
}

fn rsa(key: &RSAPublicKey<'_>) -> Option<PublicKey> {
    let exponent = u32::try_from(key.try_exponent().ok()?).ok()?;
    Some(PublicKey::Rsa { modulus: without_leading_zeros(key.modulus).to_vec(), exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(body: usize) -> Vec<u8> {
        let [high, low] = u16::try_from(body).unwrap().to_be_bytes();
        [vec![SEQUENCE, 0x82, high, low], vec![0xA5; body]].concat()
    }

    #[test]
    fn certificates_end_where_padding_begins() {
        for padding in [vec![0xFF; 100], vec![0; 100], Vec::new()] {
            let stored = [certificate(700), certificate(900), padding].concat();
            let found = leading_certificates(&stored, 8);
            assert_eq!(found, [certificate(700), certificate(900)]);
        }
    }

    #[test]
    fn no_more_certificates_are_taken_than_may_be() {
        let stored = certificate(300).repeat(5);
        assert_eq!(leading_certificates(&stored, 3).len(), 3);
    }

    #[test]
    fn truncated_certificates_are_left_out() {
        let stored = certificate(300);
        for len in 0..stored.len() {
            assert!(leading_certificates(&stored[..len], 8).is_empty(), "{len} bytes");
        }
        assert!(leading_certificates(&[SEQUENCE, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], 8).is_empty());
    }

    #[test]
    fn real_certificates_say_whose_key_they_are_about() {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/attestation/ek-certs");
        let (mut seen, mut rsa) = (0, 0);
        for name in ["nuvoton_ecdsa_sha256_der.der", "st_sha256_with_rsa_der.der"] {
            let Ok(der) = std::fs::read(data.join(name)) else {
                println!("skipped {name}: it is not in {}", data.display());
                continue;
            };
            let padded = [der.as_slice(), &[0xFF; 64]].concat();
            match certified_key(&padded).unwrap_or_else(|| panic!("{name} cannot be read")) {
                PublicKey::Rsa { modulus, exponent } => {
                    rsa += 1;
                    assert_eq!((modulus.len(), exponent), (256, 65537), "{name}");
                }
                PublicKey::Ec { point } => assert_eq!(point.first(), Some(&4), "{name}"),
            }
            seen += 1;
        }
        assert!(seen == 0 || rsa > 0, "one of them is about an RSA key");
    }

    #[test]
    fn what_is_no_certificate_is_about_no_key() {
        assert_eq!(certified_key(&[]), None);
        assert_eq!(certified_key(&[0xFF; 64]), None);
        assert_eq!(certified_key(&certificate(64)), None);
    }
}
