//! The digests of a policy, packed.

use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::{from_hex, to_hex};

use super::digest::{DigestKind, FileDigest};

/// The most bytes of one table: places in it are kept in four bytes.
pub(super) const MAX_TABLE_LEN: usize = 1 << 30;
/// Added to the tag of an fs-verity digest.
const VERITY: u8 = 0x80;

/// A path, and where it would be in any table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashed<'a> {
    path: &'a [u8],
    hash: u64,
}

impl<'a> Hashed<'a> {
    /// The hash need not withstand anyone: who writes a policy chooses what lies in its buckets, and who is held against it
    /// cannot make them longer.
    pub(super) fn of(path: &'a [u8]) -> Self {
        // The golden ratio as a fraction of 2^64: its multiples spread well, and mixing with it takes a few cycles.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mix = |hash: u64, word: [u8; 8]| (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
        let (words, rest) = path.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(last, byte)| *last = *byte);
        let hash = mix(words.iter().fold(0, |hash, word| mix(hash, *word)), last);
        Self { path, hash: hash ^ (hash >> 32) }
    }

    /// This one, or that of the path when this one is empty.
    pub(super) fn or(self, path: &'a [u8]) -> Self {
        if self.path.is_empty() { Self::of(path) } else { self }
    }

    /// The bucket, of a number that is a power of two.
    fn bucket(&self, count: usize) -> usize {
        // A bucket's number is small: what is cut off does not matter.
        usize::try_from(self.hash & 0xFFFF_FFFF).unwrap_or(0) & count.saturating_sub(1)
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
///
/// One piece of memory, in buckets by the hash of the path; in a bucket, one record after another: the length of the path,
/// the number of digests, the path, the digests. A look-up touches one place that is far away, which is what it costs:
/// at 100,000 paths a table does not fit the caches that are near. Paths are compared as they are, so that nothing rests
/// on the hash.
#[derive(Debug)]
pub(super) struct DigestTable {
    /// Where each bucket begins, and where the last one ends.
    buckets: Vec<u32>,
    records: Vec<u8>,
    paths: usize,
}

impl DigestTable {
    /// From paths with their digests; a path may come more than once. `None` when it would take more than
    /// [`MAX_TABLE_LEN`].
    pub(super) fn new(mut listed: Vec<(Vec<u8>, Vec<ListedDigest>)>) -> Option<Self> {
        listed.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let count = listed.len().next_power_of_two();
        let mut records: Vec<(usize, Vec<u8>)> = Vec::with_capacity(listed.len());
        for same in listed.chunk_by(|(one, _), (other, _)| one == other) {
            let (path, _) = same.first()?;
            let mut digests: Vec<_> = same.iter().flat_map(|(_, digests)| digests).collect();
            digests.sort_unstable();
            digests.dedup();
            let mut record = u16::try_from(path.len()).ok()?.to_le_bytes().to_vec();
            record.extend(u16::try_from(digests.len()).ok()?.to_le_bytes());
            record.extend_from_slice(path);
            digests.iter().for_each(|digest| record.extend_from_slice(&digest.0));
            records.push((Hashed::of(path).bucket(count), record));
        }
        drop(listed);
        let len = records.iter().map(|(_, record)| record.len()).sum::<usize>();
        if len > MAX_TABLE_LEN {
            return None;
        }
        records.sort_unstable_by_key(|(bucket, _)| *bucket);
        let mut table = Self { buckets: Vec::new(), records: Vec::with_capacity(len), paths: records.len() };
        let mut left = records.into_iter().peekable();
        for bucket in 0..count {
            table.buckets.push(u32::try_from(table.records.len()).ok()?);
            while let Some((_, record)) = left.next_if(|(of, _)| *of == bucket) {
                table.records.extend_from_slice(&record);
            }
        }
        table.buckets.push(u32::try_from(table.records.len()).ok()?);
        table.buckets.shrink_to_fit();
        Some(table)
    }

    /// A table without paths.
    pub(super) fn empty() -> Self {
        Self { buckets: vec![0, 0], records: Vec::new(), paths: 0 }
    }

    /// What is listed for a path; `None` when the path is not.
    pub(super) fn find(&self, wanted: Hashed<'_>) -> Option<Digests<'_>> {
        let mut rest = self.records_of(wanted)?;
        while let Some((path_len, behind)) = rest.split_first_chunk::<2>() {
            let (left, behind) = behind.split_first_chunk::<2>()?;
            let (listed, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes(*path_len)))?;
            let mut digests = Digests { packed: behind, left: u16::from_le_bytes(*left) };
            if listed == wanted.path {
                return Some(digests);
            }
            digests.by_ref().for_each(drop);
            rest = digests.packed;
        }
        None
    }

    /// Reads where the records of some paths lie, for no other end than that they are in a near cache when they are wanted.
    /// These reads do not wait for each other: no step depends on what one of them finds.
    pub(super) fn warm(&self, wanted: &[Hashed<'_>]) {
        const LINE: usize = 64;
        const AT_ONCE: usize = 32;
        let count = self.buckets.len().saturating_sub(1);
        for some in wanted.chunks(AT_ONCE) {
            let mut starts = [0u32; AT_ONCE];
            for (start, wanted) in starts.iter_mut().zip(some) {
                *start = self.buckets.get(wanted.bucket(count)).copied().unwrap_or_default();
            }
            let mut read = 0;
            for start in starts.iter().take(some.len()) {
                let start = usize::try_from(*start).unwrap_or_default();
                for line in 0..3 {
                    let place = start.saturating_add(LINE * line);
                    read ^= self.records.get(place).copied().unwrap_or_default();
                }
            }
            std::hint::black_box(read);
        }
    }

    /// The bucket that a path would be in.
    fn records_of(&self, wanted: Hashed<'_>) -> Option<&[u8]> {
        let bucket = wanted.bucket(self.buckets.len().saturating_sub(1));
        let start = usize::try_from(*self.buckets.get(bucket)?).ok()?;
        let end = usize::try_from(*self.buckets.get(bucket.saturating_add(1))?).ok()?;
        self.records.get(start..end)
    }

    /// How many paths there are.
    pub(super) fn len(&self) -> usize {
        self.paths
    }

    /// How much memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.buckets.capacity().saturating_mul(size_of::<u32>()).saturating_add(self.records.capacity())
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
        let (ls, cat) = (b"/bin/ls", b"/bin/cat");
        let verity = format!("verity:{}", sha256(3));
        let table = DigestTable::new(vec![
            (ls.to_vec(), listed(&[sha256(1)])),
            (cat.to_vec(), listed(&[verity])),
            (ls.to_vec(), listed(&[sha256(1), sha256(2)])),
        ])
        .unwrap();
        assert_eq!(table.len(), 2);
        let digest = |kind, bytes: &'static [u8; 32]| {
            let mut digest = FileDigest::of_content(HashAlgorithm::Sha256, bytes);
            digest.kind = kind;
            digest
        };
        let found = table.find(Hashed::of(ls)).unwrap();
        assert_eq!(found.to_string(), format!("{} or {}", sha256(1), sha256(2)));
        assert!(found.contain(&digest(DigestKind::Content, &[2; 32])));
        assert!(!found.contain(&digest(DigestKind::Content, &[3; 32])));
        assert!(!found.contain(&digest(DigestKind::Verity, &[2; 32])), "a tree's root is not the content's digest");
        assert!(table.find(Hashed::of(cat)).unwrap().contain(&digest(DigestKind::Verity, &[3; 32])));
        assert!(table.find(Hashed::of(b"/bin/l")).is_none());
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
