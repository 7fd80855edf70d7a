//! What keeps the store small and says whether it works.

use std::time::Duration;

use async_trait::async_trait;
use vouchsafe_model::Timestamp;

use crate::error::StoreError;

/// For how long things are remembered; `None` is for ever. What a device points to as its latest is always kept.
///
/// Spent nonces have no entry: they are remembered until they expire, and no longer. Neither have boot event logs: while the
/// boot of any device names one it is kept, and then for [`Self::IDLE_EVENT_LOG`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Attestations and refusals, from the instant at which the evidence came.
    pub attestations: Option<Duration>,
    /// Rows of trust histories, from the instant at which they happened.
    pub trust: Option<Duration>,
    /// Certificates, from the instant at which they ended.
    pub certificates: Option<Duration>,
    /// The most rows of one kind that are deleted in one call: 1 to [`Self::MAX_ROWS`].
    pub max_rows: u32,
}

impl RetentionPolicy {
    /// The most rows of one kind that any call deletes.
    pub const MAX_ROWS: u32 = 10_000;
    /// For how long a boot event log is kept that was put and is not named by a boot yet, or is no longer. A host sends one
    /// again that is missed, so this need only be longer than an appraisal; it bounds what a host can fill the disk with
    /// that makes up a new log for each quote.
    pub const IDLE_EVENT_LOG: Duration = Duration::from_secs(2 * 3600);
    /// Nothing is forgotten but nonces that have expired, and event logs that no boot names.
    pub const FOR_EVER: Self = Self { attestations: None, trust: None, certificates: None, max_rows: 1_000 };
}

/// How many rows a purge deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Spent nonces.
    pub nonces: u64,
    /// Attestations.
    pub attestations: u64,
    /// Refusals.
    pub refusals: u64,
    /// Rows of trust histories.
    pub trust: u64,
    /// Certificates.
    pub certificates: u64,
    /// Boot event logs.
    pub event_logs: u64,
    /// Whether some kind reached the bound of the call, so that there may be more to delete.
    pub more: bool,
}

/// What keeps the store small and says whether it works.
///
/// To implement: each kind is deleted in a transaction of its own, oldest first and bounded, so that no purge keeps an
/// attestation waiting; where a transaction records how far it forgot, it does so in that same transaction.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Forgets what need not be remembered any longer, a bounded part of it.
    ///
    /// # Errors
    /// Those of any operation. Kinds that were purged before the error stay so.
    async fn purge(&self, now: Timestamp, policy: &RetentionPolicy) -> Result<Purged, StoreError>;

    /// Whether the store can be read and written at this instant.
    ///
    /// # Errors
    /// Why it cannot.
    async fn ping(&self) -> Result<(), StoreError>;
}
