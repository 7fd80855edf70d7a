//! Digests of files, with the algorithm that each names.

use std::fmt;

use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::to_hex;

/// The longest name of an algorithm (`CRYPTO_MAX_ALG_NAME` was 64 when the templates were made).
const MAX_ALGORITHM_LEN: usize = 64;
/// The longest digest of any algorithm, in bytes.
const MAX_DIGEST_LEN: usize = 64;

/// What a digest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestKind {
    /// The file's content.
    Content,
    /// The root of its fs-verity tree (`ima-ngv2`, `ima-sigv2`).
    Verity,
}

/// A file's digest as an entry tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileDigest<'a> {
    /// What it is of.
    pub kind: DigestKind,
    /// The algorithm, as the kernel's crypto API calls it: `sha256`.
    pub algorithm: &'a str,
    /// The digest.
    pub bytes: &'a [u8],
    /// The algorithm, if it is one of ours.
    hash: Option<HashAlgorithm>,
}

impl<'a> FileDigest<'a> {
    /// A digest of a content.
    pub(super) fn of_content(hash: HashAlgorithm, bytes: &'a [u8]) -> Self {
        Self { kind: DigestKind::Content, algorithm: hash.name(), bytes, hash: Some(hash) }
    }

    /// Reads the fields `d-ng` and `d-ngv2`: `sha256:` NUL digest, `verity:sha256:` NUL digest.
    pub(super) fn parse(field: &'a [u8], has_kind: bool) -> Option<Self> {
        let nul = field.iter().position(|byte| *byte == 0)?;
        let (prefix, rest) = field.split_at_checked(nul)?;
        Self::from_parts(prefix, rest.strip_prefix(&[0])?, has_kind)
    }

    /// From what stands before the digest, colons included, and the digest.
    pub(super) fn from_parts(prefix: &'a [u8], bytes: &'a [u8], has_kind: bool) -> Option<Self> {
        // What nearly every entry has.
        if prefix == b"sha256:" && !has_kind && bytes.len() == HashAlgorithm::Sha256.digest_len() {
            return Some(Self::of_content(HashAlgorithm::Sha256, bytes));
        }
        let prefix = std::str::from_utf8(prefix).ok()?.strip_suffix(':')?;
        let (kind, algorithm) = if has_kind {
            match prefix.split_once(':')? {
                ("ima", algorithm) => (DigestKind::Content, algorithm),
                ("verity", algorithm) => (DigestKind::Verity, algorithm),
                _ => return None,
            }
        } else {
            (DigestKind::Content, prefix)
        };
        let hash = hash_named(algorithm);
        if hash.is_some_and(|hash| hash.digest_len() == bytes.len()) {
            return Some(Self { kind, algorithm, bytes, hash });
        }
        let is_name = !algorithm.is_empty()
            && algorithm.len() <= MAX_ALGORITHM_LEN
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let fits = match known_len(algorithm) {
            Some(len) => bytes.len() == len,
            None => !bytes.is_empty() && bytes.len() <= MAX_DIGEST_LEN,
        };
        (is_name && fits).then_some(Self { kind, algorithm, bytes, hash })
    }

    /// Reads the field `d`, which does not name its algorithm: 20 bytes of SHA-1 or 16 of MD5.
    pub(super) fn without_name(bytes: &'a [u8]) -> Option<Self> {
        let algorithm = match bytes.len() {
            20 => "sha1",
            16 => "md5",
            _ => return None,
        };
        Some(Self { kind: DigestKind::Content, algorithm, bytes, hash: hash_named(algorithm) })
    }

    /// The algorithm, if it is one of ours.
    pub fn hash(&self) -> Option<HashAlgorithm> {
        self.hash
    }
}

/// The algorithm that the kernel calls by this name, if it is one of ours.
pub(super) fn hash_named(name: &str) -> Option<HashAlgorithm> {
    match name {
        "sha1" => Some(HashAlgorithm::Sha1),
        "sha256" => Some(HashAlgorithm::Sha256),
        "sha384" => Some(HashAlgorithm::Sha384),
        "sha512" => Some(HashAlgorithm::Sha512),
        "sm3" | "sm3-256" => Some(HashAlgorithm::Sm3),
        _ => None,
    }
}

fn known_len(name: &str) -> Option<usize> {
    hash_named(name).map(HashAlgorithm::digest_len).or(match name {
        "md4" | "md5" => Some(16),
        "rmd160" => Some(20),
        "sha224" | "sha3-224" => Some(28),
        "sha3-256" | "streebog256" => Some(32),
        "sha3-384" => Some(48),
        "sha3-512" | "streebog512" => Some(64),
        _ => None,
    })
}

impl fmt::Display for FileDigest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == DigestKind::Verity {
            f.write_str("verity:")?;
        }
        write!(f, "{}:{}", self.algorithm, to_hex(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_names_its_algorithm_and_has_its_length() {
        let field = [b"sha256:\0".as_slice(), &[7; 32]].concat();
        let digest = FileDigest::parse(&field, false).unwrap();
        assert_eq!(
            (digest.hash(), digest.to_string()),
            (Some(HashAlgorithm::Sha256), format!("sha256:{}", "07".repeat(32)))
        );
        let verity = [b"verity:sha512:\0".as_slice(), &[7; 64]].concat();
        assert_eq!(FileDigest::parse(&verity, true).unwrap().kind, DigestKind::Verity);
        assert_eq!(FileDigest::parse(&verity, false), None, "no algorithm has a colon in its name");
        for (prefix, len) in [
            ("sha256:\0", 31),
            ("sha256:\0", 33),
            ("sha256\0", 32),
            (":\0", 20),
            ("sha256:", 32),
            ("x:\0", 65),
            ("x:\0", 0),
        ] {
            let field = [prefix.as_bytes(), &vec![1; len]].concat();
            assert_eq!(FileDigest::parse(&field, false), None, "{prefix:?} {len}");
        }
    }
}
