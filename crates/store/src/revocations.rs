//! What firmware must not start: the forbidden signature databases (`dbx`; UEFI 2.10, 32.4.1).

use async_trait::async_trait;
use vouchsafe_model::{Sha256Digest, Timestamp};

use crate::error::StoreError;

/// A forbidden signature database as it was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDbx {
    /// The architecture that it is for: `x64`.
    pub arch: String,
    /// SHA-256 of the file.
    pub digest: Sha256Digest,
    /// When its maker says that it was made; `None` for a bare list, which does not say.
    pub timestamp: Option<Timestamp>,
    /// The file.
    pub bytes: Vec<u8>,
    /// When it was imported.
    pub imported_at: Timestamp,
}

/// What became of a forbidden signature database that was imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DbxOutcome {
    /// It is the one in force.
    Stored,
    /// It was the one in force already. Nothing was changed.
    Unchanged,
    /// It is older than the one in force, or does not say that it is not. Nothing was changed: what was revoked stays so.
    Older {
        /// When the one in force was made.
        present: Timestamp,
    },
}

/// Where revocations are kept.
///
/// To implement: for each architecture one database is in force, and it is replaced under a lock on it. One that says when it
/// was made is never replaced by one that says it was made before, or that does not say. One made at the same instant does
/// replace it: makers stamp successive updates alike, since firmware ignores the time of what it appends (UEFI 2.10, 8.2.2).
#[async_trait]
pub trait Revocations: Send + Sync {
    /// Puts a forbidden signature database in force, if it is not older than the one that is. The caller computed its SHA-256.
    ///
    /// # Errors
    /// `TooLarge` when it, the architecture's name or the number of architectures exceeds its bound in
    /// [`limits`](crate::limits).
    async fn put_dbx(
        &self,
        arch: &str,
        digest: Sha256Digest,
        timestamp: Option<Timestamp>,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<DbxOutcome, StoreError>;

    /// The forbidden signature databases in force, in the order of the bytes of their architectures' names.
    ///
    /// # Errors
    /// Those of any operation.
    async fn dbx(&self) -> Result<Vec<StoredDbx>, StoreError>;
}
