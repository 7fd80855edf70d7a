//! The score of one entity over time.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::explanation::{CeilingPart, FactorPart, ScoreExplanation};
use super::factor::{FactorName, FactorParams, FactorState};
use super::score::TrustScore;
use crate::hash::Sha256Digest;
use crate::time::Timestamp;

/// Why a score is held down, whatever its factors say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Veto {
    /// An operator revoked the entity.
    Revoked,
    /// Its certificate has ended.
    CertificateExpired,
    /// Its last evidence failed.
    AttestationFailed,
    /// It never vouched for itself.
    NeverAttested,
    /// No golden image says what to expect of it.
    UnknownImage,
}

impl Veto {
    /// Every veto.
    pub const ALL: [Self; 5] =
        [Self::Revoked, Self::CertificateExpired, Self::AttestationFailed, Self::NeverAttested, Self::UnknownImage];

    /// Its name, as models and policies spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::CertificateExpired => "certificate_expired",
            Self::AttestationFailed => "attestation_failed",
            Self::NeverAttested => "never_attested",
            Self::UnknownImage => "unknown_image",
        }
    }
}

impl std::fmt::Display for Veto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The most that a score may be from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Ceiling {
    /// Why.
    pub veto: Veto,
    /// The most that the score may be.
    pub ceiling: TrustScore,
    /// From when on. It has no end: only new evidence lifts it.
    pub from: Timestamp,
}

impl Ceiling {
    /// Whether it holds a score down at `at`.
    ///
    /// Only the end of a certificate may lie ahead. What else is here has happened, so it holds even where the asker's
    /// clock is behind that of whoever recorded it.
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.veto != Veto::CertificateExpired || self.from <= at
    }
}

/// The score of one entity over time, in closed form.
///
/// Between two pieces of evidence it never rises: positive evidence is forgotten, negative evidence is not, and ceilings
/// only come down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrustCurve {
    /// The model that made it.
    #[schema(value_type = String)]
    model: Sha256Digest,
    #[schema(value_type = Vec<Object>)]
    factors: Vec<(FactorName, FactorParams, FactorState)>,
    ceilings: Vec<Ceiling>,
}

/// A score and the instant it is for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct CurvePoint {
    /// The instant.
    pub at: Timestamp,
    /// The score then.
    pub score: TrustScore,
}

/// How far ahead a crossing is looked for: a hundred years.
const HORIZON: Duration = Duration::from_secs(100 * 365 * 86_400);

impl TrustCurve {
    /// A curve of these factors under these ceilings, by the model with this hash.
    pub fn new(
        model: Sha256Digest,
        factors: Vec<(FactorName, FactorParams, FactorState)>,
        ceilings: Vec<Ceiling>,
    ) -> Self {
        Self { model, factors, ceilings }
    }

    /// The hash of the model that made it.
    pub fn model(&self) -> Sha256Digest {
        self.model
    }

    /// The score at an instant. A curve without factors is worth nothing.
    pub fn score_at(&self, at: Timestamp) -> TrustScore {
        let held = self.ceilings.iter().filter(|ceiling| ceiling.holds_at(at));
        held.fold(self.unheld_score_at(at), |score, ceiling| score.min(ceiling.ceiling))
    }

    /// The score at an instant if there were no ceilings: the weighted geometric mean of the factors.
    fn unheld_score_at(&self, at: Timestamp) -> TrustScore {
        if self.factors.is_empty() {
            return TrustScore::ZERO;
        }
        let logs = self.factors.iter().map(|(_, params, state)| params.weight() * state.value_at(params, at).ln());
        TrustScore::new(100.0 * logs.sum::<f64>().exp())
    }

