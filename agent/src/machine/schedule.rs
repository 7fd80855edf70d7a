//! When to do what: the engine's instants on the host's monotonic clock.
//!
//! The host's idea of the time is asked only where nothing better is known, right after a start. From the first answer
//! on, the engine's clock is known by what it answered and by how long ago that was.

use std::time::Duration;

use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::attest::Challenge;
use vouchsafe_wire::v1::enrol::DeviceCertificate;

use super::backoff::fraction_of;
use super::event::Now;

/// The longest that an engine may schedule ahead.
pub(super) const LONGEST_DUE: Duration = Duration::from_secs(7 * 86_400);
/// The most that attestations are spread by.
const LONGEST_JITTER: Duration = Duration::from_secs(30);
/// The most that renewals are spread by.
const LONGEST_RENEWAL_JITTER: Duration = Duration::from_secs(3600);

/// The engine's clock, as of an instant since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EngineClock {
    boot: Duration,
    engine: Timestamp,
}

/// A challenge on the host's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Armed {
    /// When to answer it.
    pub(super) due: Duration,
    /// Until when its nonce is good.
    pub(super) expires: Duration,
}

impl EngineClock {
    /// What a challenge that has just come says about the engine's clock.
    pub(super) fn of(challenge: &Challenge, now: Now) -> Self {
        let engine = challenge.due_at.minus(Duration::from_millis(challenge.due_in_ms));
        Self { boot: now.boot, engine }
    }

    fn at(self, now: Now) -> Timestamp {
        self.engine.plus(now.boot.saturating_sub(self.boot))
    }
}

/// The time, as far as it is known.
pub(super) fn engine_time(clock: Option<EngineClock>, now: Now) -> Timestamp {
    clock.map_or(now.wall, |clock| clock.at(now))
}

impl Armed {
    /// A challenge that has just come; `None` when it could never be answered in time.
    pub(super) fn fresh(challenge: &Challenge, now: Now, entropy: u64) -> Option<Self> {
        let due_in = Duration::from_millis(challenge.due_in_ms).min(LONGEST_DUE);
        Self::due_after(due_in, challenge, now, entropy)
    }

    /// A challenge that was stored before a restart; `None` when it may have been answered already, or when the host's
    /// clock contradicts it.
    pub(super) fn stored(challenge: &Challenge, now: Now, entropy: u64) -> Option<Self> {
        let due_in = challenge.due_at.since(now.wall);
        let plausible = !due_in.is_zero() && due_in <= Duration::from_millis(challenge.due_in_ms).min(LONGEST_DUE);
        plausible.then(|| Self::due_after(due_in, challenge, now, entropy)).flatten()
    }

    fn due_after(due_in: Duration, challenge: &Challenge, now: Now, entropy: u64) -> Option<Self> {
        let lifetime = challenge.expires_at.since(challenge.due_at).min(LONGEST_DUE);
        // Late by a tenth of the wait at most, and always with most of the nonce's life to spare.
        let jitter = fraction_of((due_in / 10).min(lifetime / 4).min(LONGEST_JITTER), entropy);
        let due = now.boot + due_in;
        (!lifetime.is_zero()).then_some(Self { due: due + jitter, expires: due + lifetime })
    }
}

