//! Group commit: decisions that are made at the same time share one wait for the disk.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{DecisionLog, DecisionSink, LogEntry, LogError};

/// How a [`GroupCommit`] is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupCommitSettings {
    /// The most decisions of one batch.
    pub max_batch: usize,
    /// The most decisions that wait to be batched. Further ones wait outside, within their time.
    pub max_queue: usize,
    /// The longest that a decision waits to be on record, its place in the queue included.
    pub max_wait: Duration,
}

impl Default for GroupCommitSettings {
    fn default() -> Self {
        Self { max_batch: 512, max_queue: 4096, max_wait: Duration::from_secs(2) }
    }
}

/// Collects the decisions that arrive while a batch is being written into the next batch.
///
/// There is no delay: a decision that comes alone is written alone, at once. Clones share one queue.
#[derive(Clone)]
pub struct GroupCommit {
    queue: mpsc::Sender<Waiting>,
    max_wait: Duration,
}

struct Waiting {
    entry: LogEntry,
    kept: oneshot::Sender<Result<(), LogError>>,
}

impl GroupCommit {
    /// Starts writing to a sink, on the runtime of the caller. The task ends when the last clone is dropped and all that
    /// was queued is written: wait for it before the process ends.
    pub fn start(sink: Arc<dyn DecisionSink>, settings: GroupCommitSettings) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(settings.max_queue.max(1));
        let task = tokio::spawn(write_batches(sink, waiting, settings.max_batch.max(1)));
        (Self { queue, max_wait: settings.max_wait }, task)
    }

    async fn keep(&self, entry: LogEntry) -> Result<(), LogError> {
        let (kept, answer) = oneshot::channel();
        self.queue.send(Waiting { entry, kept }).await.map_err(|_| LogError::Closed)?;
        answer.await.map_err(|_| LogError::Closed)?
    }
}

#[async_trait]
impl DecisionLog for GroupCommit {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        timeout(self.max_wait, self.keep(entry)).await.unwrap_or(Err(LogError::TimedOut { wait: self.max_wait }))
    }
}

async fn write_batches(sink: Arc<dyn DecisionSink>, mut queue: mpsc::Receiver<Waiting>, max_batch: usize) {
    let mut batch = Vec::with_capacity(max_batch);
    while queue.recv_many(&mut batch, max_batch).await > 0 {
        let (entries, waiters): (Vec<_>, Vec<_>) = batch.drain(..).map(|one| (one.entry, one.kept)).unzip();
        let outcome = write(&*sink, entries).await;
        for waiter in waiters {
            // Whoever no longer waits was told that the decision is not on record; that it is, harms nobody.
            let _ = waiter.send(outcome.clone());
        }
    }
}

/// A sink that panics loses this batch and not the log.
async fn write(sink: &dyn DecisionSink, entries: Vec<LogEntry>) -> Result<(), LogError> {
    match AssertUnwindSafe(sink.write(entries)).catch_unwind().await {
        Ok(outcome) => outcome.map_err(|error| LogError::Refused(error.into())),
        Err(payload) => {
            let message = crate::compile::last_words(&*payload);
            tracing::error!(panic = message, "the decision log panicked");
            Err(LogError::Refused(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(message))))
        }
    }
}
