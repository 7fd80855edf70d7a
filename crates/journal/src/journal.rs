//! The log as its users have it: they append from anywhere, one thread writes.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use vouchsafe_model::Timestamp;

use crate::checkpoint::{CheckpointKey, Origin, SignCheckpoint, SignedCheckpoint};
use crate::disk::Disk;
use crate::entry::Entry;
use crate::folder::{self, Lock};
use crate::open::OpenError;
use crate::queue::{Queue, Waiting};
use crate::settings::JournalSettings;
use crate::shared::Shared;
use crate::view::View;
use crate::writer::{WriteFailed, Writer, WriterParts};

/// How often is looked whether a segment is to be ended or removed.
const TEND_INTERVAL: Duration = Duration::from_secs(30);
/// How long after a failure writing is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Tells the present instant.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a log needs.
pub struct JournalParts {
    /// Where it lies. The folder is made if it is not there.
    pub folder: PathBuf,
    /// Its identity, if it is begun now. A log that is there keeps its own.
    pub new_origin: Origin,
    /// How it is kept.
    pub settings: JournalSettings,
    /// What signs its checkpoints.
    pub signer: Arc<dyn SignCheckpoint>,
    /// How it is written: [`SystemDisk`](crate::SystemDisk).
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub now: Now,
}

/// A log that can be appended to and read. Clones are of the same log.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
    key: CheckpointKey,
}

/// The thread that writes a log. Dropped, it ends by itself when all that was appended is written.
#[derive(Debug)]
pub struct Writing {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// An entry that is not in the log, as far as is known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// It was not written, and will not be.
    #[error(transparent)]
    NotWritable(#[from] NotWritable),
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}

/// The log cannot be written at present. It will go on when it can.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log cannot be written")]
pub struct NotWritable(#[source] Arc<WriteFailed>);

impl Journal {
    /// Opens a log, or begins one. Whatever a crash left half-written is cut off.
    ///
    /// # Errors
    /// When another process writes it, it is damaged, or the system refuses a step.
    pub fn open(parts: JournalParts) -> Result<(Self, Writing), OpenError> {
        let JournalParts { folder, new_origin, settings, signer, disk, now } = parts;
        settings.check()?;
        folder::make(&folder)?;
        let Some(lock) = folder::lock(&folder)? else { return Err(OpenError::InUse { folder }) };
        let key = signer.public_key().clone();
        let writer = Writer::open(WriterParts { folder, settings, signer, disk, now }, &new_origin)?;
        let (queue, shared) = (Arc::new(Queue::new()), writer.shared().clone());
        let run = Run { queue: queue.clone(), writer, failed_at: None, tended_at: Instant::now() };
        let thread = thread::Builder::new().name("decision-log".to_owned()).spawn(move || run.until_closed(lock));
        let writing = Writing { queue: queue.clone(), thread: Some(thread.map_err(OpenError::Thread)?) };
        Ok((Self { queue, shared, key }, writing))
    }

    /// Appends an entry, and returns when a loss of power would not take it away.
    ///
    /// There is no bound on the waiting: whoever has one gives up by dropping the future. The entry is then not written,
    /// unless it was being written already.
    ///
    /// # Errors
    /// When it is not in the log.
    pub async fn append(&self, entry: Entry) -> Result<(), AppendError> {
        self.queue.append(entry).await
    }

    /// The log as it is on the disk now.
    pub fn view(&self) -> View {
        View::new(&self.shared)
    }

    /// How many entries are on the disk, and a way to wait for more.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.watch()
    }

    /// The latest checkpoint, if one was signed.
    pub fn checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.shared.present().checkpoint
    }

    /// The key that checkpoints are verified with.
    pub fn key(&self) -> &CheckpointKey {
        &self.key
    }

    /// Whether the log can be written, as far as is known.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn check(&self) -> Result<(), NotWritable> {
        self.shared.present().trouble.map_or(Ok(()), |trouble| Err(NotWritable(trouble)))
    }
}

impl Writing {
    /// Takes nothing more, writes what was appended, signs it, and waits until that is done.
    pub fn finish(mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // Its panic was told when it happened.
            drop(thread.join());
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What the thread does.
struct Run {
    queue: Arc<Queue>,
    writer: Writer,
    failed_at: Option<Instant>,
    tended_at: Instant,
}

/// Nobody waits for a thread that has panicked.
struct Abandon(Arc<Queue>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Run {
    fn until_closed(mut self, _lock: Lock) {
        let _abandon = Abandon(self.queue.clone());
        let mut batch = Vec::new();
        while self.queue.take(&mut batch, self.patience()) {
            self.write(&mut batch);
            self.tend();
        }
        if self.failed_at.is_some() {
            self.recover();
        }
        if self.failed_at.is_none() {
            let finished = self.writer.finish();
            self.note(finished);
        }
    }

    /// How long nothing has to be done but to wait for entries.
    fn patience(&self) -> Duration {
        let tend = self.tended_at + TEND_INTERVAL;
        let due = self.writer.checkpoint_due_at().map_or(tend, |due| due.min(tend));
        let next = self.failed_at.map_or(due, |failed_at| failed_at + RETRY_INTERVAL);
        next.saturating_duration_since(Instant::now())
    }

    fn write(&mut self, batch: &mut Vec<Waiting>) {
        self.queue.forget_abandoned(batch);
        let (written, outcome) = match self.failed_at {
            None => self.writer.append(batch.iter().map(|one| &one.entry)),
            Some(_) => (0, Ok(())),
        };
        self.note(outcome);
        let refused = self.writer.shared().present().trouble.map(NotWritable);
        self.queue.release(batch);
        for (index, one) in batch.drain(..).enumerate() {
            let outcome = match &refused {
                Some(refused) if index >= written => Err(refused.clone().into()),
                _ => Ok(()),
            };
            // Whoever no longer waits was told that it is not in the log; that it may be harms nobody.
            let _ = one.kept.send(outcome);
        }
    }

    fn tend(&mut self) {
        let now = Instant::now();
        if let Some(failed_at) = self.failed_at {
            if failed_at + RETRY_INTERVAL <= now {
                self.recover();
            }
        } else if self.tended_at + TEND_INTERVAL <= now || self.writer.checkpoint_due_at().is_some_and(|due| due <= now)
        {
            self.tended_at = now;
            let tended = self.writer.tend();
            self.note(tended);
        }
    }

    fn recover(&mut self) {
        match self.writer.recover() {
            Ok(()) => {
                self.failed_at = None;
                self.writer.shared().set_trouble(None);
                tracing::info!("the decision log can be written again");
            }
            failed => self.note(failed),
        }
    }

    /// After a failure nothing is written until it was recovered from.
    fn note(&mut self, outcome: Result<(), WriteFailed>) {
        let Err(error) = outcome else { return };
        tracing::error!(error = &error as &dyn std::error::Error, "the decision log cannot be written");
        self.failed_at = Some(Instant::now());
        self.writer.shared().set_trouble(Some(Arc::new(error)));
    }
}
