//! IMA lists: the parts that are kept of each device's, in the transaction that vouches for them.
//!
//! Whatever happens to a list, the evidence that it came with is stored: a list that does not fit, or that does not follow
//! what is kept, is lost, and that is noted.

use sqlx::{Sqlite, Transaction};
use vouchsafe_model::DeviceId;

use super::SqliteStore;
use super::fields::Fields;
use super::operation::Operation;
use crate::error::{Entity, StoreError};
use crate::ima_lists::{ImaAheadPart, ImaList, ImaListChange, ImaListLost, ImaListPart};
use crate::limits::{MAX_IMA_LIST_BYTES, MAX_IMA_LIST_DEFLATED_BYTES, MAX_IMA_LIST_PARTS, MAX_IMA_PART_DEFLATED_BYTES};
use crate::logs::BootVersion;

/// See [`Logs::ima_list`](crate::Logs::ima_list).
pub(super) async fn find(store: &SqliteStore, device: DeviceId) -> Result<Option<ImaList>, StoreError> {
    let operation = Operation::new("ima_list", Entity::ImaList);
    let rows = sqlx::query(
        "SELECT b.version, l.why, p.vouched, p.list_offset, p.bytes, d.deflated FROM boots b \
         LEFT JOIN ima_lists_lost l ON l.device = b.device AND l.vouched = 1 \
         LEFT JOIN ima_list_parts p ON p.device = b.device LEFT JOIN ima_list_bytes d ON d.part = p.id \
         WHERE b.device = ? ORDER BY p.vouched, p.list_offset",
    )
    .bind(device.to_string())
    .fetch_all(&store.readers)
    .await
    .map_err(operation.failed())?;
    let mut list: Option<ImaList> = None;
    for row in &rows {
        let fields = Fields::new(row, operation);
        let list = match &mut list {
            Some(list) => list,
            None => list.insert(ImaList {
                version: BootVersion::new(fields.number("version")?),
                parts: Vec::new(),
                lost: fields.optional("why", |fields, why| fields.named(why, &ImaListLost::ALL, ImaListLost::name))?,
                ahead: Vec::new(),
            }),
        };
        if fields.has("vouched")? {
            let side = if fields.flag("vouched")? { &mut list.parts } else { &mut list.ahead };
            side.push(part(&fields)?);
        }
    }
    Ok(list)
}

/// See [`Logs::ima_list_end`](crate::Logs::ima_list_end).
pub(super) async fn end(store: &SqliteStore, device: DeviceId) -> Result<u64, StoreError> {
    let operation = Operation::new("ima_list_end", Entity::ImaList);
    let row = sqlx::query(
        "SELECT list_offset + bytes AS list_end FROM ima_list_parts WHERE device = ? AND vouched = 1 \
         ORDER BY list_offset DESC LIMIT 1",
    )
    .bind(device.to_string())
    .fetch_optional(&store.readers)
    .await
    .map_err(operation.failed())?;
    row.map_or(Ok(0), |row| Fields::new(&row, operation).number("list_end"))
}

/// See [`Logs::ima_list_tail`](crate::Logs::ima_list_tail).
pub(super) async fn tail(
    store: &SqliteStore,
    device: DeviceId,
    max_len: u64,
) -> Result<Option<ImaListPart>, StoreError> {
    let operation = Operation::new("ima_list_tail", Entity::ImaList);
    let row = sqlx::query(
        "SELECT p.list_offset, p.bytes, d.deflated FROM ima_list_parts p JOIN ima_list_bytes d ON d.part = p.id \
         WHERE p.id = (SELECT id FROM ima_list_parts WHERE device = ? AND vouched = 1 ORDER BY list_offset DESC LIMIT 1) \
         AND p.bytes <= ?",
    )
    .bind(device.to_string())
    .bind(column(max_len))
    .fetch_optional(&store.readers)
    .await
    .map_err(operation.failed())?;
    row.map(|row| part(&Fields::new(&row, operation))).transpose()
}

fn part(fields: &Fields<'_>) -> Result<ImaListPart, StoreError> {
    Ok(ImaListPart {
        offset: fields.number("list_offset")?,
        len: fields.number("bytes")?,
        deflated: fields.get("deflated")?,
    })
}

/// Checks a change before anything is locked for it.
pub(super) fn check_change(operation: Operation, change: &ImaListChange, device: DeviceId) -> Result<(), StoreError> {
    match change {
        ImaListChange::Stays => Ok(()),
        ImaListChange::From { offset, part } => {
            let begins_there = part.as_ref().is_none_or(|part| part.offset == *offset);
            if begins_there { check(operation, part.as_ref(), device) } else { Err(conflict(operation, device)) }
        }
        ImaListChange::TakesAhead { part } => check(operation, part.as_ref(), device),
    }
}

