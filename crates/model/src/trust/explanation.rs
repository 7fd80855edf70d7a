//! Why a score is what it is, in points.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::curve::Veto;
use super::factor::FactorName;
use super::score::TrustScore;
use crate::hash::Sha256Digest;
use crate::time::Timestamp;

/// A score with its parts. The score and all points lost add up to 100.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ScoreExplanation {
    /// The instant that it is for.
    pub at: Timestamp,
    /// The score then.
    pub score: TrustScore,
    /// The hash of the model that made it.
    pub model: Sha256Digest,
    /// What each factor is worth and costs.
    pub factors: Vec<FactorPart>,
    /// The ceilings in force, the strictest first.
    pub ceilings: Vec<CeilingPart>,
}

/// One factor's part in a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct FactorPart {
    /// The factor.
    pub name: FactorName,
    /// What it is worth: 0 to 1.
    pub value: f64,
    /// Its share of the score: 0 to 1.
    pub weight: f64,
    /// The points that it costs.
    pub points_lost: f64,
}

/// One ceiling's part in a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct CeilingPart {
    /// Why the score is held down.
    pub veto: Veto,
    /// The most that it may be.
    pub ceiling: TrustScore,
    /// From when on.
    pub since: Timestamp,
    /// The points that it costs beyond the factors and the stricter ceilings.
    pub points_lost: f64,
}
