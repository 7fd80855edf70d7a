//! The decision log as a journal: files that can be verified.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use vouchsafe_journal::{AppendError, Entry, Journal};

use super::{DecisionLog, LogEntry, LogError};

/// The longest that a decision waits to be on record, unless it is set otherwise.
pub const MAX_WAIT: Duration = Duration::from_secs(2);

/// Appends decisions to a journal. Decisions that come at the same time share one wait for the disk; one that comes alone is
/// written alone, at once.
#[derive(Clone, Debug)]
pub struct JournalLog {
    journal: Journal,
    max_wait: Duration,
}

impl JournalLog {
    /// Appends to this journal, each decision within this time: a decision that waits longer is not answered.
    pub fn new(journal: Journal, max_wait: Duration) -> Self {
        Self { journal, max_wait }
    }

    async fn keep(&self, entry: LogEntry) -> Result<(), LogError> {
        let (id, at) = (entry.id(), entry.decided_at());
        let entry = match entry.json() {
            Some(json) => Entry::new(id, at, json.clone()).map_err(|error| LogError::Refused(Arc::new(error)))?,
            None => Entry::dropped(id, at),
        };
        match self.journal.append(entry).await {
            Ok(()) => Ok(()),
            Err(AppendError::Closed) => Err(LogError::Closed),
            Err(AppendError::NotWritable(error)) => Err(LogError::Refused(Arc::new(error))),
        }
    }
}

#[async_trait]
impl DecisionLog for JournalLog {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        timeout(self.max_wait, self.keep(entry)).await.unwrap_or(Err(LogError::TimedOut { wait: self.max_wait }))
    }
}
