//! When a device is to vouch for itself again: often enough to keep its score, no oftener.

use std::time::Duration;

use vouchsafe_model::trust::TrustCurve;
use vouchsafe_model::{Timestamp, TrustScore};

/// Within which the schedule stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleBounds {
    /// The shortest time between two attestations.
    pub min_interval: Duration,
    /// The longest. No longer than [`max_gap`](crate::score::model_file::TrustModel::max_gap), or what lies beyond it
    /// earns no tenure.
    pub max_interval: Duration,
}

/// The share of the time to the crossing after which the next attestation is due.
///
/// Two intervals at the upper end of the jitter (2 · 0.45 · 1.1 = 0.99) are still shorter than the time to the crossing,
/// so one lost attestation does not take the device below.
const SHARE_OF_CROSSING: f64 = 0.45;

/// What a device that is below the threshold is to keep of the score that it has.
const KEPT_BELOW: f64 = 0.75;

/// How long after `now` a device with this curve is to attest again, so that its score stays above `keep_above`.
///
/// The curve is that after the last evidence. A device whose score is below the threshold is not asked oftener for that:
/// evidence counts by the time that it covers, so asking earlier does not get it up any sooner. It is asked as often as
/// keeps three quarters of the score that it has. A device that is worth nothing has nothing to keep, and is asked at
/// the longest interval.
///
/// The answer is within the bounds, and within a tenth of what was computed where the bounds leave room for that, so that
/// devices that came up together do not stay together. `jitter_entropy` is any random number.
pub fn next_due(
    curve: &TrustCurve,
    keep_above: TrustScore,
    now: Timestamp,
    bounds: &ScheduleBounds,
    jitter_entropy: u64,
) -> Duration {
    let score = curve.score_at(now);
    let threshold = if score > keep_above { keep_above } else { TrustScore::new(score.points() * KEPT_BELOW) };
    let due = match curve.first_below(threshold, now) {
        Some(crossing) => crossing.since(now).mul_f64(SHARE_OF_CROSSING),
        None => bounds.max_interval,
    };
    jittered(due, bounds, jitter_entropy)
}

/// Draws from a tenth around `due`, within the bounds. Bounds the wrong way round come to the longer of the two.
fn jittered(due: Duration, bounds: &ScheduleBounds, entropy: u64) -> Duration {
    let (min, max) = (bounds.min_interval, bounds.max_interval.max(bounds.min_interval));
    let due = due.clamp(min, max);
    let earliest = due.mul_f64(0.9).max(min);
    let latest = due.saturating_add(due / 10).min(max);
    let room_ms = u64::try_from(latest.saturating_sub(earliest).as_millis()).unwrap_or(u64::MAX);
    earliest.saturating_add(Duration::from_millis(entropy % room_ms.saturating_add(1))).min(max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::score::testing::{Story, events, minutes};
    use vouchsafe_model::verdict::VerdictStatus;

    const BOUNDS: ScheduleBounds =
        ScheduleBounds { min_interval: Duration::from_secs(30), max_interval: Duration::from_secs(3600) };
    const KEEP: f64 = 60.0;

    /// The latest that is drawn.
    fn latest(curve: &TrustCurve, now: Timestamp) -> Duration {
        let drawn = (0..1_000_000).step_by(997);
        drawn.map(|entropy| next_due(curve, TrustScore::new(KEEP), now, &BOUNDS, entropy)).max().unwrap()
    }

    #[test]
    fn one_lost_attestation_does_not_take_a_device_below() {
        let story = Story::of_days(30);
        let (curve, now) = (story.curve(), story.now());
        let due = latest(&curve, now);
        assert!(due > minutes(10), "{due:?}");
        assert!(curve.score_at(now.plus(due * 2)).points() >= KEEP);
        assert!(curve.score_at(now.plus(due * 3)).points() < KEEP, "no oftener than that");
    }

    #[test]
    fn a_device_that_is_worth_nothing_is_asked_seldom() {
        let story = Story::of_days(30).then(VerdictStatus::Contraindicated);
        let due = next_due(&story.curve(), TrustScore::new(KEEP), story.now(), &BOUNDS, 0);
        assert!(due >= BOUNDS.max_interval.mul_f64(0.9), "{due:?}");
    }

    #[test]
    fn a_new_device_keeps_what_it_has() {
        let story = Story::begin();
        let (curve, now) = (story.curve(), story.now());
        let due = latest(&curve, now);
        assert!(curve.score_at(now.plus(due * 2)).points() >= KEPT_BELOW * curve.score_at(now).points());
    }

    #[test]
    fn bounds_the_wrong_way_round_do_no_harm() {
        let odd = ScheduleBounds { min_interval: minutes(5), max_interval: minutes(1) };
        let story = Story::of_days(30);
        assert_eq!(next_due(&story.curve(), TrustScore::new(KEEP), story.now(), &odd, 7), minutes(5));
    }

    proptest! {
        #[test]
        fn is_within_the_bounds_and_a_tenth_of_what_was_computed(
            history in events(20),
            (min, more) in (1u64..600, 0u64..7200),
            keep in 0.0..=100.0f64,
            later in 0u64..100_000,
            entropy: u64,
        ) {
            let story = Story::begin().with(&history);
            let bounds = ScheduleBounds {
                min_interval: Duration::from_secs(min),
                max_interval: Duration::from_secs(min + more),
            };
            let now = story.now().plus(Duration::from_secs(later));
            let keep = TrustScore::new(keep);
            let due = next_due(&story.curve(), keep, now, &bounds, entropy);
            prop_assert!(due >= bounds.min_interval && due <= bounds.max_interval);
            let earliest = next_due(&story.curve(), keep, now, &bounds, 0);
            prop_assert!(due.as_secs_f64() <= earliest.as_secs_f64() * 1.1 / 0.9 + 0.001);
            prop_assert!(earliest <= due);
        }

        #[test]
        fn keeps_the_score_unless_the_bounds_forbid_it(days in 3u32..60, keep in 30.0..90.0f64, entropy: u64) {
            let story = Story::of_days(days);
            let (curve, now, keep) = (story.curve(), story.now(), TrustScore::new(keep));
            prop_assume!(curve.score_at(now) > keep);
            let due = next_due(&curve, keep, now, &BOUNDS, entropy);
            prop_assert!(due <= BOUNDS.min_interval.mul_f64(1.1) || curve.score_at(now.plus(due * 2)) >= keep);
        }
    }
}
