//! Signing keys of any attributes, with their private half in memory.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaPssSaltLength, RsaSignatureEncoding,
};
use vouchsafe_model::HashAlgorithm;

use super::tpm2b;
use crate::tpm::public::{Curve, ObjectAttributes, PublicKey, SignatureAlgorithm};
use crate::tpm::{AlgorithmId, PublicArea};

/// What a key is and may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    /// Its kind and size.
    pub kind: KeyKind,
    /// What it may do.
    pub attributes: ObjectAttributes,
    /// The hash that names it.
    pub name_alg: HashAlgorithm,
    /// The scheme that it is bound to; `None` is `TPM_ALG_NULL`.
    pub scheme: Option<(SignatureAlgorithm, HashAlgorithm)>,
    /// The salt of RSAPSS signatures.
    pub salt: PssSalt,
}

/// The kind and size of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// RSA-2048: takes a moment to make.
    Rsa2048,
    /// RSA-3072: takes several moments.
    Rsa3072,
}

/// How long the salt of an RSAPSS signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PssSalt {
    /// As long as the digest.
    Digest,
    /// As long as fits.
    Longest,
}

/// A signing key.
pub struct SoftwareKey {
    template: KeyTemplate,
    public: PublicArea,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl KeyTemplate {
    /// A P-256 attestation key as the agent makes it.
    pub const AK: Self = Self {
        kind: KeyKind::P256,
        attributes: Self::FIXED
            .union(ObjectAttributes::USER_WITH_AUTH)
            .union(ObjectAttributes::RESTRICTED)
            .union(ObjectAttributes::SIGN),
        name_alg: HashAlgorithm::Sha256,
        scheme: Some((SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha256)),
        salt: PssSalt::Digest,
    };

    /// A P-256 device key as the agent makes it.
    pub const DEVICE_KEY: Self = Self {
        attributes: Self::FIXED.union(ObjectAttributes::USER_WITH_AUTH).union(ObjectAttributes::SIGN),
        scheme: None,
        ..Self::AK
    };

    const FIXED: ObjectAttributes = ObjectAttributes::FIXED_TPM
        .union(ObjectAttributes::FIXED_PARENT)
        .union(ObjectAttributes::SENSITIVE_DATA_ORIGIN);

    /// The same, without attributes.
    #[must_use]
    pub const fn without(self, attributes: ObjectAttributes) -> Self {
        Self { attributes: self.attributes.without(attributes), ..self }
    }

    /// The same, with more attributes.
    #[must_use]
    pub const fn with(self, attributes: ObjectAttributes) -> Self {
        Self { attributes: self.attributes.union(attributes), ..self }
    }

    /// The same, of another kind and scheme.
    #[must_use]
    pub const fn of(self, kind: KeyKind, algorithm: SignatureAlgorithm, hash: HashAlgorithm) -> Self {
        Self { kind, scheme: Some((algorithm, hash)), ..self }
    }

    fn signs_with(&self) -> (SignatureAlgorithm, HashAlgorithm) {
        self.scheme.unwrap_or(match self.kind {
            KeyKind::Rsa2048 | KeyKind::Rsa3072 => (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha256),
            KeyKind::P256 => (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha256),
            KeyKind::P384 => (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha384),
            KeyKind::P521 => (SignatureAlgorithm::Ecdsa, HashAlgorithm::Sha512),
        })
    }

    /// Writes the `TPMT_PUBLIC` around a key.
    pub fn public_area(&self, key: &PublicKey) -> PublicArea {
        let mut bytes = Vec::new();
        let mut push = |field: &[u8]| bytes.extend_from_slice(field);
        let kind = match key {
            PublicKey::Rsa(_) => AlgorithmId::RSA,
            PublicKey::Ecc(_) => AlgorithmId::ECC,
        };
        push(&kind.0.to_be_bytes());
        push(&self.name_alg.tpm_alg_id().to_be_bytes());
        push(&self.attributes.bits().to_be_bytes());
        push(&tpm2b(&[]));
        push(&AlgorithmId::NULL.0.to_be_bytes());
        match self.scheme {
            Some((algorithm, hash)) => {
                push(&algorithm.id().0.to_be_bytes());
                push(&hash.tpm_alg_id().to_be_bytes());
            }
            None => push(&AlgorithmId::NULL.0.to_be_bytes()),
        }
        match key {
            PublicKey::Rsa(rsa) => {
                push(&u16::try_from(rsa.bits()).expect("no key has 65536 bits").to_be_bytes());
                push(&0u32.to_be_bytes());
                push(&tpm2b(rsa.modulus()));
            }
            PublicKey::Ecc(ecc) => {
                push(&ecc.curve().id().to_be_bytes());
                push(&AlgorithmId::NULL.0.to_be_bytes());
                push(&tpm2b(ecc.x()));
                push(&tpm2b(ecc.y()));
            }
        }
        PublicArea::parse_tpmt(&bytes).expect("what was just written can be read")
    }
}

impl SoftwareKey {
    /// Makes a key.
    pub fn generate(template: KeyTemplate) -> Self {
        let rsa = |size| Pair::Rsa(RsaKeyPair::generate(size).expect("an RSA key can be made"));
        let pair = match template.kind {
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                let algorithm = ecdsa_algorithm(template.kind, template.signs_with().1);
                Pair::Ecdsa(EcdsaKeyPair::generate(algorithm).expect("an elliptic curve key can be made"))
            }
        };
        let spki: PublicKeyX509Der<'_> = match &pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
        }
        .expect("a key can be written");
        let key = PublicKey::from_spki_der(spki.as_ref()).expect("what the library wrote can be read");
        Self { template, public: template.public_area(&key), pair }
    }

    /// Its public area.
    pub fn public(&self) -> &PublicArea {
        &self.public
    }

    /// The hash of its signatures.
    pub fn hash(&self) -> HashAlgorithm {
        self.template.signs_with().1
    }

    /// Signs anything, restricted or not, and writes a `TPMT_SIGNATURE`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (algorithm, hash) = self.template.signs_with();
        let mut bytes = [algorithm.id().0.to_be_bytes(), hash.tpm_alg_id().to_be_bytes()].concat();
        let raw = self.sign_raw(message);
        if algorithm == SignatureAlgorithm::Ecdsa {
            let (r, s) = raw.split_at_checked(raw.len() / 2).expect("half is not more than the whole");
            bytes.extend(tpm2b(r));
            bytes.extend(tpm2b(s));
        } else {
            bytes.extend(tpm2b(&raw));
        }
        bytes
    }

    /// Signs anything: an RSA signature as it is, an ECDSA one as r and s, each as long as a coordinate.
    pub fn sign_raw(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).expect("an ECDSA key signs").as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let (algorithm, hash) = self.template.signs_with();
                let encoding = rsa_encoding(algorithm, hash, self.template.salt);
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).expect("an RSA key signs");
                signature
            }
        }
    }
}

