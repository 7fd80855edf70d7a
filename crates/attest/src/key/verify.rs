//! Signatures by TPM keys: RSASSA, RSAPSS and ECDSA over SHA-256, SHA-384 and SHA-512.

use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPssSaltLength, VerificationAlgorithm};
use vouchsafe_model::HashAlgorithm;

use crate::der;
use crate::tpm::public::{Curve, Scheme, SignatureAlgorithm, SpkiRejected};
use crate::tpm::signature::{Signature, SignatureValue};
use crate::tpm::{AlgorithmId, DecodeError, PublicArea, PublicKey};

/// A public key with everything prepared to check signatures: for a key that is bound to a scheme that one, for
/// others all that its kind can make.
///
/// Preparing takes about as long as a verification (the library checks that a point is on its curve), so keep one
/// rather than make it for each quote.
#[derive(Clone)]
pub struct VerifyingKey {
    public: PublicKey,
    scheme: Option<(SignatureAlgorithm, HashAlgorithm)>,
    prepared: Vec<Prepared>,
}

/// The library's key for one algorithm, hash and (in RSAPSS) salt length.
#[derive(Clone)]
struct Prepared {
    algorithm: SignatureAlgorithm,
    hash: HashAlgorithm,
    key: ParsedPublicKey,
}

/// Why a key cannot be used to check signatures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRejected {
    /// It is bound to decryption or key agreement.
    #[error("the key is bound to {0}, which signs nothing")]
    NotForSigning(AlgorithmId),
    /// It is bound to a hash with which signatures are not accepted.
    #[error("the key signs with {hash}, which is {reason}", reason = refusal(*hash))]
    UnsupportedHash {
        /// SHA-1 or SM3.
        hash: HashAlgorithm,
    },
    /// The library found no such key: a point off its curve, or at infinity.
    #[error("the {0} key is no valid one: not a point of its curve, or no RSA key")]
    Invalid(&'static str),
    /// It is no `SubjectPublicKeyInfo` of a supported key.
    #[error(transparent)]
    Spki(#[from] SpkiRejected),
    /// It is no public area of a supported key.
    #[error("no public area of a supported key: {0}")]
    PublicArea(#[from] DecodeError),
    /// It is no PEM text with a public key.
    #[error("no PEM text with a PUBLIC KEY block")]
    NotPem,
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRejected {
    /// It was made by an algorithm or with a hash other than those that the key is bound to, or cannot make.
    #[error("the signature is {signature} with {hash}, and the key {key}")]
    WrongAlgorithm {
        /// The signature's algorithm.
        signature: SignatureAlgorithm,
        /// The signature's hash.
        hash: HashAlgorithm,
        /// What the key does.
        key: KeyUse,
    },
    /// It was made over a hash that is broken or not supported.
    #[error("the signature is over {hash}, which is {reason}", reason = refusal(*hash))]
    UnsupportedHash {
        /// SHA-1 or SM3.
        hash: HashAlgorithm,
    },
    /// It is not this key's signature over this message.
    #[error("the signature does not verify")]
    DoesNotVerify,
}

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// One scheme.
    Bound(SignatureAlgorithm, HashAlgorithm),
    /// Any scheme of an RSA key.
    AnyRsa,
    /// Any scheme of an elliptic curve key.
    AnyEcc,
}

impl VerifyingKey {
    /// Prepares the key of a public area.
    ///
    /// # Errors
    /// When it cannot sign, signs with SHA-1 or SM3, or is no valid key.
    pub fn from_public(public: &PublicArea) -> Result<Self, KeyRejected> {
        match public.scheme() {
            Scheme::Null => Self::prepare(public.key().clone(), None),
            Scheme::Sign(algorithm, hash) => Self::prepare(public.key().clone(), Some((algorithm, hash))),
            Scheme::Decrypt(algorithm) => Err(KeyRejected::NotForSigning(algorithm)),
        }
    }

    /// Prepares the key of a DER `SubjectPublicKeyInfo`, which says nothing about attributes or scheme: for checks
    /// offline, where someone vouches for the key in another way.
    ///
    /// # Errors
    /// When it is not one of an RSA-2048, -3072, -4096 or P-256, -384, -521 key.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyRejected> {
        Self::prepare(PublicKey::from_spki_der(spki)?, None)
    }

    /// Prepares the key of a PEM text with a PUBLIC KEY block, as [`Self::from_spki_der`].
    ///
    /// # Errors
    /// When there is no such block, or as [`Self::from_spki_der`].
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyRejected> {
        let block = pem::parse(text).map_err(|_| KeyRejected::NotPem)?;
        if block.tag() != "PUBLIC KEY" {
            return Err(KeyRejected::NotPem);
        }
        Self::from_spki_der(block.contents())
    }

    /// Whether the signature is this key's over the message.
    ///
    /// # Errors
    /// See [`SignatureRejected`].
    pub fn verify(&self, message: &[u8], signature: &Signature<'_>) -> Result<(), SignatureRejected> {
        let (algorithm, hash) = (signature.algorithm(), signature.hash);
        if !is_accepted(hash) {
            return Err(SignatureRejected::UnsupportedHash { hash });
        }
        let encoded;
        let value = match signature.value {
            SignatureValue::RsaSsa(value) | SignatureValue::RsaPss(value) => value,
            SignatureValue::Ecdsa { r, s } => {
                // ECDSA-Sig-Value (RFC 3279, 2.2.3): the only form that the library takes for every curve and hash.
                encoded = der::sequence(&[&der::unsigned(r), &der::unsigned(s)]);
                &encoded
            }
        };
        let mut refused = SignatureRejected::WrongAlgorithm { signature: algorithm, hash, key: self.key_use() };
        for prepared in self.prepared.iter().filter(|key| key.algorithm == algorithm && key.hash == hash) {
            match prepared.key.verify_sig(message, value) {
                Ok(()) => return Ok(()),
                Err(_) => refused = SignatureRejected::DoesNotVerify,
            }
        }
        Err(refused)
    }

    /// The key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    fn key_use(&self) -> KeyUse {
        match (self.scheme, &self.public) {
            (Some((algorithm, hash)), _) => KeyUse::Bound(algorithm, hash),
            (None, PublicKey::Rsa(_)) => KeyUse::AnyRsa,
            (None, PublicKey::Ecc(_)) => KeyUse::AnyEcc,
        }
    }

    fn prepare(public: PublicKey, scheme: Option<(SignatureAlgorithm, HashAlgorithm)>) -> Result<Self, KeyRejected> {
        if let Some((_, hash)) = scheme.filter(|(_, hash)| !is_accepted(*hash)) {
            return Err(KeyRejected::UnsupportedHash { hash });
        }
        let is_wanted = |algorithm, hash| scheme.is_none_or(|bound| bound == (algorithm, hash));
        let (bytes, table, kind) = match &public {
            PublicKey::Rsa(rsa) => (rsa.to_pkcs1_der(), RSA, "RSA"),
            PublicKey::Ecc(ecc) => {
                let (table, kind) = match ecc.curve() {
                    Curve::P256 => (P256, "P-256"),
                    Curve::P384 => (P384, "P-384"),
                    Curve::P521 => (P521, "P-521"),
                };
                (ecc.uncompressed_point(), table, kind)
            }
        };
        let prepared = table
            .iter()
            .filter(|(algorithm, hash, _)| is_wanted(*algorithm, *hash))
            .map(|(algorithm, hash, verifier)| {
                let key = ParsedPublicKey::new(*verifier, &bytes).map_err(|_| KeyRejected::Invalid(kind))?;
                Ok(Prepared { algorithm: *algorithm, hash: *hash, key })
            })
            .collect::<Result<_, KeyRejected>>()?;
        Ok(Self { public, scheme, prepared })
    }
}

