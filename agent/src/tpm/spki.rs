//! The public part of a key, between what a TPM calls it (`TPMT_PUBLIC`) and what everybody else does
//! (`SubjectPublicKeyInfo`, RFC 5280 4.1.2.7).

use std::fmt;

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use rcgen::PublicKeyData;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::Public;
use tss_esapi::traits::{Marshall, UnMarshall};
use vouchsafe_model::Sha256Digest;

use crate::tls::sha256;

/// The public area of an asymmetric key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicArea {
    public: Public,
    bytes: Vec<u8>,
}

/// Bytes that are no public area of an RSA or ECC key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not the public area of an RSA or ECC key")]
pub struct InvalidPublicArea;

/// A public key, stripped of everything that is not the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    /// Modulus without leading zeros, and exponent.
    Rsa { modulus: Vec<u8>, exponent: u32 },
    /// An uncompressed point (SEC 1, 2.3.3).
    Ec { point: Vec<u8> },
}

/// The exponent that a TPM means by zero (TPM 2.0 Part 2, 12.2.3.5).
const DEFAULT_EXPONENT: u32 = 65537;

impl PublicArea {
    /// Reads a `TPMT_PUBLIC`.
    ///
    /// # Errors
    /// When it is none, when something follows it, or when the key is neither RSA nor ECC.
    pub fn from_tpmt(bytes: &[u8]) -> Result<Self, InvalidPublicArea> {
        let area = Self::from_public(Public::unmarshall(bytes).map_err(|_| InvalidPublicArea)?)?;
        if area.bytes == bytes { Ok(area) } else { Err(InvalidPublicArea) }
    }

    pub(super) fn from_public(public: Public) -> Result<Self, InvalidPublicArea> {
        let bytes = public.marshall().map_err(|_| InvalidPublicArea)?;
        let area = Self { public, bytes };
        area.key().map(|_| area)
    }

    /// `TPMT_PUBLIC`.
    pub fn tpmt(&self) -> &[u8] {
        &self.bytes
    }

    /// `TPM2B_PUBLIC`: the same behind its length.
    pub fn tpm2b(&self) -> Vec<u8> {
        let len = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
        [len.to_be_bytes().as_slice(), &self.bytes].concat()
    }

    pub(super) fn public(&self) -> &Public {
        &self.public
    }

    /// The object's name: its hash algorithm and the digest of its public area (TPM 2.0 Part 1, 16 "Names").
    pub fn name(&self) -> Vec<u8> {
        let (id, algorithm) = match self.public.name_hashing_algorithm() {
            HashingAlgorithm::Sha384 => (0x000Cu16, &SHA384),
            HashingAlgorithm::Sha512 => (0x000D, &SHA512),
            _ => (0x000B, &SHA256),
        };
        [id.to_be_bytes().as_slice(), digest(algorithm, &self.bytes).as_ref()].concat()
    }

    pub(super) fn key(&self) -> Result<PublicKey, InvalidPublicArea> {
        match &self.public {
            Public::Rsa { unique, parameters, .. } => {
                let exponent = parameters.exponent().value();
                let exponent = if exponent == 0 { DEFAULT_EXPONENT } else { exponent };
                Ok(PublicKey::Rsa { modulus: without_leading_zeros(unique.value()).to_vec(), exponent })
            }
            Public::Ecc { unique, parameters, .. } => {
                let len: usize = match parameters.ecc_curve() {
                    EccCurve::NistP256 => 32,
                    EccCurve::NistP384 => 48,
                    EccCurve::NistP521 => 66,
                    _ => return Err(InvalidPublicArea),
                };
                let mut point = vec![4];
                for coordinate in [unique.x().value(), unique.y().value()] {
                    // Some TPMs strip leading zeros from coordinates.
                    let zeros = len.checked_sub(coordinate.len()).ok_or(InvalidPublicArea)?;
                    point.extend(std::iter::repeat_n(0, zeros));
                    point.extend_from_slice(coordinate);
                }
                Ok(PublicKey::Ec { point })
            }
            _ => Err(InvalidPublicArea),
        }
    }

    /// SHA-256 of the key's `SubjectPublicKeyInfo`: by this an operator pins an endorsement key. `None` on a curve that
    /// has no use here.
    pub fn spki_digest(&self) -> Option<Sha256Digest> {
        self.spki_der().ok().map(|der| sha256(&der))
    }

    /// The key as PEM (RFC 7468, 13).
    ///
    /// # Errors
    /// When the key is on a curve that has no use here.
    pub fn pem(&self) -> Result<String, InvalidPublicArea> {
        self.spki_der().map(|der| to_pem("PUBLIC KEY", &der))
    }

    fn spki_der(&self) -> Result<Vec<u8>, InvalidPublicArea> {
        let algorithm = match &self.public {
            Public::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
            Public::Ecc { parameters, .. } if parameters.ecc_curve() == EccCurve::NistP256 => {
                &rcgen::PKCS_ECDSA_P256_SHA256
            }
            Public::Ecc { parameters, .. } if parameters.ecc_curve() == EccCurve::NistP384 => {
                &rcgen::PKCS_ECDSA_P384_SHA384
            }
            _ => return Err(InvalidPublicArea),
        };
        let der = match self.key()? {
            PublicKey::Ec { point } => point,
            PublicKey::Rsa { modulus, exponent } => rsa_public_key(&modulus, exponent),
        };
        Ok(Spki { der, algorithm }.subject_public_key_info())
    }
}

