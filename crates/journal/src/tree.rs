//! The Merkle tree over all entries (RFC 9162, 2.1), of which only the right edge is in memory.

use std::ops::Range;

use vouchsafe_model::Sha256Digest;

use crate::hash;

/// The most subtrees of an edge, and the most hashes of a path: the bits of a number of entries.
pub(crate) const MAX_HEIGHT: usize = 64;

/// The complete subtrees that a tree is made of, the largest first. They suffice to add leaves and to tell the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    size: u64,
    subtrees: Vec<Sha256Digest>,
}

impl Edge {
    /// A tree without leaves.
    pub(crate) fn new() -> Self {
        Self { size: 0, subtrees: Vec::new() }
    }

    /// The edge of a tree of this size; `None` when there is another number of subtrees than such a tree has.
    pub(crate) fn from_parts(size: u64, subtrees: Vec<Sha256Digest>) -> Option<Self> {
        let expected = usize::try_from(size.count_ones()).ok()?;
        (subtrees.len() == expected).then_some(Self { size, subtrees })
    }

    /// How many leaves there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Its subtrees, the largest first.
    pub(crate) fn subtrees(&self) -> &[Sha256Digest] {
        &self.subtrees
    }

    /// Adds a leaf.
    pub(crate) fn push(&mut self, leaf: Sha256Digest) {
        let mut right = leaf;
        // Each set bit at the end is a subtree as large as what has been joined so far.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                right = hash::node(&left, &right);
            }
        }
        self.subtrees.push(right);
        self.size += 1;
    }

    /// The root.
    pub(crate) fn root(&self) -> Sha256Digest {
        let mut smaller_first = self.subtrees.iter().rev();
        let Some(last) = smaller_first.next() else { return hash::empty() };
        smaller_first.fold(*last, |right, left| hash::node(left, &right))
    }

    /// The subtree over these leaves, if it is one of the edge.
    fn subtree(&self, leaves: &Range<u64>) -> Option<Sha256Digest> {
        let mut start = 0;
        for (index, subtree) in self.subtrees.iter().enumerate() {
            let width = 1_u64 << nth_highest_bit(self.size, index)?;
            if start == leaves.start && start + width == leaves.end {
                return Some(*subtree);
            }
            start += width;
        }
        None
    }
}

/// The place of the bit that is set after so many higher ones.
fn nth_highest_bit(number: u64, skip: usize) -> Option<u32> {
    (0..u64::BITS).rev().filter(|bit| number >> bit & 1 == 1).nth(skip)
}

/// A part of a tree, by its leaves, behind the edge of what came before it: what one segment knows.
pub(crate) struct Part<'a> {
    /// The tree before.
    pub(crate) before: &'a Edge,
    /// The leaves since.
    pub(crate) leaves: &'a [Sha256Digest],
}

impl Part<'_> {
    /// The size of the whole tree.
    pub(crate) fn size(&self) -> u64 {
        self.before.size + u64::try_from(self.leaves.len()).unwrap_or(u64::MAX)
    }

    /// The path from a leaf to the root of the whole tree, the leaf's sibling first (RFC 9162, 2.1.3.1); `None` when the
    /// leaf is not of this part.
    pub(crate) fn path(&self, leaf: u64) -> Option<Vec<Sha256Digest>> {
        if !(self.before.size..self.size()).contains(&leaf) {
            return None;
        }
        let mut path = Vec::new();
        let mut range = 0..self.size();
        while range.end - range.start > 1 {
            let middle = range.start + split(range.end - range.start);
            let (inner, sibling) = if leaf < middle {
                (range.start..middle, middle..range.end)
            } else {
                (middle..range.end, range.start..middle)
            };
            path.push(self.hash(sibling)?);
            range = inner;
        }
        path.reverse();
        Some(path)
    }

    /// The hash over a range of leaves. What lies before this part is asked of the edge: a left sibling on the way to a
    /// leaf of this part is one of its subtrees, or falls into such ones and leaves of this part.
    fn hash(&self, range: Range<u64>) -> Option<Sha256Digest> {
        if range.end <= self.before.size {
            return self.before.subtree(&range);
        }
        let length = range.end - range.start;
        if length == 1 {
            return self.leaves.get(usize::try_from(range.start - self.before.size).ok()?).copied();
        }
        let middle = range.start + split(length);
        Some(hash::node(&self.hash(range.start..middle)?, &self.hash(middle..range.end)?))
    }
}

