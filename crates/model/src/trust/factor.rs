//! One factor of a score.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::time::Timestamp;

/// What a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactorName {
    /// How lately the device vouched for itself: minutes.
    Freshness,
    /// For how long it has done so without fault: days.
    Tenure,
    /// What it booted.
    Boot,
    /// What it runs.
    Runtime,
    /// How old its golden image is.
    ImageAge,
    /// How it behaves: denials, failed authentications.
    Conduct,
}

impl FactorName {
    /// The factors of a device, in the order in which they are explained.
    pub const DEVICE: [Self; 6] =
        [Self::Freshness, Self::Tenure, Self::Boot, Self::Runtime, Self::ImageAge, Self::Conduct];

    /// Its name, as models and policies spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Freshness => "freshness",
            Self::Tenure => "tenure",
            Self::Boot => "boot",
            Self::Runtime => "runtime",
            Self::ImageAge => "image_age",
            Self::Conduct => "conduct",
        }
    }
}

impl std::fmt::Display for FactorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// How a factor turns evidence into trust. Checked when made: every number is finite and in its range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "UncheckedParams")]
pub struct FactorParams {
    base_rate: f64,
    prior_weight: f64,
    half_life_secs: f64,
    forgiveness_half_life_secs: f64,
    cap: f64,
    weight: f64,
}

/// Parameters as they were written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedParams {
    base_rate: f64,
    prior_weight: f64,
    half_life_secs: f64,
    forgiveness_half_life_secs: f64,
    cap: f64,
    weight: f64,
}

/// A parameter that no score can be made of.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{name} is {value}, and must be {expected}")]
pub struct InvalidFactorParams {
    name: &'static str,
    value: f64,
    expected: &'static str,
}

impl TryFrom<UncheckedParams> for FactorParams {
    type Error = InvalidFactorParams;

    fn try_from(read: UncheckedParams) -> Result<Self, Self::Error> {
        let check = |name, value: f64, valid: bool, expected| {
            if value.is_finite() && valid { Ok(value) } else { Err(InvalidFactorParams { name, value, expected }) }
        };
        let positive = "more than 0";
        Ok(Self {
            base_rate: check(
                "base_rate",
                read.base_rate,
                read.base_rate > 0.0 && read.base_rate < 1.0,
                "between 0 and 1",
            )?,
            prior_weight: check("prior_weight", read.prior_weight, read.prior_weight > 0.0, positive)?,
            half_life_secs: check("half_life_secs", read.half_life_secs, read.half_life_secs > 0.0, positive)?,
            forgiveness_half_life_secs: check(
                "forgiveness_half_life_secs",
                read.forgiveness_half_life_secs,
                read.forgiveness_half_life_secs >= read.half_life_secs,
                "at least half_life_secs: forgiveness is slower than forgetting",
            )?,
            cap: check("cap", read.cap, read.cap > 0.0, positive)?,
            weight: check("weight", read.weight, read.weight > 0.0 && read.weight <= 1.0, "more than 0, at most 1")?,
        })
    }
}

impl FactorParams {
    /// Checks and names the parameters: base rate `a`, prior weight `W`, half-life `H` and that of forgiveness (seconds),
    /// cap `R`, weight `w`.
    ///
    /// # Errors
    /// A number that is not finite or not in its range.
    pub fn new(
        base_rate: f64,
        prior_weight: f64,
        half_life_secs: f64,
        forgiveness_half_life_secs: f64,
        cap: f64,
        weight: f64,
    ) -> Result<Self, InvalidFactorParams> {
        UncheckedParams { base_rate, prior_weight, half_life_secs, forgiveness_half_life_secs, cap, weight }.try_into()
    }

    /// The share of the score that is this factor's; the weights of an entity add up to 1.
    pub const fn weight(&self) -> f64 {
        self.weight
    }

    /// The most positive evidence that is kept.
    pub const fn cap(&self) -> f64 {
        self.cap
    }
}

/// The evidence that a factor has: how much for, how much against, and as of when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FactorState {
    positive: f64,
    negative: f64,
    at: Timestamp,
}