    /// The first instant from `from` on at which the score is below `threshold`; `None` when there is none in a hundred
    /// years.
    ///
    /// Exact to the millisecond, by bisection: the curve never rises.
    pub fn first_below(&self, threshold: TrustScore, from: Timestamp) -> Option<Timestamp> {
        let (mut above, mut below) = (from, from.plus(HORIZON));
        if self.score_at(below) >= threshold {
            return None;
        }
        if self.score_at(above) < threshold {
            return Some(above);
        }
        while below.since(above) > Duration::from_millis(1) {
            let middle = above.plus(below.since(above) / 2);
            if self.score_at(middle) < threshold { below = middle } else { above = middle }
        }
        Some(below)
    }

    /// The score at `count` instants, evenly from `from` to `to`, both included.
    pub fn sample(&self, from: Timestamp, to: Timestamp, count: u32) -> Vec<CurvePoint> {
        let steps = count.max(2) - 1;
        let span = to.since(from);
        (0..=steps)
            .map(|step| from.plus(span.mul_f64(f64::from(step) / f64::from(steps))))
            .map(|at| CurvePoint { at, score: self.score_at(at) })
            .collect()
    }

    /// The score at an instant and what each factor and each ceiling costs. The parts and the score add up to 100.
    pub fn explain_at(&self, at: Timestamp) -> ScoreExplanation {
        let mut factors: Vec<FactorPart> = self
            .factors
            .iter()
            .map(|(name, params, state)| {
                let value = state.value_at(params, at);
                // For now the loss in the logarithm; it becomes points when the sum of all is known.
                FactorPart { name: *name, value, weight: params.weight(), points_lost: -params.weight() * value.ln() }
            })
            .collect();
        let total_loss: f64 = factors.iter().map(|part| part.points_lost).sum();
        let unheld = if factors.is_empty() { TrustScore::ZERO } else { TrustScore::new(100.0 * (-total_loss).exp()) };
        let points_per_loss = if total_loss > 0.0 { (100.0 - unheld.points()) / total_loss } else { 0.0 };
        for part in &mut factors {
            part.points_lost *= points_per_loss;
        }

        let (score, ceilings) = self.hold_down(unheld, at);
        ScoreExplanation { at, score, model: self.model, factors, ceilings }
    }

