//! Writes entries: one write and one wait for the disk for all that came together, and nobody told before.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use vouchsafe_model::Timestamp;

use crate::checkpoint::{Checkpoint, Origin, SignCheckpoint, SignedCheckpoint, SigningFailed};
use crate::disk::Disk;
use crate::entry::Entry;
use crate::folder::{self, StepFailed, step};
use crate::line::{EntryWriter, Kind, write_other};
use crate::open::{self, Active, OpenError, Opened};
use crate::retention;
use crate::segment::{Header, SegmentInfo, State};
use crate::settings::JournalSettings;
use crate::shared::{Present, Shared};

/// Why entries were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteFailed {
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
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
    /// After a failure the log could not be opened again.
    #[error("cannot open the log again")]
    Reopen(#[source] Box<OpenError>),
    /// After a failure the log is not what was written.
    #[error("the log has other entries than were written: it was changed meanwhile")]
    OtherState,
}

impl From<StepFailed> for WriteFailed {
    fn from(StepFailed { step, path, source }: StepFailed) -> Self {
        Self::Io { step, path, source }
    }
}

/// What a writer needs.
pub(crate) struct WriterParts {
    pub(crate) folder: PathBuf,
    pub(crate) settings: JournalSettings,
    pub(crate) signer: Arc<dyn SignCheckpoint>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Writes the segments of one log. After an error it has to [recover](Self::recover).
pub(crate) struct Writer {
    parts: WriterParts,
    shared: Arc<Shared>,
    origin: Origin,
    sealed: Vec<SegmentInfo>,
    active: Active,
    /// The log as far as it is on the disk.
    state: State,
    /// The first entry that retention has not removed.
    kept: u64,
    /// How many entries the last checkpoint covers.
    signed: u64,
    /// Since when there are entries that none covers.
    unsigned_since: Option<Instant>,
    lines: EntryWriter,
    buffer: Vec<u8>,
}

impl Writer {
    /// Opens the log of a folder that is locked, and begins one of this origin where there is none.
    pub(crate) fn open(parts: WriterParts, new_origin: &Origin) -> Result<Self, OpenError> {
        let opened = open::open(&parts.folder, &*parts.disk, new_origin, (parts.now)())?;
        let Opened { origin, sealed, active, state, checkpoint } = opened;
        let first = sealed.first().unwrap_or(&active.info).first;
        let latest = checkpoint.as_ref().map(SignedCheckpoint::checkpoint);
        let (signed, kept) = latest.map_or((0, first), |latest| (latest.size, latest.kept));
        let present = Present {
            sealed: Arc::new(sealed.clone()),
            active: active.info,
            checkpoint: checkpoint.clone().map(Arc::new),
            trouble: None,
        };
        let shared = Arc::new(Shared::new(parts.folder.clone(), present));
        let unsigned_since = (signed < state.next()).then(Instant::now);
        let (lines, buffer) = (EntryWriter::default(), Vec::new());
        Ok(Self { parts, shared, origin, sealed, active, state, kept, signed, unsigned_since, lines, buffer })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Writes entries. Returns how many of them, the first ones, are on the disk.
    pub(crate) fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry> + Clone,
    ) -> (usize, Result<(), WriteFailed>) {
        let mut written = 0;
        loop {
            let mut rest = entries.clone().skip(written).peekable();
            if rest.peek().is_none() {
                return (written, Ok(()));
            }
            match self.append_some(rest) {
                Ok(more) => written += more,
                Err(error) => return (written, Err(error)),
            }
        }
    }

    /// Writes as many entries as the segment has room for, or ends it when it has room for none.
    fn append_some<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) -> Result<usize, WriteFailed> {
        if self.active.info.entries() > 0 && self.is_old() {
            self.rotate()?;
        }
        self.buffer.clear();
        let signed = if self.is_checkpoint_due() { Some(self.draft_checkpoint()?) } else { None };
        let (mut state, mut info) = (self.state.clone(), self.active.info);
        let mut count = 0;
        for entry in entries {
            let start = self.buffer.len();
            let leaf = self.lines.write(&mut self.buffer, state.next(), entry, start == 0);
            let is_too_long = info.bytes.saturating_add(len(&self.buffer)) > self.parts.settings.max_segment_bytes;
            // An entry that is longer than a whole segment has one for itself.
            if is_too_long && info.entries() > 0 {
                self.buffer.truncate(start);
                break;
            }
            state.push(leaf);
            info.include(entry.id, entry.at);
            count += 1;
        }
        if count == 0 {
            self.rotate()?;
            return Ok(0);
        }
        self.write_out()?;
        info.bytes += len(&self.buffer);
        self.state = state;
        self.active.info = info;
        self.shared.grew(info);
        if let Some(signed) = signed {
            self.publish(signed);
        }
        if self.unsigned_since.is_none() {
            self.unsigned_since = Some(Instant::now());
        }
        Ok(count)
    }

    /// When a checkpoint will be due, if nothing more comes.
    pub(crate) fn checkpoint_due_at(&self) -> Option<Instant> {
        self.unsigned_since.map(|since| since + self.parts.settings.checkpoint_interval)
    }

    fn is_checkpoint_due(&self) -> bool {
        let unsigned = self.state.next() - self.signed;
        let is_late = self.checkpoint_due_at().is_some_and(|due| due <= Instant::now());
        unsigned > 0 && (is_late || unsigned >= self.parts.settings.checkpoint_entries)
    }

