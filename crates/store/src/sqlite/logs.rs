//! Measurement logs.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{DeviceId, Sha256Digest, Timestamp};

use super::operation::Operation;
use super::{SqliteStore, boots, ima_lists};
use crate::error::{Entity, StoreError};
use crate::ima_lists::{ImaAheadPart, ImaList, ImaListPart};
use crate::limits::MAX_EVENT_LOG_BYTES;
use crate::logs::{AheadOutcome, BootRecord, BootVersion, ImaAhead, Logs};

#[async_trait]
impl Logs for SqliteStore {
    async fn put_event_log(&self, digest: Sha256Digest, bytes: &[u8], now: Timestamp) -> Result<(), StoreError> {
        let operation = Operation::new("put_event_log", Entity::EventLog);
        operation.at_most(MAX_EVENT_LOG_BYTES, "the event log", bytes.len())?;
        let mut tx = self.write(operation).await?;
        let new = sqlx::query(
            "INSERT INTO event_logs (digest, last_of_use_ms) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest.as_bytes().as_slice())
        .bind(now.unix_millis())
        .execute(&mut *tx)
        .await
        .map_err(operation.failed())?;
        if new.rows_affected() == 0 {
            note_use(&mut tx, operation, digest, now).await?;
        } else {
            sqlx::query("INSERT INTO event_log_bytes (digest, bytes) VALUES (?, ?)")
                .bind(digest.as_bytes().as_slice())
                .bind(bytes)
                .execute(&mut *tx)
                .await
                .map_err(operation.failed())?;
        }
        tx.commit().await.map_err(operation.failed())
    }

    async fn event_log(&self, digest: Sha256Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let operation = Operation::new("event_log", Entity::EventLog);
        sqlx::query_scalar("SELECT bytes FROM event_log_bytes WHERE digest = ?")
            .bind(digest.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())
    }

    async fn boot(&self, device: DeviceId) -> Result<Option<BootRecord>, StoreError> {
        boots::find(self, device).await
    }

    async fn put_ima_ahead(
        &self,
        device: DeviceId,
        follows: Option<BootVersion>,
        ahead: &ImaAhead,
        part: &ImaAheadPart,
    ) -> Result<AheadOutcome, StoreError> {
        boots::put_ahead(self, device, follows, ahead, part).await
    }

    async fn ima_list(&self, device: DeviceId) -> Result<Option<ImaList>, StoreError> {
        ima_lists::find(self, device).await
    }

    async fn ima_list_end(&self, device: DeviceId) -> Result<u64, StoreError> {
        ima_lists::end(self, device).await
    }

    async fn ima_list_tail(&self, device: DeviceId, max_len: u64) -> Result<Option<ImaListPart>, StoreError> {
        ima_lists::tail(self, device, max_len).await
    }
}

/// Notes that an event log was of use at this instant. A clock that was put back takes nothing from it.
pub(super) async fn note_use(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    digest: Sha256Digest,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE event_logs SET last_of_use_ms = ?1 WHERE digest = ?2 AND last_of_use_ms < ?1")
        .bind(at.unix_millis())
        .bind(digest.as_bytes().as_slice())
        .execute(&mut **tx)
        .await
        .map_err(operation.failed())?;
    Ok(())
}
