//! Waiting for a TPM that is busy: `TPM_RC_RETRY`, `TPM_RC_YIELDED`, `TPM_RC_TESTING`, `TPM_RC_NV_RATE`.
//!
//! After each of these the command was not carried out and may be sent again as it was (TPM 2.0 Part 2, 6.6.3). tpm2-tss
//! sends five times without a pause; a TPM in a self-test, or one that spares its NV memory, takes longer.

use std::time::Duration;

use super::error::TpmError;

/// How often a command is tried before its failure is reported.
const MAX_ATTEMPTS: u32 = 14;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Tries `command` until it says anything but "busy"; about eight seconds at most.
pub(super) fn patiently<T>(
    mut sleep: impl FnMut(Duration),
    mut command: impl FnMut() -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let mut pause = FIRST_PAUSE;
    let mut attempts = 1;
    loop {
        match command() {
            Err(TpmError::Busy { doing, code, .. }) if attempts == MAX_ATTEMPTS => {
                return Err(TpmError::Busy { doing, code, attempts });
            }
            Err(TpmError::Busy { .. }) => {
                sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
                attempts += 1;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::response::ResponseCode;
    use super::*;

    fn busy() -> TpmError {
        TpmError::Busy { doing: "testing", code: ResponseCode::of_number(0x922), attempts: 1 }
    }

    #[test]
    fn a_tpm_that_is_busy_for_a_while_is_waited_for() {
        let (mut pauses, mut calls) = (Vec::new(), 0);
        let outcome = patiently(
            |pause| pauses.push(pause),
            || {
                calls += 1;
                if calls < 8 { Err(busy()) } else { Ok(calls) }
            },
        );
        assert_eq!(outcome.unwrap(), 8);
        assert_eq!(pauses.len(), 7);
        assert!(pauses.is_sorted() && pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
    }

    #[test]
    fn a_tpm_that_stays_busy_is_reported_after_a_bounded_time() {
        let (mut waited, mut calls) = (Duration::ZERO, 0);
        let outcome: Result<(), _> = patiently(
            |pause| waited += pause,
            || {
                calls += 1;
                Err(busy())
            },
        );
        assert!(matches!(outcome, Err(TpmError::Busy { attempts: MAX_ATTEMPTS, .. })));
        assert_eq!(calls, MAX_ATTEMPTS);
        assert!(waited < Duration::from_secs(10), "{waited:?}");
    }

    #[test]
    fn other_failures_are_reported_at_once() {
        let outcome: Result<(), _> = patiently(|_| panic!("nobody should wait"), || Err(TpmError::QueueFull));
        assert!(matches!(outcome, Err(TpmError::QueueFull)));
    }
}