/// Checks a part before anything is locked for it.
pub(super) fn check(operation: Operation, part: Option<&ImaListPart>, device: DeviceId) -> Result<(), StoreError> {
    let Some(part) = part else { return Ok(()) };
    let largest = MAX_IMA_PART_DEFLATED_BYTES;
    operation.at_most(largest, "the part of the IMA list", part.deflated.len())?;
    if part.len > 0 { Ok(()) } else { Err(conflict(operation, device)) }
}

fn conflict(operation: Operation, device: DeviceId) -> StoreError {
    operation.about(Entity::ImaList).conflict(&device)
}

/// Which of the two that a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// What came ahead of its quote.
    Ahead,
    /// What quotes vouched for.
    Vouched,
}

/// What is kept of one, or of a beginning of it.
struct Extent {
    parts: u64,
    begin: u64,
    end: u64,
    deflated: u64,
}

/// The lists of a device, while a transaction has them locked.
pub(super) struct Lists<'t, 'c> {
    tx: &'t mut Transaction<'c, Sqlite>,
    operation: Operation,
    device: DeviceId,
    /// The most bytes that the lists of all devices take.
    room: u64,
}

impl<'t, 'c> Lists<'t, 'c> {
    pub(super) fn new(tx: &'t mut Transaction<'c, Sqlite>, operation: Operation, device: DeviceId, room: u64) -> Self {
        Self { tx, operation: operation.about(Entity::ImaList), device, room }
    }

    /// Changes the list as accepted evidence says.
    pub(super) async fn change(mut self, change: &ImaListChange, had_ahead: bool) -> Result<(), StoreError> {
        match change {
            ImaListChange::Stays => {}
            ImaListChange::From { offset, part } => self.go_on(*offset, part.as_ref()).await?,
            ImaListChange::TakesAhead { part } => self.take_ahead(part.as_ref()).await?,
        }
        if had_ahead { self.clear(Side::Ahead).await } else { Ok(()) }
    }

    /// Keeps a part that came ahead.
    pub(super) async fn put_ahead(mut self, ahead: &ImaAheadPart) -> Result<(), StoreError> {
        if ahead.begins {
            self.clear(Side::Ahead).await?;
        }
        match &ahead.part {
            Some(part) => self.append(Side::Ahead, part).await,
            None => Ok(()),
        }
    }

    async fn go_on(&mut self, offset: u64, part: Option<&ImaListPart>) -> Result<(), StoreError> {
        self.cut(offset).await?;
        if self.lost(Side::Vouched).await?.is_some() {
            return Ok(());
        }
        if self.extent(Side::Vouched, u64::MAX).await?.end != offset {
            return self.lose(Side::Vouched, ImaListLost::Incomplete).await;
        }
        match part {
            Some(part) => self.append(Side::Vouched, part).await,
            None => Ok(()),
        }
    }

    async fn take_ahead(&mut self, part: Option<&ImaListPart>) -> Result<(), StoreError> {
        if let Some(why) = self.lost(Side::Ahead).await? {
            return self.lose(Side::Vouched, why).await;
        }
        let ahead = self.extent(Side::Ahead, u64::MAX).await?;
        if ahead.parts > 0 {
            self.go_on(ahead.begin, None).await?;
            if self.lost(Side::Vouched).await?.is_some() {
                return Ok(());
            }
            sqlx::query("UPDATE ima_list_parts SET vouched = 1 WHERE device = ? AND vouched = 0")
                .bind(self.device.to_string())
                .execute(&mut **self.tx)
                .await
                .map_err(self.operation.failed())?;
        }
        match part {
            Some(part) => self.go_on(part.offset, Some(part)).await,
            None => Ok(()),
        }
    }

    /// Adds a part, if it follows what is there and fits; else the list is lost.
    async fn append(&mut self, side: Side, part: &ImaListPart) -> Result<(), StoreError> {
        if self.lost(side).await?.is_some() {
            return Ok(());
        }
        let own = self.extent(side, u64::MAX).await?;
        if own.end != part.offset && (side == Side::Vouched || own.parts > 0) {
            return self.lose(side, ImaListLost::Incomplete).await;
        }
        // What comes ahead will follow what quotes vouched for before it.
        let begin = if own.parts > 0 { own.begin } else { part.offset };
        let before = match side {
            Side::Ahead => self.extent(Side::Vouched, begin).await?,
            Side::Vouched => Extent { parts: 0, begin: 0, end: 0, deflated: 0 },
        };
        let deflated = u64::try_from(part.deflated.len()).unwrap_or(u64::MAX);
        let is_too_long = part.end() > MAX_IMA_LIST_BYTES
            || own.parts.saturating_add(before.parts) >= MAX_IMA_LIST_PARTS
            || own.deflated.saturating_add(before.deflated).saturating_add(deflated) > MAX_IMA_LIST_DEFLATED_BYTES;
        if is_too_long {
            return self.lose(side, ImaListLost::TooLong).await;
        }
        if self.total().await?.saturating_add(deflated) > self.room {
            return self.lose(side, ImaListLost::NoRoom).await;
        }
        self.insert(side, part, deflated).await
    }

