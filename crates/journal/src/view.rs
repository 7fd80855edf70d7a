//! Reads a log while it is written: what was on the disk when the view was taken.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use vouchsafe_model::{DecisionId, Timestamp};

use crate::entry::Record;
use crate::fault::{Fault, FaultKind};
use crate::folder::{self, step};
use crate::line::{self, Line, LineFault};
use crate::lines::{Lines, LinesBack, RawLine, leading_number, lines_of, shortly_before};
use crate::proof::Proof;
use crate::replay::Replay;
use crate::segment::{SegmentInfo, file_name};
use crate::shared::Shared;
use crate::tree::Part;

/// What a line has besides the JSON of its entry, roughly, in bytes.
const AROUND_LEN: u64 = 100;

/// A log as it was on the disk at one instant. Segments that retention removes meanwhile are missing from it.
#[derive(Clone, Debug)]
pub struct View {
    folder: PathBuf,
    /// In their order; the last is the one that is written.
    segments: Vec<SegmentInfo>,
}

/// Which entries are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Where to go on: newest first, with the entries before this one; oldest first, with this one. `None` is the beginning.
    pub cursor: Option<u64>,
    /// Only those of this instant or later.
    pub since: Option<Timestamp>,
    /// Only those before this instant.
    pub until: Option<Timestamp>,
    /// How much is read before the scan pauses, in bytes.
    pub max_bytes: u64,
}

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused a step.
    #[error("cannot {step} {}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What is there is not what was written.
    #[error("the log is damaged: {0}")]
    Damaged(Box<Fault>),
}

/// Why an entry was not proven.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The log was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No checkpoint covers the entry yet.
    #[error("no checkpoint covers the entry yet: one is signed in a moment")]
    NotSigned,
}

impl From<folder::StepFailed> for ReadError {
    fn from(folder::StepFailed { step, path, source }: folder::StepFailed) -> Self {
        Self::Io { step, path, source }
    }
}

impl Scan {
    /// All entries, until this many bytes were read.
    pub fn all(max_bytes: u64) -> Self {
        Self { cursor: None, since: None, until: None, max_bytes }
    }

    fn wants(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether a segment may have entries of these times.
    fn wants_some_of(&self, segment: &SegmentInfo) -> bool {
        segment.extent.is_some_and(|extent| {
            self.since.is_none_or(|since| since <= extent.latest)
                && self.until.is_none_or(|until| extent.earliest < until)
        })
    }
}

impl View {
    pub(crate) fn new(shared: &Shared) -> Self {
        let present = shared.present();
        let segments = present.sealed.iter().copied().chain([present.active]).collect();
        Self { folder: shared.folder().to_owned(), segments }
    }

    /// The entries that are there.
    pub fn entries(&self) -> Range<u64> {
        let first = self.segments.first().map_or(0, |segment| segment.first);
        first..self.segments.last().map_or(first, |segment| segment.next)
    }

    /// How long all segments are, in bytes.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The entry of this name. Reads the segments whose names it lies between: as a rule one.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn find(&self, id: DecisionId) -> Result<Option<Record<'static>>, ReadError> {
        for segment in self.segments.iter().rev().filter(|segment| segment.may_hold(id)) {
            let Some(mut reading) = Reading::open(self, segment, segment.first)? else { continue };
            while let Some(record) = reading.next()? {
                if record.id == id {
                    return Ok(Some(record.into_owned()));
                }
            }
        }
        Ok(None)
    }

    /// Shows entries, the newest first, until all were shown, enough was read or the visitor breaks. Returns the cursor to
    /// go on with, if there may be more.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn newest_first(
        &self,
        scan: &Scan,
        mut visit: impl FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Option<u64>, ReadError> {
        let mut before = scan.cursor.unwrap_or(u64::MAX);
        let mut left = scan.max_bytes;
        for segment in self.segments.iter().rev().filter(|segment| scan.wants_some_of(segment)) {
            if segment.first >= before {
                continue;
            }
            // What is older was removed before.
            let Some(mut reading) = ReadingBack::open(self, segment, before)? else { return Ok(None) };
            while let Some(record) = reading.next()? {
                before = record.number;
                left = left.saturating_sub(len_of(&record));
                let is_enough = scan.wants(record.at) && visit(record).is_break();
                if is_enough || left == 0 {
                    return Ok(Some(before).filter(|before| *before > self.entries().start));
                }
            }
        }
        Ok(None)
    }

    /// Shows entries, the oldest first, until all were shown, enough was read or the visitor breaks. Returns the cursor to
    /// go on with, which may be that of an entry to come.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn oldest_first(
        &self,
        scan: &Scan,
        mut visit: impl FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<u64, ReadError> {
        let mut next = scan.cursor.unwrap_or(0).max(self.entries().start);
        let mut left = scan.max_bytes;
        for segment in &self.segments {
            if segment.next <= next {
                continue;
            }
            if !scan.wants_some_of(segment) {
                next = segment.next;
                continue;
            }
            let Some(mut reading) = Reading::open(self, segment, next)? else { continue };
            while let Some(record) = reading.next()? {
                next = record.number + 1;
                left = left.saturating_sub(len_of(&record));
                let is_enough = scan.wants(record.at) && visit(record).is_break();
                if is_enough || left == 0 {
                    return Ok(next);
                }
            }
        }
        Ok(next)
    }

    /// Proves that an entry is in the log: by the last checkpoint of its segment. `None` when there is no such entry.
    ///
    /// # Errors
    /// When the segment cannot be read, or the entry is so new that no checkpoint covers it.
    pub fn prove(&self, id: DecisionId) -> Result<Option<Proof>, ProveError> {
        for segment in self.segments.iter().rev().filter(|segment| segment.may_hold(id)) {
            if let Some(proof) = self.prove_in(segment, id)? {
                return Ok(Some(proof));
            }
        }
        Ok(None)
    }

