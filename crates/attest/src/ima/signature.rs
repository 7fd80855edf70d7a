//! Signatures of files, as `security.ima` holds them (`struct signature_v2_hdr`).

use vouchsafe_model::HashAlgorithm;

use super::digest::{DigestKind, FileDigest};
use super::key::FileKey;

/// `EVM_IMA_XATTR_DIGSIG`: over the file's content.
const CONTENT: u8 = 0x03;
/// `EVM_XATTR_PORTABLE_DIGSIG`: over the inode's metadata; in the field since Linux 5.14 where there is no other.
const PORTABLE: u8 = 0x05;
/// `IMA_VERITY_DIGSIG`: over the root of the file's fs-verity tree.
const VERITY: u8 = 0x06;
/// Type, version, hash, key identifier and length.
const HEADER_LEN: usize = 9;

/// What a signature is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// The digest of the content (version 2).
    Content,
    /// `struct ima_file_id` of the fs-verity digest (version 3).
    Verity,
    /// Metadata that no list tells: nothing can be said about it.
    Portable,
}

/// A file's signature, read and not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSignature<'a> {
    /// What it is over.
    pub kind: SignatureKind,
    /// The number of the hash in the kernel's `enum hash_algo`.
    pub hash: u8,
    /// Whose it is: the end of a subject key identifier, or of the SHA-1 digest of a public key.
    pub key_id: [u8; 4],
    /// The signature: RSA PKCS #1 v1.5, or ECDSA in DER.
    pub value: &'a [u8],
}

/// Why a signature is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// It ends within its header.
    #[error("{len} bytes are no signature: its header has {HEADER_LEN}")]
    Truncated {
        /// How many bytes there are.
        len: usize,
    },
    /// It is of another type.
    #[error("type {0:#04x} is no signature of a file")]
    Type(u8),
    /// It is of a version that is not defined for its type.
    #[error("version {version} of a signature of type {kind:#04x} is not supported")]
    Version {
        /// The type.
        kind: u8,
        /// The version.
        version: u8,
    },
    /// It says that it is longer or shorter than it is.
    #[error("its header says {stated} bytes, and {there} are there")]
    Length {
        /// What the header says.
        stated: usize,
        /// What is there.
        there: usize,
    },
    /// It is over a hash that is broken or not supported.
    #[error(
        "signatures over hash {0} of the kernel's list are not accepted; those over SHA-256, SHA-384 and SHA-512 are"
    )]
    Hash(u8),
    /// The file's digest is not by the hash that was signed, or not of what was signed.
    #[error("it is over another digest than the one in the list")]
    OtherDigest,
    /// It is not the key's over this digest.
    #[error("it does not verify")]
    DoesNotVerify,
}

/// What came of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checked {
    /// There is none that is about the file's content.
    Unsigned,
    /// It is valid, by a key that was given.
    Valid,
    /// It is not.
    Invalid(SignatureFault),
    /// It names a key that was not given.
    UnknownKey([u8; 4]),
}

impl<'a> FileSignature<'a> {
    /// Reads the field `sig`.
    ///
    /// # Errors
    /// When it has another form, length or version.
    pub fn parse(field: &'a [u8]) -> Result<Self, SignatureFault> {
        let truncated = SignatureFault::Truncated { len: field.len() };
        let (header, value) = field.split_first_chunk::<HEADER_LEN>().ok_or(truncated)?;
        let [kind, version, hash, k0, k1, k2, k3, high, low] = *header;
        let kind = match (kind, version) {
            (CONTENT, 2) => SignatureKind::Content,
            (VERITY, 3) => SignatureKind::Verity,
            (PORTABLE, 2 | 3) => SignatureKind::Portable,
            (CONTENT | VERITY | PORTABLE, version) => return Err(SignatureFault::Version { kind, version }),
            _ => return Err(SignatureFault::Type(kind)),
        };
        let stated = usize::from(u16::from_be_bytes([high, low]));
        if stated != value.len() {
            return Err(SignatureFault::Length { stated, there: value.len() });
        }
        Ok(Self { kind, hash, key_id: [k0, k1, k2, k3], value })
    }

    /// Whether the key made it for a file with this digest.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, key: &FileKey, digest: &FileDigest<'_>) -> Result<(), SignatureFault> {
        let hash = accepted(self.hash).ok_or(SignatureFault::Hash(self.hash))?;
        let is_verity = digest.kind == DigestKind::Verity;
        if digest.hash() != Some(hash) || is_verity != (self.kind == SignatureKind::Verity) {
            return Err(SignatureFault::OtherDigest);
        }
        let verifies = if is_verity {
            // struct ima_file_id, as far as the digest goes.
            let file_id = [&[VERITY, self.hash], digest.bytes].concat();
            let algorithm = crate::digest::algorithm(hash).ok_or(SignatureFault::Hash(self.hash))?;
            let digest = aws_lc_rs::digest::digest(algorithm, &file_id);
            key.verifies_digest(hash, digest.as_ref(), self.value)
        } else {
            key.verifies_digest(hash, digest.bytes, self.value)
        };
        if verifies { Ok(()) } else { Err(SignatureFault::DoesNotVerify) }
    }
}

/// Checks a field `sig` with those of the keys that it names. Several may share an identifier of four bytes.
pub(super) fn check<'k>(field: &[u8], digest: &FileDigest<'_>, keys: impl Iterator<Item = &'k FileKey>) -> Checked {
    if field.is_empty() {
        return Checked::Unsigned;
    }
    let signature = match FileSignature::parse(field) {
        Ok(FileSignature { kind: SignatureKind::Portable, .. }) => return Checked::Unsigned,
        Ok(signature) => signature,
        Err(fault) => return Checked::Invalid(fault),
    };
    let mut checked = Checked::UnknownKey(signature.key_id);
    for key in keys.filter(|key| key.has_id(signature.key_id)) {
        match signature.verify(key, digest) {
            Ok(()) => return Checked::Valid,
            Err(fault) => checked = Checked::Invalid(fault),
        }
    }
    checked
}

/// The hashes that may be signed, by their numbers in `enum hash_algo`.
const fn accepted(number: u8) -> Option<HashAlgorithm> {
    match number {
        4 => Some(HashAlgorithm::Sha256),
        5 => Some(HashAlgorithm::Sha384),
        6 => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: u8, version: u8, stated: u16, there: usize) -> Vec<u8> {
        let mut field = vec![kind, version, 4, 1, 2, 3, 4];
        field.extend(stated.to_be_bytes());
        field.resize(HEADER_LEN + there, 7);
        field
    }

    #[test]
    fn the_header_must_fit() {
        let good = field(CONTENT, 2, 70, 70);
        assert_eq!(FileSignature::parse(&good).unwrap().key_id, [1, 2, 3, 4]);
        for len in 0..HEADER_LEN {
            assert_eq!(FileSignature::parse(&good[..len]), Err(SignatureFault::Truncated { len }));
        }
        assert_eq!(FileSignature::parse(&good[..20]), Err(SignatureFault::Length { stated: 70, there: 11 }));
        let long = field(CONTENT, 2, 70, 71);
        assert_eq!(FileSignature::parse(&long), Err(SignatureFault::Length { stated: 70, there: 71 }));
        assert_eq!(FileSignature::parse(&field(0x04, 2, 1, 1)), Err(SignatureFault::Type(4)));
        for (kind, version) in [(CONTENT, 1), (CONTENT, 3), (VERITY, 2), (PORTABLE, 1)] {
            let fault = SignatureFault::Version { kind, version };
            assert_eq!(FileSignature::parse(&field(kind, version, 1, 1)), Err(fault));
        }
    }
}