    async fn insert(&mut self, side: Side, part: &ImaListPart, deflated: u64) -> Result<(), StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO ima_list_parts (device, vouched, list_offset, bytes, deflated_bytes) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(self.device.to_string())
        .bind(side.column())
        .bind(column(part.offset))
        .bind(column(part.len))
        .bind(column(deflated))
        .execute(&mut **self.tx)
        .await
        .map_err(self.operation.failed())?;
        sqlx::query("INSERT INTO ima_list_bytes (part, deflated) VALUES (?, ?)")
            .bind(inserted.last_insert_rowid())
            .bind(&part.deflated)
            .execute(&mut **self.tx)
            .await
            .map_err(self.operation.failed())?;
        Ok(())
    }

    /// What is kept of one before this place.
    async fn extent(&mut self, side: Side, before: u64) -> Result<Extent, StoreError> {
        let row = sqlx::query(
            "SELECT count(*) AS parts, coalesce(min(list_offset), 0) AS list_begin, \
             coalesce(max(list_offset + bytes), 0) AS list_end, coalesce(sum(deflated_bytes), 0) AS deflated \
             FROM ima_list_parts WHERE device = ? AND vouched = ? AND list_offset < ?",
        )
        .bind(self.device.to_string())
        .bind(side.column())
        .bind(column(before))
        .fetch_one(&mut **self.tx)
        .await
        .map_err(self.operation.failed())?;
        let fields = Fields::new(&row, self.operation);
        Ok(Extent {
            parts: fields.number("parts")?,
            begin: fields.number("list_begin")?,
            end: fields.number("list_end")?,
            deflated: fields.number("deflated")?,
        })
    }

    async fn lost(&mut self, side: Side) -> Result<Option<ImaListLost>, StoreError> {
        let row = sqlx::query("SELECT why FROM ima_lists_lost WHERE device = ? AND vouched = ?")
            .bind(self.device.to_string())
            .bind(side.column())
            .fetch_optional(&mut **self.tx)
            .await
            .map_err(self.operation.failed())?;
        let name = |row| Fields::new(&row, self.operation).named("why", &ImaListLost::ALL, ImaListLost::name);
        row.map(name).transpose()
    }

    async fn total(&mut self) -> Result<u64, StoreError> {
        let total: i64 = sqlx::query_scalar("SELECT deflated_bytes FROM ima_lists_total WHERE id = 1")
            .fetch_one(&mut **self.tx)
            .await
            .map_err(self.operation.failed())?;
        Ok(u64::try_from(total).unwrap_or(0))
    }

    /// Lets go of what is kept, and says why.
    async fn lose(&mut self, side: Side, why: ImaListLost) -> Result<(), StoreError> {
        self.clear(side).await?;
        sqlx::query("INSERT INTO ima_lists_lost (device, vouched, why) VALUES (?, ?, ?)")
            .bind(self.device.to_string())
            .bind(side.column())
            .bind(why.name())
            .execute(&mut **self.tx)
            .await
            .map_err(self.operation.failed())?;
        Ok(())
    }

    /// Lets go of what quotes vouched for from this place on; from the beginning on, of why it was lost, too.
    async fn cut(&mut self, offset: u64) -> Result<(), StoreError> {
        if offset == 0 {
            return self.clear(Side::Vouched).await;
        }
        sqlx::query("DELETE FROM ima_list_parts WHERE device = ? AND vouched = 1 AND list_offset >= ?")
            .bind(self.device.to_string())
            .bind(column(offset))
            .execute(&mut **self.tx)
            .await
            .map_err(self.operation.failed())?;
        Ok(())
    }

    async fn clear(&mut self, side: Side) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM ima_list_parts WHERE device = ? AND vouched = ?",
            "DELETE FROM ima_lists_lost WHERE device = ? AND vouched = ?",
        ] {
            sqlx::query(statement)
                .bind(self.device.to_string())
                .bind(side.column())
                .execute(&mut **self.tx)
                .await
                .map_err(self.operation.failed())?;
        }
        Ok(())
    }
}

impl Side {
    /// As it is stored.
    const fn column(self) -> bool {
        matches!(self, Self::Vouched)
    }
}

/// A number as it is stored; larger ones than that are beyond every bound.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
