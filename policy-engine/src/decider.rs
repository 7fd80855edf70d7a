//! From a question to an answer that may be given: decided anew, and on record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vouchsafe_http::entropy::EntropyFailed;
use vouchsafe_http::{Clock, Entropy};
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::{Decision, Reason};

use crate::decide::PolicyEngine;
use crate::evaluate::{Document, EvaluationError};
use crate::known::Seen;
use crate::log::{DecisionLog, LogEntry, LogError};
use crate::metrics;
use crate::query::Query;
use crate::question::{Question, QuestionError};

/// The one way from a question to an answer, whatever the door that it came through.
#[derive(Clone)]
pub struct Decider {
    /// What decides.
    pub engine: Arc<PolicyEngine>,
    /// Where decisions are put on record.
    pub log: Arc<dyn DecisionLog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the names of decisions.
    pub entropy: Arc<dyn Entropy>,
}

/// A decision that is on record, and so may be acted upon.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    decision: Decision,
    json: Vec<u8>,
    took: Duration,
}

/// The value of a rule that was asked about; the answer is on record, and so may be told.
#[derive(Debug)]
pub struct QueryAnswer {
    decision: Decision,
    outcome: Result<Document, EvaluationError>,
    took: Duration,
}

/// Why there is no answer. Whoever asked has to treat it as a deny.
#[derive(Debug, thiserror::Error)]
pub enum NotDecided {
    /// The decision cannot be named.
    #[error(transparent)]
    Entropy(#[from] EntropyFailed),
    /// The decision cannot be written down.
    #[error("the decision has no JSON form")]
    Unwritable(#[from] serde_json::Error),
    /// What is asked cannot be put into a question.
    #[error(transparent)]
    Unaskable(#[from] QuestionError),
    /// The decision was made, and could not be put on record.
    #[error(transparent)]
    NotLogged(#[from] LogError),
}

/// Room for most decisions, so that they are not written in several steps.
const TYPICAL_LEN: usize = 1536;

impl Decider {
    /// Decides a question of somebody and puts the decision on record.
    ///
    /// # Errors
    /// When the decision is not known to be on record.
    pub async fn decide(&self, question: Question, asked_by: Option<SpiffeId>) -> Result<Answer, NotDecided> {
        self.decide_noting(question, Vec::new(), asked_by).await
    }

    /// The same, with notes after the reasons of the policy.
    ///
    /// # Errors
    /// When the decision is not known to be on record.
    pub async fn decide_noting(
        &self,
        question: Question,
        notes: Vec<Reason>,
        asked_by: Option<SpiffeId>,
    ) -> Result<Answer, NotDecided> {
        let entropy = self.entropy.bytes()?;
        let started = Instant::now();
        let (decision, seen) = self.engine.decide_noting(&question, notes, self.clock.now(), &entropy);
        self.answer(decision, started.elapsed(), question, seen, asked_by).await
    }

    /// Denies for a reason of the door's own, without asking the policy, and puts that on record.
    ///
    /// # Errors
    /// When the decision is not known to be on record.
    pub async fn deny(
        &self,
        question: Question,
        reason: Reason,
        asked_by: Option<SpiffeId>,
    ) -> Result<Answer, NotDecided> {
        let entropy = self.entropy.bytes()?;
        let started = Instant::now();
        let decision = self.engine.deny(&question, reason, self.clock.now(), &entropy);
        self.answer(decision, started.elapsed(), question, Seen::Nothing, asked_by).await
    }

    async fn answer(
        &self,
        decision: Decision,
        took: Duration,
        question: Question,
        seen: Seen,
        asked_by: Option<SpiffeId>,
    ) -> Result<Answer, NotDecided> {
        // Written before the wait, and given to nobody before its end.
        let mut json = Vec::with_capacity(TYPICAL_LEN);
        serde_json::to_writer(&mut json, &decision)?;
        let entry = LogEntry::new(&decision, &json, &question, &seen, asked_by);
        drop((question, seen));
        self.put_on_record(entry).await?;
        Ok(Answer { decision, json, took })
    }

    /// Answers a question about another rule and puts the answer on record.
    ///
    /// # Errors
    /// When the answer is not known to be on record.
    pub async fn query(&self, query: Query, asked_by: Option<SpiffeId>) -> Result<QueryAnswer, NotDecided> {
        let entropy = self.entropy.bytes()?;
        let started = Instant::now();
        let (decision, outcome) = self.engine.query(&query, self.clock.now(), &entropy).await;
        let took = started.elapsed();
        let json = serde_json::to_vec(&decision)?;
        self.put_on_record(LogEntry::of_query(&decision, &json, &query, asked_by)).await?;
        Ok(QueryAnswer { decision, outcome, took })
    }

    async fn put_on_record(&self, entry: Result<LogEntry, LogError>) -> Result<(), LogError> {
        let logged = async { self.log.append(entry?).await };
        logged.await.inspect_err(|error| {
            metrics::not_logged();
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(error = %error, cause, "decision not logged");
        })
    }
}

impl Answer {
    /// What was decided.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// How long it took to decide, its way to the log not counted.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The decision as JSON, as it is answered and logged.
    pub fn into_json(self) -> Vec<u8> {
        self.json
    }
}

impl QueryAnswer {
    /// What is on record.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// How long it took to evaluate, its way to the log not counted.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The value of the rule.
    ///
    /// # Errors
    /// Why it has none.
    pub fn value(&self) -> Result<&Document, &EvaluationError> {
        self.outcome.as_ref()
    }
}
