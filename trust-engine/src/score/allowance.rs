//! How many faults of one kind count in a day.

use serde::{Deserialize, Serialize};
use vouchsafe_model::Timestamp;

/// A leaking bucket of faults: so many count in full at once, and as many again in a day.
///
/// Without it, whoever can make a device err a thousand times an hour could take all trust from it for good, and a
/// device that attests often would pay more for the same fault than one that attests seldom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Allowance {
    /// Faults that have counted and have not leaked yet.
    used: f64,
    at: Timestamp,
}

impl Allowance {
    /// Nothing has counted yet.
    pub(crate) const fn unused(at: Timestamp) -> Self {
        Self { used: 0.0, at }
    }

    /// Counts one fault at `now`: what is left of the allowance, and how much of the fault counts, 0 to 1.
    ///
    /// A fault from before the last one counts as of the last.
    pub(crate) fn count(self, per_day: f64, now: Timestamp) -> (Self, f64) {
        let counted = self.share_at(per_day, now);
        (Self { used: self.used_at(per_day, now) + counted, at: now.max(self.at) }, counted)
    }

    /// How much of a fault would count at `now`, 0 to 1.
    pub(crate) fn share_at(&self, per_day: f64, now: Timestamp) -> f64 {
        (per_day - self.used_at(per_day, now)).clamp(0.0, 1.0)
    }

    fn used_at(&self, per_day: f64, now: Timestamp) -> f64 {
        const SECS_PER_DAY: f64 = 86_400.0;
        (self.used - now.since(self.at).as_secs_f64() / SECS_PER_DAY * per_day).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn count_all(per_day: f64, at: impl IntoIterator<Item = i64>) -> f64 {
        let mut allowance = Allowance::unused(Timestamp::UNIX_EPOCH);
        let mut total = 0.0;
        for secs in at {
            let (left, counted) = allowance.count(per_day, Timestamp::from_unix_secs(secs));
            allowance = left;
            total += counted;
        }
        total
    }

    #[test]
    fn a_single_fault_counts_in_full() {
        assert!((count_all(1.0, [0]) - 1.0).abs() < 1e-12);
        assert!((count_all(1.0, [0, DAY, 2 * DAY]) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_flood_counts_no_more_than_the_allowance_and_what_leaked() {
        let one_a_second = count_all(3.0, 0..DAY);
        assert!((5.9..=6.0).contains(&one_a_second), "{one_a_second}");
    }

    #[test]
    fn a_clock_that_goes_back_gives_no_allowance() {
        assert!((count_all(1.0, [DAY, 0, -DAY, DAY]) - 1.0).abs() < 1e-12);
    }
}
