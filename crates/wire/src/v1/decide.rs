//! Decisions: `POST /v1/decision`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::{Decision, DecisionId, DeviceId, Outcome, Reason, Sha256Digest, Timestamp, TrustScore};

use super::agent::{Application, Network, Request, User};
use super::opa::DataQuery;

/// A question: may this network agent do this? The engine joins the device's record and score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskDecision {
    /// The device that the request comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The user on whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The application that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Application>,
    /// The flow that carries the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What is asked.
    pub request: Request,
    /// The obligations that the asker meets, by their codes. An allow with another one is a deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64)]
    pub understands: Vec<String>,
}

impl AskDecision {
    /// The most obligations that an asker says it meets.
    pub const MAX_UNDERSTANDS: usize = 64;

    /// This request, of which nothing else is known.
    pub fn about(request: Request) -> Self {
        Self { device: None, user: None, application: None, network: None, request, understands: Vec::new() }
    }
}

/// The answer: good for this one request, never to be cached.
pub type Decided = Decision;

/// Several questions at once: `POST /v1/decisions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AskDecisions {
    /// 1 to [`DECISIONS`](super::limits::DECISIONS) of them.
    #[schema(min_items = 1, max_items = 100)]
    pub questions: Vec<AskDecision>,
}

/// The answers, in the order of the questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decisions {
    /// As many as there were questions.
    pub decisions: Vec<Decision>,
}

/// A decision as the log has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordedDecision {
    /// Its place in the log; the first is 0.
    pub number: u64,
    /// Its name.
    pub id: DecisionId,
    /// When it was made.
    pub decided_at: Timestamp,
    /// `decision`, `question`, `device` (the facts about it as the policy saw them) and `asked_by`, less what the policy leaves out
    /// of the log (`erased` and `masked` name that); `null` when it drops all.
    #[schema(value_type = Option<Object>)]
    pub entry: Option<serde_json::Value>,
}

/// A decision as it was logged, without its score's parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LoggedDecision {
    /// Its name.
    pub id: DecisionId,
    /// When it was made.
    pub decided_at: Timestamp,
    /// Yes or no.
    pub outcome: Outcome,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The device that the request came from.
    pub device: Option<DeviceId>,
    /// Its score at that instant.
    pub score: Option<TrustScore>,
    /// The hash of the policy that decided.
    pub policy: Sha256Digest,
    /// Who asked: an enforcement point or an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<SpiffeId>,
    /// What was asked.
    pub question: AskDecision,
    /// What was asked of a rule other than the one that decides, if that is what was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<DataQuery>,
}