/// The largest power of two below a number of leaves, which are two at least (RFC 9162, 2.1.1).
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

/// The root that a path leads to (RFC 9162, 2.1.3.2); `None` when no path of this length leads from this leaf to the root of
/// a tree of this size.
pub(crate) fn root_of_path(leaf: Sha256Digest, number: u64, size: u64, path: &[Sha256Digest]) -> Option<Sha256Digest> {
    let mut last = size.checked_sub(1).filter(|last| number <= *last)?;
    let (mut place, mut root) = (number, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            root = hash::node(sibling, &root);
            // Levels on which this side of the tree has no sibling.
            while place & 1 == 0 && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            root = hash::node(&root, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    (last == 0).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: u64) -> Vec<Sha256Digest> {
        (0..count).map(|number| hash::leaf(&number.to_be_bytes())).collect()
    }

    fn edge_of(leaves: &[Sha256Digest]) -> Edge {
        let mut edge = Edge::new();
        leaves.iter().for_each(|leaf| edge.push(*leaf));
        edge
    }

    /// The definition of RFC 9162, 2.1.1, as it stands there.
    fn root_by_definition(leaves: &[Sha256Digest]) -> Sha256Digest {
        match leaves {
            [] => hash::empty(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(usize::try_from(split(leaves.len() as u64)).unwrap());
                hash::node(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_edge_has_the_root_of_the_definition() {
        for size in 0..130 {
            let leaves = leaves(size);
            let edge = edge_of(&leaves);
            assert_eq!(edge.root(), root_by_definition(&leaves), "{size}");
            assert_eq!(Edge::from_parts(size, edge.subtrees().to_vec()), Some(edge.clone()));
            assert_eq!(
                Edge::from_parts(size + 1, edge.subtrees().to_vec()).is_some(),
                (size + 1).count_ones() == size.count_ones()
            );
        }
    }

    #[test]
    fn every_leaf_of_every_part_of_every_small_tree_is_proven() {
        for size in 1..40 {
            let all = leaves(size);
            let root = root_by_definition(&all);
            for before in 0..size {
                let (former, own) = all.split_at(usize::try_from(before).unwrap());
                let part = Part { before: &edge_of(former), leaves: own };
                for number in 0..=size {
                    let path = part.path(number);
                    assert_eq!(path.is_some(), (before..size).contains(&number));
                    let Some(path) = path else { continue };
                    let leaf = all[usize::try_from(number).unwrap()];
                    assert_eq!(
                        root_of_path(leaf, number, size, &path),
                        Some(root),
                        "{number} of {size} after {before}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_path_proves_nothing_else(size in 1_u64..300, number in 0_u64..300, other in 0_u64..400, flipped in 0_usize..10) {
            let all = leaves(size);
            let number = number % size;
            let part = Part { before: &Edge::new(), leaves: &all };
            let (path, root) = (part.path(number).unwrap(), edge_of(&all).root());
            let leaf = all[usize::try_from(number).unwrap()];
            prop_assert_eq!(root_of_path(leaf, number, size, &path), Some(root));
            prop_assert_ne!(root_of_path(hash::leaf(b"other"), number, size, &path), Some(root));
            if other != number {
                prop_assert_ne!(root_of_path(leaf, other, size, &path), Some(root));
            }
            let mut longer = path.clone();
            longer.push(root);
            prop_assert_ne!(root_of_path(leaf, number, size, &longer), Some(root));
            if let Some((_, shorter)) = path.split_last() {
                prop_assert_ne!(root_of_path(leaf, number, size, shorter), Some(root));
                let mut changed = path.clone();
                changed[flipped % path.len()] = hash::leaf(b"changed");
                prop_assert_ne!(root_of_path(leaf, number, size, &changed), Some(root));
            }
        }
    }
}
