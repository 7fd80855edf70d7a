//! Keys that sign files.

use std::fmt;

use aws_lc_rs::digest::{Digest, SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use vouchsafe_model::{HashAlgorithm, Sha256Digest};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate;
use super::path::printable;
use crate::digest::algorithm;
use crate::tpm::PublicKey;
use crate::tpm::public::{Curve, SpkiRejected};

/// The longest file with keys that is read, in bytes.
pub const MAX_KEY_LEN: usize = 64 * 1024;

/// A key that may sign files: RSA (PKCS #1 v1.5) or ECDSA, with all prepared to check signatures.
#[derive(Clone)]
pub struct FileKey {
    name: String,
    ids: Vec<[u8; 4]>,
    spki: Vec<u8>,
    certificate: Option<Sha256Digest>,
    is_ca: bool,
    scheme: Scheme,
    prepared: Vec<(HashAlgorithm, ParsedPublicKey)>,
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    RsaPkcs1,
    Ecdsa,
}

/// Why bytes are no key that may sign files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileKeyRejected {
    /// They are too many to be worth reading.
    #[error("{len} bytes; at most {MAX_KEY_LEN} are read")]
    TooLong {
        /// How many there are.
        len: usize,
    },
    /// They are neither PEM with a certificate or public key, nor the DER form of one.
    #[error("neither a certificate nor a public key, in PEM or DER")]
    NotAKey,
    /// The PEM text holds something else.
    #[error("a PEM block '{0}' is neither CERTIFICATE nor PUBLIC KEY")]
    OtherBlock(String),
    /// The key is of a kind that is not supported.
    #[error(transparent)]
    Unsupported(#[from] SpkiRejected),
    /// The library found no such key.
    #[error("the public key is no valid one")]
    Invalid,
}

impl FileKey {
    /// Reads every key of a file: PEM with certificates or public keys, or one of either in DER.
    ///
    /// # Errors
    /// When there is none, or one that cannot be used.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, FileKeyRejected> {
        if bytes.len() > MAX_KEY_LEN {
            return Err(FileKeyRejected::TooLong { len: bytes.len() });
        }
        if bytes.starts_with(&[0x30]) {
            return Self::from_certificate(bytes).or_else(|| Some(Self::from_spki(bytes))).into_iter().collect();
        }
        let blocks = pem::parse_many(bytes).map_err(|_| FileKeyRejected::NotAKey)?;
        if blocks.is_empty() {
            return Err(FileKeyRejected::NotAKey);
        }
        let read = |block: &pem::Pem| match block.tag() {
            "CERTIFICATE" => Self::from_certificate(block.contents()).unwrap_or(Err(FileKeyRejected::NotAKey)),
            "PUBLIC KEY" => Self::from_spki(block.contents()),
            other => Err(FileKeyRejected::OtherBlock(printable(other.as_bytes()).into_owned())),
        };
        blocks.iter().map(read).collect()
    }

    /// From a certificate in DER; `None` when it is none.
    pub(super) fn from_certificate(der: &[u8]) -> Option<Result<Self, FileKeyRejected>> {
        let certificate = certificate::read(der)?;
        let key = Self::from_spki(certificate.tbs_certificate.subject_pki.raw).map(|mut key| {
            // The kernel finds a key by the end of its subject key identifier, and so does evmctl (--keyid-from-cert).
            key.ids.extend(certificate::subject_key_id(&certificate).and_then(|id| id.last_chunk::<4>().copied()));
            key.name = printable(certificate.subject().to_string().as_bytes()).into_owned();
            key.is_ca = certificate::is_ca(&certificate);
            key.certificate = Some(crate::ima::key::sha256(der));
            key
        });
        Some(key)
    }

    /// From a `SubjectPublicKeyInfo` in DER.
    fn from_spki(spki: &[u8]) -> Result<Self, FileKeyRejected> {
        let public = PublicKey::from_spki_der(spki)?;
        let bits = match SubjectPublicKeyInfo::from_der(spki) {
            Ok(([], info)) => info.subject_public_key.data.to_vec(),
            _ => return Err(FileKeyRejected::NotAKey),
        };
        // evmctl names a bare key by the end of the SHA-1 digest of its bits (calc_keyid_v2).
        let id = digest(&SHA1_FOR_LEGACY_USE_ONLY, &bits);
        let (scheme, bytes, verifiers) = match &public {
            PublicKey::Rsa(rsa) => (Scheme::RsaPkcs1, rsa.to_pkcs1_der(), RSA),
            PublicKey::Ecc(ecc) => (Scheme::Ecdsa, ecc.uncompressed_point(), ecdsa(ecc.curve())),
        };
        let hashes = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
        let prepared = hashes.into_iter().zip(verifiers).map(|(hash, verifier)| {
            ParsedPublicKey::new(verifier, &bytes).map(|key| (hash, key)).map_err(|_| FileKeyRejected::Invalid)
        });
        Ok(Self {
            name: "public key".to_owned(),
            ids: id.as_ref().last_chunk::<4>().copied().into_iter().collect(),
            spki: spki.to_vec(),
            certificate: None,
            is_ca: false,
            scheme,
            prepared: prepared.collect::<Result<_, _>>()?,
        })
    }

    /// The subject of its certificate, or that it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a signature that names this key may be this one's.
    pub(super) fn has_id(&self, id: [u8; 4]) -> bool {
        self.ids.contains(&id)
    }

    /// Whether this is the same key, whatever certificate each has.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.spki == other.spki
    }

    /// Whether a certificate may be loaded because this key is listed: it is listed itself, its key is, or a listed CA
    /// signed it.
    pub(super) fn vouches_for(&self, other: &Self, der: &[u8]) -> bool {
        let is_listed = match self.certificate {
            Some(listed) => Some(listed) == other.certificate,
            None => self.is_same(other),
        };
        is_listed
            || (self.is_ca && certificate::read(der).is_some_and(|loaded| certificate::is_signed_by(&loaded, self)))
    }

    /// Whether it signed a file with this digest.
    pub(super) fn verifies_digest(&self, hash: HashAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
        let key = self.prepared.iter().find(|(prepared, _)| *prepared == hash);
        let digest = algorithm(hash).and_then(|algorithm| Digest::import_less_safe(digest, algorithm).ok());
        key.zip(digest).is_some_and(|((_, key), digest)| key.verify_digest_sig(&digest, signature).is_ok())
    }

    /// Whether it signed these bytes in this way.
    pub(super) fn verifies_message(&self, scheme: (Scheme, HashAlgorithm), message: &[u8], signature: &[u8]) -> bool {
        scheme.0 == self.scheme
            && self.prepared.iter().any(|(hash, key)| *hash == scheme.1 && key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKey").field("name", &self.name).field("ids", &self.ids).finish_non_exhaustive()
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Sha256Digest {
    let digest = digest(&aws_lc_rs::digest::SHA256, bytes);
    Sha256Digest::new(digest.as_ref().first_chunk::<32>().copied().unwrap_or_default())
}

type Verifiers = [&'static dyn VerificationAlgorithm; 3];

/// By hash: SHA-256, SHA-384, SHA-512.
const RSA: Verifiers = [
    &signature::RSA_PKCS1_2048_8192_SHA256,
    &signature::RSA_PKCS1_2048_8192_SHA384,
    &signature::RSA_PKCS1_2048_8192_SHA512,
];

fn ecdsa(curve: Curve) -> Verifiers {
    match curve {
        Curve::P256 => {
            [&signature::ECDSA_P256_SHA256_ASN1, &signature::ECDSA_P256_SHA384_ASN1, &signature::ECDSA_P256_SHA512_ASN1]
        }
        Curve::P384 => {
            [&signature::ECDSA_P384_SHA256_ASN1, &signature::ECDSA_P384_SHA384_ASN1, &signature::ECDSA_P384_SHA512_ASN1]
        }
        Curve::P521 => {
            [&signature::ECDSA_P521_SHA256_ASN1, &signature::ECDSA_P521_SHA384_ASN1, &signature::ECDSA_P521_SHA512_ASN1]
        }
    }
}
