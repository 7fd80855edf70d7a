//! Keys: the public ones that bundles are verified with, and the private one that signs.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

/// The smallest RSA key that signs, in bits.
const MIN_RSA_BITS: usize = 2048;

/// How a token is signed (RFC 7518, 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA (PKCS #1 1.5) with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Its name in a token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::EdDsa => &ED25519,
        }
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM.
    #[error("it is no PEM")]
    Pem(#[source] pem::PemError),
    /// It is a PEM of something else.
    #[error("it holds {found}, and not {wanted}")]
    Label {
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// It is a key of another kind.
    #[error("it is neither a P-256 key, nor an RSA key of at least {MIN_RSA_BITS} bits, nor an Ed25519 key")]
    Kind,
}

/// A public key that bundles may be signed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    /// `SubjectPublicKeyInfo`.
    spki: Vec<u8>,
    scope: String,
}

/// The public keys, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyingKeys(BTreeMap<String, VerifyingKey>);

impl VerifyingKey {
    /// A public key in PEM (`PUBLIC KEY`), which vouches for bundles of this scope alone.
    ///
    /// # Errors
    /// When it is no PEM of a key that can be used.
    pub fn from_pem(text: &[u8], scope: impl Into<String>) -> Result<Self, KeyError> {
        let pem = pem::parse(text).map_err(KeyError::Pem)?;
        if pem.tag() != "PUBLIC KEY" {
            return Err(KeyError::Label { found: pem.tag().to_owned(), wanted: "PUBLIC KEY" });
        }
        let spki = pem.into_contents();
        let algorithm = kind(&spki).ok_or(KeyError::Kind)?;
        Ok(Self { algorithm, spki, scope: scope.into() })
    }

    /// The scope that it vouches for.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(self.algorithm.verification(), &self.spki).verify(message, signature).is_ok()
    }
}

impl VerifyingKeys {
    /// Adds a key under an id.
    pub fn insert(&mut self, id: impl Into<String>, key: VerifyingKey) {
        self.0.insert(id.into(), key);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<&VerifyingKey> {
        self.0.get(id)
    }
}

/// The kind of a `SubjectPublicKeyInfo`, by the object identifier of its algorithm, which stands at its beginning.
fn kind(spki: &[u8]) -> Option<Algorithm> {
    const P256: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    const ED25519_KEY: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    if spki.starts_with(P256) {
        return Some(Algorithm::Es256);
    }
    if spki.starts_with(ED25519_KEY) {
        return Some(Algorithm::EdDsa);
    }
    let key = rsa::PublicKey::from_der(spki).ok()?;
    let bits = key.modulus().big_endian_without_leading_zero().len().saturating_mul(8);
    (bits >= MIN_RSA_BITS).then_some(Algorithm::Rs256)
}

/// The private key that signs bundles.
pub struct SigningKey(Kind);

enum Kind {
    P256(Box<EcdsaKeyPair>),
    Rsa(Box<rsa::KeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// The key did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key cannot sign")]
pub struct SigningFailed;

impl SigningKey {
    /// A private key in PEM: PKCS #8, or as OpenSSL writes keys on curves and of RSA.
    ///
    /// # Errors
    /// When it is no PEM of a key that can be used.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let pem = pem::parse(text).map_err(KeyError::Pem)?;
        let der = pem.contents();
        let kind = match pem.tag() {
            "PRIVATE KEY" => {
                let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok();
                let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
                let rsa = || rsa::KeyPair::from_pkcs8(der).ok();
                p256()
                    .map(|key| Kind::P256(Box::new(key)))
                    .or_else(|| ed25519().map(|key| Kind::Ed25519(Box::new(key))))
                    .or_else(|| rsa().map(|key| Kind::Rsa(Box::new(key))))
            }
            "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
                .ok()
                .map(|key| Kind::P256(Box::new(key))),
            "RSA PRIVATE KEY" => rsa::KeyPair::from_der(der).ok().map(|key| Kind::Rsa(Box::new(key))),
            found => return Err(KeyError::Label { found: found.to_owned(), wanted: "PRIVATE KEY" }),
        };
        let key = Self(kind.ok_or(KeyError::Kind)?);
        if matches!(&key.0, Kind::Rsa(rsa) if rsa.public_modulus_len() * 8 < MIN_RSA_BITS) {
            return Err(KeyError::Kind);
        }
        Ok(key)
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::P256(_) => Algorithm::Es256,
            Kind::Rsa(_) => Algorithm::Rs256,
            Kind::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::P256(key) => key.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Kind::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| SigningFailed)
    }
}

/// Shows the algorithm and the public half alone.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SigningKey");
        shown.field("algorithm", &self.algorithm());
        if let Kind::Ed25519(key) = &self.0 {
            shown.field("public", &key.public_key().as_ref());
        }
        shown.finish_non_exhaustive()
    }
}
