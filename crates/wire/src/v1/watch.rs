//! Watches: `GET` and `POST /v1/watch`. A stream of server-sent events (WHATWG HTML, 9.2) that tells whenever the answer to a
//! question changes.
//!
//! The name of an event is `allow`, `deny`, `alive` or `end`, its data one of the types here. Whoever watches has to take
//! everything but an allow for a deny: the end of the stream, and a silence of more than two intervals of `alive`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::{Decision, Timestamp, TrustScore};

/// The names of the events.
pub mod events {
    /// The answer is yes: [`super::Watched`].
    pub const ALLOW: &str = "allow";
    /// The answer is no: [`super::Watched`].
    pub const DENY: &str = "deny";
    /// The answer is what it was: [`super::Alive`].
    pub const ALIVE: &str = "alive";
    /// There are no more answers: [`super::WatchEnd`].
    pub const END: &str = "end";
}

/// The answer to the question that is watched, when the watch begins and whenever it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Watched {
    /// The answer.
    pub decision: Decision,
    /// The score that is watched for: the one that was asked for, or else the one that the policy says is needed; `null`
    /// where there is neither.
    #[serde(default)]
    pub minimum_score: Option<TrustScore>,
    /// Whether the device's score is below that; `false` if there is none.
    #[serde(default)]
    pub below_minimum: bool,
    /// When the device's score will fall below that, if no evidence comes before; `null` if it does not, or has.
    #[serde(default)]
    pub crosses_at: Option<Timestamp>,
}

/// The answer is still the last one that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Alive {
    /// The instant of which this is said.
    pub at: Timestamp,
}

/// Why a watch ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchEnd {
    /// A stable code: `peer.certificate_expired`.
    pub code: String,
    /// In words, and what to do.
    pub detail: String,
}