impl FactorState {
    /// A factor that nothing is known of.
    pub const fn unknown(at: Timestamp) -> Self {
        Self { positive: 0.0, negative: 0.0, at }
    }

    /// When its last evidence came.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Counts evidence that came at `now`: what was known is forgotten up to then, then the amounts are added.
    ///
    /// Negative evidence is forgotten by its own, longer half-life, and only here: between two pieces of evidence it
    /// stands still, so that no score rises on its own. Evidence from before the last counts as of the last.
    #[must_use]
    pub fn absorb(self, params: &FactorParams, positive: f64, negative: f64, now: Timestamp) -> Self {
        let at = now.max(self.at);
        let elapsed = at.since(self.at);
        Self {
            positive: (self.positive * decay(elapsed, params.half_life_secs) + amount(positive)).min(params.cap),
            negative: self.negative * decay(elapsed, params.forgiveness_half_life_secs) + amount(negative),
            at,
        }
    }

    /// What the factor is worth at `at`: between 0 and 1 (`E_f` of the trust model).
    pub fn value_at(&self, params: &FactorParams, at: Timestamp) -> f64 {
        let positive = self.positive.clamp(0.0, params.cap) * decay(at.since(self.at), params.half_life_secs);
        let prior = params.prior_weight;
        let value = (positive + prior * params.base_rate) / (positive + self.negative.max(0.0) + prior);
        if value.is_finite() { value } else { 0.0 }
    }
}

/// Amounts of evidence are never negative, never endless and never not a number.
fn amount(evidence: f64) -> f64 {
    const MOST: f64 = 1e9;
    if evidence.is_nan() { 0.0 } else { evidence.clamp(0.0, MOST) }
}

fn decay(elapsed: Duration, half_life_secs: f64) -> f64 {
    (-elapsed.as_secs_f64() / half_life_secs).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> FactorParams {
        FactorParams::new(0.25, 2.0, 60.0, 600.0, 8.0, 1.0).unwrap()
    }

    #[test]
    fn the_unknown_is_worth_its_base_rate() {
        let state = FactorState::unknown(Timestamp::UNIX_EPOCH);
        assert!((state.value_at(&params(), Timestamp::from_unix_secs(1_000_000)) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn positive_evidence_halves_in_a_half_life() {
        let state = FactorState::unknown(Timestamp::UNIX_EPOCH).absorb(&params(), 6.0, 0.0, Timestamp::UNIX_EPOCH);
        let expected = (3.0 + 0.5) / (3.0 + 2.0);
        assert!((state.value_at(&params(), Timestamp::from_unix_secs(60)) - expected).abs() < 1e-12);
    }

    #[test]
    fn negative_evidence_stands_still_until_the_next_evidence() {
        let start = Timestamp::UNIX_EPOCH;
        let bad = FactorState::unknown(start).absorb(&params(), 0.0, 4.0, start);
        let later = Timestamp::from_unix_secs(100_000);
        assert!((bad.value_at(&params(), start) - bad.value_at(&params(), later)).abs() < 1e-12);
        let forgiven = bad.absorb(&params(), 1.0, 0.0, later);
        assert!(forgiven.value_at(&params(), later) > bad.value_at(&params(), later));
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let error = FactorParams::new(0.25, 2.0, 60.0, 30.0, 8.0, 1.0).unwrap_err();
        assert!(error.to_string().starts_with("forgiveness_half_life_secs is 30"), "{error}");
        assert!(FactorParams::new(f64::NAN, 2.0, 60.0, 600.0, 8.0, 1.0).is_err());
        assert!(FactorParams::new(0.25, 2.0, f64::INFINITY, f64::INFINITY, 8.0, 1.0).is_err());
        assert!(FactorParams::new(0.25, 2.0, 60.0, 600.0, 8.0, 1.1).is_err());
    }

    #[test]
    fn amounts_that_are_no_amounts_count_for_nothing_good() {
        let start = Timestamp::UNIX_EPOCH;
        let state = FactorState::unknown(start).absorb(&params(), f64::NAN, -3.0, start);
        assert_eq!(state, FactorState::unknown(start));
    }
}
