//! How long to wait after a failure.

use std::time::Duration;

/// The longest wait after a first failure.
const FIRST: Duration = Duration::from_secs(1);
/// The longest wait of all, unless the engine asks for more.
const LONGEST: Duration = Duration::from_secs(300);
/// The shortest wait of all.
pub const SHORTEST: Duration = Duration::from_millis(500);
/// The longest that an engine may ask for.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Doubling waits, each drawn from the upper half of its range, so that a fleet which lost its engine at one instant does
/// not come back at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `entropy` is uniform over all of `u64`.
    pub fn failed(&mut self, retry_after: Option<Duration>, entropy: u64) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(20)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let drawn = (longest / 2 + fraction_of(longest / 2, entropy)).max(SHORTEST);
        match retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER)) {
            // Never before the instant that was asked for, and not everybody at that instant.
            Some(asked) if asked >= drawn => asked + fraction_of(asked / 10 + FIRST, entropy),
            _ => drawn,
        }
    }

    /// Forgets all failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A part of a span: from nothing to all but the last of it, as `entropy` goes from 0 to its maximum.
pub(super) fn fraction_of(span: Duration, entropy: u64) -> Duration {
    let nanos = (span.as_nanos().min(u128::from(u64::MAX)) * u128::from(entropy)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_and_end_at_the_longest() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12).map(|_| backoff.failed(None, u64::MAX).as_secs_f64().round()).collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0, 300.0]);
        backoff.succeeded();
        assert_eq!(backoff.failed(None, 0), SHORTEST);
    }

    proptest! {
        #[test]
        fn every_wait_is_in_the_upper_half_of_its_range(failures in 0u32..100, entropy: u64) {
            let mut backoff = Backoff { failures };
            let longest = FIRST.saturating_mul(1 << failures.min(20)).min(LONGEST);
            let wait = backoff.failed(None, entropy);
            prop_assert!(wait >= SHORTEST && wait >= longest / 2 && wait <= longest, "{wait:?} of {longest:?}");
        }

        #[test]
        fn no_wait_ends_before_the_engine_asked(failures in 0u32..100, entropy: u64, asked_secs in 0u64..1_000_000) {
            let asked = Duration::from_secs(asked_secs);
            let wait = Backoff { failures }.failed(Some(asked), entropy);
            prop_assert!(wait >= asked.min(LONGEST_RETRY_AFTER));
            prop_assert!(wait <= LONGEST_RETRY_AFTER * 2, "{wait:?}");
        }

        #[test]
        fn fractions_are_parts(nanos: u64, entropy: u64) {
            let span = Duration::from_nanos(nanos);
            prop_assert!(fraction_of(span, entropy) <= span);
        }
    }
}
