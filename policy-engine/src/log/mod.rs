//! The decision log: no answer leaves before its decision is on record.
//!
//! A [`LogEntry`] is what is kept of one decision. Policies may leave out parts of it ([`MaskedLog`]), then it is written to
//! a [journal](JournalLog), whose entries [operators query](query) and [forward](event) to other systems, and from which the
//! input of a decision can be [had again](replay_input).

mod entry;
pub mod event;
pub mod explain;
pub(crate) mod facts;
mod http;
mod journal;
pub mod mask;
pub mod query;
mod replay;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use entry::{LogEntry, MAX_DECISION_LEN, MAX_REQUEST_LEN, UnreadableEntry};
pub use http::{LogApi, LogState, routes};
pub use journal::{JournalLog, MAX_WAIT};
pub use mask::{MaskError, MaskedLog};
pub use replay::{NotReplayable, Replay, replay_input};

/// Where decisions are put on record before they are answered.
#[async_trait]
pub trait DecisionLog: Send + Sync {
    /// Puts a decision on record, for good.
    ///
    /// # Errors
    /// When it is not known to be on record: it must then not be acted upon.
    async fn append(&self, entry: LogEntry) -> Result<(), LogError>;
}

/// Why a decision is not on record.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The log did not keep it.
    #[error("the decision log did not keep the decision")]
    Refused(#[source] Arc<dyn Error + Send + Sync>),
    /// It was not kept in time. It may be yet.
    #[error("the decision log did not keep the decision within {wait:?}")]
    TimedOut {
        /// How long was waited.
        wait: Duration,
    },
    /// The log is closed.
    #[error("the decision log is closed")]
    Closed,
    /// The decision or its request is larger than is logged.
    #[error(
        "a decision of {decision} bytes and its request of {request} are larger than the {MAX_DECISION_LEN} and \
         {MAX_REQUEST_LEN} that are logged"
    )]
    TooLarge {
        /// The length of the decision's JSON.
        decision: usize,
        /// The length of the rest.
        request: usize,
    },
    /// What the policy says about leaving out parts of it cannot be followed.
    #[error("the policy's rules for the decision log failed")]
    Masking(#[source] Arc<MaskError>),
}
