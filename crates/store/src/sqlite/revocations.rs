//! Forbidden signature databases.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{Sha256Digest, Timestamp};

use super::SqliteStore;
use super::fields::Fields;
use super::operation::Operation;
use crate::error::{Entity, StoreError};
use crate::limits::{MAX_ARCH_BYTES, MAX_DBX_ARCHITECTURES, MAX_DBX_BYTES};
use crate::revocations::{DbxOutcome, Revocations, StoredDbx};

const PUT: Operation = Operation::new("put_dbx", Entity::Dbx);

#[async_trait]
impl Revocations for SqliteStore {
    async fn put_dbx(
        &self,
        arch: &str,
        digest: Sha256Digest,
        timestamp: Option<Timestamp>,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<DbxOutcome, StoreError> {
        PUT.at_most(MAX_ARCH_BYTES, "the architecture's name", arch.len())?;
        PUT.at_most(MAX_DBX_BYTES, "the forbidden signature database", bytes.len())?;
        let mut tx = self.write(PUT).await?;
        match in_force(&mut tx, arch).await? {
            Some((present, _)) if present == digest => return Ok(DbxOutcome::Unchanged),
            // What does not say when it was made is as if it was made before all others.
            Some((_, Some(present))) if timestamp < Some(present) => return Ok(DbxOutcome::Older { present }),
            Some(_) => {}
            None => require_place(&mut tx).await?,
        }
        sqlx::query(
            "INSERT INTO dbx (architecture, digest, timestamp_ms, imported_at_ms, bytes) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (architecture) DO UPDATE SET digest = excluded.digest, timestamp_ms = excluded.timestamp_ms, \
             imported_at_ms = excluded.imported_at_ms, bytes = excluded.bytes",
        )
        .bind(arch)
        .bind(digest.as_bytes().as_slice())
        .bind(timestamp.map(Timestamp::unix_millis))
        .bind(now.unix_millis())
        .bind(bytes)
        .execute(&mut *tx)
        .await
        .map_err(PUT.failed())?;
        tx.commit().await.map_err(PUT.failed())?;
        Ok(DbxOutcome::Stored)
    }

    async fn dbx(&self) -> Result<Vec<StoredDbx>, StoreError> {
        let operation = Operation::new("dbx", Entity::Dbx);
        let rows = sqlx::query("SELECT * FROM dbx ORDER BY architecture")
            .fetch_all(&self.readers)
            .await
            .map_err(operation.failed())?;
        let read = |row: &SqliteRow| {
            let fields = Fields::new(row, operation);
            Ok(StoredDbx {
                arch: fields.get("architecture")?,
                digest: fields.digest("digest")?,
                timestamp: fields.optional("timestamp_ms", Fields::timestamp)?,
                bytes: fields.get("bytes")?,
                imported_at: fields.timestamp("imported_at_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Which one is in force, and when it was made.
async fn in_force(
    tx: &mut Transaction<'_, Sqlite>,
    arch: &str,
) -> Result<Option<(Sha256Digest, Option<Timestamp>)>, StoreError> {
    let row = sqlx::query("SELECT digest, timestamp_ms FROM dbx WHERE architecture = ?")
        .bind(arch)
        .fetch_optional(&mut **tx)
        .await
        .map_err(PUT.failed())?;
    let Some(row) = row else { return Ok(None) };
    let fields = Fields::new(&row, PUT);
    Ok(Some((fields.digest("digest")?, fields.optional("timestamp_ms", Fields::timestamp)?)))
}

/// Refuses one architecture too many.
async fn require_place(tx: &mut Transaction<'_, Sqlite>) -> Result<(), StoreError> {
    let present: i64 =
        sqlx::query_scalar("SELECT count(*) FROM dbx").fetch_one(&mut **tx).await.map_err(PUT.failed())?;
    let with_this = usize::try_from(present).unwrap_or(usize::MAX).saturating_add(1);
    PUT.at_most(MAX_DBX_ARCHITECTURES, "the architectures", with_this)
}
