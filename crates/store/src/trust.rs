//! The history of trust: what happened to a device's trust, and what it came to, row by row.

use async_trait::async_trait;
use vouchsafe_model::{DeviceId, Timestamp};

use crate::error::StoreError;
use crate::page::Page;

/// The number of a row in the trust history of one device: 1, 2, 3 and so on, without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustSequence(u64);

impl TrustSequence {
    /// The row that enrolment writes.
    pub const FIRST: Self = Self(1);

    /// The row of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The row after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for TrustSequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// The first row of a device's trust history, written when it enrols for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialTrust {
    /// What happened, as JSON that the trust engine alone reads.
    pub event: String,
    /// The trust engine's state after it, as JSON that the trust engine alone reads.
    pub state: String,
}

/// The next row of a device's trust history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustUpdate {
    /// The row that the new state was computed from. When it is no longer the last, the update is superseded: nothing
    /// is stored, and the caller computes it anew.
    pub follows: TrustSequence,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, as JSON that the trust engine alone reads.
    pub event: String,
    /// The trust engine's state after it, as JSON that the trust engine alone reads.
    pub state: String,
}

/// One row of a device's trust history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRow {
    /// Its number.
    pub sequence: TrustSequence,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// The state after it.
    pub state: String,
}

/// What became of a [`TrustUpdate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustAppend {
    /// It was stored under this number.
    Appended(TrustSequence),
    /// Another came between; nothing was stored.
    Superseded,
}

/// Where the trust of devices is kept. What happens to a device as such writes its own row, in the same transaction:
/// enrolment, attestation, refusal, revocation, restoration.
///
/// To implement: rows are never changed, and a device's number of rows is compared and increased under a lock on the
/// device. The order of rows is that of their numbers, never that of `at`: clocks go back.
#[async_trait]
pub trait TrustHistory: Send + Sync {
    /// Appends a row for what has no operation of its own, such as conduct.
    ///
    /// # Errors
    /// `Missing` when there is no such device, `TooLarge` when event or state exceeds its bound in
    /// [`limits`](crate::limits).
    async fn append_trust(&self, device: DeviceId, update: &TrustUpdate) -> Result<TrustAppend, StoreError>;

    /// The last row. `None` when there is no such device.
    ///
    /// # Errors
    /// Those of any operation.
    async fn latest_trust(&self, device: DeviceId) -> Result<Option<TrustRow>, StoreError>;

    /// The last row of those with `at` or an earlier instant: the one that was in force then. `None` when the device
    /// had not enrolled, or when that part of its history is purged.
    ///
    /// The last is the one with the highest number. A failure that was written after the clock was put back is thus
    /// never hidden behind an older row with a later instant.
    ///
    /// # Errors
    /// Those of any operation.
    async fn trust_at(&self, device: DeviceId, at: Timestamp) -> Result<Option<TrustRow>, StoreError>;

    /// The rows with instants from `from` to `to`, both included, in the order of their numbers.
    ///
    /// # Errors
    /// Those of any operation.
    async fn trust_history(
        &self,
        device: DeviceId,
        from: Timestamp,
        to: Timestamp,
        page: Page<TrustSequence>,
    ) -> Result<Vec<TrustRow>, StoreError>;
}
