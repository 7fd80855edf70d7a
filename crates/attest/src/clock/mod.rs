//! What a TPM's clock and counters say about time and reboots (TPM 2.0 Part 1, 36 "Timing Components").
//!
//! **Counters.** `resetCount` rises by one with each TPM Reset (a reboot); `restartCount` rises with each TPM Restart
//! or Resume (suspend, hibernation) and is zero again after a reset. Both go to zero with `TPM2_Clear`, which also
//! destroys every key of the owner's hierarchy, so that one key never sees it.
//!
//! **Obfuscation.** For a key outside the endorsement and platform hierarchies a TPM adds a secret constant to
//! `resetCount`, `restartCount` and `firmwareVersion`, another one for each key (Part 2, 10.12 `TPMS_ATTEST`). Readings
//! of two keys must therefore never be compared: the caller keeps one history per attestation key. For one key the
//! constant is the same in every quote and drops out of a difference modulo 2^32. Two consequences: a counter may wrap
//! at the very next reboot, so that "smaller" does not mean "earlier"; and `restartCount` after a reset may be
//! anything, so that its going down across a reset means nothing. Counters are therefore compared as serial numbers
//! (RFC 1982): a difference below 2^31 is forward, any other backward. No TPM sees 2^31 reboots: one each second takes
//! 68 years.
//!
//! **Clock.** It counts milliseconds while the TPM has power, can be set forward (`TPM2_ClockSet`) and never back. It
//! is written to non-volatile memory at least every 2^22 ms and at an orderly shutdown. After a disorderly one it
//! resumes from what was written last, up to 2^22 ms (70 minutes) behind, and `safe` is NO until it has passed what it
//! may have reported before (Part 2, 10.11.1 `TPMS_CLOCK_INFO`).

mod age;

use serde::{Deserialize, Serialize};
use vouchsafe_model::{Finding, FindingCode};

pub use age::{AgeEstimate, CLOCK_RATE_TOLERANCE_PERCENT, QuoteAge, quote_age};

/// The time of one quote as the TPM told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockReading {
    /// Milliseconds for which the TPM has had power since its owner took it.
    pub clock_ms: u64,
    /// TPM Resets, modulo 2^32, plus the key's constant.
    pub reset_count: u32,
    /// TPM Restarts and Resumes since the last reset, modulo 2^32, plus the key's constant.
    pub restart_count: u32,
    /// Whether no greater clock value can have been reported before.
    pub safe: bool,
    /// The firmware's version, plus the key's constant: good for "the same" and "another".
    pub firmware_version: u64,
}

/// What happened between two readings of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// Nothing: both are of one boot, without a suspend in between.
    SameSession {
        /// Milliseconds that the TPM counted in between.
        elapsed_ms: u64,
    },
    /// The host was suspended or hibernated.
    Resumed {
        /// How many times.
        restarts: u32,
    },
    /// The host was restarted.
    Rebooted {
        /// How many times.
        resets: u32,
    },
    /// Something went back that cannot: another TPM's state, a snapshot that was rolled back, or a forgery.
    WentBack(WentBack),
}

/// What went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WentBack {
    /// `resetCount`.
    ResetCount,
    /// `restartCount`, while `resetCount` stands.
    RestartCount,
    /// The clock, further than any loss of power explains.
    Clock,
}

/// What comparing two readings found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockComparison {
    /// What happened in between.
    pub change: ClockChange,
    /// The same for the verdict, with a change of firmware and an unsafe clock.
    pub findings: Vec<Finding>,
}

/// The longest time between two writes of the clock to non-volatile memory, in milliseconds (Part 1, 36).
pub const MAX_NV_UPDATE_INTERVAL_MS: u64 = 1 << 22;

/// Compares a reading with the one before it, both of the same key.
///
/// An equal clock within one session is accepted: two quotes may fall into one millisecond, and whether a quote is a
/// replay is for its nonce to say.
pub fn compare(previous: &ClockReading, current: &ClockReading) -> ClockComparison {
    let change = change(previous, current);
    let mut findings = Vec::new();
    match change {
        ClockChange::SameSession { .. } => {}
        ClockChange::Resumed { .. } => findings.push(Finding::new(FindingCode::TpmRestarted)),
        ClockChange::Rebooted { .. } => findings.push(Finding::new(FindingCode::TpmReset)),
        ClockChange::WentBack(what) => findings.push(went_back(what, previous, current)),
    }
    if !current.safe {
        findings.push(Finding::new(FindingCode::ClockUnsafe));
    }
    if previous.firmware_version != current.firmware_version {
        let [before, after] = [previous, current].map(|reading| format!("{:#018x}", reading.firmware_version));
        findings.push(Finding::new(FindingCode::FirmwareChanged).with(before, after));
    }
    ClockComparison { change, findings }
}

