//! The keys of checkpoints: ECDSA on P-256 with SHA-256 (C2SP signed-note, signature type 0x02).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

/// What comes before the point in a P-256 `SubjectPublicKeyInfo` (RFC 5480, 2): id-ecPublicKey, prime256v1, no unused bits.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE,
    0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The length of an uncompressed point of P-256 (SEC 1, 2.3.3), in bytes.
const POINT_LEN: usize = 65;
/// The first byte of an uncompressed point.
const UNCOMPRESSED: u8 = 4;

/// What signs checkpoints, wherever its key is kept.
pub trait SignCheckpoint: fmt::Debug + Send + Sync {
    /// Its public half.
    fn public_key(&self) -> &CheckpointKey;

    /// Signs a text by ECDSA on P-256 with SHA-256; the signature is in DER (RFC 3279, 2.2.3).
    ///
    /// # Errors
    /// When the place where the key is kept does not sign.
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SigningFailed>;
}

/// A key that would not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of the log did not sign")]
pub struct SigningFailed;

/// The public key of a log.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckpointKey {
    id: [u8; 4],
    point: Vec<u8>,
}

/// Bytes that are no public key of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of a log is a P-256 SubjectPublicKeyInfo, and this is none")]
pub struct KeyRejected;

impl CheckpointKey {
    /// Reads a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// When it is not that of a P-256 key with an uncompressed point.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyRejected> {
        let point = der.strip_prefix(&SPKI_PREFIX[..]).ok_or(KeyRejected)?;
        if point.len() != POINT_LEN || point.first() != Some(&UNCOMPRESSED) {
            return Err(KeyRejected);
        }
        let mut id = [0; 4];
        id.iter_mut().zip(digest(&SHA256, der).as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Self { id, point: point.to_vec() })
    }

    /// The first four bytes of the SHA-256 of its `SubjectPublicKeyInfo`: its name in signed notes.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether this key signed the text.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point).verify(text, signature).is_ok()
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey({})", vouchsafe_model::hash::to_hex(&self.id))
    }
}