    /// Signs a checkpoint if one is due, ends the segment if it is old, and removes what is to be removed.
    pub(crate) fn tend(&mut self) -> Result<(), WriteFailed> {
        if self.is_checkpoint_due() {
            self.write_checkpoint()?;
        }
        if self.active.info.entries() > 0 && self.is_old() {
            self.rotate()?;
        }
        self.retain()
    }

    /// Signs what was not signed yet: the last thing that is done.
    pub(crate) fn finish(&mut self) -> Result<(), WriteFailed> {
        if self.signed < self.state.next() { self.write_checkpoint() } else { Ok(()) }
    }

    /// Goes on after an error: cuts off what was not finished, opens the log anew, and writes something.
    pub(crate) fn recover(&mut self) -> Result<(), WriteFailed> {
        let Self { parts, active, .. } = self;
        let path = folder::path_of(&parts.folder, active.info.first);
        parts.disk.cut(&active.file, active.info.bytes).map_err(step("cut", &path))?;
        let opened = open::open(&parts.folder, &*parts.disk, &self.origin, (parts.now)());
        let opened = opened.map_err(|error| WriteFailed::Reopen(Box::new(error)))?;
        if opened.state != self.state {
            return Err(WriteFailed::OtherState);
        }
        self.sealed = opened.sealed;
        self.active = opened.active;
        self.shared.rearranged(&self.sealed, self.active.info);
        self.write_checkpoint()
    }

    fn is_old(&self) -> bool {
        (self.parts.now)().since(self.active.info.begun_at) >= self.parts.settings.max_segment_age
    }

    /// Adds a checkpoint over what is on the disk to what will be written.
    fn draft_checkpoint(&mut self) -> Result<SignedCheckpoint, WriteFailed> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.state.next(),
            root: self.state.edge.root(),
            at: (self.parts.now)(),
            chain: self.state.chain,
            kept: self.kept,
        };
        let signed = checkpoint.sign(&*self.parts.signer)?;
        // A text always has a JSON form.
        let json = serde_json::to_string(signed.note()).unwrap_or_default();
        let begins = self.buffer.is_empty();
        write_other(&mut self.buffer, Kind::Checkpoint, &json, begins);
        Ok(signed)
    }

    fn write_checkpoint(&mut self) -> Result<(), WriteFailed> {
        self.buffer.clear();
        let signed = self.draft_checkpoint()?;
        self.write_out()?;
        self.active.info.bytes += len(&self.buffer);
        self.shared.grew(self.active.info);
        self.publish(signed);
        Ok(())
    }

    /// A checkpoint is on the disk: everybody may see it.
    fn publish(&mut self, signed: SignedCheckpoint) {
        self.signed = signed.checkpoint().size;
        self.unsigned_since = None;
        if let Err(error) = folder::write_latest(&self.parts.folder, signed.note()) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the copy of the log's checkpoint was not written"
            );
        }
        self.shared.signed(signed);
    }

    /// Ends the segment and begins the next one.
    fn rotate(&mut self) -> Result<(), WriteFailed> {
        self.buffer.clear();
        let signed = self.draft_checkpoint()?;
        let now = (self.parts.now)();
        // Numbers and texts always have a JSON form.
        let seal = serde_json::to_string(&self.active.info.seal(now)).unwrap_or_default();
        write_other(&mut self.buffer, Kind::Sealed, &seal, false);
        self.write_out()?;
        self.active.info.bytes += len(&self.buffer);
        self.shared.grew(self.active.info);
        self.publish(signed);

        let header = Header { origin: self.origin.clone(), at: now, state: self.state.clone() };
        let (file, bytes) = folder::begin_segment(&self.parts.folder, &header, &*self.parts.disk)?;
        self.sealed.push(self.active.info);
        self.active = Active { file, info: SegmentInfo::begun(self.state.next(), bytes, now) };
        self.shared.rearranged(&self.sealed, self.active.info);
        Ok(())
    }

    /// Removes the oldest segments. A checkpoint that says so comes first: what is missing was removed, and not taken away.
    fn retain(&mut self) -> Result<(), WriteFailed> {
        let now = (self.parts.now)();
        let count = retention::outlived(&self.sealed, &self.active.info, &self.parts.settings, now);
        let outlived: Vec<SegmentInfo> = self.sealed.iter().take(count).copied().collect();
        let Some(last) = outlived.last() else { return Ok(()) };
        self.kept = self.kept.max(last.next);
        self.write_checkpoint()?;
        for segment in outlived {
            let path = folder::path_of(&self.parts.folder, segment.first);
            match self.parts.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(step("remove", &path)(error).into());
                }
                _ => {}
            }
            self.sealed.remove(0);
            self.shared.rearranged(&self.sealed, self.active.info);
            tracing::info!(log.segment = %path.display(), log.entries = segment.entries(), "segment removed by retention");
        }
        Ok(())
    }

    /// Writes the buffer, and waits for the disk.
    fn write_out(&mut self) -> Result<(), WriteFailed> {
        let Self { parts, active, buffer, .. } = self;
        let written = parts.disk.write(&mut active.file, buffer).and_then(|()| parts.disk.sync(&active.file));
        written.map_err(step("write", &folder::path_of(&parts.folder, active.info.first)))?;
        Ok(())
    }
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
