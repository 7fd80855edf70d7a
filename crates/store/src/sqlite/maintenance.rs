//! Purging, and whether the store works.

use std::time::Duration;

use async_trait::async_trait;
use vouchsafe_model::Timestamp;

use super::SqliteStore;
use super::operation::Operation;
use crate::error::{Entity, StoreError};
use crate::maintenance::{Maintenance, Purged, RetentionPolicy};

const PURGE: Operation = Operation::new("purge", Entity::Database);

#[async_trait]
impl Maintenance for SqliteStore {
    async fn purge(&self, now: Timestamp, policy: &RetentionPolicy) -> Result<Purged, StoreError> {
        let limit = policy.max_rows.clamp(1, RetentionPolicy::MAX_ROWS);
        let before = |age: Option<Duration>| age.map(|age| now.minus(age));
        let mut purged = Purged { nonces: self.purge_nonces(now, limit).await?, ..Purged::default() };
        if let Some(before) = before(policy.attestations) {
            purged.attestations = self.delete(ATTESTATIONS, before, limit).await?;
            purged.refusals = self.delete(REFUSALS, before, limit).await?;
        }
        if let Some(before) = before(policy.trust) {
            purged.trust = self.delete(TRUST, before, limit).await?;
        }
        if let Some(before) = before(policy.certificates) {
            purged.certificates = self.delete(CERTIFICATES, before, limit).await?;
        }
        let idle = now.minus(RetentionPolicy::IDLE_EVENT_LOG);
        let most_event_logs = limit.min(EVENT_LOGS_AT_ONCE);
        purged.event_logs = self.delete(EVENT_LOGS, idle, most_event_logs).await?;
        let Purged { nonces, attestations, refusals, trust, certificates, .. } = purged;
        let most = [nonces, attestations, refusals, trust, certificates].into_iter().max();
        purged.more = most >= Some(u64::from(limit)) || purged.event_logs >= u64::from(most_event_logs);
        Ok(purged)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let operation = Operation::new("ping", Entity::Database);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM retention")
            .fetch_one(&self.readers)
            .await
            .map_err(operation.failed())?;
        if rows != 1 {
            return Err(operation.corrupt(format!("retention has {rows} rows")));
        }
        self.write(operation).await?.rollback().await.map_err(operation.failed())
    }
}

/// All but the last of each device.
const ATTESTATIONS: &str = "DELETE FROM attestations WHERE rowid IN (SELECT a.rowid FROM attestations a \
     JOIN devices d ON d.id = a.device WHERE a.received_at_ms < ? AND a.number < d.attestation_number \
     ORDER BY a.received_at_ms LIMIT ?)";

const REFUSALS: &str =
    "DELETE FROM refusals WHERE number IN (SELECT number FROM refusals WHERE at_ms < ? ORDER BY at_ms LIMIT ?)";

/// Those that were followed by another before the cut: whatever instant after it is asked for still has its row, and so
/// has each device its last.
const TRUST: &str = "DELETE FROM trust_history WHERE rowid IN (SELECT t.rowid FROM trust_history t WHERE t.at_ms < ?1 \
     AND (SELECT n.at_ms FROM trust_history n WHERE n.device = t.device AND n.sequence > t.sequence \
     ORDER BY n.sequence LIMIT 1) < ?1 ORDER BY t.at_ms LIMIT ?2)";

/// Those that are no device's present one.
const CERTIFICATES: &str = "DELETE FROM certificates WHERE digest IN (SELECT c.digest FROM certificates c \
     WHERE c.expires_at_ms < ? AND NOT EXISTS (SELECT 1 FROM devices WHERE certificate_digest = c.digest) \
     ORDER BY c.expires_at_ms LIMIT ?)";

/// Those that no boot names. Their bytes go with them.
const EVENT_LOGS: &str = "DELETE FROM event_logs WHERE digest IN (SELECT l.digest FROM event_logs l \
     WHERE l.last_of_use_ms < ? AND NOT EXISTS (SELECT 1 FROM boots WHERE event_log = l.digest) \
     ORDER BY l.last_of_use_ms LIMIT ?)";

/// The most event logs that are deleted in one call: they are large, and others wait meanwhile.
const EVENT_LOGS_AT_ONCE: u32 = 64;

impl SqliteStore {
    /// Deletes by a statement that takes the cut and the most rows.
    async fn delete(&self, statement: &'static str, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.write(PURGE).await?;
        let deleted = sqlx::query(statement)
            .bind(before.unix_millis())
            .bind(limit)
            .execute(&mut *tx)
            .await
            .map_err(PURGE.failed())?;
        tx.commit().await.map_err(PURGE.failed())?;
        Ok(deleted.rows_affected())
    }

    /// Forgets nonces that have expired, and remembers how far it went. Not the present instant is remembered but the
    /// last expiry of those forgotten: a clock that ran ahead for a moment must not make all nonces of the years between
    /// spent.
    async fn purge_nonces(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.write(PURGE).await?;
        let forgotten: Vec<i64> = sqlx::query_scalar(
            "DELETE FROM spent_nonces WHERE digest IN (SELECT digest FROM spent_nonces WHERE expires_at_ms < ? \
             ORDER BY expires_at_ms LIMIT ?) RETURNING expires_at_ms",
        )
        .bind(now.unix_millis())
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(PURGE.failed())?;
        let Some(through) = forgotten.iter().max() else { return Ok(0) };
        sqlx::query("UPDATE retention SET nonces_through_ms = max(nonces_through_ms, ?) WHERE id = 1")
            .bind(through)
            .execute(&mut *tx)
            .await
            .map_err(PURGE.failed())?;
        tx.commit().await.map_err(PURGE.failed())?;
        Ok(u64::try_from(forgotten.len()).unwrap_or(u64::MAX))
    }
}
