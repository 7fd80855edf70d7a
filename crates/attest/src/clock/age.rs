//! How long ago a quote was made: evidence made in advance and held back.
//!
//! A nonce goes out with the answer to the evidence before, so that a quote over it may be made at any instant from
//! then on, and a host that expects to be broken into could make its next quote while it is still clean. Within one
//! session the TPM's clock tells: when server and TPM count the time since the last quote differently, the difference
//! is how long this quote lay around.
//!
//! What it cannot tell: a TPM's clock runs at up to 15 % more or less than its nominal rate, since
//! `TPM2_ClockRateAdjust` lets the owner tune it within that range (Part 1, 36). So a delay is *found* only when no
//! permitted rate explains it, while the estimate assumes the nominal rate. If the quote before was held back itself,
//! this one seems younger by as much, and whoever holds each a little longer than the last stays below any tolerance:
//! the nonce's age bounds the sum, so that the attestation interval is what limits the attack. A clock that ran further
//! ahead than 15 % was set forward (`TPM2_ClockSet`) and says nothing, and neither does one that stood still in a
//! suspend or was set back by a power failure: then only the nonce bounds the age.

use std::time::Duration;

use vouchsafe_model::{Finding, FindingCode, Timestamp};

use super::{ClockChange, ClockReading, compare};

/// How much faster or slower than nominal a TPM's clock may run, in percent.
pub const CLOCK_RATE_TOLERANCE_PERCENT: u64 = 15;

/// When a quote was made, as far as can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteAge {
    /// The instant that the quote counts for: not before its nonce was issued, not after it was received.
    pub quoted_at: Timestamp,
    /// What the clock says.
    pub estimate: AgeEstimate,
    /// [`FindingCode::QuoteDelayed`], when the quote is older than the tolerance at any rate of the clock.
    pub finding: Option<Finding>,
}

/// What the clock says about a quote's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeEstimate {
    /// Nothing: no quote of this session is known, or the clock was set. The nonce alone bounds the age.
    Unknown,
    /// The age by the clock.
    ByClock {
        /// If the clock ran at its nominal rate.
        nominal: Duration,
        /// If it ran as slowly as is permitted: the quote is no younger than this.
        at_least: Duration,
    },
}

/// Estimates when a quote was made.
///
/// `previous` is the reading of the quote before, of the same key, and the instant at which the server received it.
/// `nonce_issued_at` is when the nonce of this quote went out. `tolerance` is what network and signing may take.
pub fn quote_age(
    previous: Option<(&ClockReading, Timestamp)>,
    current: &ClockReading,
    nonce_issued_at: Timestamp,
    received_at: Timestamp,
    tolerance: Duration,
) -> QuoteAge {
    let by_clock = previous.and_then(|(previous, previously_received_at)| {
        let ClockChange::SameSession { elapsed_ms } = compare(previous, current).change else { return None };
        age_by_clock(received_at.since(previously_received_at), Duration::from_millis(elapsed_ms), tolerance)
    });
    let Some((nominal, at_least)) = by_clock else {
        let quoted_at = nonce_issued_at.min(received_at);
        return QuoteAge { quoted_at, estimate: AgeEstimate::Unknown, finding: None };
    };
    let finding = (at_least > tolerance).then(|| {
        let [allowed, found] = [tolerance, at_least].map(|span| format!("{} ms", span.as_millis()));
        Finding::new(FindingCode::QuoteDelayed).with(format!("at most {allowed}"), format!("at least {found}"))
    });
    let quoted_at = received_at.minus(nominal).max(nonce_issued_at).min(received_at);
    QuoteAge { quoted_at, estimate: AgeEstimate::ByClock { nominal, at_least }, finding }
}

/// The age at the nominal rate and at the slowest; `None` when the clock ran ahead of what any rate explains.
fn age_by_clock(by_server: Duration, by_tpm: Duration, tolerance: Duration) -> Option<(Duration, Duration)> {
    let fastest = scale(by_server, 100 + CLOCK_RATE_TOLERANCE_PERCENT, 100);
    // The quote before may have been under way for as long as the tolerance before the server's count began.
    if by_tpm > fastest.saturating_add(tolerance) {
        return None;
    }
    let at_slowest_rate = scale(by_tpm, 100, 100 - CLOCK_RATE_TOLERANCE_PERCENT);
    Some((by_server.saturating_sub(by_tpm), by_server.saturating_sub(at_slowest_rate)))
}