impl KeyKind {
    /// Its curve, if it has one.
    pub const fn curve(self) -> Option<Curve> {
        match self {
            Self::P256 => Some(Curve::P256),
            Self::P384 => Some(Curve::P384),
            Self::P521 => Some(Curve::P521),
            Self::Rsa2048 | Self::Rsa3072 => None,
        }
    }
}

fn ecdsa_algorithm(kind: KeyKind, hash: HashAlgorithm) -> &'static EcdsaSigningAlgorithm {
    match (kind, hash) {
        (KeyKind::P256, HashAlgorithm::Sha256) => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        (KeyKind::P384, HashAlgorithm::Sha384) => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        (KeyKind::P521, HashAlgorithm::Sha256) => Some(&signature::ECDSA_P521_SHA256_FIXED_SIGNING),
        (KeyKind::P521, HashAlgorithm::Sha384) => Some(&signature::ECDSA_P521_SHA384_FIXED_SIGNING),
        (KeyKind::P521, HashAlgorithm::Sha512) => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    }
    .expect("the library signs with this curve and hash")
}

fn rsa_encoding(algorithm: SignatureAlgorithm, hash: HashAlgorithm, salt: PssSalt) -> &'static RsaSignatureEncoding {
    const MAX: RsaPssSaltLength = RsaPssSaltLength::Max;
    match (algorithm, hash, salt) {
        (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha256, _) => Some(&signature::RSA_PKCS1_SHA256),
        (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha384, _) => Some(&signature::RSA_PKCS1_SHA384),
        (SignatureAlgorithm::RsaSsa, HashAlgorithm::Sha512, _) => Some(&signature::RSA_PKCS1_SHA512),
        (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha256, PssSalt::Digest) => Some(&signature::RSA_PSS_SHA256),
        (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha384, PssSalt::Digest) => Some(&signature::RSA_PSS_SHA384),
        (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha512, PssSalt::Digest) => Some(&signature::RSA_PSS_SHA512),
        (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha256, PssSalt::Longest) => {
            Some(&const { signature::RSA_PSS_SHA256.with_pss_salt_length(MAX) })
        }
        (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha384, PssSalt::Longest) => {
            Some(&const { signature::RSA_PSS_SHA384.with_pss_salt_length(MAX) })
        }
        (SignatureAlgorithm::RsaPss, HashAlgorithm::Sha512, PssSalt::Longest) => {
            Some(&const { signature::RSA_PSS_SHA512.with_pss_salt_length(MAX) })
        }
        _ => None,
    }
    .expect("the library signs with this algorithm and hash")
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareKey").field("template", &self.template).finish_non_exhaustive()
    }
}
