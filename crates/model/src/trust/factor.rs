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

    /// What the unknown is worth: `a`.
    pub const fn base_rate(&self) -> f64 {
        self.base_rate
    }

    /// How much evidence the base rate counts as: `W`.
    pub const fn prior_weight(&self) -> f64 {
        self.prior_weight
    }

    /// How fast negative evidence is forgiven, in seconds.
    pub const fn forgiveness_half_life_secs(&self) -> f64 {
        self.forgiveness_half_life_secs
    }

    /// How fast positive evidence is forgotten, in seconds.
    pub const fn half_life_secs(&self) -> f64 {
        self.half_life_secs
    }

    /// The same parameters, but only this share (0 to 1) of the positive evidence that they would keep.
    #[must_use]
    pub fn with_share_of_cap(self, share: f64) -> Self {
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        Self { cap: (self.cap * share).max(f64::MIN_POSITIVE), ..self }
    }
}

/// The evidence that a factor has: how much for, how much against, and as of when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorState {
    positive: f64,
    /// What counts against the entity.
    negative: f64,
    /// What will be left of `negative`, as of `at`, when good evidence comes: time has begun to forgive it, and only good
    /// evidence makes that count.
    unforgiven: f64,
    at: Timestamp,
}

impl FactorState {
    /// How far evidence may be ahead of the instant that is asked about and still count: the clocks of two engines differ
    /// by no more. Positive evidence from further ahead is of a clock that was wrong, and would otherwise look fresh until
    /// that instant comes.
    pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

    /// A factor that nothing is known of.
    pub const fn unknown(at: Timestamp) -> Self {
        Self { positive: 0.0, negative: 0.0, unforgiven: 0.0, at }
    }

    /// When its last evidence came.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Counts evidence that came at `now`: what was known is forgotten up to then, then the amounts are added. It is good
    /// evidence where something positive is added, and bad evidence where something negative is.
    #[must_use]
    pub fn absorb(self, params: &FactorParams, positive: f64, negative: f64, now: Timestamp) -> Self {
        let state = if positive > 0.0 { self.strengthen(params, positive, now) } else { self };
        state.weaken(params, negative, now)
    }

    /// Counts good evidence that came at `now`; be it that it adds nothing, it lets time forgive what was negative.
    ///
    /// Evidence from before the last counts as of the last.
    #[must_use]
    pub fn strengthen(self, params: &FactorParams, positive: f64, now: Timestamp) -> Self {
        let state = self.forgotten_up_to(params, now);
        Self { positive: (state.positive + amount(positive)).min(params.cap), negative: state.unforgiven, ..state }
    }

    /// Counts bad evidence that came at `now`.
    ///
    /// Between two pieces of evidence what is negative stands still, so that no score rises on its own; and bad evidence
    /// forgives nothing, so that no score rises by it either. Evidence from before the last counts as of the last.
    #[must_use]
    pub fn weaken(self, params: &FactorParams, negative: f64, now: Timestamp) -> Self {
        let state = self.forgotten_up_to(params, now);
        Self {
            negative: amount(state.negative + amount(negative)),
            unforgiven: amount(state.unforgiven + amount(negative)),
            ..state
        }
    }

    /// The same evidence as of `now`. It is worth the same at every instant from then on.
    fn forgotten_up_to(self, params: &FactorParams, now: Timestamp) -> Self {
        let at = now.max(self.at);
        let elapsed = at.since(self.at);
        Self {
            positive: amount(self.positive).min(params.cap) * decay(elapsed, params.half_life_secs),
            negative: amount(self.negative),
            unforgiven: amount(self.unforgiven) * decay(elapsed, params.forgiveness_half_life_secs),
            at,
        }
    }

    /// The positive evidence that is left at `at`.
    pub fn positive_at(&self, params: &FactorParams, at: Timestamp) -> f64 {
        if self.at.since(at) > Self::CLOCK_TOLERANCE {
            return 0.0;
        }
        amount(self.positive).min(params.cap) * decay(at.since(self.at), params.half_life_secs)
    }

    /// What the factor is worth at `at`: between 0 and 1 (`E_f` of the trust model).
    pub fn value_at(&self, params: &FactorParams, at: Timestamp) -> f64 {
        let positive = self.positive_at(params, at);
        let prior = params.prior_weight;
        let value = (positive + prior * params.base_rate) / (positive + amount(self.negative) + prior);
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
    fn bad_evidence_forgives_nothing_however_late_it_comes() {
        let start = Timestamp::UNIX_EPOCH;
        let bad = FactorState::unknown(start).absorb(&params(), 0.0, 4.0, start);
        let later = Timestamp::from_unix_secs(100_000);
        let worse = bad.absorb(&params(), 0.0, 0.001, later);
        assert!(worse.value_at(&params(), later) < bad.value_at(&params(), later));
        let forgiven = worse.strengthen(&params(), 0.0, later);
        assert!(forgiven.negative < 0.002, "then time has forgiven the old, but not the new: {forgiven:?}");
        assert!(forgiven.negative >= 0.001);
    }

    #[test]
    fn good_and_bad_evidence_of_one_instant_count_the_same_in_either_order() {
        let later = Timestamp::from_unix_secs(600);
        let known = FactorState::unknown(Timestamp::UNIX_EPOCH).absorb(&params(), 3.0, 4.0, Timestamp::UNIX_EPOCH);
        let good_first = known.absorb(&params(), 1.0, 0.0, later).absorb(&params(), 0.0, 2.0, later);
        let bad_first = known.absorb(&params(), 0.0, 2.0, later).absorb(&params(), 1.0, 0.0, later);
        assert_eq!(good_first, bad_first);
        assert_eq!(good_first, known.absorb(&params(), 1.0, 2.0, later));
    }

    #[test]
    fn evidence_from_the_future_counts_only_against() {
        let ahead = Timestamp::from_unix_secs(1_000_000);
        let state = FactorState::unknown(ahead).absorb(&params(), 8.0, 0.0, ahead);
        let tolerated = ahead.minus(FactorState::CLOCK_TOLERANCE);
        assert!(state.value_at(&params(), tolerated) > 0.8, "the clocks of two engines differ");
        let before = tolerated.minus(Duration::from_millis(1));
        assert!((state.value_at(&params(), before) - 0.25).abs() < 1e-12, "a year ahead is a clock that was wrong");
        let bad = FactorState::unknown(ahead).absorb(&params(), 0.0, 8.0, ahead);
        assert!(bad.value_at(&params(), before) < 0.25);
    }

    #[test]
    fn a_share_of_the_cap_is_the_most_that_counts() {
        let start = Timestamp::UNIX_EPOCH;
        let state = FactorState::unknown(start).absorb(&params(), 8.0, 0.0, start);
        let expected = (2.0 + 0.5) / (2.0 + 2.0);
        assert!((state.value_at(&params().with_share_of_cap(0.25), start) - expected).abs() < 1e-12);
        assert!((state.value_at(&params().with_share_of_cap(f64::NAN), start) - 0.25).abs() < 1e-12);
        assert_eq!(params().with_share_of_cap(2.0), params());
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
