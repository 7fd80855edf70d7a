//! How certificates are signed, and what of that is relied on.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use vouchsafe_model::HashAlgorithm;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

use super::key::SubjectKey;
use crate::tpm::public::Curve;

const MGF1: &str = "1.2.840.113549.1.1.8";

/// A signature algorithm that links of a chain may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    RsaPkcs1(HashAlgorithm),
    RsaPss(HashAlgorithm),
    Ecdsa(HashAlgorithm),
}

impl Scheme {
    /// Reads an `AlgorithmIdentifier`; otherwise says which algorithm it is that cannot be relied on.
    ///
    /// SHA-1 is not relied on: chosen-prefix collisions are within reach of those who would forge a TPM's maker.
    pub(crate) fn parse(algorithm: &AlgorithmIdentifier<'_>) -> Result<Self, String> {
        let oid = algorithm.algorithm.to_id_string();
        match oid.as_str() {
            "1.2.840.113549.1.1.11" => Ok(Self::RsaPkcs1(HashAlgorithm::Sha256)),
            "1.2.840.113549.1.1.12" => Ok(Self::RsaPkcs1(HashAlgorithm::Sha384)),
            "1.2.840.113549.1.1.13" => Ok(Self::RsaPkcs1(HashAlgorithm::Sha512)),
            "1.2.840.10045.4.3.2" => Ok(Self::Ecdsa(HashAlgorithm::Sha256)),
            "1.2.840.10045.4.3.3" => Ok(Self::Ecdsa(HashAlgorithm::Sha384)),
            "1.2.840.10045.4.3.4" => Ok(Self::Ecdsa(HashAlgorithm::Sha512)),
            "1.2.840.113549.1.1.10" => pss(algorithm).ok_or_else(|| "RSASSA-PSS with unusual parameters".to_owned()),
            "1.2.840.113549.1.1.5" => Err("sha1WithRSAEncryption".to_owned()),
            "1.2.840.113549.1.1.4" => Err("md5WithRSAEncryption".to_owned()),
            "1.2.840.10045.4.1" => Err("ecdsa-with-SHA1".to_owned()),
            _ => Err(oid),
        }
    }

    /// Whether `key` made `signature` over `message`.
    pub(crate) fn verifies(self, key: &SubjectKey, message: &[u8], signature: &[u8]) -> bool {
        let (bytes, pss_only) = match key {
            SubjectKey::Rsa { der, pss_only, .. } => (der, *pss_only),
            SubjectKey::Ec { point, .. } => (point, false),
        };
        // RFC 4055, 1.2: a key that is marked for PSS makes no other signatures.
        if pss_only && !matches!(self, Self::RsaPss(_)) {
            return false;
        }
        self.algorithm(key)
            .is_some_and(|algorithm| UnparsedPublicKey::new(algorithm, bytes).verify(message, signature).is_ok())
    }

    /// The library's algorithm for this scheme and a key of this kind, if the two fit.
    fn algorithm(self, key: &SubjectKey) -> Option<&'static dyn VerificationAlgorithm> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        Some(match (self, key) {
            (Self::RsaPkcs1(Sha256), SubjectKey::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Self::RsaPkcs1(Sha384), SubjectKey::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Self::RsaPkcs1(Sha512), SubjectKey::Rsa { .. }) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Self::RsaPss(Sha256), SubjectKey::Rsa { .. }) => &signature::RSA_PSS_2048_8192_SHA256,
            (Self::RsaPss(Sha384), SubjectKey::Rsa { .. }) => &signature::RSA_PSS_2048_8192_SHA384,
            (Self::RsaPss(Sha512), SubjectKey::Rsa { .. }) => &signature::RSA_PSS_2048_8192_SHA512,
            (Self::Ecdsa(hash), SubjectKey::Ec { curve, .. }) => match (curve, hash) {
                (Curve::P256, Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
                (Curve::P256, Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
                (Curve::P256, Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
                (Curve::P384, Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
                (Curve::P384, Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
                (Curve::P384, Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
                (Curve::P521, Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
                (Curve::P521, Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
                (Curve::P521, Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// RSASSA-PSS as everyone uses it: MGF1 with the same hash, and a salt as long as its digest (RFC 4055, 3.1).
fn pss(algorithm: &AlgorithmIdentifier<'_>) -> Option<Scheme> {
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let hash = match parameters.hash_algorithm_oid().to_id_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => HashAlgorithm::Sha256,
        "2.16.840.1.101.3.4.2.2" => HashAlgorithm::Sha384,
        "2.16.840.1.101.3.4.2.3" => HashAlgorithm::Sha512,
        _ => return None,
    };
    let mask = parameters.mask_gen_algorithm().ok()?;
    let usual = mask.mgf.to_id_string() == MGF1
        && mask.hash == *parameters.hash_algorithm_oid()
        && usize::try_from(parameters.salt_length()) == Ok(hash.digest_len())
        && parameters.trailer_field() == 1;
    usual.then_some(Scheme::RsaPss(hash))
}