impl KeyRejected {
    /// A code that programs can match, stable across versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotForSigning(_) => "key.not_for_signing",
            Self::UnsupportedHash { .. } => "key.unsupported_hash",
            Self::Invalid(_) => "key.invalid",
            Self::Spki(_) => "key.unsupported",
            Self::PublicArea(_) => "key.malformed",
            Self::NotPem => "key.not_pem",
        }
    }
}

/// Whether signatures over this hash are accepted.
const fn is_accepted(hash: HashAlgorithm) -> bool {
    matches!(hash, HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)
}

const fn refusal(hash: HashAlgorithm) -> &'static str {
    match hash {
        HashAlgorithm::Sha1 => "broken for signatures",
        _ => "not supported for signatures",
    }
}

type Verifier = (SignatureAlgorithm, HashAlgorithm, &'static dyn VerificationAlgorithm);

/// The same parameters with the longest salt that fits. TPM 2.0 Part 1, B.7: a TPM takes the longest, unless it keeps
/// to FIPS 186, where the salt is as long as the digest. Both are in the field; the key does not say which.
const fn longest_salt(parameters: RsaParameters) -> RsaParameters {
    parameters.with_pss_salt_length(RsaPssSaltLength::Max)
}

const RSA: &[Verifier] = &[
    (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha384, &signature::RSA_PKCS1_2048_8192_SHA384),
    (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha512, &signature::RSA_PKCS1_2048_8192_SHA512),
    (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha256, &signature::RSA_PSS_2048_8192_SHA256),
    (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha384, &signature::RSA_PSS_2048_8192_SHA384),
    (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha512, &signature::RSA_PSS_2048_8192_SHA512),
    (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha256, &const { longest_salt(signature::RSA_PSS_2048_8192_SHA256) }),
    (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha384, &const { longest_salt(signature::RSA_PSS_2048_8192_SHA384) }),
    (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha512, &const { longest_salt(signature::RSA_PSS_2048_8192_SHA512) }),
];
const P256: &[Verifier] = &[
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha256, &signature::ECDSA_P256_SHA256_ASN1),
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha384, &signature::ECDSA_P256_SHA384_ASN1),
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha512, &signature::ECDSA_P256_SHA512_ASN1),
];
const P384: &[Verifier] = &[
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha256, &signature::ECDSA_P384_SHA256_ASN1),
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha384, &signature::ECDSA_P384_SHA384_ASN1),
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha512, &signature::ECDSA_P384_SHA512_ASN1),
];
const P521: &[Verifier] = &[
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha256, &signature::ECDSA_P521_SHA256_ASN1),
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha384, &signature::ECDSA_P521_SHA384_ASN1),
    (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha512, &signature::ECDSA_P521_SHA512_ASN1),
];

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(algorithm, hash) => write!(f, "is bound to {algorithm} with {hash}"),
            Self::AnyRsa => f.write_str("is an RSA key"),
            Self::AnyEcc => f.write_str("is an elliptic curve key"),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("public", &self.public)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}
