//! Keys that sign envelopes.

use std::fmt;

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use vouchsafe_model::hash::to_hex;

use crate::digest::digest_of;
use crate::tpm::PublicKey;
use crate::tpm::public::{Curve, SpkiRejected};

/// A public key that envelopes are verified with: Ed25519, ECDSA on P-256 with SHA-256 or on P-384 with SHA-384
/// (signatures in DER), RSA of 2048 bits or more with SHA-256, RSASSA-PSS or PKCS#1 v1.5.
///
/// An envelope does not name the algorithm, so that the key alone says what is accepted.
#[derive(Clone)]
pub struct DsseKey {
    id: String,
    spki: Vec<u8>,
    prepared: Vec<ParsedPublicKey>,
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsseKeyRejected {
    /// It is no PEM text with a public key.
    #[error("no PEM text with a PUBLIC KEY block")]
    NotPem,
    /// It is no key that is supported.
    #[error(transparent)]
    Spki(#[from] SpkiRejected),
    /// It is on a curve with which no envelopes are signed.
    #[error("a P-521 key signs no envelopes: P-256, P-384, Ed25519 and RSA keys do")]
    P521,
    /// The library found no such key.
    #[error("the key is no valid one: not a point of its curve, or no RSA key")]
    Invalid,
}

/// A `SubjectPublicKeyInfo` of an Ed25519 key, up to its 32 bytes (RFC 8410, 4).
const ED25519: &[u8] = &[0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00];

impl DsseKey {
    /// Reads a key from PEM.
    ///
    /// # Errors
    /// When there is no PUBLIC KEY block, or as [`Self::from_spki_der`].
    pub fn from_pem(text: &[u8]) -> Result<Self, DsseKeyRejected> {
        let block = pem::parse(text).map_err(|_| DsseKeyRejected::NotPem)?;
        if block.tag() != "PUBLIC KEY" {
            return Err(DsseKeyRejected::NotPem);
        }
        Self::from_spki_der(block.contents())
    }

    /// Reads a key from a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// When it is no key of a kind that is supported, or no valid one.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, DsseKeyRejected> {
        let id = to_hex(digest_of(&SHA256, [spki]).as_ref());
        let (bytes, algorithms) = key_and_algorithms(spki)?;
        let prepare = |algorithm: &&'static dyn VerificationAlgorithm| ParsedPublicKey::new(*algorithm, &bytes);
        let prepared =
            algorithms.iter().map(prepare).collect::<Result<_, _>>().map_err(|_| DsseKeyRejected::Invalid)?;
        Ok(Self { id, spki: spki.to_vec(), prepared })
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key in PEM, as [`Self::from_pem`] reads it.
    pub fn to_pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.spki.as_slice()), config)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.prepared.iter().any(|key| key.verify_sig(message, signature).is_ok())
    }
}

type Algorithms = &'static [&'static dyn VerificationAlgorithm];

fn key_and_algorithms(spki: &[u8]) -> Result<(Vec<u8>, Algorithms), DsseKeyRejected> {
    if let Some(key) = spki.strip_prefix(ED25519).filter(|key| key.len() == 32) {
        return Ok((key.to_vec(), &[&signature::ED25519]));
    }
    Ok(match PublicKey::from_spki_der(spki)? {
        PublicKey::Rsa(rsa) => {
            (rsa.to_pkcs1_der(), &[&signature::RSA_PSS_2048_8192_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256])
        }
        PublicKey::Ecc(ecc) => {
            let algorithms: Algorithms = match ecc.curve() {
                Curve::P256 => &[&signature::ECDSA_P256_SHA256_ASN1],
                Curve::P384 => &[&signature::ECDSA_P384_SHA384_ASN1],
                Curve::P521 => return Err(DsseKeyRejected::P521),
            };
            (ecc.uncompressed_point(), algorithms)
        }
    })
}

impl fmt::Debug for DsseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DsseKey({})", self.id)
    }
}
