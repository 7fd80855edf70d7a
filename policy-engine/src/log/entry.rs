//! What is kept of a decision.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::{Decision, DecisionId, Timestamp};
use vouchsafe_wire::v1::decide::{AskDecision, LoggedDecision};
use vouchsafe_wire::v1::opa::DataQuery;

use super::{LogError, facts};
use crate::known::Seen;
use crate::query::Query;
use crate::question::Question;

/// The most bytes of what is logged besides the decision. The bounds of a [`Question`] and of a device's facts keep it below.
pub const MAX_REQUEST_LEN: usize = 160 * 1024;
/// The most bytes of a decision that is logged.
pub const MAX_DECISION_LEN: usize = 64 * 1024;

/// What of a question is never logged.
const BODY_PLACE: &str = "/question/request/http/body";

/// A decision and what it was made over: `{"decision":…,"question":…,"device":…,"query":…,"asked_by":…}`. It carries no secret.
///
/// `device` is `input.device` as the policy saw it, less what `decision.score` tells, `null` where it saw none; it is absent where the policy was not asked, or
/// another rule was. `without` names what was there and is never logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    id: DecisionId,
    decided_at: Timestamp,
    /// Empty when the policy dropped it.
    json: Bytes,
}

/// A logged entry that is not as it was made: the policy left out parts of it, or all.
#[derive(Debug, thiserror::Error)]
#[error("the logged decision cannot be read in full")]
pub struct UnreadableEntry(#[source] serde_json::Error);

/// What an entry is about.
enum About<'a> {
    /// The rule that decides, and what it saw.
    Decision(&'a Seen),
    /// Another rule.
    Rule(&'a DataQuery),
}

/// An entry as it is read.
#[derive(Deserialize)]
struct Logged {
    decision: Decision,
    question: AskDecision,
    #[serde(default)]
    query: Option<DataQuery>,
    #[serde(default)]
    asked_by: Option<SpiffeId>,
}

impl LogEntry {
    /// The record of a decision about a question, what the policy saw besides, and who asked. `answer` is the JSON of the
    /// decision, which is written once and then answered and logged.
    ///
    /// # Errors
    /// `TooLarge` when it is larger than is logged.
    pub fn new(
        decision: &Decision,
        answer: &[u8],
        question: &Question,
        seen: &Seen,
        asked_by: Option<SpiffeId>,
    ) -> Result<Self, LogError> {
        Self::about(decision, answer, question, About::Decision(seen), asked_by)
    }

    /// The record of an answer about a rule other than the one that decides. `answer` is the JSON of the decision.
    ///
    /// # Errors
    /// `TooLarge` when it is larger than is logged.
    pub fn of_query(
        decision: &Decision,
        answer: &[u8],
        query: &Query,
        asked_by: Option<SpiffeId>,
    ) -> Result<Self, LogError> {
        Self::about(decision, answer, query.question(), About::Rule(query.asked()), asked_by)
    }

    fn about(
        decision: &Decision,
        answer: &[u8],
        question: &Question,
        about: About<'_>,
        asked_by: Option<SpiffeId>,
    ) -> Result<Self, LogError> {
        /// Room for most requests and devices, so that they are not written in several steps.
        const TYPICAL_REQUEST_LEN: usize = 2048;
        let question = without_body(question.ask());
        let mut json = Vec::with_capacity(answer.len() + TYPICAL_REQUEST_LEN);
        json.extend_from_slice(b"{\"decision\":");
        json.extend_from_slice(answer);
        member(&mut json, b",\"question\":", &*question);
        if matches!(question, Cow::Owned(_)) {
            member(&mut json, b",\"without\":", &[BODY_PLACE]);
        }
        match about {
            About::Decision(seen) => write_device(&mut json, seen, decision.score()),
            About::Rule(query) => member(&mut json, b",\"query\":", query),
        }
        if let Some(asked_by) = &asked_by {
            member(&mut json, b",\"asked_by\":", asked_by);
        }
        json.push(b'}');
        let (decision_len, request) = (answer.len(), json.len() - answer.len());
        if decision_len > MAX_DECISION_LEN || request > MAX_REQUEST_LEN {
            return Err(LogError::TooLarge { decision: decision_len, request });
        }
        Ok(Self { id: decision.id(), decided_at: decision.decided_at(), json: json.into() })
    }

    /// The same entry with another text.
    pub(super) fn with_json(self, json: Bytes) -> Self {
        Self { json, ..self }
    }

    /// What is left of it when the policy drops it.
    pub(super) fn dropped(self) -> Self {
        self.with_json(Bytes::new())
    }

    /// The decision's name.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// When it was made.
    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
    }

    /// The entry as JSON in one line; `None` when the policy dropped it.
    pub fn json(&self) -> Option<&Bytes> {
        Some(&self.json).filter(|json| !json.is_empty())
    }

    /// The record as it is shown, if it is whole.
    ///
    /// # Errors
    /// When the policy left out parts of it.
    pub fn view(&self) -> Result<LoggedDecision, UnreadableEntry> {
        let Logged { decision, question, query, asked_by } =
            serde_json::from_slice(&self.json).map_err(UnreadableEntry)?;
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

fn write_device(json: &mut Vec<u8>, seen: &Seen, score: Option<&ScoreExplanation>) {
    match (seen, score) {
        (Seen::NoDevice, _) => json.extend_from_slice(b",\"device\":null"),
        (Seen::Device(known), Some(score)) => {
            json.extend_from_slice(b",\"device\":");
            facts::write(json, known, score.at);
        }
        // There is no device without its score.
        (Seen::Nothing, _) | (Seen::Device(_), None) => {}
    }
}

pub(super) fn member(json: &mut Vec<u8>, name: &[u8], value: &impl Serialize) {
    json.extend_from_slice(name);
    // Texts, numbers and names always have a JSON form, and a `Vec` takes whatever is written to it.
    let _ = serde_json::to_writer(json, value);
}

/// The question without the body of its HTTP request, which may hold anything and is for the policy alone.
fn without_body(ask: &AskDecision) -> Cow<'_, AskDecision> {
    if ask.request.http.as_ref().is_none_or(|http| http.body.is_none()) {
        return Cow::Borrowed(ask);
    }
    let mut ask = ask.clone();
    if let Some(http) = &mut ask.request.http {
        http.body = None;
    }
    Cow::Owned(ask)
}
