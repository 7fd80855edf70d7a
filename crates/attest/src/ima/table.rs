//! The digests of a policy, packed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use aws_lc_rs::digest::{SHA256, digest};
use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::{from_hex, to_hex};

use super::digest::{DigestKind, FileDigest};

/// Added to the tag of an fs-verity digest.
const VERITY: u8 = 0x80;

/// A path by the first half of its SHA-256: nobody finds a second path for a key, and a hundred thousand of them take
/// little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathKey(u64, u64);

impl PathKey {
    pub(super) fn of(path: &[u8]) -> Self {
        let digest = digest(&SHA256, path);
        let (halves, _) = digest.as_ref().as_chunks::<8>();
        match halves {
            [first, second, ..] => Self(u64::from_le_bytes(*first), u64::from_le_bytes(*second)),
            _ => Self(0, 0),
        }
    }
}

impl Hash for PathKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A [`PathKey`] is a hash already.
#[derive(Default)]
pub(super) struct Keep(u64);

impl Hasher for Keep {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A digest that a policy lists: a tag for its algorithm and kind, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListedDigest(Vec<u8>);

impl ListedDigest {
    /// Reads `sha256:…` or `verity:sha256:…`. Only algorithms of which a collision of chosen content is out of reach, and
    /// SHA-1, which old kernels log: a second file for a given digest is out of reach there, too.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, text) = match text.strip_prefix("verity:") {
            Some(rest) => (DigestKind::Verity, rest),
            None => (DigestKind::Content, text),
        };
        let (algorithm, digits) = text.split_once(':')?;
        let algorithm: HashAlgorithm = algorithm.parse().ok()?;
        let bytes = from_hex(digits).filter(|bytes| bytes.len() == algorithm.digest_len())?;
        Some(Self([&[tag(kind, algorithm)], &bytes[..]].concat()))
    }
}

/// What paths may have which digests.
#[derive(Debug, Default)]
pub(super) struct DigestTable {
    /// Where the digests of a path begin, and how many there are.
    paths: HashMap<PathKey, (u32, u16), BuildHasherDefault<Keep>>,
    packed: Vec<u8>,
}

impl DigestTable {
    /// From paths with their digests; a path may come more than once.
    pub(super) fn new(mut listed: Vec<(PathKey, Vec<ListedDigest>)>) -> Self {
        listed.sort_unstable_by_key(|(key, _)| *key);
        let mut table = Self::default();
        table.paths.reserve(listed.len());
        for same in listed.chunk_by(|(one, _), (other, _)| one == other) {
            let mut digests: Vec<_> = same.iter().flat_map(|(_, digests)| digests).collect();
            digests.sort_unstable();
            digests.dedup();
            let start = u32::try_from(table.packed.len());
            if let (Some((key, _)), Ok(start), Ok(count)) = (same.first(), start, u16::try_from(digests.len())) {
                table.paths.insert(*key, (start, count));
                digests.iter().for_each(|digest| table.packed.extend_from_slice(&digest.0));
            }
        }
        table.packed.shrink_to_fit();
        table
    }

    /// What is listed for a path; `None` when the path is not.
    pub(super) fn find(&self, path: PathKey) -> Option<Digests<'_>> {
        let (start, count) = *self.paths.get(&path)?;
        let packed = self.packed.get(usize::try_from(start).ok()?..)?;
        Some(Digests { packed, left: count })
    }

    /// How many paths there are.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// How much memory it takes, in bytes, about.
    pub(super) fn memory(&self) -> usize {
        // A slot has a byte of control beside it.
        let slot = size_of::<(PathKey, (u32, u16))>().saturating_add(1);
        self.paths.capacity().saturating_mul(slot).saturating_add(self.packed.capacity())
    }
}

/// The digests that are listed for one path.
#[derive(Clone)]
pub(super) struct Digests<'a> {
    packed: &'a [u8],
    left: u16,
}

impl Digests<'_> {
    /// Whether this digest is one of them.
    pub(super) fn contain(&self, digest: &FileDigest<'_>) -> bool {
        digest.hash().is_some_and(|hash| {
            let wanted = tag(digest.kind, hash);
            self.clone().any(|(tag, bytes)| tag == wanted && bytes == digest.bytes)
        })
    }
}

impl<'a> Iterator for Digests<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (tag, rest) = self.packed.split_first()?;
        let (digest, rest) = rest.split_at_checked(algorithm_of(*tag)?.digest_len())?;
        self.packed = rest;
        Some((*tag, digest))
    }
}

impl std::fmt::Display for Digests<'_> {
    /// `sha256:… or sha256:…`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, (tag, bytes)) in self.clone().enumerate() {
            let before = if position > 0 { " or " } else { "" };
            let kind = if tag & VERITY == 0 { "" } else { "verity:" };
            let algorithm = algorithm_of(tag).map_or("", HashAlgorithm::name);
            write!(f, "{before}{kind}{algorithm}:{}", to_hex(bytes))?;
        }
        Ok(())
    }
}

const fn tag(kind: DigestKind, algorithm: HashAlgorithm) -> u8 {
    let tag = match algorithm {
        HashAlgorithm::Sha1 => 1,
        HashAlgorithm::Sha256 => 2,
        HashAlgorithm::Sha384 => 3,
        HashAlgorithm::Sha512 => 4,
        HashAlgorithm::Sm3 => 5,
    };
    match kind {
        DigestKind::Content => tag,
        DigestKind::Verity => tag | VERITY,
    }
}

fn algorithm_of(tag: u8) -> Option<HashAlgorithm> {
    HashAlgorithm::ALL.into_iter().find(|algorithm| self::tag(DigestKind::Content, *algorithm) == tag & !VERITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(fill: u8) -> String {
        format!("sha256:{}", to_hex(&[fill; 32]))
    }

    #[test]
    fn a_path_has_all_digests_that_are_listed_for_it() {
        let listed = |texts: &[String]| texts.iter().map(|text| ListedDigest::parse(text).unwrap()).collect::<Vec<_>>();
        let (ls, cat) = (PathKey::of(b"/bin/ls"), PathKey::of(b"/bin/cat"));
        let verity = format!("verity:{}", sha256(3));
        let table = DigestTable::new(vec![
            (ls, listed(&[sha256(1)])),
            (cat, listed(&[verity])),
            (ls, listed(&[sha256(1), sha256(2)])),
        ]);
        assert_eq!(table.len(), 2);
        let digest = |kind, bytes| FileDigest { kind, algorithm: "sha256", bytes };
        let found = table.find(ls).unwrap();
        assert_eq!(found.to_string(), format!("{} or {}", sha256(1), sha256(2)));
        assert!(found.contain(&digest(DigestKind::Content, &[2; 32])));
        assert!(!found.contain(&digest(DigestKind::Content, &[3; 32])));
        assert!(!found.contain(&digest(DigestKind::Verity, &[2; 32])), "a tree's root is not the content's digest");
        assert!(table.find(cat).unwrap().contain(&digest(DigestKind::Verity, &[3; 32])));
        assert!(table.find(PathKey::of(b"/bin/l")).is_none());
    }

    #[test]
    fn a_digest_without_algorithm_or_of_another_length_is_none() {
        let digits = "00".repeat(32);
        for text in
            [digits.clone(), format!("sha1:{digits}"), format!("md5:{digits}"), "sha256:zz".into(), "sha256:".into()]
        {
            assert_eq!(ListedDigest::parse(&text), None, "{text}");
        }
    }
}