/// How far into the time between "renew" and "ended" this certificate is renewed: at most a tenth.
pub(super) fn renewal_jitter(certificate: &DeviceCertificate, entropy: u64) -> Duration {
    let spare = certificate.expires_at.since(certificate.renew_at);
    fraction_of((spare / 10).min(LONGEST_RENEWAL_JITTER), entropy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vouchsafe_wire::Bytes;
    use vouchsafe_wire::v1::logs::KnownLogs;

    fn challenge(engine_now: i64, due_in_ms: u64, lifetime_ms: i64) -> Challenge {
        let due_at = engine_now + i64::try_from(due_in_ms).unwrap();
        Challenge {
            nonce: Bytes::new([7; 32]).unwrap(),
            selection: "sha256:0-7".parse().unwrap(),
            due_at: Timestamp::from_unix_millis(due_at),
            due_in_ms,
            expires_at: Timestamp::from_unix_millis(due_at + lifetime_ms),
            logs: KnownLogs::default(),
        }
    }

    fn now(boot_ms: u64, wall_ms: i64) -> Now {
        Now { boot: Duration::from_millis(boot_ms), wall: Timestamp::from_unix_millis(wall_ms) }
    }

    const ENGINE_NOW: i64 = 1_770_000_000_000;

    #[test]
    fn a_host_whose_clock_is_wrong_by_decades_keeps_the_schedule() {
        for wall in [0, ENGINE_NOW, 4_000_000_000_000] {
            let armed = Armed::fresh(&challenge(ENGINE_NOW, 60_000, 60_000), now(5_000, wall), 0).unwrap();
            assert_eq!(armed, Armed { due: Duration::from_secs(65), expires: Duration::from_secs(125) });
        }
    }

    #[test]
    fn the_engines_clock_goes_on_by_the_hosts_monotonic_one() {
        let clock = EngineClock::of(&challenge(ENGINE_NOW, 60_000, 1), now(5_000, 0));
        assert_eq!(engine_time(Some(clock), now(6_500, 9)), Timestamp::from_unix_millis(ENGINE_NOW + 1_500));
        assert_eq!(engine_time(None, now(6_500, 9)), Timestamp::from_unix_millis(9));
    }

    #[test]
    fn a_stored_challenge_is_taken_up_only_before_it_was_due() {
        let stored = challenge(ENGINE_NOW, 60_000, 60_000);
        let armed = Armed::stored(&stored, now(100, ENGINE_NOW + 20_000), 0).unwrap();
        assert_eq!(armed.due, Duration::from_millis(40_100));
        // It may have been answered.
        assert_eq!(Armed::stored(&stored, now(100, ENGINE_NOW + 60_000), 0), None);
        // A clock from before the challenge came is wrong, and the wait that follows from it would be endless.
        assert_eq!(Armed::stored(&stored, now(100, 0), 0), None);
    }

    #[test]
    fn a_challenge_that_ends_before_it_is_due_is_of_no_use() {
        assert_eq!(Armed::fresh(&challenge(ENGINE_NOW, 60_000, 0), now(0, 0), 0), None);
        assert_eq!(Armed::fresh(&challenge(ENGINE_NOW, 60_000, -60_000), now(0, 0), 0), None);
    }

    proptest! {
        #[test]
        fn jitter_is_late_and_never_too_late(due_in_ms in 0u64..1_000_000_000, lifetime_ms in 1i64..1_000_000_000, entropy: u64) {
            let challenge = challenge(ENGINE_NOW, due_in_ms, lifetime_ms);
            let armed = Armed::fresh(&challenge, now(1_000, 0), entropy).unwrap();
            let due = Duration::from_secs(1) + Duration::from_millis(due_in_ms).min(LONGEST_DUE);
            prop_assert!(armed.due >= due);
            prop_assert!(armed.due.saturating_sub(due) <= LONGEST_JITTER);
            prop_assert!(armed.due < armed.expires);
        }

        #[test]
        fn no_challenge_however_odd_breaks_the_arithmetic(due_at: i64, expires_at: i64, due_in_ms: u64, wall: i64, boot_ms: u64, entropy: u64) {
            let challenge = Challenge {
                due_at: Timestamp::from_unix_millis(due_at),
                due_in_ms,
                expires_at: Timestamp::from_unix_millis(expires_at),
                ..challenge(0, 0, 0)
            };
            let now = now(boot_ms, wall);
            let _ = (Armed::fresh(&challenge, now, entropy), Armed::stored(&challenge, now, entropy));
            let _ = engine_time(Some(EngineClock::of(&challenge, now)), now);
        }
    }
}
