//! A key as `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7; RFC 3279 for RSA; RFC 5480 for elliptic curves).

use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey as ParsedKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Curve, EccPublicKey, PublicKey, RsaPublicKey};
use crate::der;

/// Why bytes are no `SubjectPublicKeyInfo` of a key that is supported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpkiRejected {
    /// They are no DER of this type, or more follows.
    #[error("no DER SubjectPublicKeyInfo of an RSA or elliptic curve key")]
    Malformed,
    /// The key is of another algorithm, or on another curve.
    #[error("a key of algorithm {0} is not supported")]
    UnsupportedAlgorithm(String),
    /// An RSA key of another size than TPMs make and signatures are accepted from.
    #[error("an RSA key of {0} bits is not supported: 2048, 3072 or 4096 are")]
    UnsupportedRsaSize(usize),
    /// An RSA exponent that is even, small or huge.
    #[error("an RSA exponent that is no odd 32-bit number from 65537 on")]
    UnsupportedExponent,
}

/// `AlgorithmIdentifier` { rsaEncryption, NULL }.
const RSA_ENCRYPTION: &[u8] =
    &[0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00];
/// `AlgorithmIdentifier` { id-ecPublicKey, prime256v1 }.
const EC_P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03,
    0x01, 0x07,
];
/// `AlgorithmIdentifier` { id-ecPublicKey, secp384r1 }.
const EC_P384: &[u8] =
    &[0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22];
/// `AlgorithmIdentifier` { id-ecPublicKey, secp521r1 }.
const EC_P521: &[u8] =
    &[0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23];

/// The key as DER `SubjectPublicKeyInfo`.
pub(super) fn encode(key: &PublicKey) -> Vec<u8> {
    let (algorithm, subject_key) = match key {
        PublicKey::Rsa(rsa) => (RSA_ENCRYPTION, rsa.to_pkcs1_der()),
        PublicKey::Ecc(ecc) => {
            let algorithm = match ecc.curve() {
                Curve::P256 => EC_P256,
                Curve::P384 => EC_P384,
                Curve::P521 => EC_P521,
            };
            (algorithm, ecc.uncompressed_point())
        }
    };
    der::sequence(&[algorithm, &der::bit_string(&subject_key)])
}

/// Reads a DER `SubjectPublicKeyInfo`, to its last byte.
///
/// What was read is encoded again and compared, so that only the one DER form of a key is accepted, with the parameters
/// and the uncompressed point that belong there.
pub(super) fn decode(der: &[u8]) -> Result<PublicKey, SpkiRejected> {
    let (rest, spki) = SubjectPublicKeyInfo::from_der(der).map_err(|_| SpkiRejected::Malformed)?;
    let unsupported = || SpkiRejected::UnsupportedAlgorithm(spki.algorithm.algorithm.to_id_string());
    let key = match spki.parsed().map_err(|_| SpkiRejected::Malformed)? {
        ParsedKey::RSA(rsa) => PublicKey::Rsa(rsa_key(&rsa)?),
        ParsedKey::EC(point) => {
            // The three curves differ in the length of a point; the comparison below settles which it was.
            let curve = [Curve::P256, Curve::P384, Curve::P521]
                .into_iter()
                .find(|curve| point.data().len() == curve.coordinate_len().saturating_mul(2).saturating_add(1))
                .ok_or_else(unsupported)?;
            PublicKey::Ecc(ecc_key(curve, point.data())?)
        }
        _ => return Err(unsupported()),
    };
    if rest.is_empty() && encode(&key) == der { Ok(key) } else { Err(SpkiRejected::Malformed) }
}

fn rsa_key(rsa: &RSAPublicKey<'_>) -> Result<RsaPublicKey, SpkiRejected> {
    let modulus = without_leading_zeros(rsa.modulus);
    let top_bits = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(top_bits).unwrap_or(0));
    if !RsaPublicKey::SIZES.contains(&bits) {
        return Err(SpkiRejected::UnsupportedRsaSize(bits));
    }
    let digits = without_leading_zeros(rsa.exponent);
    let exponent = digits.iter().fold(0u64, |value, digit| value << 8 | u64::from(*digit));
    let exponent = u32::try_from(exponent)
        .ok()
        .filter(|exponent| digits.len() <= 4 && RsaPublicKey::is_accepted_exponent(*exponent))
        .ok_or(SpkiRejected::UnsupportedExponent)?;
    Ok(RsaPublicKey { modulus: modulus.to_vec(), exponent })
}

fn ecc_key(curve: Curve, point: &[u8]) -> Result<EccPublicKey, SpkiRejected> {
    let (x, y) = point
        .split_first()
        .filter(|(form, rest)| **form == 4 && rest.len() == curve.coordinate_len().saturating_mul(2))
        .and_then(|(_, rest)| rest.split_at_checked(curve.coordinate_len()))
        .ok_or(SpkiRejected::Malformed)?;
    Ok(EccPublicKey { curve, x: x.to_vec(), y: y.to_vec() })
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.get(zeros..).unwrap_or_default()
}