/// `span · numerator / denominator`, to the millisecond, saturating.
fn scale(span: Duration, numerator: u64, denominator: u64) -> Duration {
    let millis = span.as_millis().saturating_mul(numerator.into()) / u128::from(denominator.max(1));
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST: ClockReading =
        ClockReading { clock_ms: 1_000_000, reset_count: 1, restart_count: 0, safe: true, firmware_version: 1 };
    const TOLERANCE: Duration = Duration::from_secs(5);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_secs(1_000_000 + secs)
    }

    fn after(secs: u64) -> ClockReading {
        ClockReading { clock_ms: FIRST.clock_ms + secs * 1000, ..FIRST }
    }

    /// The first quote arrives at 0, with the answer goes the nonce, and the second arrives at 300.
    fn second(current: &ClockReading) -> QuoteAge {
        quote_age(Some((&FIRST, at(0))), current, at(0), at(300), TOLERANCE)
    }

    #[test]
    fn a_quote_made_when_it_was_due_counts_for_the_instant_of_its_arrival() {
        let age = second(&after(300));
        assert_eq!((age.quoted_at, age.finding), (at(300), None));
        let age = second(&after(299));
        assert_eq!((age.quoted_at, age.finding), (at(299), None));
    }

    #[test]
    fn a_quote_made_in_advance_counts_for_the_instant_at_which_it_was_made() {
        let age = second(&after(10));
        assert_eq!(age.quoted_at, at(10));
        let finding = age.finding.unwrap();
        assert_eq!(finding.code, FindingCode::QuoteDelayed);
        assert_eq!(finding.to_string(), "quote.delayed: expected at most 5000 ms, found at least 288236 ms");
    }

    #[test]
    fn a_slow_clock_is_no_delay() {
        // 15 % of 300 s are 45 s; the tolerance adds a little.
        assert_eq!(second(&after(255)).finding, None);
        assert_eq!(second(&after(251)).finding, None);
        assert!(second(&after(250)).finding.is_some());
    }

    #[test]
    fn a_fast_clock_is_no_reason_for_doubt_and_one_set_forward_tells_nothing() {
        assert_eq!(second(&after(345)).quoted_at, at(300));
        let set = second(&after(351));
        assert_eq!((set.quoted_at, set.estimate), (at(0), AgeEstimate::Unknown));
    }

    #[test]
    fn across_a_reboot_or_without_a_quote_before_only_the_nonce_bounds_the_age() {
        let rebooted = ClockReading { reset_count: 2, ..after(300) };
        let resumed = ClockReading { restart_count: 1, ..after(300) };
        let back = ClockReading { clock_ms: 1, ..FIRST };
        for current in [rebooted, resumed, back] {
            assert_eq!(second(&current).estimate, AgeEstimate::Unknown);
            assert_eq!(second(&current).quoted_at, at(0));
        }
        let first = quote_age(None, &FIRST, at(0), at(2), TOLERANCE);
        assert_eq!((first.quoted_at, first.finding), (at(0), None));
    }

    #[test]
    fn a_quote_is_never_older_than_its_nonce() {
        let age = quote_age(Some((&FIRST, at(0))), &after(10), at(200), at(300), TOLERANCE);
        assert_eq!(age.quoted_at, at(200));
    }

    proptest! {
        #[test]
        fn a_quote_counts_for_an_instant_between_its_nonce_and_its_arrival(
            clock_ms in any::<u64>(), instants in any::<[i64; 3]>(), tolerance in any::<u64>()
        ) {
            let [first, nonce, last] = instants.map(Timestamp::from_unix_millis);
            let current = ClockReading { clock_ms, ..FIRST };
            let age = quote_age(Some((&FIRST, first)), &current, nonce, last, Duration::from_millis(tolerance));
            prop_assert!(age.quoted_at <= last);
            prop_assert!(age.quoted_at >= nonce.min(last));
        }

        #[test]
        fn a_younger_quote_never_counts_for_an_earlier_instant(early in 0u64..345, later in 0u64..345) {
            let (early, later) = (early.min(later), early.max(later));
            prop_assert!(second(&after(early)).quoted_at <= second(&after(later)).quoted_at);
        }
    }
}
