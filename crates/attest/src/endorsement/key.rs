//! The key that a certificate certifies.

use x509_parser::asn1_rs::Tag;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate::CertificateError;
use crate::tpm::public::{Curve, PublicKey};

/// rsaEncryption, and two that bind an RSA key to one use (RFC 4055): id-RSAES-OAEP, which some vendors write into EK
/// certificates, and id-RSASSA-PSS, which some write for keys that sign.
const RSA: [&str; 3] = ["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.7", RSASSA_PSS];
const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const CURVES: [(&str, Curve); 3] =
    [("1.2.840.10045.3.1.7", Curve::P256), ("1.3.132.0.34", Curve::P384), ("1.3.132.0.35", Curve::P521)];

/// A certified public key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum SubjectKey {
    Rsa {
        /// `RSAPublicKey` (RFC 8017, A.1.1).
        der: Vec<u8>,
        /// Without leading zeros.
        modulus: Vec<u8>,
        /// Without leading zeros.
        exponent: Vec<u8>,
        /// Whether it may only make PSS signatures (RFC 4055, 1.2).
        pss_only: bool,
    },
    Ec {
        curve: Curve,
        /// As SEC 1 writes points: uncompressed or compressed.
        point: Vec<u8>,
    },
}

impl SubjectKey {
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, CertificateError> {
        let algorithm = spki.algorithm.algorithm.to_id_string();
        let bits = &spki.subject_public_key;
        if bits.unused_bits != 0 {
            return Err(CertificateError::MalformedKey);
        }
        if RSA.contains(&algorithm.as_str()) {
            let (rest, key) = RSAPublicKey::from_der(&bits.data).map_err(|_| CertificateError::MalformedKey)?;
            let (modulus, exponent) = (without_leading_zeros(key.modulus), without_leading_zeros(key.exponent));
            if !rest.is_empty() || modulus.is_empty() {
                return Err(CertificateError::MalformedKey);
            }
            let pss_only = algorithm == RSASSA_PSS;
            return Ok(Self::Rsa { der: bits.data.to_vec(), modulus, exponent, pss_only });
        }
        if algorithm != EC_PUBLIC_KEY {
            return Err(CertificateError::UnsupportedKey { algorithm });
        }
        // A curve spelled out by its parameters is refused, whichever it is: RFC 5480, 2.1.1 forbids it, and a chosen
        // generator has forged signatures before (CVE-2020-0601).
        // The library reads any bytes as an OID, so the tag is asked for first.
        let parameters = spki.algorithm.parameters.as_ref().filter(|parameters| parameters.tag() == Tag::Oid);
        let Some(curve) = parameters.and_then(|parameters| parameters.as_oid().ok()).map(|oid| oid.to_id_string())
        else {
            return Err(CertificateError::UnsupportedKey { algorithm: "an elliptic curve without a name".to_owned() });
        };
        let Some((_, curve)) = CURVES.iter().find(|(oid, _)| *oid == curve) else {
            return Err(CertificateError::UnsupportedKey { algorithm: format!("the elliptic curve {curve}") });
        };
        let len = curve.coordinate_len();
        match bits.data.split_first() {
            Some((4, point)) if point.len() == len.saturating_mul(2) => {}
            Some((2 | 3, x)) if x.len() == len => {}
            _ => return Err(CertificateError::MalformedKey),
        }
        Ok(Self::Ec { curve: *curve, point: bits.data.to_vec() })
    }

    /// Whether this is the key of a TPM's public area. Keys are compared, not their encodings: an EK certificate may
    /// name another algorithm for the same RSA key, or compress its point.
    pub(crate) fn is(&self, key: &PublicKey) -> bool {
        match (self, key) {
            (Self::Rsa { modulus, exponent, .. }, PublicKey::Rsa(rsa)) => {
                modulus == rsa.modulus() && *exponent == without_leading_zeros(&rsa.exponent().to_be_bytes())
            }
            (Self::Ec { curve, point }, PublicKey::Ecc(ecc)) if *curve == ecc.curve() => match point.split_first() {
                Some((4, point)) => point.strip_prefix(ecc.x()) == Some(ecc.y()),
                // SEC 1, 2.3.3: the form says whether y is odd, and only one of ±y is.
                Some((form, x)) => x == ecc.x() && ecc.y().last().is_some_and(|last| last & 1 == form & 1),
                None => false,
            },
            _ => false,
        }
    }
}

fn without_leading_zeros(digits: &[u8]) -> Vec<u8> {
    digits.iter().copied().skip_while(|digit| *digit == 0).collect()
}