impl fmt::Debug for PublicArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicArea({} bytes)", self.bytes.len())
    }
}

struct Spki {
    der: Vec<u8>,
    algorithm: &'static rcgen::SignatureAlgorithm,
}

impl PublicKeyData for Spki {
    fn der_bytes(&self) -> &[u8] {
        &self.der
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

pub(super) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|byte| *byte != 0).and_then(|first| bytes.get(first..)).unwrap_or_default()
}

/// `RSAPublicKey` (RFC 8017, A.1.1).
fn rsa_public_key(modulus: &[u8], exponent: u32) -> Vec<u8> {
    tlv(0x30, &[unsigned_integer(modulus), unsigned_integer(&exponent.to_be_bytes())].concat())
}

/// A DER INTEGER that is never negative (X.690, 8.3).
pub(super) fn unsigned_integer(bytes: &[u8]) -> Vec<u8> {
    let bytes = without_leading_zeros(bytes);
    let sign: &[u8] = if bytes.first().is_none_or(|first| first & 0x80 != 0) { &[0] } else { &[] };
    tlv(0x02, &[sign, bytes].concat())
}

/// A DER element of at most 64 KiB (X.690, 8.1.3).
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let header: &[u8] = match (high, low) {
        (0, 0..=0x7F) => &[tag, low],
        (0, _) => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [header, content].concat()
}

fn to_pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut pem = format!("-----BEGIN {label}-----\n");
    // 48 bytes make 64 characters (RFC 7468, 2).
    for line in der.chunks(48) {
        let line = vouchsafe_wire::Bytes::<48>::new(line).unwrap_or_default();
        let _ = writeln!(pem, "{line}");
    }
    let _ = writeln!(pem, "-----END {label}-----");
    pem
}

#[cfg(test)]
mod tests {
    use super::super::template::{
        ALG_ECDSA, ALG_RSASSA, ALG_SHA256, ATTESTATION_KEY, CURVE_P256, Cipher, Kind, Scheme, Template,
    };
    use super::*;

    fn area(kind: Kind, scheme: u16, unique: Vec<Vec<u8>>) -> PublicArea {
        let template = Template {
            name_alg: ALG_SHA256,
            attributes: ATTESTATION_KEY,
            policy: &[],
            cipher: Cipher::None,
            scheme: Scheme::WithSha256(scheme),
            kind,
            unique,
        };
        PublicArea::from_tpmt(&template.bytes()).unwrap()
    }

    #[test]
    fn coordinates_without_their_leading_zeros_are_put_right() {
        let area = area(Kind::Ecc(CURVE_P256), ALG_ECDSA, vec![vec![7; 31], vec![9; 32]]);
        let PublicKey::Ec { point } = area.key().unwrap() else { panic!("an ECC key") };
        assert_eq!((point.len(), point[0], point[1], point[2]), (65, 4, 0, 7));
    }

    #[test]
    fn an_rsa_key_is_written_as_openssl_writes_it() {
        let mut modulus = vec![0xC3; 256];
        modulus[255] = 0x01;
        let pem = area(Kind::Rsa(2048), ALG_RSASSA, vec![modulus.clone()]).pem().unwrap();
        let der: Vec<u8> = {
            use rustls_pki_types::pem::PemObject as _;
            rustls_pki_types::SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).unwrap().as_ref().to_vec()
        };
        let (rest, spki) =
            <x509_parser::x509::SubjectPublicKeyInfo<'_> as x509_parser::prelude::FromDer<_>>::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let Ok(x509_parser::public_key::PublicKey::RSA(key)) = spki.parsed() else { panic!("an RSA key") };
        assert_eq!(without_leading_zeros(key.modulus), modulus);
        assert_eq!(key.try_exponent(), Ok(65537));
    }

    #[test]
    fn integers_never_turn_negative() {
        assert_eq!(unsigned_integer(&[0, 0, 0x7F]), [2, 1, 0x7F]);
        assert_eq!(unsigned_integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(unsigned_integer(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn refuses_trailing_bytes_truncation_and_other_kinds_of_keys() {
        let good = area(Kind::Ecc(CURVE_P256), ALG_ECDSA, vec![vec![7; 32], vec![9; 32]]);
        let trailing = [good.tpmt(), &[0]].concat();
        assert_eq!(PublicArea::from_tpmt(&trailing), Err(InvalidPublicArea));
        for len in 0..good.tpmt().len() {
            assert_eq!(PublicArea::from_tpmt(&good.tpmt()[..len]), Err(InvalidPublicArea), "{len} bytes");
        }
    }

    #[test]
    fn a_name_is_an_algorithm_and_a_digest() {
        let area = area(Kind::Ecc(CURVE_P256), ALG_ECDSA, vec![vec![7; 32], vec![9; 32]]);
        assert_eq!(area.name().len(), 34);
        assert_eq!(area.name()[..2], [0, 0x0B]);
        assert_eq!(area.tpm2b().len(), area.tpmt().len() + 2);
    }
}
