//! From a question to an answer that may be given: decided anew, and on record.

use std::sync::Arc;

use vouchsafe_http::entropy::EntropyFailed;
use vouchsafe_http::{Clock, Entropy};
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::{Decision, Reason};

use crate::decide::PolicyEngine;
use crate::log::{DecisionLog, LogEntry, LogError};
use crate::metrics;
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
        let decision = self.engine.decide_noting(&question, notes, self.clock.now(), &entropy);
        self.put_on_record(decision, question, asked_by).await
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
        let decision = self.engine.deny(&question, reason, self.clock.now(), &entropy);
        self.put_on_record(decision, question, asked_by).await
    }

    async fn put_on_record(
        &self,
        decision: Decision,
        question: Question,
        asked_by: Option<SpiffeId>,
    ) -> Result<Answer, NotDecided> {
        let question = question.without_body();
        // Written before the wait, and given to nobody before its end.
        let mut json = Vec::with_capacity(TYPICAL_LEN);
        serde_json::to_writer(&mut json, &decision)?;
        let logged = async {
            let entry = LogEntry::new(decision.clone(), &question, asked_by)?;
            drop(question);
            self.log.append(entry).await
        };
        match logged.await {
            Ok(()) => Ok(Answer { decision, json }),
            Err(error) => {
                metrics::not_logged();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(error = %error, cause, "decision not logged");
                Err(error.into())
            }
        }
    }
}

impl Answer {
    /// What was decided.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The decision as JSON, as it is answered and logged.
    pub fn into_json(self) -> Vec<u8> {
        self.json
    }
}
