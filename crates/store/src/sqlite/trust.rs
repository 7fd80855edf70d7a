//! The history of trust.

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{DeviceId, Timestamp};

use super::SqliteStore;
use super::fields::Fields;
use super::operation::Operation;
use super::rows::{self, trust_query};
use crate::error::{Entity, StoreError};
use crate::limits::MAX_TRUST_BYTES;
use crate::page::Page;
use crate::trust::{TrustAppend, TrustHistory, TrustRow, TrustSequence, TrustUpdate};

#[async_trait]
impl TrustHistory for SqliteStore {
    async fn append_trust(&self, device: DeviceId, update: &TrustUpdate) -> Result<TrustAppend, StoreError> {
        let operation = Operation::new("append_trust", Entity::Trust);
        check(operation, &update.event, &update.state)?;
        let mut tx = self.write(operation).await?;
        let last: Option<i64> = sqlx::query_scalar("SELECT trust_sequence FROM devices WHERE id = ?")
            .bind(device.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(operation.failed())?;
        let last = last.ok_or_else(|| operation.about(Entity::Device).missing(&device))?;
        let Some(next) = append(&mut tx, operation, device, sequence(last), update).await? else {
            return Ok(TrustAppend::Superseded);
        };
        sqlx::query("UPDATE devices SET trust_sequence = ? WHERE id = ?")
            .bind(column(next))
            .bind(device.to_string())
            .execute(&mut *tx)
            .await
            .map_err(operation.failed())?;
        tx.commit().await.map_err(operation.failed())?;
        Ok(TrustAppend::Appended(next))
    }

    async fn latest_trust(&self, device: DeviceId) -> Result<Option<TrustRow>, StoreError> {
        let operation = Operation::new("latest_trust", Entity::Trust);
        let row = sqlx::query(trust_query!("WHERE device = ? ORDER BY sequence DESC LIMIT 1"))
            .bind(device.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(operation.failed())?;
        row.map(|row| rows::trust(&Fields::new(&row, operation))).transpose()
    }

    async fn trust_at(&self, device: DeviceId, at: Timestamp) -> Result<Option<TrustRow>, StoreError> {
        let operation = Operation::new("trust_at", Entity::Trust);
        // The inner query walks back from the last row within an index that has all that it asks for.
        let row = sqlx::query(trust_query!(
            "WHERE device = ?1 AND sequence = (SELECT sequence FROM trust_history INDEXED BY trust_by_device_and_time \
             WHERE device = ?1 AND at_ms <= ?2 ORDER BY sequence DESC LIMIT 1)"
        ))
        .bind(device.to_string())
        .bind(at.unix_millis())
        .fetch_optional(&self.readers)
        .await
        .map_err(operation.failed())?;
        row.map(|row| rows::trust(&Fields::new(&row, operation))).transpose()
    }

    async fn trust_history(
        &self,
        device: DeviceId,
        from: Timestamp,
        to: Timestamp,
        page: Page<TrustSequence>,
    ) -> Result<Vec<TrustRow>, StoreError> {
        let operation = Operation::new("trust_history", Entity::Trust);
        let rows = sqlx::query(trust_query!(
            "WHERE device = ?1 AND sequence > ?2 AND at_ms BETWEEN ?3 AND ?4 ORDER BY sequence LIMIT ?5"
        ))
        .bind(device.to_string())
        .bind(page.after.map_or(0, column))
        .bind(from.unix_millis())
        .bind(to.unix_millis())
        .bind(page.limit.get())
        .fetch_all(&self.readers)
        .await
        .map_err(operation.failed())?;
        rows.iter().map(|row| rows::trust(&Fields::new(row, operation))).collect()
    }
}

/// Checks the bounds of a row before anything is locked for it.
pub(super) fn check(operation: Operation, event: &str, state: &str) -> Result<(), StoreError> {
    operation.at_most(MAX_TRUST_BYTES, "the trust event", event.len())?;
    operation.at_most(MAX_TRUST_BYTES, "the trust state", state.len())
}

/// Adds the row after `last`, unless the update was computed from another; the caller makes the device point to it.
pub(super) async fn append(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    device: DeviceId,
    last: TrustSequence,
    update: &TrustUpdate,
) -> Result<Option<TrustSequence>, StoreError> {
    if update.follows != last {
        return Ok(None);
    }
    let row =
        TrustRow { sequence: last.next(), at: update.at, event: update.event.clone(), state: update.state.clone() };
    insert(tx, operation, device, &row).await?;
    Ok(Some(row.sequence))
}

/// Adds a row.
pub(super) async fn insert(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    device: DeviceId,
    row: &TrustRow,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO trust_history (device, sequence, at_ms, event, state) VALUES (?, ?, ?, ?, ?)")
        .bind(device.to_string())
        .bind(column(row.sequence))
        .bind(row.at.unix_millis())
        .bind(&row.event)
        .bind(&row.state)
        .execute(&mut **tx)
        .await
        .map_err(operation.about(Entity::Trust).failed())?;
    Ok(())
}

/// A sequence number as it is stored.
pub(super) fn column(sequence: TrustSequence) -> i64 {
    i64::try_from(sequence.get()).unwrap_or(i64::MAX)
}

/// A sequence number as it was stored: the schema keeps it positive.
pub(super) fn sequence(column: i64) -> TrustSequence {
    TrustSequence::new(column.cast_unsigned())
}
