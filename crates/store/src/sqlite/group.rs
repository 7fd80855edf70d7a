//! Group commit: what devices bring at the same time shares one transaction and one wait for the disk.
//!
//! Under `synchronous = FULL` a commit costs a flush of the disk, from a tenth of a millisecond on an idle one to several
//! on a busy one: alone, that bounds how many devices can attest in a second. So one task takes whatever has queued up,
//! performs each piece in a savepoint of its own, commits once, and only then answers all of them. While it commits,
//! the next group queues up. Nothing is acknowledged before it is on the disk, and a piece that is refused is undone by
//! itself.
//!
//! A piece that was queued is done whether or not its caller still waits, unless the caller left before its turn.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Acquire, Sqlite, SqlitePool, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::operation::Operation;
use crate::error::{Entity, StoreError};

/// The most pieces of work that share a commit: the first of them waits for the last.
const WIDEST: usize = 64;

/// The most pieces of work that wait for their turn; whoever comes then waits for a place, and only for so long.
const LONGEST_QUEUE: usize = 1024;

/// What is done within a group.
#[async_trait]
pub(super) trait Work: Send + Sync + 'static {
    /// What it comes to.
    type Outcome: Send + 'static;

    /// Does it, in a savepoint.
    async fn perform(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<Step<Self::Outcome>, StoreError>;
}

/// What becomes of what was done.
pub(super) enum Step<T> {
    /// It stays.
    Keep(T),
    /// It is undone.
    Undo(T),
}

/// Where work is queued.
#[derive(Clone, Debug)]
pub(super) struct Group {
    queue: mpsc::Sender<Box<dyn Member>>,
    queue_timeout: Duration,
}

impl Group {
    /// Starts the task that commits; it ends when the last clone is gone.
    pub(super) fn start(writer: SqlitePool, queue_timeout: Duration) -> Self {
        let (queue, mut waiting) = mpsc::channel(LONGEST_QUEUE);
        tokio::spawn(async move {
            let mut members = Vec::with_capacity(WIDEST);
            while waiting.recv_many(&mut members, WIDEST).await > 0 {
                let committed = commit(&writer, &mut members).await;
                for member in members.drain(..) {
                    member.answer(&committed);
                }
            }
        });
        Self { queue, queue_timeout }
    }

    /// Does a piece of work, and returns when it is on the disk.
    pub(super) async fn perform<W: Work>(&self, operation: Operation, work: W) -> Result<W::Outcome, StoreError> {
        let (answer, answered) = oneshot::channel();
        let member = Box::new(Piece { operation, work, outcome: None, answer });
        match self.queue.send_timeout(member, self.queue_timeout).await {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(operation.failed()(sqlx::Error::WorkerCrashed))),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(operation.failed()(sqlx::Error::PoolTimedOut)),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(operation.failed()(sqlx::Error::PoolClosed)),
        }
    }
}

/// Does the work of all members and commits it. When the database itself fails, the group is given up as a whole:
/// `SQLite` may by then have rolled back what the members before had done.
async fn commit(writer: &SqlitePool, members: &mut [Box<dyn Member>]) -> Result<(), Arc<StoreError>> {
    let operation = Operation::new("commit", Entity::Database);
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await.map_err(operation.failed())?;
    for member in members {
        member.perform(&mut tx).await?;
    }
    Ok(tx.commit().await.map_err(operation.failed())?)
}

/// A piece of work of any kind.
#[async_trait]
trait Member: Send {
    /// Does it and keeps what it comes to. Fails when the database does, and not when this piece alone is refused.
    async fn perform(&mut self, group: &mut Transaction<'_, Sqlite>) -> Result<(), StoreError>;

    /// Tells the caller.
    fn answer(self: Box<Self>, committed: &Result<(), Arc<StoreError>>);
}

struct Piece<W: Work> {
    operation: Operation,
    work: W,
    outcome: Option<Result<W::Outcome, StoreError>>,
    answer: oneshot::Sender<Result<W::Outcome, StoreError>>,
}

#[async_trait]
impl<W: Work> Member for Piece<W> {
    async fn perform(&mut self, group: &mut Transaction<'_, Sqlite>) -> Result<(), StoreError> {
        if self.answer.is_closed() {
            return Ok(());
        }
        let failed = self.operation.failed();
        let mut savepoint = group.begin().await.map_err(&failed)?;
        self.outcome = match self.work.perform(&mut savepoint).await {
            Ok(Step::Keep(outcome)) => {
                savepoint.commit().await.map_err(&failed)?;
                Some(Ok(outcome))
            }
            Ok(Step::Undo(outcome)) => {
                savepoint.rollback().await.map_err(&failed)?;
                Some(Ok(outcome))
            }
            Err(failure) if failure.is_transient() => return Err(failure),
            Err(refusal) => {
                savepoint.rollback().await.map_err(&failed)?;
                Some(Err(refusal))
            }
        };
        Ok(())
    }

    fn answer(self: Box<Self>, committed: &Result<(), Arc<StoreError>>) {
        let Self { operation, outcome, answer, .. } = *self;
        let outcome = match (committed, outcome) {
            (Ok(()), Some(outcome)) => outcome,
            // The caller left before its turn, so nothing was done and nobody listens.
            (Ok(()), None) => return,
            (Err(failure), _) => Err(operation.given_up(failure)),
        };
        // The caller may have left meanwhile; what was done stays done.
        let _left = answer.send(outcome);
    }
}
