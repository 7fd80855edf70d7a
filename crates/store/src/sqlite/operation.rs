//! The name of what is being done, for errors, and the translation of the database's own.

use std::sync::Arc;

use crate::error::{Entity, StoreError};

/// The name of an operation, and what it is mainly about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    name: &'static str,
    entity: Entity,
}

/// Primary result codes (<https://www.sqlite.org/rescode.html>); the low byte of the extended ones.
mod code {
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOT_A_DATABASE: i32 = 26;
}

impl Operation {
    pub(super) const fn new(name: &'static str, entity: Entity) -> Self {
        Self { name, entity }
    }

    /// The same operation, while it is about something else.
    pub(super) const fn about(self, entity: Entity) -> Self {
        Self { entity, ..self }
    }

    /// Translates an error of the database.
    pub(super) fn failed(self) -> impl Fn(sqlx::Error) -> StoreError {
        move |error| match primary_code(&error) {
            Some(code::BUSY | code::LOCKED) => StoreError::Busy { operation: self.name },
            Some(code::CORRUPT | code::CONSTRAINT | code::NOT_A_DATABASE) => {
                self.about(Entity::Database).corrupt(error.to_string())
            }
            _ => match error {
                sqlx::Error::PoolTimedOut => StoreError::Busy { operation: self.name },
                sqlx::Error::ColumnDecode { index, source } => self.corrupt(format!("{index}: {source}")),
                other => StoreError::Unavailable { operation: self.name, source: other.into() },
            },
        }
    }

    /// Translates an error of an insertion: what the schema refuses is a conflict.
    pub(super) fn inserting(self, id: impl ToString) -> impl Fn(sqlx::Error) -> StoreError {
        move |error| {
            if primary_code(&error) == Some(code::CONSTRAINT) { self.conflict(&id) } else { self.failed()(error) }
        }
    }

    /// The operation was given up because of this, which happened to it or to another that shared its commit.
    pub(super) fn given_up(self, failure: &Arc<StoreError>) -> StoreError {
        match **failure {
            StoreError::Busy { .. } => StoreError::Busy { operation: self.name },
            _ => StoreError::Unavailable { operation: self.name, source: Box::new(Arc::clone(failure)) },
        }
    }

    pub(super) fn corrupt(self, what: impl Into<String>) -> StoreError {
        StoreError::Corrupt { operation: self.name, entity: self.entity, what: what.into() }
    }

    pub(super) fn conflict(self, id: &impl ToString) -> StoreError {
        StoreError::Conflict { operation: self.name, entity: self.entity, id: id.to_string() }
    }

    pub(super) fn missing(self, id: &impl ToString) -> StoreError {
        StoreError::Missing { operation: self.name, entity: self.entity, id: id.to_string() }
    }

    /// Refuses what is larger than `max`.
    pub(super) fn at_most(self, max: usize, what: &'static str, found: usize) -> Result<(), StoreError> {
        if found > max {
            return Err(StoreError::TooLarge { operation: self.name, what, found, max });
        }
        Ok(())
    }

    /// Writes a value as JSON of at most `max` bytes.
    pub(super) fn json<T: serde::Serialize>(
        self,
        max: usize,
        what: &'static str,
        value: &T,
    ) -> Result<String, StoreError> {
        let json = serde_json::to_string(value)
            .map_err(|source| StoreError::Unavailable { operation: self.name, source: source.into() })?;
        self.at_most(max, what, json.len())?;
        Ok(json)
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|extended| extended & 0xFF)
}
