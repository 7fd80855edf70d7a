//! Opens a log where it was left, whatever left it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use vouchsafe_model::Timestamp;

use crate::checkpoint::{Origin, SignedCheckpoint, SigningFailed};
use crate::disk::Disk;
use crate::fault::{Fault, FaultKind};
use crate::folder::{self, StepFailed};
use crate::line::{self, Kind, Line, LineFault};
use crate::lines::{LinesBack, RawLine, lines_of};
use crate::replay::{Replay, read_checkpoint, read_seal};
use crate::segment::{Header, SegmentInfo, State, file_name};
use crate::settings::InvalidSettings;
use crate::torn;

/// Why a log was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings contradict each other.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// Another process, or this one, writes there already.
    #[error("the log in {} is being written by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
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
    /// What is there is not what was written. Nothing was changed.
    #[error("the log in {} is damaged: {fault}", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, and where.
        fault: Box<Fault>,
    },
    /// The first checkpoint could not be signed.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    /// There is no thread to write with.
    #[error("no thread could be made to write the log")]
    Thread(#[source] io::Error),
}

impl From<StepFailed> for OpenError {
    fn from(StepFailed { step, path, source }: StepFailed) -> Self {
        Self::Io { step, path, source }
    }
}

/// The segment that is written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: File,
    pub(crate) info: SegmentInfo,
}

/// A log that can go on.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) origin: Origin,
    pub(crate) sealed: Vec<SegmentInfo>,
    pub(crate) active: Active,
    pub(crate) state: State,
    /// The last checkpoint that is in the log.
    pub(crate) checkpoint: Option<SignedCheckpoint>,
}

/// Opens the log of a folder that this process has locked. Where there is none, one of this origin is begun.
pub(crate) fn open(folder: &Path, disk: &dyn Disk, new_origin: &Origin, now: Timestamp) -> Result<Opened, OpenError> {
    folder::remove_unfinished(folder)?;
    let firsts = folder::segments(folder)?;
    let latest = folder::read_latest(folder).and_then(|note| SignedCheckpoint::parse(&note).ok());
    let Some((last, former)) = firsts.split_last() else {
        refuse_missing(folder, latest.as_ref(), 0, 0)?;
        return begin(folder, disk, new_origin, State::new(new_origin), now, Vec::new(), None);
    };
    let mut sealed = Vec::with_capacity(former.len());
    let mut checkpoint = None;
    for (first, next) in former.iter().zip(firsts.iter().skip(1)) {
        let (info, last_checkpoint) = read_end(folder, *first, *next)?;
        sealed.push(info);
        checkpoint = last_checkpoint.or(checkpoint);
    }
    let (replay, file) = read_last(folder, *last, disk)?;
    refuse_missing(folder, latest.as_ref(), replay.state.next(), replay.info.first)?;
    let checkpoint = replay.checkpoint.or(checkpoint);
    if replay.is_sealed {
        sealed.push(replay.info);
        return begin(folder, disk, &replay.origin, replay.state, now, sealed, checkpoint);
    }
    let active = Active { file, info: replay.info };
    Ok(Opened { origin: replay.origin, sealed, active, state: replay.state, checkpoint })
}

fn begin(
    folder: &Path,
    disk: &dyn Disk,
    origin: &Origin,
    state: State,
    now: Timestamp,
    sealed: Vec<SegmentInfo>,
    checkpoint: Option<SignedCheckpoint>,
) -> Result<Opened, OpenError> {
    let header = Header { origin: origin.clone(), at: now, state };
    let (file, bytes) = folder::begin_segment(folder, &header, disk)?;
    let Header { origin, state, .. } = header;
    let active = Active { file, info: SegmentInfo::begun(state.next(), bytes, now) };
    Ok(Opened { origin, sealed, active, state, checkpoint })
}

/// Entries that a checkpoint was signed over must be there: the copy of the latest one tells of an end that was taken away.
fn refuse_missing(folder: &Path, latest: Option<&SignedCheckpoint>, found: u64, first: u64) -> Result<(), OpenError> {
    let signed = latest.map_or(0, |latest| latest.checkpoint().size);
    if signed <= found {
        return Ok(());
    }
    let kind = FaultKind::SignedEntriesMissing { signed, found };
    Err(damaged(folder, Fault { segment: file_name(first), line: None, offset: None, kind }))
}

