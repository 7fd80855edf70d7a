//! What was decided over, once more: from an entry of the log to the policy's input.

use serde::Deserialize;
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::{DecisionId, Outcome, Sha256Digest, Timestamp};
use vouchsafe_wire::v1::agent::PolicyInput;
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::opa::DataQuery;

use super::facts::LoggedFacts;
use crate::input::joined;

/// A decision that can be made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Its name.
    pub id: DecisionId,
    /// What came of it.
    pub outcome: Outcome,
    /// The hash of the policy that it was made by.
    pub policy: Sha256Digest,
    /// What that policy saw; a policy that does not look at all of it saw less.
    pub input: PolicyInput,
    /// The obligations that the asker met: an allow with another one is [a deny](crate::ruling::for_asker).
    pub understands: Vec<String>,
}

/// Why a decision cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayable {
    /// It is none of ours, or lacks what is never left out.
    #[error("the entry cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Another rule was asked.
    #[error("the question was about another rule than the one that decides")]
    AnotherRule,
    /// The policy was not asked, or what it saw of the device was left out.
    #[error("the entry does not say what the policy saw of the device")]
    Unseen,
    /// A part is missing or another.
    #[error("{place} is not in the log as it was")]
    LeftOut {
        /// Which.
        place: String,
    },
}

/// As much of an entry as it takes.
#[derive(Deserialize)]
struct Logged {
    decision: LoggedDecision,
    #[serde(default)]
    question: Option<AskDecision>,
    #[serde(default)]
    device: LoggedDevice,
    #[serde(default)]
    query: Option<DataQuery>,
    #[serde(default)]
    without: Vec<String>,
}

/// Which parts the policy left out. They are read first: what is left may have any shape.
#[derive(Deserialize)]
struct Masked {
    #[serde(default)]
    erased: Vec<String>,
    #[serde(default)]
    masked: Vec<String>,
}

/// What cannot be masked of a decision.
#[derive(Deserialize)]
struct LoggedDecision {
    id: DecisionId,
    decided_at: Timestamp,
    outcome: Outcome,
    policy: Sha256Digest,
    #[serde(default)]
    score: Option<ScoreExplanation>,
}

/// What an entry says of the device.
#[derive(Default)]
enum LoggedDevice {
    #[default]
    Nothing,
    /// The policy saw this one, or none.
    Seen(Option<Box<LoggedFacts>>),
}

impl<'de> Deserialize<'de> for LoggedDevice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Seen)
    }
}

/// What the decision of an entry was made over: the input that the policy had, to be decided over by another.
///
/// # Errors
/// When not all of that is in the log.
pub fn replay_input(entry: &str) -> Result<Replay, NotReplayable> {
    let Masked { erased, masked } = serde_json::from_str(entry).map_err(NotReplayable::Unreadable)?;
    let of_input = |place: &&String| ["/question", "/device"].iter().any(|part| place.starts_with(part));
    if let Some(place) = erased.iter().chain(&masked).find(of_input) {
        return Err(NotReplayable::LeftOut { place: place.clone() });
    }
    let Logged { decision, question, device, query, without } =
        serde_json::from_str(entry).map_err(NotReplayable::Unreadable)?;
    if query.is_some() {
        return Err(NotReplayable::AnotherRule);
    }
    if let Some(place) = without.into_iter().next() {
        return Err(NotReplayable::LeftOut { place });
    }
    let LoggedDecision { id, decided_at, outcome, policy, score } = decision;
    let (Some(question), LoggedDevice::Seen(device)) = (question, device) else { return Err(NotReplayable::Unseen) };
    let understands = question.understands.clone();
    let device = match (device, score) {
        (None, _) => None,
        (Some(device), Some(score)) => Some(device.with(score)),
        (Some(_), None) => return Err(NotReplayable::Unseen),
    };
    let input = joined(question, device, decided_at);
    Ok(Replay { id, outcome, policy, input, understands })
}
