//! The decision log.

use async_trait::async_trait;
use vouchsafe_model::{Decision, DecisionId, DeviceId, Outcome, Timestamp};

use crate::error::StoreError;
use crate::page::Page;

/// A decision with what it was about.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedDecision {
    /// The decision.
    pub decision: Decision,
    /// A summary of the request, as JSON that the policy engine alone reads. It carries no secret.
    pub request: String,
}

/// Which decisions are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Only those about requests from this device.
    pub device: Option<DeviceId>,
    /// Only those that came out so.
    pub outcome: Option<Outcome>,
    /// Only those made at this instant or later.
    pub since: Option<Timestamp>,
    /// Only those made before this instant.
    pub until: Option<Timestamp>,
}

/// Where decisions are logged, for good: a row is never changed, and deleted only by
/// [`Maintenance::purge`](crate::Maintenance::purge). The database itself refuses anything else, by triggers.
#[async_trait]
pub trait DecisionLog: Send + Sync {
    /// Appends decisions, all of them or none. Made for batches: a whole batch costs a few statements and one wait for
    /// the disk.
    ///
    /// To append the same decision twice is to append it once, so that a batch whose answer was lost can be sent again.
    ///
    /// # Errors
    /// `Conflict` when another decision has one of the ids; `TooLarge` when the batch, a decision or a request
    /// exceeds its bound in [`limits`](crate::limits).
    async fn append_decisions(&self, decisions: &[LoggedDecision]) -> Result<(), StoreError>;

    /// The decision of this name.
    ///
    /// # Errors
    /// Those of any operation.
    async fn decision(&self, id: DecisionId) -> Result<Option<LoggedDecision>, StoreError>;

    /// The decisions, newest first: by the instant at which they were made, then by the order in which they were
    /// appended.
    ///
    /// # Errors
    /// Those of any operation.
    async fn list_decisions(
        &self,
        filter: &DecisionFilter,
        page: Page<DecisionId>,
    ) -> Result<Vec<LoggedDecision>, StoreError>;
}
