//! What is wrong with a log, and where.

use std::fmt;
use std::ops::Range;

use vouchsafe_model::DecisionId;

use crate::checkpoint::NoteRejected;
use crate::line::LineFault;

/// What is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// The file.
    pub segment: String,
    /// The line, where lines were counted; the first is 1.
    pub line: Option<u64>,
    /// Where the line begins, in bytes, if it is about a line.
    pub offset: Option<u64>,
    /// What is wrong there.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segment)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The line itself.
    #[error(transparent)]
    Line(#[from] LineFault),
    /// The segment does not begin as one does.
    #[error("the segment does not begin with a header")]
    NoHeader,
    /// A header where none is due.
    #[error("there is a header in the midst of the segment")]
    SecondHeader,
    /// The header is of another format, or contradicts itself.
    #[error("the header cannot be used: {what}")]
    Header {
        /// What is wrong with it.
        what: String,
    },
    /// The header is that of another segment.
    #[error("the header is that of the segment which begins with entry {found}")]
    Misnamed {
        /// The first entry, as the header says.
        found: u64,
    },
    /// The segment is of another log than the one before it.
    #[error("the segment is of the log {found}, and the one before it is not")]
    OtherLog {
        /// Which log.
        found: String,
    },
    /// Entries are missing before the segment.
    #[error("entries {} to {} are missing: the segment before this one ends there, or was taken away", missing.start, missing.end.saturating_sub(1))]
    Gap {
        /// Which entries.
        missing: Range<u64>,
    },
    /// The segment does not continue the one before it.
    #[error("the segment does not go on where the one before it ends: one of both was exchanged")]
    OtherPast,
    /// An entry out of its order.
    #[error("entry {found} stands where entry {expected} is due")]
    Number {
        /// The number that is due.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// A signed note that is none, or is not to be believed.
    #[error(transparent)]
    Note(#[from] NoteRejected),
    /// A checkpoint that does not fit the entries before it.
    #[error("the checkpoint says another {what} than the entries before it have: they were changed")]
    Contradicted {
        /// What it says.
        what: &'static str,
    },
    /// The end of a segment that does not fit what is before it.
    #[error("the end of the segment does not fit its entries")]
    Seal,
    /// A line behind the end of a segment.
    #[error("there is a line behind the end of the segment")]
    BehindSeal,
    /// A segment that is followed by another and has no end.
    #[error("the segment has no end, and there is one after it")]
    NotSealed,
    /// Entries that were signed are not there.
    #[error("the log ends with {found} entries, and a checkpoint was signed over {signed}: the last ones are missing")]
    SignedEntriesMissing {
        /// How many were signed.
        signed: u64,
        /// How many there are.
        found: u64,
    },
    /// Entries at the beginning are missing that retention has not removed.
    #[error("entries before {first} are missing, and retention has removed those before {kept} alone")]
    BeginningMissing {
        /// The first entry that is there.
        first: u64,
        /// The first one that retention has left.
        kept: u64,
    },
    /// One name for two entries.
    #[error("entries {first} and {second} have one id, {id}")]
    Twice {
        /// The name.
        id: DecisionId,
        /// The first entry.
        first: u64,
        /// The other one.
        second: u64,
    },
}
