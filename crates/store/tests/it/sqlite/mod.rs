//! What the store on `SQLite` does besides the contracts.

mod corruption;
mod file;
mod locks;
mod migration;
mod room;
pub(crate) mod schema;

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use vouchsafe_store::{SqliteOptions, SqliteStore};

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap()
}

/// A connection past the store: another process, or an administrator with the sqlite3 shell.
pub(crate) async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).foreign_keys(false).connect().await.unwrap()
}

/// Executes a statement past the store.
async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sql).execute(connection).await.map(|_| ())
}
