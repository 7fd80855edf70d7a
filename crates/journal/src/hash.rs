//! The hashes of the log. Each use begins with a byte of its own, so that none can be taken for another.

use aws_lc_rs::digest::{Context, SHA256, digest};
use vouchsafe_model::Sha256Digest;

/// A leaf of the tree (RFC 9162, 2.1.1).
pub(crate) const LEAF: u8 = 0;
/// A node of the tree (RFC 9162, 2.1.1).
const NODE: u8 = 1;
/// A link of the chain.
const LINK: u8 = 2;
/// Where a chain begins.
const SEED: u8 = 3;
/// The check of a line that is no entry.
const CHECK: u8 = 4;

/// The length of two digests and what they are for.
const PAIR_LEN: usize = 65;

/// The hash of an entry.
pub(crate) fn leaf(text: &[u8]) -> Sha256Digest {
    prefixed(LEAF, text)
}

/// The hash of an entry whose text stands behind the byte [`LEAF`].
pub(crate) fn leaf_with_prefix(prefixed_text: &[u8]) -> Sha256Digest {
    of(digest(&SHA256, prefixed_text).as_ref())
}

/// The hash of two subtrees side by side.
pub(crate) fn node(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    pair(NODE, left, right)
}

/// The root of a tree without leaves (RFC 9162, 2.1.1).
pub(crate) fn empty() -> Sha256Digest {
    of(digest(&SHA256, b"").as_ref())
}

/// The next link of the chain.
pub(crate) fn link(chain: &Sha256Digest, leaf: &Sha256Digest) -> Sha256Digest {
    pair(LINK, chain, leaf)
}

/// Where the chain of a log begins.
pub(crate) fn seed(origin: &str) -> Sha256Digest {
    prefixed(SEED, origin.as_bytes())
}

/// The digest of a line that is no entry.
pub(crate) fn check(text: &[u8]) -> Sha256Digest {
    prefixed(CHECK, text)
}

fn prefixed(purpose: u8, text: &[u8]) -> Sha256Digest {
    let mut context = Context::new(&SHA256);
    context.update(&[purpose]);
    context.update(text);
    of(context.finish().as_ref())
}

/// In one piece: to make a context takes as long as the hash.
fn pair(purpose: u8, left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    let mut bytes = [purpose; PAIR_LEN];
    let both = left.as_bytes().iter().chain(right.as_bytes());
    bytes.iter_mut().skip(1).zip(both).for_each(|(to, from)| *to = *from);
    of(digest(&SHA256, &bytes).as_ref())
}

fn of(bytes: &[u8]) -> Sha256Digest {
    let mut digest = [0; 32];
    digest.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_9162() {
        // Computed with other tools: printf … | sha256sum.
        let is = |digest: Sha256Digest, hex: &str| assert_eq!(digest.to_string(), hex);
        is(empty(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        is(leaf(b""), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        is(leaf(b"L123456"), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
        is(
            node(&leaf(b"N123"), &leaf(b"N456")),
            &of(digest(&SHA256, &[&[1][..], leaf(b"N123").as_bytes(), leaf(b"N456").as_bytes()].concat()).as_ref())
                .to_string(),
        );
    }

    #[test]
    fn no_use_of_a_hash_is_another() {
        let (one, other) = (leaf(b"1"), leaf(b"2"));
        let both = [&one.as_bytes()[..], other.as_bytes()].concat();
        let all = [node(&one, &other), link(&one, &other), leaf(&both), check(&both)];
        for (index, digest) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(digest));
        }
        assert_eq!(leaf_with_prefix(b"\0text"), leaf(b"text"));
    }
}
