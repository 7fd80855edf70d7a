//! Verifies a whole log offline: every line, the chain, the tree, the checkpoints, and that no entry is there twice.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use vouchsafe_model::{DecisionId, Timestamp};

use crate::checkpoint::{CheckpointKey, SignedCheckpoint};
use crate::fault::{Fault, FaultKind};
use crate::folder::{self, StepFailed, step};
use crate::lines::{Lines, RawLine};
use crate::open::read_tail;
use crate::replay::{Replay, Taken};
use crate::segment::file_name;
use crate::torn;

/// What was found in a log that is as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Which log.
    pub origin: String,
    /// How many files.
    pub segments: usize,
    /// The first entry that is there; those before it were removed by retention.
    pub first: u64,
    /// How many entries are there.
    pub entries: u64,
    /// How many of them were dropped: id and instant alone are there.
    pub dropped: u64,
    /// How many checkpoints were looked at.
    pub checkpoints: u64,
    /// Whether their signatures were verified: by the keys that were given.
    pub signatures_verified: bool,
    /// How many of the last entries no checkpoint covers.
    pub unsigned: u64,
    /// When the last checkpoint was signed.
    pub signed_at: Option<Timestamp>,
    /// The instants of entries: the earliest and the latest.
    pub times: Option<(Timestamp, Timestamp)>,
    /// How many bytes at the end a crash left half-written, or are being written now: nobody was told of them.
    pub unfinished_bytes: u64,
}

/// Why a log was not found to be as it was written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The system refused a step.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no log.
    #[error("there is no log in {}: no file is named as its segments are", folder.display())]
    NoLog {
        /// The folder.
        folder: PathBuf,
    },
    /// It is not as it was written.
    #[error(transparent)]
    Fault(#[from] Box<Fault>),
}

impl From<StepFailed> for VerifyError {
    fn from(StepFailed { step, path, source }: StepFailed) -> Self {
        Self::Io { step, path, source }
    }
}

/// Goes on from segment to segment.
struct Course<'a> {
    keys: &'a [CheckpointKey],
    pinned: Option<&'a SignedCheckpoint>,
    /// The first entries of all segments.
    firsts: &'a [u64],
    found: Verification,
    former: Option<Replay>,
    checkpoint: Option<SignedCheckpoint>,
    /// Every entry's name, with its number: 24 bytes each.
    names: Vec<(DecisionId, u64)>,
}

/// Verifies the log of a folder. `keys` verify the checkpoints; without any, signatures are not looked at. `pinned` is a
/// checkpoint from elsewhere that the log must fit. `progress` is told how many bytes were read, again and again.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    folder: &Path,
    keys: &[CheckpointKey],
    pinned: Option<&SignedCheckpoint>,
    progress: &mut dyn FnMut(u64),
) -> Result<Verification, VerifyError> {
    let segments = folder::segments(folder)?;
    // Read before the segments, which may grow meanwhile.
    let latest = folder::read_latest(folder).and_then(|note| SignedCheckpoint::parse(&note).ok());
    let Some(last) = segments.last() else { return Err(VerifyError::NoLog { folder: folder.to_owned() }) };
    let mut course = Course {
        keys,
        pinned,
        firsts: &segments,
        found: Verification::of(segments.len(), !keys.is_empty()),
        former: None,
        checkpoint: None,
        names: Vec::new(),
    };
    for first in &segments {
        course.segment(folder, *first, first == last, progress)?;
    }
    Ok(course.finish(latest)?)
}

impl Verification {
    fn of(segments: usize, signatures_verified: bool) -> Self {
        Self {
            origin: String::new(),
            segments,
            first: 0,
            entries: 0,
            dropped: 0,
            checkpoints: 0,
            signatures_verified,
            unsigned: 0,
            signed_at: None,
            times: None,
            unfinished_bytes: 0,
        }
    }
}

