//! Which signatures are accepted, and by which keys.
//!
//! Algorithms are compared by the exact bytes of their `AlgorithmIdentifier`, parameters included, as RFC 5280, 4.1.1.2
//! intends: there is one way to write each, so nothing is left to interpret.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rustls_pki_types::alg_id;
use x509_parser::asn1_rs::Oid;

use crate::der::{self, Element, Malformed, Reader};

/// The shortest and the longest modulus of an RSA key that is certified, in bits.
pub(crate) const RSA_MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key as a `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7), read strictly and of a kind that is certified.
#[derive(Clone, Copy)]
pub(crate) struct PublicKeyInfo<'a> {
    algorithm: &'a [u8],
    key: &'a [u8],
}

/// A public key that is not certified.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyRejected {
    /// Its encoding is not DER.
    #[error("the public key is malformed")]
    Malformed(#[from] Malformed),
    /// Its algorithm is none of ECDSA P-256, ECDSA P-384 and RSA.
    #[error("a key of the algorithm {algorithm} is not supported; use P-256, P-384 or RSA of 2048 to 4096 bits")]
    Algorithm {
        /// The object identifiers of algorithm and curve.
        algorithm: String,
    },
    /// It is an RSA key of another size than 2048 to 4096 bits.
    #[error("an RSA key of {bits} bits is not accepted; use 2048 to 4096 bits")]
    RsaSize {
        /// The length of its modulus.
        bits: usize,
    },
    /// It is an elliptic curve point in another form than the uncompressed one (SEC 1, 2.3.3).
    #[error("the point of the elliptic curve is not in the uncompressed form")]
    PointForm,
}

/// A signature that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SignatureRejected {
    /// The algorithm is weak, unknown or not one for this key.
    Algorithm {
        /// Its object identifier.
        algorithm: String,
    },
    /// It is not this key's signature of this message.
    Wrong,
}

/// The three parts of everything that X.509 and PKCS #10 sign: `SEQUENCE { content, algorithm, signature }`.
pub(crate) struct Signed<'a> {
    /// What is signed.
    pub(crate) content: Element<'a>,
    /// The content of the `AlgorithmIdentifier`.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

struct Scheme {
    key: alg_id::AlgorithmIdentifier,
    signature: alg_id::AlgorithmIdentifier,
    verifier: &'static dyn VerificationAlgorithm,
}

const fn scheme(
    key: alg_id::AlgorithmIdentifier,
    signature: alg_id::AlgorithmIdentifier,
    verifier: &'static dyn VerificationAlgorithm,
) -> Scheme {
    Scheme { key, signature, verifier }
}

static SCHEMES: [Scheme; 10] = [
    scheme(alg_id::ECDSA_P256, alg_id::ECDSA_SHA256, &signature::ECDSA_P256_SHA256_ASN1),
    scheme(alg_id::ECDSA_P256, alg_id::ECDSA_SHA384, &signature::ECDSA_P256_SHA384_ASN1),
    scheme(alg_id::ECDSA_P384, alg_id::ECDSA_SHA256, &signature::ECDSA_P384_SHA256_ASN1),
    scheme(alg_id::ECDSA_P384, alg_id::ECDSA_SHA384, &signature::ECDSA_P384_SHA384_ASN1),
    scheme(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
    scheme(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384),
    scheme(alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512),
    scheme(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
    scheme(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
    scheme(alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
];

impl<'a> PublicKeyInfo<'a> {
    /// Reads a DER `SubjectPublicKeyInfo` that nothing follows.
    pub(crate) fn read(spki_der: &'a [u8]) -> Result<Self, KeyRejected> {
        let mut outer = Reader::new(spki_der);
        let mut spki = outer.expect(der::SEQUENCE, "subjectPublicKeyInfo")?.reader();
        outer.finish("the end of subjectPublicKeyInfo")?;
        let algorithm = spki.expect(der::SEQUENCE, "subjectPublicKeyInfo.algorithm")?.content;
        let part = "subjectPublicKeyInfo.subjectPublicKey";
        let key = spki.expect(der::BIT_STRING, part)?.whole_bits(part)?;
        spki.finish(part)?;

        if algorithm == &*alg_id::RSA_ENCRYPTION {
            let bits = rsa_modulus_bits(key)?;
            if !RSA_MODULUS_BITS.contains(&bits) {
                return Err(KeyRejected::RsaSize { bits });
            }
        } else {
            let uncompressed_len = match algorithm {
                p256 if p256 == &*alg_id::ECDSA_P256 => 65,
                p384 if p384 == &*alg_id::ECDSA_P384 => 97,
                _ => return Err(KeyRejected::Algorithm { algorithm: object_identifiers(algorithm) }),
            };
            if key.first() != Some(&4) || key.len() != uncompressed_len {
                return Err(KeyRejected::PointForm);
            }
        }
        Ok(Self { algorithm, key })
    }

    /// Checks that this key signed.
    pub(crate) fn verify(&self, signed: &Signed<'_>) -> Result<(), SignatureRejected> {
        let scheme = SCHEMES
            .iter()
            .find(|scheme| &*scheme.key == self.algorithm && &*scheme.signature == signed.algorithm)
            .ok_or_else(|| SignatureRejected::Algorithm { algorithm: object_identifiers(signed.algorithm) })?;
        UnparsedPublicKey::new(scheme.verifier, self.key)
            .verify(signed.content.whole, signed.signature)
            .map_err(|_| SignatureRejected::Wrong)
    }
}

impl<'a> Signed<'a> {
    /// Reads a DER structure that nothing follows; `what` names it in errors.
    pub(crate) fn read(der: &'a [u8], what: &'static str) -> Result<Self, Malformed> {
        let mut outer = Reader::new(der);
        let mut parts = outer.expect(der::SEQUENCE, what)?.reader();
        outer.finish(what)?;
        let content = parts.expect(der::SEQUENCE, what)?;
        let algorithm = parts.expect(der::SEQUENCE, "signatureAlgorithm")?.content;
        let signature = parts.expect(der::BIT_STRING, "signature")?.whole_bits("signature")?;
        parts.finish("the end of the signature")?;
        Ok(Self { content, algorithm, signature })
    }
}

/// The length of the modulus of an `RSAPublicKey` (RFC 8017, A.1.1).
fn rsa_modulus_bits(key: &[u8]) -> Result<usize, Malformed> {
    let mut outer = Reader::new(key);
    let mut numbers = outer.expect(der::SEQUENCE, "RSAPublicKey")?.reader();
    outer.finish("the end of RSAPublicKey")?;
    let modulus = numbers.expect(der::INTEGER, "RSAPublicKey.modulus")?.content;
    numbers.expect(der::INTEGER, "RSAPublicKey.publicExponent")?;
    numbers.finish("the end of RSAPublicKey")?;
    let significant = modulus.iter().skip_while(|byte| **byte == 0);
    let leading_zeros = significant.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok(significant.count() * 8 - leading_zeros)
}

/// The object identifiers at the start of an `AlgorithmIdentifier`, for a person to look up.
fn object_identifiers(algorithm: &[u8]) -> String {
    let mut names = Vec::new();
    let mut parts = Reader::new(algorithm);
    while let Ok(oid) = parts.expect(der::OBJECT_IDENTIFIER, "algorithm") {
        names.push(Oid::new(oid.content.into()).to_id_string());
    }
    if names.is_empty() { "without an object identifier".to_owned() } else { names.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_curve_that_is_not_supported() {
        let algorithm = object_identifiers(&alg_id::ECDSA_P521);
        assert_eq!(algorithm, "1.2.840.10045.2.1 1.3.132.0.35");
        assert_eq!(object_identifiers(&[0xFF]), "without an object identifier");
    }

    #[test]
    fn counts_the_bits_of_a_modulus_without_its_leading_zeros() {
        assert_eq!(rsa_modulus_bits(&[0x30, 7, 2, 2, 0, 0xFF, 2, 1, 3]), Ok(8));
        assert_eq!(rsa_modulus_bits(&[0x30, 6, 2, 1, 0x01, 2, 1, 3]), Ok(1));
        assert_eq!(rsa_modulus_bits(&[0x30, 6, 2, 1, 0, 2, 1, 3]), Ok(0));
    }
}