fn change(previous: &ClockReading, current: &ClockReading) -> ClockChange {
    let Some(resets) = steps_forward(previous.reset_count, current.reset_count) else {
        return ClockChange::WentBack(WentBack::ResetCount);
    };
    let shortfall_ms = previous.clock_ms.saturating_sub(current.clock_ms);
    if resets > 0 {
        // Only a reset can follow a disorderly shutdown: Restart and Resume need TPM2_Shutdown(STATE) before them.
        let power_loss_explains = !current.safe && shortfall_ms < MAX_NV_UPDATE_INTERVAL_MS;
        return if shortfall_ms == 0 || power_loss_explains {
            ClockChange::Rebooted { resets }
        } else {
            ClockChange::WentBack(WentBack::Clock)
        };
    }
    match steps_forward(previous.restart_count, current.restart_count) {
        None => ClockChange::WentBack(WentBack::RestartCount),
        Some(_) if shortfall_ms > 0 => ClockChange::WentBack(WentBack::Clock),
        Some(0) => ClockChange::SameSession { elapsed_ms: current.clock_ms.saturating_sub(previous.clock_ms) },
        Some(restarts) => ClockChange::Resumed { restarts },
    }
}

/// How far a counter went forward, modulo 2^32; `None` when it went back.
const fn steps_forward(previous: u32, current: u32) -> Option<u32> {
    let steps = current.wrapping_sub(previous);
    if steps < 1 << 31 { Some(steps) } else { None }
}

