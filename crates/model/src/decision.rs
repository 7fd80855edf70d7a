//! What the policy engine answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hash::Sha256Digest;
use crate::id::{DecisionId, DeviceId};
use crate::obligation::Obligation;
use crate::time::Timestamp;
use crate::trust::{ScoreExplanation, TrustScore};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The request may pass.
    Allow,
    /// It may not.
    Deny,
}

impl Outcome {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Why, in words for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// A stable code: `device.score_too_low`.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// What would turn this deny into an allow, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What a policy said. Only [`Ruling::allow`] of the policy engine's reading of an explicit `true` lets a request pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    outcome: Outcome,
    reasons: Vec<Reason>,
    obligations: Vec<Obligation>,
    required_score: Option<TrustScore>,
}

impl Ruling {
    /// The policy's `allow` was the boolean true, and no error occurred.
    pub fn allow(reasons: Vec<Reason>) -> Self {
        Self { outcome: Outcome::Allow, reasons, obligations: Vec::new(), required_score: None }
    }

    /// Anything else.
    pub fn deny(reasons: Vec<Reason>) -> Self {
        Self { outcome: Outcome::Deny, reasons, obligations: Vec::new(), required_score: None }
    }

    /// A deny for one reason.
    pub fn deny_because(code: &str, message: impl Into<String>) -> Self {
        Self::deny(vec![Reason { code: code.to_owned(), message: message.into(), fix: None }])
    }

    /// The same ruling, with what else there is to say about it after its reasons.
    #[must_use]
    pub fn noting(mut self, notes: impl IntoIterator<Item = Reason>) -> Self {
        self.reasons.extend(notes);
        self
    }

    /// The same ruling, if it is an allow, under these conditions. There are none to a deny.
    #[must_use]
    pub fn obliging(self, obligations: Vec<Obligation>) -> Self {
        match self.outcome {
            Outcome::Allow => Self { obligations, ..self },
            Outcome::Deny => self,
        }
    }

    /// The same ruling, by a policy that says which score the request needs.
    #[must_use]
    pub fn needing(self, required_score: Option<TrustScore>) -> Self {
        Self { required_score, ..self }
    }

    /// Yes or no.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Why.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// What the enforcement point has to do for an allow to be one.
    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// The score that the request needs, if the policy says.
    pub fn required_score(&self) -> Option<TrustScore> {
        self.required_score
    }
}

/// One decision, made anew for one request and good for that request alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    id: DecisionId,
    decided_at: Timestamp,
    outcome: Outcome,
    reasons: Vec<Reason>,
    /// Of an allow: what the enforcement point has to do for it to be one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    obligations: Vec<Obligation>,
    device: Option<DeviceId>,
    /// The revision of the device's record that was decided over. It grows with each change of the record, as long as the
    /// engine runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_revision: Option<u64>,
    score: Option<ScoreExplanation>,
    /// The score that the request needs, if the policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    required_score: Option<TrustScore>,
    /// Of an allow: when the score falls below the one that is required, if no evidence comes before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crosses_at: Option<Timestamp>,
    policy: Sha256Digest,
}

impl Decision {
    /// Records what a policy said of a request: by which policy (its hash), about which device, and with what score.
    pub fn new(
        id: DecisionId,
        decided_at: Timestamp,
        ruling: Ruling,
        device: Option<DeviceId>,
        score: Option<ScoreExplanation>,
        policy: Sha256Digest,
    ) -> Self {
        let Ruling { outcome, reasons, obligations, required_score } = ruling;
        let (record_revision, crosses_at) = (None, None);
        Self {
            id,
            decided_at,
            outcome,
            reasons,
            obligations,
            device,
            record_revision,
            score,
            required_score,
            crosses_at,
            policy,
        }
    }

    /// The same decision, over this revision of the device's record.
    #[must_use]
    pub fn over_revision(self, record_revision: u64) -> Self {
        Self { record_revision: Some(record_revision), ..self }
    }

    /// The same decision, of a device whose score falls below the required one at that instant.
    #[must_use]
    pub fn crossing_at(self, crosses_at: Option<Timestamp>) -> Self {
        Self { crosses_at, ..self }
    }

    /// Its name.
    pub fn id(&self) -> DecisionId {
        self.id
    }

    /// When it was made.
    pub fn decided_at(&self) -> Timestamp {
        self.decided_at
    }

    /// Yes or no.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Why.
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// What the enforcement point has to do for an allow to be one.
    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// The device that the request came from, if one was named.
    pub fn device(&self) -> Option<DeviceId> {
        self.device
    }

    /// The device's score at that instant, with its parts.
    pub fn score(&self) -> Option<&ScoreExplanation> {
        self.score.as_ref()
    }

    /// The revision of the device's record that was decided over, if there was one.
    pub fn record_revision(&self) -> Option<u64> {
        self.record_revision
    }

    /// The score that the request needs, if the policy says.
    pub fn required_score(&self) -> Option<TrustScore> {
        self.required_score
    }

    /// When the score of an allow falls below the one that is required, if no evidence comes before and it does so at all.
    pub fn crosses_at(&self) -> Option<Timestamp> {
        self.crosses_at
    }

    /// The hash of the policy that decided.
    pub fn policy(&self) -> Sha256Digest {
        self.policy
    }
}
