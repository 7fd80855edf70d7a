//! Boot records: what is known of each device's present boot.
//!
//! A record lies in three tables by how often its parts change: what every quote changes is small, and states of IMA
//! replays are written when they are others alone. The lists themselves lie apart ([`ima_lists`]).

use async_trait::async_trait;
use sqlx::{Sqlite, Transaction};
use vouchsafe_model::{DeviceId, DeviceState, EnrolmentId, Sha256Digest, Timestamp};

use super::devices::Present;
use super::fields::Fields;
use super::group::{Step, Work};
use super::operation::Operation;
use super::{SqliteStore, ima_lists};
use crate::error::{Entity, StoreError};
use crate::ima_lists::{ImaAheadPart, ImaListChange};
use crate::limits::{MAX_BOOT_NAME_BYTES, MAX_IMA_STATE_BYTES};
use crate::logs::{AheadOutcome, BootRecord, BootUpdate, BootVersion, ImaAhead};

/// See [`Logs::boot`](crate::Logs::boot).
pub(super) async fn find(store: &SqliteStore, device: DeviceId) -> Result<Option<BootRecord>, StoreError> {
    let operation = Operation::new("boot", Entity::Boot);
    let row = sqlx::query(
        "SELECT b.version, b.enrolment, b.boot, b.reset_count, b.restart_count, b.event_log, b.at_ms, i.state AS ima, \
         a.boot AS ahead_boot, a.list_offset, a.state AS ahead_state, a.at_ms AS ahead_at_ms FROM boots b \
         LEFT JOIN boot_ima i ON i.device = b.device LEFT JOIN boot_ima_ahead a ON a.device = b.device WHERE b.device = ?",
    )
    .bind(device.to_string())
    .fetch_optional(&store.readers)
    .await
    .map_err(operation.failed())?;
    row.map(|row| record(&Fields::new(&row, operation))).transpose()
}

fn record(fields: &Fields<'_>) -> Result<BootRecord, StoreError> {
    Ok(BootRecord {
        version: BootVersion::new(fields.number("version")?),
        enrolment: fields.parsed("enrolment")?,
        boot: fields.get("boot")?,
        reset_count: fields.number("reset_count")?,
        restart_count: fields.number("restart_count")?,
        event_log: fields.optional("event_log", Fields::digest)?,
        ima: fields.get("ima")?,
        ahead: fields.optional("ahead_boot", |fields, boot| {
            Ok(ImaAhead {
                boot: fields.get(boot)?,
                offset: fields.bits("list_offset")?,
                state: fields.get("ahead_state")?,
                at: fields.timestamp("ahead_at_ms")?,
            })
        })?,
        at: fields.timestamp("at_ms")?,
    })
}

/// Checks the bounds of a record before anything is locked for it.
pub(super) fn check(operation: Operation, boot: Option<&str>, ima: Option<&str>) -> Result<(), StoreError> {
    operation.at_most(MAX_BOOT_NAME_BYTES, "the boot's name", boot.map_or(0, str::len))?;
    operation.at_most(MAX_IMA_STATE_BYTES, "the state of the IMA replay", ima.map_or(0, str::len))
}

/// What a change of a record depends on, read under the lock.
struct Last {
    version: BootVersion,
    event_log: Option<Sha256Digest>,
}

impl Last {
    async fn find(
        tx: &mut Transaction<'_, Sqlite>,
        operation: Operation,
        device: DeviceId,
    ) -> Result<Option<Self>, StoreError> {
        let row = sqlx::query("SELECT version, event_log FROM boots WHERE device = ?")
            .bind(device.to_string())
            .fetch_optional(&mut **tx)
            .await
            .map_err(operation.failed())?;
        let Some(row) = row else { return Ok(None) };
        let fields = Fields::new(&row, operation);
        Ok(Some(Self {
            version: BootVersion::new(fields.number("version")?),
            event_log: fields.optional("event_log", Fields::digest)?,
        }))
    }
}

/// Replaces a device's record in the transaction that stores the attestation, unless the update was computed from another
/// record than the present one. The lists of all devices may take so much `room`, in bytes.
pub(super) async fn update(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    device: DeviceId,
    update: &BootUpdate,
    room: u64,
) -> Result<Option<BootVersion>, StoreError> {
    let operation = operation.about(Entity::Boot);
    let last = Last::find(tx, operation, device).await?;
    if update.follows != last.as_ref().map(|last| last.version) {
        return Ok(None);
    }
    let version = update.follows.map_or(BootVersion::FIRST, BootVersion::next);
    let event_log_before = last.and_then(|last| last.event_log);
    if event_log_before != update.event_log {
        change_event_log(tx, operation, event_log_before, update).await?;
    }
    put_row(tx, operation, device, version, update).await?;
    put_ima(tx, operation, device, update.ima.as_deref()).await?;
    let ended = sqlx::query("DELETE FROM boot_ima_ahead WHERE device = ?")
        .bind(device.to_string())
        .execute(&mut **tx)
        .await
        .map_err(operation.failed())?;
    let had_ahead = ended.rows_affected() > 0;
    ima_lists::Lists::new(tx, operation, device, room).change(&update.list, had_ahead).await?;
    Ok(Some(version))
}

/// Requires the new event log, and notes until when the one before was of use.
async fn change_event_log(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    before: Option<Sha256Digest>,
    update: &BootUpdate,
) -> Result<(), StoreError> {
    let operation = operation.about(Entity::EventLog);
    if let Some(digest) = update.event_log {
        let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM event_logs WHERE digest = ?")
            .bind(digest.as_bytes().as_slice())
            .fetch_optional(&mut **tx)
            .await
            .map_err(operation.failed())?;
        found.ok_or_else(|| operation.missing(&digest))?;
    }
    if let Some(before) = before {
        super::logs::note_use(tx, operation, before, update.at).await?;
    }
    Ok(())
}

