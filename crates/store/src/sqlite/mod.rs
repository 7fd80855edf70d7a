//! The store on one `SQLite` file: the default of a single engine.
//!
//! One connection writes; all writers queue for it, first come, first served, so that none of them ever meets a lock of
//! another in this process. A few connections read and wait for nobody: every read is one statement, and sees the store
//! as of one instant (WAL). Every commit is flushed to the disk before it is answered (`synchronous = FULL`): what was
//! acknowledged survives the death of the process and of the machine. Evidence that comes at the same time shares one.

mod accept;
mod attestations;
mod boots;
mod devices;
mod enrolment;
mod fields;
mod group;
mod ima_lists;
mod images;
mod logs;
mod maintenance;
mod open;
mod operation;
mod revocations;
mod rows;
mod tokens;
mod trust;

use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::error::StoreError;
use group::Group;
pub use open::{OpenError, SqliteOptions};
use operation::Operation;

/// The store on one `SQLite` file. Clones share their connections.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    group: Group,
    readers: SqlitePool,
    /// The most bytes that the IMA lists of all devices take, compressed.
    ima_lists_bytes: u64,
}

impl SqliteStore {
    /// Waits for what is being done, then closes the file. Afterwards every operation is
    /// [`Unavailable`](StoreError::Unavailable).
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Starts a transaction that holds the write lock from its first moment, so that nothing it reads changes before it
    /// commits. Dropped without a commit, it changes nothing.
    async fn write(&self, operation: Operation) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(operation.failed())
    }
}
