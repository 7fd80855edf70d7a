//! The score itself.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far an entity is trusted at one instant: 0 (not at all) to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(from = "f64")]
#[schemars(extend("minimum" = 0, "maximum" = 100))]
#[schema(value_type = f64, minimum = 0.0, maximum = 100.0)]
pub struct TrustScore(f64);

impl TrustScore {
    /// Not at all.
    pub const ZERO: Self = Self(0.0);
    /// As far as can be.
    pub const MAX: Self = Self(100.0);

    /// The score of so many points, held to 0..=100. What is not a number is 0.
    pub fn new(points: f64) -> Self {
        Self(if points.is_nan() { 0.0 } else { points.clamp(0.0, 100.0) })
    }

    /// Its points, 0 to 100.
    pub const fn points(self) -> f64 {
        self.0
    }

    /// The lower of the two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

impl From<f64> for TrustScore {
    fn from(points: f64) -> Self {
        Self::new(points)
    }
}

impl fmt::Display for TrustScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_held_to_its_range_and_nan_is_no_trust() {
        assert_eq!(TrustScore::new(f64::NAN), TrustScore::ZERO);
        assert_eq!(TrustScore::new(f64::INFINITY), TrustScore::MAX);
        assert_eq!(TrustScore::new(-1.0), TrustScore::ZERO);
        assert_eq!(serde_json::from_str::<TrustScore>("1000").unwrap(), TrustScore::MAX);
    }
}
