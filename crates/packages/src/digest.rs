//! Digests of files, as IMA writes them: `sha256:hex`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, Context};
use vouchsafe_model::hash::{from_hex, to_hex};
use vouchsafe_model::{HashAlgorithm, Sha256Digest};

/// The digest of a file's content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest {
    algorithm: HashAlgorithm,
    value: Vec<u8>,
}

impl FileDigest {
    /// Names bytes as a digest; `None` when they are not as many as the algorithm makes.
    pub fn new(algorithm: HashAlgorithm, value: Vec<u8>) -> Option<Self> {
        (value.len() == algorithm.digest_len()).then_some(Self { algorithm, value })
    }

    /// How it was made.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The bytes.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Display for FileDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, to_hex(&self.value))
    }
}

/// A text that is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no digest such as sha256:0123…")]
pub struct InvalidFileDigest(String);

impl FromStr for FileDigest {
    type Err = InvalidFileDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidFileDigest(text.chars().take(80).collect());
        let (algorithm, value) = text.split_once(':').ok_or_else(invalid)?;
        let algorithm = algorithm.parse().map_err(|_| invalid())?;
        from_hex(value).and_then(|value| Self::new(algorithm, value)).ok_or_else(invalid)
    }
}

/// Which digests are made of each file: those that a kernel may log (`ima_hash=`). Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms(Vec<HashAlgorithm>);

/// A hash that cannot be computed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedAlgorithm {
    /// No library of the house computes it.
    #[error("{0} cannot be computed; sha1, sha256, sha384 and sha512 can")]
    Unsupported(HashAlgorithm),
    /// None was named.
    #[error("name at least one hash algorithm")]
    None,
}

impl Algorithms {
    /// These algorithms, each once.
    ///
    /// # Errors
    /// When there is none, or one that cannot be computed.
    pub fn new(algorithms: impl IntoIterator<Item = HashAlgorithm>) -> Result<Self, UnsupportedAlgorithm> {
        let mut algorithms: Vec<_> = algorithms.into_iter().collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        if algorithms.is_empty() {
            return Err(UnsupportedAlgorithm::None);
        }
        match algorithms.iter().find(|algorithm| implementation(**algorithm).is_none()) {
            Some(algorithm) => Err(UnsupportedAlgorithm::Unsupported(*algorithm)),
            None => Ok(Self(algorithms)),
        }
    }

    /// The algorithms, weakest first.
    pub fn iter(&self) -> impl Iterator<Item = HashAlgorithm> + '_ {
        self.0.iter().copied()
    }
}

impl Default for Algorithms {
    /// SHA-256: what kernels log unless they are told otherwise.
    fn default() -> Self {
        Self(vec![HashAlgorithm::Sha256])
    }
}

fn implementation(algorithm: HashAlgorithm) -> Option<&'static digest::Algorithm> {
    match algorithm {
        HashAlgorithm::Sha1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        HashAlgorithm::Sha256 => Some(&digest::SHA256),
        HashAlgorithm::Sha384 => Some(&digest::SHA384),
        HashAlgorithm::Sha512 => Some(&digest::SHA512),
        HashAlgorithm::Sm3 => None,
    }
}

/// Digests of one file in the making.
pub(crate) struct Hashers(Vec<(HashAlgorithm, Context)>);

impl Hashers {
    pub(crate) fn new(algorithms: &Algorithms) -> Self {
        let contexts = algorithms.iter().filter_map(|name| Some((name, Context::new(implementation(name)?))));
        Self(contexts.collect())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(_, context)| context.update(bytes));
    }

    pub(crate) fn finish(self) -> Vec<FileDigest> {
        let digest = |(algorithm, context): (HashAlgorithm, Context)| {
            FileDigest::new(algorithm, context.finish().as_ref().to_vec())
        };
        self.0.into_iter().filter_map(digest).collect()
    }
}

/// A SHA-256 in the making.
pub(crate) struct Sha256(Context);

impl Sha256 {
    pub(crate) fn new() -> Self {
        Self(Context::new(&digest::SHA256))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Sha256Digest {
        named(&self.0.finish())
    }
}

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    named(&digest::digest(&digest::SHA256, bytes))
}

fn named(digest: &digest::Digest) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_as_ima_writes_them() {
        let mut hashers = Hashers::new(&Algorithms::new([HashAlgorithm::Sha256, HashAlgorithm::Sha1]).unwrap());
        hashers.update(b"abc");
        let texts: Vec<_> = hashers.finish().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "sha1:a9993e364706816aba3e25717850c26c9cd0d89d",
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ]
        );
        assert!(texts.iter().all(|text| text.parse::<FileDigest>().unwrap().to_string() == *text));
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        assert_eq!(Algorithms::new([HashAlgorithm::Sm3]), Err(UnsupportedAlgorithm::Unsupported(HashAlgorithm::Sm3)));
        assert_eq!(Algorithms::new([]), Err(UnsupportedAlgorithm::None));
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for text in ["", "sha256", "sha256:", "sha256:00", "md5:00", "sha1:zz", &format!("sha256:{}", "0".repeat(63))] {
            assert!(text.parse::<FileDigest>().is_err(), "{text}");
        }
    }
}