    /// Applies the ceilings in force, the strictest first, so that the points go to the one that decides.
    fn hold_down(&self, unheld: TrustScore, at: Timestamp) -> (TrustScore, Vec<CeilingPart>) {
        let mut held: Vec<&Ceiling> = self.ceilings.iter().filter(|ceiling| ceiling.holds_at(at)).collect();
        held.sort_by(|one, other| {
            one.ceiling.points().total_cmp(&other.ceiling.points()).then(one.veto.cmp(&other.veto))
        });
        let mut score = unheld;
        let parts = held
            .into_iter()
            .map(|ceiling| {
                let lowered = score.min(ceiling.ceiling);
                let points_lost = score.points() - lowered.points();
                score = lowered;
                CeilingPart { veto: ceiling.veto, ceiling: ceiling.ceiling, since: ceiling.from, points_lost }
            })
            .collect();
        (score, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn curve(evidence: &[(f64, f64)], ceilings: Vec<Ceiling>) -> TrustCurve {
        let params = FactorParams::new(0.3, 2.0, 600.0, 6000.0, 10.0, 1.0 / 6.0).unwrap();
        let factors = FactorName::DEVICE
            .into_iter()
            .zip(evidence.iter().chain(std::iter::repeat(&(0.0, 0.0))))
            .map(|(name, (positive, negative))| {
                let start = Timestamp::UNIX_EPOCH;
                (name, params, FactorState::unknown(start).absorb(&params, *positive, *negative, start))
            })
            .collect();
        TrustCurve::new(Sha256Digest::new([1; 32]), factors, ceilings)
    }

    fn ceiling(veto: Veto, points: f64, from_secs: i64) -> Ceiling {
        Ceiling { veto, ceiling: TrustScore::new(points), from: Timestamp::from_unix_secs(from_secs) }
    }

    #[test]
    fn a_curve_of_nothing_is_worth_nothing() {
        let nothing = TrustCurve::new(Sha256Digest::new([0; 32]), Vec::new(), Vec::new());
        assert_eq!(nothing.score_at(Timestamp::UNIX_EPOCH), TrustScore::ZERO);
    }

    #[test]
    fn a_ceiling_begins_when_it_says() {
        let curve = curve(&[(9.0, 0.0)], vec![ceiling(Veto::CertificateExpired, 0.0, 100)]);
        assert!(curve.score_at(Timestamp::from_unix_millis(99_999)) > TrustScore::ZERO);
        assert_eq!(curve.score_at(Timestamp::from_unix_secs(100)), TrustScore::ZERO);
        assert_eq!(
            curve.first_below(TrustScore::new(1.0), Timestamp::UNIX_EPOCH),
            Some(Timestamp::from_unix_secs(100))
        );
    }

    #[test]
    fn what_has_happened_holds_even_where_the_clock_is_behind() {
        let curve = curve(&[(9.0, 0.0)], vec![ceiling(Veto::Revoked, 0.0, 100)]);
        assert_eq!(curve.score_at(Timestamp::from_unix_secs(99)), TrustScore::ZERO);
        assert_eq!(curve.explain_at(Timestamp::from_unix_secs(99)).score, TrustScore::ZERO);
    }

    #[test]
    fn a_threshold_under_the_floor_is_never_crossed() {
        let curve = curve(&[(9.0, 0.0); 6], Vec::new());
        assert_eq!(curve.first_below(TrustScore::new(10.0), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn the_strictest_ceiling_takes_the_points() {
        let curve = curve(&[(9.0, 0.0); 6], vec![ceiling(Veto::UnknownImage, 40.0, 0), ceiling(Veto::Revoked, 0.0, 0)]);
        let explanation = curve.explain_at(Timestamp::UNIX_EPOCH);
        assert_eq!(explanation.score, TrustScore::ZERO);
        assert_eq!(explanation.ceilings[0].veto, Veto::Revoked);
        assert!(explanation.ceilings[1].points_lost.abs() < 1e-9);
    }

    prop_compose! {
        fn any_curve()(
            evidence in prop::collection::vec((0.0..20.0f64, 0.0..20.0f64), 6),
            ceilings in prop::collection::vec((0.0..100.0f64, 0i64..100_000), 0..3),
        ) -> TrustCurve {
            curve(
                &evidence,
                ceilings.into_iter().map(|(points, from)| ceiling(Veto::CertificateExpired, points, from)).collect(),
            )
        }
    }

    proptest! {
        #[test]
        fn a_score_never_rises_on_its_own(curve in any_curve(), first in 0i64..200_000, more in 0i64..200_000) {
            let (early, late) = (Timestamp::from_unix_secs(first), Timestamp::from_unix_secs(first + more));
            prop_assert!(curve.score_at(late).points() <= curve.score_at(early).points() + 1e-9);
        }

        #[test]
        fn the_parts_and_the_score_add_up_to_100(curve in any_curve(), at in 0i64..200_000) {
            let at = Timestamp::from_unix_secs(at);
            let explanation = curve.explain_at(at);
            let lost: f64 = explanation.factors.iter().map(|part| part.points_lost).sum::<f64>()
                + explanation.ceilings.iter().map(|part| part.points_lost).sum::<f64>();
            prop_assert!((lost + explanation.score.points() - 100.0).abs() < 1e-6);
            prop_assert!((explanation.score.points() - curve.score_at(at).points()).abs() < 1e-9);
        }

        #[test]
        fn a_crossing_is_the_first_millisecond_below(curve in any_curve(), threshold in 1.0..99.0f64) {
            let threshold = TrustScore::new(threshold);
            let start = Timestamp::UNIX_EPOCH;
            if let Some(crossing) = curve.first_below(threshold, start) {
                prop_assert!(curve.score_at(crossing) < threshold);
                if crossing > start {
                    prop_assert!(curve.score_at(crossing.minus(Duration::from_millis(1))) >= threshold);
                }
            }
        }
    }
}