fn damaged(folder: &Path, fault: Fault) -> OpenError {
    OpenError::Damaged { folder: folder.to_owned(), fault: Box::new(fault) }
}

/// What the last lines of a segment say that is followed by another one.
fn read_end(folder: &Path, first: u64, next: u64) -> Result<(SegmentInfo, Option<SignedCheckpoint>), OpenError> {
    let path = folder::path_of(folder, first);
    let failed = |error| OpenError::from(folder::step("read", &path)(error));
    let file = File::open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut lines = LinesBack::new(file, bytes);
    let fault_at =
        |offset, kind| damaged(folder, Fault { segment: file_name(first), line: None, offset: Some(offset), kind });
    let last = lines.next().map_err(failed)?;
    let Some(raw) = last else { return Err(fault_at(0, FaultKind::NoHeader)) };
    let seal = match other_line(raw, Kind::Sealed) {
        Ok(Some(json)) => read_seal(json),
        Ok(None) => Err(FaultKind::NotSealed),
        Err(error) => Err(error.into()),
    };
    let seal = seal.map_err(|kind| fault_at(raw.offset, kind))?;
    if first.checked_add(seal.entries) != Some(next) {
        let missing = first.saturating_add(seal.entries)..next;
        return Err(fault_at(raw.offset, FaultKind::Gap { missing }));
    }
    let info = SegmentInfo { first, next, bytes, begun_at: seal.at, extent: seal.extent };
    let before = lines.next().map_err(failed)?;
    let checkpoint = before.and_then(|raw| other_line(raw, Kind::Checkpoint).ok().flatten());
    Ok((info, checkpoint.and_then(|json| read_checkpoint(json).ok())))
}

/// The JSON of a line, if it is of this kind.
fn other_line(raw: RawLine<'_>, wanted: Kind) -> Result<Option<&str>, LineFault> {
    if !raw.is_whole {
        return Err(LineFault::CutShort);
    }
    Ok(match line::parse(raw.bytes)?.line {
        Line::Other { kind, json } if kind == wanted => Some(json),
        _ => None,
    })
}

/// Reads the last segment, and cuts off what a crash left half-written.
fn read_last(folder: &Path, first: u64, disk: &dyn Disk) -> Result<(Replay, File), OpenError> {
    let path = folder::path_of(folder, first);
    let failed = |step| {
        let path = path.clone();
        move |error| OpenError::from(folder::step(step, &path)(error))
    };
    let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed("open"))?;
    let reading = file.try_clone().map_err(failed("open"))?;
    let mut lines = lines_of(reading, 0, u64::MAX).map_err(failed("read"))?;
    let name = file_name(first);
    let header = lines.next().map_err(failed("read"))?.unwrap_or(RawLine { offset: 0, bytes: &[], is_whole: false });
    let mut replay = Replay::begin(&name, header).map_err(|fault| damaged(folder, fault))?;
    while let Some(raw) = lines.next().map_err(failed("read"))? {
        let Err(fault) = replay.take(raw) else { continue };
        let len = file.metadata().map_err(failed("read"))?.len();
        let tail = read_tail(&mut file, replay.info.bytes, len).map_err(failed("read"))?;
        if !matches!(fault.kind, FaultKind::Line(_)) || !torn::is_torn(&tail) {
            return Err(damaged(folder, fault));
        }
        disk.cut(&file, replay.info.bytes).map_err(failed("cut"))?;
        tracing::warn!(
            log.segment = %path.display(), log.entries = replay.state.next(), bytes = tail.len(),
            "the decision log ended half-written; what nobody was told of is cut off"
        );
        break;
    }
    // What a killed process wrote may not be on the disk yet.
    disk.sync(&file).map_err(failed("write"))?;
    file.seek(SeekFrom::Start(replay.info.bytes)).map_err(failed("read"))?;
    Ok((replay, file))
}

/// The end of a file, and no more of it than decides whether a crash left it so.
pub(crate) fn read_tail(file: &mut File, from: u64, len: u64) -> io::Result<Vec<u8>> {
    let most = u64::try_from(torn::MAX_WRITE_LEN).unwrap_or(u64::MAX).saturating_add(1);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(most.min(len.saturating_sub(from))).read_to_end(&mut tail)?;
    Ok(tail)
}