fn went_back(what: WentBack, previous: &ClockReading, current: &ClockReading) -> Finding {
    let (name, before, after) = match what {
        WentBack::ResetCount => ("resetCount", previous.reset_count.into(), current.reset_count.into()),
        WentBack::RestartCount => ("restartCount", previous.restart_count.into(), current.restart_count.into()),
        WentBack::Clock => ("clock", previous.clock_ms, current.clock_ms),
    };
    Finding::new(FindingCode::ClockWentBack).with(format!("{name} from {before} on"), format!("{name} {after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEFORE: ClockReading =
        ClockReading { clock_ms: 10_000_000, reset_count: 7, restart_count: 2, safe: true, firmware_version: 1 };

    fn codes(current: ClockReading) -> Vec<FindingCode> {
        compare(&BEFORE, &current).findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_clock_that_runs_on_within_a_boot_is_nothing_to_tell() {
        let later = ClockReading { clock_ms: BEFORE.clock_ms + 5, ..BEFORE };
        assert_eq!(compare(&BEFORE, &later).change, ClockChange::SameSession { elapsed_ms: 5 });
        assert_eq!(codes(later), []);
        assert_eq!(codes(BEFORE), [], "two quotes in one millisecond");
    }

    #[test]
    fn a_clock_that_goes_back_within_a_boot_fails_even_when_it_says_that_it_is_unsafe() {
        let back = ClockReading { clock_ms: BEFORE.clock_ms - 1, safe: false, ..BEFORE };
        assert_eq!(codes(back), [FindingCode::ClockWentBack, FindingCode::ClockUnsafe]);
        let finding = compare(&BEFORE, &back).findings.remove(0);
        assert_eq!(finding.to_string(), "tpm.clock_went_back: expected clock from 10000000 on, found clock 9999999");
    }

    #[test]
    fn a_reboot_sets_restart_count_back_and_that_is_no_going_back() {
        let rebooted = ClockReading { reset_count: 8, restart_count: 0, clock_ms: BEFORE.clock_ms + 1, ..BEFORE };
        assert_eq!(compare(&BEFORE, &rebooted).change, ClockChange::Rebooted { resets: 1 });
        assert_eq!(codes(rebooted), [FindingCode::TpmReset]);
        let five_times = ClockReading { reset_count: 12, ..rebooted };
        assert_eq!(compare(&BEFORE, &five_times).change, ClockChange::Rebooted { resets: 5 });
    }

    #[test]
    fn a_suspend_is_told_apart_from_a_reboot() {
        let resumed = ClockReading { restart_count: 3, clock_ms: BEFORE.clock_ms + 1, ..BEFORE };
        assert_eq!(compare(&BEFORE, &resumed).change, ClockChange::Resumed { restarts: 1 });
        assert_eq!(codes(resumed), [FindingCode::TpmRestarted]);
        let back = ClockReading { clock_ms: BEFORE.clock_ms - 1, safe: false, ..resumed };
        assert_eq!(compare(&BEFORE, &back).change, ClockChange::WentBack(WentBack::Clock));
    }

    #[test]
    fn counters_that_go_back_fail() {
        let reset = ClockReading { reset_count: 6, clock_ms: u64::MAX, ..BEFORE };
        assert_eq!(compare(&BEFORE, &reset).change, ClockChange::WentBack(WentBack::ResetCount));
        let restart = ClockReading { restart_count: 1, clock_ms: u64::MAX, ..BEFORE };
        assert_eq!(compare(&BEFORE, &restart).change, ClockChange::WentBack(WentBack::RestartCount));
        assert_eq!(codes(reset), [FindingCode::ClockWentBack]);
    }

    #[test]
    fn counters_that_wrap_go_forward() {
        let before = ClockReading { reset_count: u32::MAX, restart_count: u32::MAX, ..BEFORE };
        let rebooted = ClockReading { reset_count: 0, ..before };
        assert_eq!(compare(&before, &rebooted).change, ClockChange::Rebooted { resets: 1 });
        let resumed = ClockReading { restart_count: 1, ..before };
        assert_eq!(compare(&before, &resumed).change, ClockChange::Resumed { restarts: 2 });
    }

    #[test]
    fn after_a_power_failure_an_unsafe_clock_may_be_behind_by_one_update_interval() {
        let rebooted = ClockReading { reset_count: 8, restart_count: 0, safe: false, ..BEFORE };
        let behind = |ms| ClockReading { clock_ms: BEFORE.clock_ms - ms, ..rebooted };
        assert_eq!(codes(behind(MAX_NV_UPDATE_INTERVAL_MS - 1)), [FindingCode::TpmReset, FindingCode::ClockUnsafe]);
        let fault = [FindingCode::ClockWentBack, FindingCode::ClockUnsafe];
        assert_eq!(codes(behind(MAX_NV_UPDATE_INTERVAL_MS)), fault);
        let safe = ClockReading { safe: true, ..behind(1) };
        assert_eq!(codes(safe), [FindingCode::ClockWentBack], "a clock that says it is safe is never behind");
    }

    #[test]
    fn other_firmware_is_reported_with_both_versions() {
        let updated = ClockReading { firmware_version: 0x2019_1023, ..BEFORE };
        let finding = compare(&BEFORE, &updated).findings.remove(0);
        assert_eq!(finding.code, FindingCode::FirmwareChanged);
        assert_eq!(finding.expected.as_deref(), Some("0x0000000000000001"));
        assert_eq!(finding.found.as_deref(), Some("0x0000000020191023"));
    }

    fn reading() -> impl Strategy<Value = ClockReading> {
        (any::<u64>(), any::<u32>(), any::<u32>(), any::<bool>(), any::<u64>()).prop_map(
            |(clock_ms, reset_count, restart_count, safe, firmware_version)| ClockReading {
                clock_ms,
                reset_count,
                restart_count,
                safe,
                firmware_version,
            },
        )
    }

    proptest! {
        #[test]
        fn the_constant_that_a_tpm_adds_for_a_key_changes_nothing(
            before in reading(), after in reading(), reset in any::<u32>(), restart in any::<u32>()
        ) {
            let obfuscate = |reading: ClockReading| ClockReading {
                reset_count: reading.reset_count.wrapping_add(reset),
                restart_count: reading.restart_count.wrapping_add(restart),
                ..reading
            };
            let plain = compare(&before, &after).change;
            prop_assert_eq!(compare(&obfuscate(before), &obfuscate(after)).change, plain);
        }

        #[test]
        fn of_two_different_readings_not_both_orders_are_forward(before in reading(), after in reading()) {
            let forward = |a, b| !matches!(compare(a, b).change, ClockChange::WentBack(_));
            let time_differs = before.reset_count != after.reset_count || before.restart_count != after.restart_count;
            // A difference of exactly 2^31 is backward from either side.
            prop_assume!(time_differs);
            prop_assert!(!(forward(&before, &after) && forward(&after, &before)));
        }
    }
}
