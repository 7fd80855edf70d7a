//! From the columns of a row to the types of the domain. What does not parse is corrupt, never a panic.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use vouchsafe_model::{Sha256Digest, Timestamp};

use super::operation::Operation;
use crate::error::{Entity, StoreError};

/// The columns of one row, by their names.
pub(super) struct Fields<'r> {
    row: &'r SqliteRow,
    operation: Operation,
}

impl<'r> Fields<'r> {
    pub(super) fn new(row: &'r SqliteRow, operation: Operation) -> Self {
        Self { row, operation }
    }

    /// The same row, read for the sake of this.
    pub(super) fn about(&self, entity: Entity) -> Self {
        Self { row: self.row, operation: self.operation.about(entity) }
    }

    pub(super) fn get<T: Decode<'r, Sqlite> + Type<Sqlite>>(&self, column: &str) -> Result<T, StoreError> {
        self.row.try_get(column).map_err(self.operation.failed())
    }

    /// Whether the column has a value.
    pub(super) fn has(&self, column: &str) -> Result<bool, StoreError> {
        use sqlx::ValueRef;
        Ok(!self.row.try_get_raw(column).map_err(self.operation.failed())?.is_null())
    }

    /// A value that is read by `read` if there is one.
    pub(super) fn optional<T>(
        &self,
        column: &str,
        read: impl FnOnce(&Self, &str) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if self.has(column)? { read(self, column).map(Some) } else { Ok(None) }
    }

    pub(super) fn timestamp(&self, column: &str) -> Result<Timestamp, StoreError> {
        let millis = self.get(column)?;
        let instant = Timestamp::from_unix_millis(millis);
        if instant.unix_millis() == millis { Ok(instant) } else { Err(self.wrong(column, "is no instant")) }
    }

    pub(super) fn digest(&self, column: &str) -> Result<Sha256Digest, StoreError> {
        let bytes: &[u8] = self.get(column)?;
        bytes.try_into().map(Sha256Digest::new).map_err(|_| self.wrong(column, "is not 32 bytes long"))
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        match self.get::<i64>(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong(column, "is neither 0 nor 1")),
        }
    }

    /// An unsigned number that the schema keeps in its range.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, StoreError> {
        self.get::<i64>(column)?.try_into().map_err(|_| self.wrong(column, "is out of range"))
    }

    /// An unsigned 64-bit number, kept as the signed one of the same bits.
    pub(super) fn bits(&self, column: &str) -> Result<u64, StoreError> {
        self.get::<i64>(column).map(i64::cast_unsigned)
    }

    pub(super) fn parsed<T: FromStr>(&self, column: &str) -> Result<T, StoreError>
    where
        T::Err: Display,
    {
        self.get::<&str>(column)?.parse().map_err(|error: T::Err| self.wrong(column, error))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.get(column)?).map_err(|error| self.wrong(column, error))
    }

    /// The one of `all` that has this name.
    pub(super) fn named<T: Copy>(
        &self,
        column: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, StoreError> {
        let text: &str = self.get(column)?;
        all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| self.wrong(column, "has no known name"))
    }

    fn wrong(&self, column: &str, why: impl Display) -> StoreError {
        self.operation.corrupt(format!("{column} {why}"))
    }
}
