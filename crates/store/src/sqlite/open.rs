//! Opening the file: made for its owner alone, recognised as ours, brought to the present schema.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool};

use super::SqliteStore;
use super::group::Group;
use crate::limits::IMA_LISTS_DEFLATED_BYTES;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// `PRAGMA application_id` of our files: "VCHS" (<https://www.sqlite.org/fileformat2.html#application_id>).
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"VCHS");

/// The mode of the file, and by `SQLite`'s rule of those beside it (-wal, -shm): its owner's alone.
const FILE_MODE: u32 = 0o600;

/// How large the write-ahead log may stay once its content is in the file, in bytes.
const JOURNAL_SIZE_LIMIT: &str = "16777216";

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How many connections read: 1 to [`Self::MAX_READERS`].
    pub readers: u32,
    /// How long an operation waits for its turn, before it is [`Busy`](crate::StoreError::Busy).
    pub queue_timeout: Duration,
    /// How long it then waits for another process that has locked the file.
    pub busy_timeout: Duration,
    /// The most bytes that the IMA lists of all devices take, compressed. Those that do not fit any more are not kept.
    pub ima_lists_bytes: u64,
}

impl SqliteOptions {
    /// The most connections that read.
    pub const MAX_READERS: u32 = 64;
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            queue_timeout: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            ima_lists_bytes: IMA_LISTS_DEFLATED_BYTES,
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made, or made its owner's alone.
    #[error("{path} cannot be made a file of its owner alone")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `SQLite` cannot open it.
    #[error("{path} cannot be opened as an SQLite database")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is the database of another program.
    #[error("{path} is the database of another program: its application id is {found:#010x}")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// Its application id; that of most programs is 0.
        found: i32,
    },
    /// A newer program wrote it.
    #[error("{path} has schema {found} of a newer version of this program, which knows schemas up to {known}")]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The number of its schema.
        found: i64,
        /// The number of the newest schema that this program knows.
        known: i64,
    },
    /// Its schema cannot be brought up to date.
    #[error("{path} cannot be brought to schema {known}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// The number of the schema that was to be reached.
        known: i64,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SqliteStore {
    /// Opens the store in this file; makes it, with mode 0600, when there is none. A file that others may read is made
    /// its owner's alone.
    ///
    /// # Errors
    /// See [`OpenError`]. A file that is not ours, or that a newer version wrote, is left as it is.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, OpenError> {
        protect(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
        let unopened = |source: sqlx::Error| OpenError::Database { path: path.to_owned(), source: source.into() };

        // With the journal mode that it has: a file that turns out not to be ours must not be changed.
        let connect = settings().filename(path).busy_timeout(options.busy_timeout).synchronous(SqliteSynchronous::Full);
        let mut connection = connect.connect().await.map_err(unopened)?;
        migrate(&mut connection, path).await?;
        connection.close().await.map_err(unopened)?;

        let connect = connect.journal_mode(SqliteJournalMode::Wal).pragma("journal_size_limit", JOURNAL_SIZE_LIMIT);
        let writer = pool(options.queue_timeout, 1).connect_with(connect.clone()).await.map_err(unopened)?;
        let readers = pool(options.queue_timeout, options.readers.clamp(1, SqliteOptions::MAX_READERS))
            .connect_with(connect.pragma("query_only", "ON"))
            .await
            .map_err(unopened)?;
        let group = Group::start(writer.clone(), options.queue_timeout);
        Ok(Self { group, writer, readers, ima_lists_bytes: options.ima_lists_bytes })
    }

    /// Opens a store that lives in memory, for tests: it is gone when the last clone is.
    ///
    /// # Errors
    /// Those of `SQLite`.
    pub async fn in_memory() -> Result<Self, OpenError> {
        let path = Path::new(":memory:");
        let unopened = |source: sqlx::Error| OpenError::Database { path: path.to_owned(), source: source.into() };
        // Each connection to memory has a memory of its own, so one does both.
        let both: SqlitePool = pool(SqliteOptions::default().queue_timeout, 1)
            .connect_with(settings().in_memory(true))
            .await
            .map_err(unopened)?;
        migrate(&mut *both.acquire().await.map_err(unopened)?, path).await?;
        let SqliteOptions { queue_timeout, ima_lists_bytes, .. } = SqliteOptions::default();
        let group = Group::start(both.clone(), queue_timeout);
        Ok(Self { group, writer: both.clone(), readers: both, ima_lists_bytes })
    }
}

/// What holds for every connection.
fn settings() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        // Without it, REPLACE deletes rows past the triggers that keep histories.
        .pragma("recursive_triggers", "ON")
        .disable_statement_logging()
}

/// Connections that stay open: `SQLite`'s cost nothing when idle, and a new one would read the schema again.
fn pool(queue_timeout: Duration, connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(queue_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file if there is none, and takes it from everybody but its owner.
///
/// It is never opened when it exists: to close any descriptor of a file ends all locks that the process has on it
/// (POSIX `fcntl`), those of an open database included.
fn protect(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut permissions = std::fs::metadata(path)?.permissions();
            let open_to_others = permissions.mode() & 0o077;
            if open_to_others == 0 {
                return Ok(());
            }
            let mode = format!("{:o}", permissions.mode() & 0o777);
            tracing::warn!(path = %path.display(), mode, "the database was open to others");
            permissions.set_mode(FILE_MODE);
            std::fs::set_permissions(path, permissions)
        }
        Err(error) => Err(error),
    }
}

/// Recognises the file and brings it to the present schema, all in one transaction: two processes that open a new file
/// at the same time do not meet, and one that dies halfway leaves nothing behind.
async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), OpenError> {
    let unopened = |source: sqlx::Error| OpenError::Database { path: path.to_owned(), source: source.into() };
    let mut tx = connection.begin_with("BEGIN EXCLUSIVE").await.map_err(unopened)?;

    let found: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *tx).await.map_err(unopened)?;
    if found != APPLICATION_ID {
        let tables: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *tx).await.map_err(unopened)?;
        if found != 0 || tables != 0 {
            return Err(OpenError::NotOurs { path: path.to_owned(), found });
        }
        sqlx::query(AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}")))
            .execute(&mut *tx)
            .await
            .map_err(unopened)?;
    }

    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
    let failed = |error: MigrateError| match error {
        MigrateError::VersionMissing(found) if found > known => {
            OpenError::NewerSchema { path: path.to_owned(), found, known }
        }
        other => OpenError::Migration { path: path.to_owned(), known, source: other.into() },
    };
    MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(failed)?;
    tx.commit().await.map_err(unopened)
}
