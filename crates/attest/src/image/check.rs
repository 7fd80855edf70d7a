//! What the parts of a document must agree on.

use std::collections::BTreeSet;

use vouchsafe_model::{ImageId, PcrIndex};

use super::accept::AcceptedDeviation;
use super::document::{BootItem, CommandText};
use super::{GoldenImage, MAX_PATTERNS};

/// Two parts of an image that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// An image that takes its own place.
    #[error("{0} supersedes itself")]
    SupersedesItself(ImageId),
    /// A time for the move, and nothing to move from.
    #[error("there is an overlap, and the image supersedes nothing")]
    OverlapOfNothing,
    /// A PCR with a value that would not be compared.
    #[error("PCR {0} has a value and is among the ignored ones")]
    HeldAndIgnored(PcrIndex),
    /// A deviation that would let events hide.
    #[error("{deviation} can only be accepted when the image holds a value for PCR {pcr}")]
    AcceptedWithoutValue {
        /// The deviation.
        deviation: AcceptedDeviation,
        /// Its PCR.
        pcr: PcrIndex,
    },
    /// Two items with one name, so that a finding would not say which.
    #[error("boot.{list} has '{name}' twice: give one of them another name, or one item all digests")]
    NamedTwice {
        /// The list.
        list: &'static str,
        /// The name.
        name: String,
    },
    /// A file that is to be trusted by a signer, which nobody measures.
    #[error("boot.{list} '{name}' has a signer, and files are known by their digest alone")]
    SignedFile {
        /// The list.
        list: &'static str,
        /// The name.
        name: String,
    },
    /// An item that nothing would match.
    #[error("boot.{list} '{name}' has neither a digest nor a signer")]
    MatchesNothing {
        /// The list.
        list: &'static str,
        /// The name.
        name: String,
    },
    /// An order of images, and no images.
    #[error("boot.ordered is set, and boot.image lists nothing")]
    OrderOfNothing,
    /// Too many patterns to try on each command line.
    #[error("{0} patterns of command lines; at most {MAX_PATTERNS} are read")]
    TooManyPatterns(usize),
}

impl GoldenImage {
    /// Checks what the parts of the document must agree on. [`Self::parse`] does; an image that was put together in code
    /// is checked when it is compiled.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), Inconsistency> {
        if self.supersedes.contains(&self.id) {
            return Err(Inconsistency::SupersedesItself(self.id.clone()));
        }
        if self.overlap.is_some() && self.supersedes.is_empty() {
            return Err(Inconsistency::OverlapOfNothing);
        }
        let held = self.held_pcrs();
        if let Some(pcr) = held.iter().find(|pcr| self.ignored_pcrs.contains(*pcr)) {
            return Err(Inconsistency::HeldAndIgnored(pcr));
        }
        let Some(boot) = &self.boot else { return Ok(()) };
        for deviation in &boot.accept {
            if let Some(pcr) = deviation.needs_value().filter(|pcr| !held.contains(*pcr)) {
                return Err(Inconsistency::AcceptedWithoutValue { deviation: *deviation, pcr });
            }
        }
        if boot.ordered && boot.images.as_ref().is_none_or(Vec::is_empty) {
            return Err(Inconsistency::OrderOfNothing);
        }
        for (list, items) in boot.lists() {
            check_items(list, items.unwrap_or_default())?;
        }
        let command_lines = boot.command_lines.iter().flatten();
        let patterns = command_lines.filter(|line| matches!(line.text, CommandText::Pattern(_))).count();
        if patterns > MAX_PATTERNS { Err(Inconsistency::TooManyPatterns(patterns)) } else { Ok(()) }
    }
}

fn check_items(list: &'static str, items: &[BootItem]) -> Result<(), Inconsistency> {
    let mut names = BTreeSet::new();
    let is_file = matches!(list, "file" | "initrd");
    for item in items {
        let name = || item.name.clone();
        if !names.insert(item.name.as_str()) {
            return Err(Inconsistency::NamedTwice { list, name: name() });
        }
        if is_file && !item.signers.is_empty() {
            return Err(Inconsistency::SignedFile { list, name: name() });
        }
        if item.signers.is_empty() && item.digests.values().all(BTreeSet::is_empty) {
            return Err(Inconsistency::MatchesNothing { list, name: name() });
        }
    }
    Ok(())
}
