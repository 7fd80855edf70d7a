//! The decision log: no answer leaves before its decision is on record.

mod group;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use vouchsafe_model::Decision;
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_wire::v1::decide::{AskDecision, LoggedDecision};
use vouchsafe_wire::v1::opa::DataQuery;

pub use group::{GroupCommit, GroupCommitSettings};

use crate::query::Query;
use crate::question::Question;

/// The most bytes of [`LogEntry::request`]. The bounds of a [`Question`] keep every request below it.
pub const MAX_REQUEST_LEN: usize = 160 * 1024;

/// Where decisions are put on record before they are answered.
#[async_trait]
pub trait DecisionLog: Send + Sync {
    /// Puts a decision on record, for good.
    ///
    /// # Errors
    /// When it is not known to be on record: it must then not be acted upon.
    async fn append(&self, entry: LogEntry) -> Result<(), LogError>;
}

/// What keeps batches of decisions: a database.
#[async_trait]
pub trait DecisionSink: Send + Sync {
    /// Keeps all of a batch or nothing of it, and returns when a loss of power would not undo it.
    ///
    /// # Errors
    /// When it is not known to be kept.
    async fn write(&self, batch: Vec<LogEntry>) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A decision and what it was about.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// The decision.
    pub decision: Decision,
    /// What was asked and by whom, as JSON that only [`LogEntry::view`] reads. It carries no secret.
    pub request: String,
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
    /// The request is larger than is logged.
    #[error("the request is larger than the {MAX_REQUEST_LEN} bytes that are logged")]
    TooLarge,
}

/// A request as it is logged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoggedRequest<Q, D> {
    question: Q,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    query: Option<D>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_by: Option<SpiffeId>,
}

fn none<D>() -> Option<D> {
    None
}

/// A logged request that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the logged request cannot be read")]
pub struct UnreadableRequest(#[source] serde_json::Error);

impl LogEntry {
    /// The record of a decision about a question, and who asked it.
    ///
    /// # Errors
    /// `TooLarge` when the request is larger than is logged.
    pub fn new(decision: Decision, question: &Question, asked_by: Option<SpiffeId>) -> Result<Self, LogError> {
        Self::about(decision, question, None, asked_by)
    }

    /// The record of an answer about a rule other than the one that decides.
    ///
    /// # Errors
    /// `TooLarge` when the request is larger than is logged.
    pub fn of_query(decision: Decision, query: &Query, asked_by: Option<SpiffeId>) -> Result<Self, LogError> {
        Self::about(decision, query.question(), Some(query.asked()), asked_by)
    }

    fn about(
        decision: Decision,
        question: &Question,
        query: Option<&DataQuery>,
        asked_by: Option<SpiffeId>,
    ) -> Result<Self, LogError> {
        let logged = LoggedRequest { question: question.ask(), query, asked_by };
        // Texts, numbers and names always have a JSON form.
        let request = serde_json::to_string(&logged).unwrap_or_default();
        if request.is_empty() || request.len() > MAX_REQUEST_LEN {
            return Err(LogError::TooLarge);
        }
        Ok(Self { decision, request })
    }

    /// The record as it is shown.
    ///
    /// # Errors
    /// When the request was not written by [`LogEntry::new`].
    pub fn view(&self) -> Result<LoggedDecision, UnreadableRequest> {
        let LoggedRequest { question, query, asked_by }: LoggedRequest<AskDecision, DataQuery> =
            serde_json::from_str(&self.request).map_err(UnreadableRequest)?;
        let decision = &self.decision;
        Ok(LoggedDecision {
            id: decision.id(),
            decided_at: decision.decided_at(),
            outcome: decision.outcome(),
            reasons: decision.reasons().to_vec(),
            device: decision.device(),
            score: decision.score().map(|explanation| explanation.score),
            policy: decision.policy(),
            asked_by,
            question,
            query,
        })
    }
}