impl Course<'_> {
    fn segment(
        &mut self,
        folder: &Path,
        first: u64,
        is_last: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), VerifyError> {
        let path = folder::path_of(folder, first);
        let failed = |error| VerifyError::from(step("read", &path)(error));
        let file = File::open(&path).map_err(failed)?;
        let mut tail_file = file.try_clone().map_err(failed)?;
        // What is written from now on is not looked at.
        let len = file.metadata().map_err(failed)?.len();
        let mut lines = Lines::new(io::Read::take(file, len), 0);
        let mut replay = self.begin(first, lines.next().map_err(failed)?)?;
        while let Some(raw) = lines.next().map_err(failed)? {
            let start = replay.info.bytes;
            match replay.take(raw) {
                Ok(taken) => self.take(&replay, taken)?,
                Err(fault) => {
                    let tail = read_tail(&mut tail_file, start, len).map_err(failed)?;
                    if !is_last || !matches!(fault.kind, FaultKind::Line(_)) || !torn::is_torn(&tail) {
                        return Err(Box::new(fault).into());
                    }
                    self.found.unfinished_bytes = len - start;
                    break;
                }
            }
            progress(replay.info.bytes - start);
        }
        if !is_last && !replay.is_sealed {
            return Err(Box::new(replay.fault_in_last(FaultKind::NotSealed)).into());
        }
        self.former = Some(replay);
        Ok(())
    }

    /// Begins a segment: it must go on where the former one ended.
    fn begin(&mut self, first: u64, header: Option<RawLine<'_>>) -> Result<Replay, Box<Fault>> {
        let header = header.unwrap_or(RawLine { offset: 0, bytes: &[], is_whole: false });
        let replay = Replay::begin(&file_name(first), header)?;
        let fault = |kind| Box::new(Fault { segment: file_name(first), line: Some(1), offset: Some(0), kind });
        let Some(former) = &self.former else {
            self.found.origin = replay.origin.to_string();
            self.found.first = first;
            self.check_pinned(&replay)?;
            return Ok(replay);
        };
        if former.origin != replay.origin {
            return Err(fault(FaultKind::OtherLog { found: replay.origin.to_string() }));
        }
        if former.state.next() != first {
            return Err(fault(FaultKind::Gap { missing: former.state.next()..first }));
        }
        if former.state != replay.state {
            return Err(fault(FaultKind::OtherPast));
        }
        Ok(replay)
    }

    fn take(&mut self, replay: &Replay, taken: Taken) -> Result<(), Box<Fault>> {
        match taken {
            Taken::Entry { number, id, at, is_dropped } => {
                self.found.entries += 1;
                self.found.dropped += u64::from(is_dropped);
                let (earliest, latest) = self.found.times.unwrap_or((at, at));
                self.found.times = Some((earliest.min(at), latest.max(at)));
                self.names.push((id, number));
                self.check_pinned(replay)?;
            }
            Taken::Checkpoint => {
                let Some(checkpoint) = &replay.checkpoint else { return Ok(()) };
                if !self.keys.is_empty() {
                    checkpoint.verify(self.keys).map_err(|error| Box::new(replay.fault_in_last(error.into())))?;
                }
                self.found.checkpoints += 1;
                self.found.signed_at = Some(checkpoint.checkpoint().at);
                self.checkpoint = Some(checkpoint.clone());
            }
            Taken::Seal => {}
        }
        Ok(())
    }

    /// Where the log has the size of the checkpoint from elsewhere, it must be what that says.
    fn check_pinned(&self, replay: &Replay) -> Result<(), Box<Fault>> {
        let Some(pinned) = self.pinned.map(SignedCheckpoint::checkpoint) else { return Ok(()) };
        if pinned.origin != replay.origin {
            return Err(Box::new(replay.fault_in_last(FaultKind::Contradicted { what: "log" })));
        }
        if pinned.size == replay.state.next() && pinned.root != replay.state.edge.root() {
            return Err(Box::new(replay.fault_in_last(FaultKind::Contradicted { what: "root of the tree" })));
        }
        Ok(())
    }

    fn finish(mut self, latest: Option<SignedCheckpoint>) -> Result<Verification, Box<Fault>> {
        let Some(last) = &self.former else { return Ok(self.found) };
        let found = last.state.next();
        let signed = [latest.as_ref(), self.pinned].into_iter().flatten().map(|signed| signed.checkpoint().size).max();
        if let Some(signed) = signed.filter(|signed| *signed > found) {
            return Err(Box::new(last.fault_in_last(FaultKind::SignedEntriesMissing { signed, found })));
        }
        let checkpoint = self.checkpoint.as_ref().map(SignedCheckpoint::checkpoint);
        let (covered, kept) = checkpoint.map_or((self.found.first, 0), |last| (last.size, last.kept));
        if self.found.first > kept {
            let kind = FaultKind::BeginningMissing { first: self.found.first, kept };
            return Err(Box::new(Fault { segment: file_name(self.found.first), line: Some(1), offset: Some(0), kind }));
        }
        self.found.unsigned = found - covered;
        self.names.sort_unstable();
        let twice = self.names.iter().zip(self.names.iter().skip(1)).find(|((one, _), (other, _))| one == other);
        if let Some(((id, first), (_, second))) = twice {
            let kind = FaultKind::Twice { id: *id, first: *first, second: *second };
            let holds = self.firsts.iter().rev().find(|first| **first <= *second).copied().unwrap_or_default();
            return Err(Box::new(Fault { segment: file_name(holds), line: None, offset: None, kind }));
        }
        Ok(self.found)
    }
}