    fn prove_in(&self, segment: &SegmentInfo, id: DecisionId) -> Result<Option<Proof>, ProveError> {
        let Some(mut reading) = Reading::open(self, segment, 0)? else { return Ok(None) };
        let name = file_name(segment.first);
        let header = reading.raw()?.unwrap_or(RawLine { offset: 0, bytes: &[], is_whole: false });
        let mut replay = Replay::begin(&name, header).map_err(damaged)?;
        let before = replay.state.edge.clone();
        let (mut leaves, mut found) = (Vec::new(), None);
        while let Some(raw) = reading.raw()? {
            replay.take(raw).map_err(damaged)?;
            if let Ok(Line::Entry { record, leaf }) = line::parse(raw.bytes).map(|framed| framed.line) {
                leaves.push(leaf);
                if record.id == id {
                    found = Some(record.into_owned());
                }
            }
        }
        let Some(record) = found else { return Ok(None) };
        let checkpoint = replay.checkpoint.ok_or(ProveError::NotSigned)?;
        let covered = usize::try_from(checkpoint.checkpoint().size - segment.first).unwrap_or(usize::MAX);
        let leaves = leaves.get(..covered).unwrap_or(&leaves);
        let path = Part { before: &before, leaves }.path(record.number).ok_or(ProveError::NotSigned)?;
        Ok(Some(Proof { record, path, checkpoint }))
    }

    fn open(&self, segment: &SegmentInfo) -> Result<Option<File>, ReadError> {
        let path = folder::path_of(&self.folder, segment.first);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(step("open", &path)(error).into()),
        }
    }

    fn failed(&self, segment: &SegmentInfo) -> impl FnOnce(io::Error) -> ReadError + use<> {
        let failed = step("read", &folder::path_of(&self.folder, segment.first));
        move |error| failed(error).into()
    }
}

/// What an entry counts for in what is read.
fn len_of(record: &Record<'_>) -> u64 {
    u64::try_from(record.body.len()).unwrap_or(u64::MAX).saturating_add(AROUND_LEN)
}

fn damaged(fault: Fault) -> ReadError {
    ReadError::Damaged(Box::new(fault))
}

/// Reads a segment from an entry on, as far as it was on the disk.
struct Reading<'a> {
    view: &'a View,
    segment: &'a SegmentInfo,
    lines: Lines<io::Take<File>>,
    from: u64,
}

impl<'a> Reading<'a> {
    /// `None` when retention has removed it.
    fn open(view: &'a View, segment: &'a SegmentInfo, from: u64) -> Result<Option<Self>, ReadError> {
        let Some(file) = view.open(segment)? else { return Ok(None) };
        let start = if from <= segment.first { Ok(0) } else { shortly_before(&file, 0..segment.bytes, from) };
        let lines = start.and_then(|start| lines_of(file, start, segment.bytes)).map_err(view.failed(segment))?;
        Ok(Some(Self { view, segment, lines, from }))
    }

    fn raw(&mut self) -> Result<Option<RawLine<'_>>, ReadError> {
        self.lines.next().map_err(self.view.failed(self.segment))
    }

    /// The next entry.
    fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        loop {
            if !self.lines.advance().map_err(self.view.failed(self.segment))? {
                return Ok(None);
            }
            let raw = self.lines.current();
            match leading_number(raw.bytes) {
                Some(number) if number < self.from => {}
                Some(_) => break,
                None => drop(entry_of(self.segment, raw)?),
            }
        }
        entry_of(self.segment, self.lines.current())
    }

    /// Where the line begins that was read last, and where it ends.
    fn line(&self) -> Range<u64> {
        self.lines.current().offset..self.lines.offset()
    }
}

/// Reads a segment backwards from an entry on.
struct ReadingBack<'a> {
    view: &'a View,
    segment: &'a SegmentInfo,
    lines: LinesBack,
}

impl<'a> ReadingBack<'a> {
    /// The entries before this one; `None` when retention has removed them.
    fn open(view: &'a View, segment: &'a SegmentInfo, before: u64) -> Result<Option<Self>, ReadError> {
        let end = if before >= segment.next {
            segment.bytes
        } else {
            let Some(mut reading) = Reading::open(view, segment, before)? else { return Ok(None) };
            reading.next()?;
            reading.line().start
        };
        let file = view.open(segment)?;
        Ok(file.map(|file| Self { view, segment, lines: LinesBack::new(file, end) }))
    }

    /// The entry before.
    fn next(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        loop {
            if !self.lines.advance().map_err(self.view.failed(self.segment))? {
                return Ok(None);
            }
            if leading_number(self.lines.current().bytes).is_some() {
                break;
            }
            entry_of(self.segment, self.lines.current())?;
        }
        entry_of(self.segment, self.lines.current())
    }
}

/// The entry of a line, if it is one.
fn entry_of<'a>(segment: &SegmentInfo, raw: RawLine<'a>) -> Result<Option<Record<'a>>, ReadError> {
    let parsed = if raw.is_whole { line::parse(raw.bytes) } else { Err(LineFault::CutShort) };
    match parsed.map(|framed| framed.line) {
        Ok(Line::Entry { record, .. }) => Ok(Some(record)),
        Ok(Line::Other { .. }) => Ok(None),
        Err(fault) => {
            let kind = FaultKind::Line(fault);
            Err(damaged(Fault { segment: file_name(segment.first), line: None, offset: Some(raw.offset), kind }))
        }
    }
}