async fn put_row(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    device: DeviceId,
    version: BootVersion,
    update: &BootUpdate,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO boots (device, version, enrolment, boot, reset_count, restart_count, event_log, at_ms) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET version = excluded.version, \
         enrolment = excluded.enrolment, boot = excluded.boot, reset_count = excluded.reset_count, \
         restart_count = excluded.restart_count, event_log = excluded.event_log, at_ms = excluded.at_ms",
    )
    .bind(device.to_string())
    .bind(column(version))
    .bind(update.enrolment.to_string())
    .bind(update.boot.as_deref())
    .bind(i64::from(update.reset_count))
    .bind(i64::from(update.restart_count))
    .bind(update.event_log.as_ref().map(|digest| digest.as_bytes().as_slice()))
    .bind(update.at.unix_millis())
    .execute(&mut **tx)
    .await
    .map_err(operation.failed())?;
    Ok(())
}

/// Puts the state of the IMA replay; one that is there already is not written again.
async fn put_ima(
    tx: &mut Transaction<'_, Sqlite>,
    operation: Operation,
    device: DeviceId,
    state: Option<&str>,
) -> Result<(), StoreError> {
    let query = match state {
        None => sqlx::query("DELETE FROM boot_ima WHERE device = ?").bind(device.to_string()),
        Some(state) => sqlx::query(
            "INSERT INTO boot_ima (device, state) VALUES (?, ?) \
             ON CONFLICT (device) DO UPDATE SET state = excluded.state WHERE state <> excluded.state",
        )
        .bind(device.to_string())
        .bind(state),
    };
    query.execute(&mut **tx).await.map_err(operation.failed())?;
    Ok(())
}

const AHEAD: Operation = Operation::new("put_ima_ahead", Entity::Boot);

/// See [`Logs::put_ima_ahead`](crate::Logs::put_ima_ahead).
pub(super) async fn put_ahead(
    store: &SqliteStore,
    device: DeviceId,
    follows: Option<BootVersion>,
    ahead: &ImaAhead,
    part: &ImaAheadPart,
) -> Result<AheadOutcome, StoreError> {
    check(AHEAD, Some(&ahead.boot), Some(&ahead.state))?;
    ima_lists::check(AHEAD, part.part.as_ref(), device)?;
    let (ahead, part, room) = (ahead.clone(), part.clone(), store.ima_lists_bytes);
    store.group.perform(AHEAD, PutAhead { device, follows, ahead, part, room }).await
}

/// A part of an IMA list that came ahead of its quote.
struct PutAhead {
    device: DeviceId,
    follows: Option<BootVersion>,
    ahead: ImaAhead,
    part: ImaAheadPart,
    room: u64,
}

#[async_trait]
impl Work for PutAhead {
    type Outcome = AheadOutcome;

    async fn perform(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<Step<AheadOutcome>, StoreError> {
        let Some(present) = Present::find(tx, AHEAD, self.device).await? else {
            return Ok(Step::Undo(AheadOutcome::DeviceUnknown));
        };
        if present.state == DeviceState::Revoked {
            return Ok(Step::Undo(AheadOutcome::DeviceRevoked));
        }
        let last = Last::find(tx, AHEAD, self.device).await?;
        if self.follows != last.map(|last| last.version) {
            return Ok(Step::Undo(AheadOutcome::Superseded));
        }
        let version = match self.follows {
            None => begin(tx, self.device, present.enrolment, self.ahead.at).await?,
            Some(follows) => go_on(tx, self.device, follows).await?,
        };
        self.put(tx).await?;
        ima_lists::Lists::new(tx, AHEAD, self.device, self.room).put_ahead(&self.part).await?;
        Ok(Step::Keep(AheadOutcome::Stored(version)))
    }
}

impl PutAhead {
    async fn put(&self, tx: &mut Transaction<'_, Sqlite>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO boot_ima_ahead (device, boot, list_offset, state, at_ms) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT (device) DO UPDATE SET boot = excluded.boot, list_offset = excluded.list_offset, \
             state = excluded.state, at_ms = excluded.at_ms",
        )
        .bind(self.device.to_string())
        .bind(&self.ahead.boot)
        .bind(self.ahead.offset.cast_signed())
        .bind(&self.ahead.state)
        .bind(self.ahead.at.unix_millis())
        .execute(&mut **tx)
        .await
        .map_err(AHEAD.failed())?;
        Ok(())
    }
}

/// The record of a device that was not quoted with a boot yet.
async fn begin(
    tx: &mut Transaction<'_, Sqlite>,
    device: DeviceId,
    enrolment: EnrolmentId,
    at: Timestamp,
) -> Result<BootVersion, StoreError> {
    let nothing = BootUpdate {
        follows: None,
        enrolment,
        boot: None,
        reset_count: 0,
        restart_count: 0,
        event_log: None,
        ima: None,
        list: ImaListChange::Stays,
        at,
    };
    put_row(tx, AHEAD, device, BootVersion::FIRST, &nothing).await?;
    Ok(BootVersion::FIRST)
}

async fn go_on(
    tx: &mut Transaction<'_, Sqlite>,
    device: DeviceId,
    follows: BootVersion,
) -> Result<BootVersion, StoreError> {
    let version = follows.next();
    sqlx::query("UPDATE boots SET version = ? WHERE device = ?")
        .bind(column(version))
        .bind(device.to_string())
        .execute(&mut **tx)
        .await
        .map_err(AHEAD.failed())?;
    Ok(version)
}

/// A version as it is stored.
fn column(version: BootVersion) -> i64 {
    i64::try_from(version.get()).unwrap_or(i64::MAX)
}
