//! The clocks of the host, and sleeping on them.
//!
//! Time is measured by `CLOCK_BOOTTIME`: it never jumps, and it goes on while the host is suspended, so that a laptop
//! which slept through its attestation wakes up to it at once rather than after the rest of the wait.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vouchsafe_model::Timestamp;

use crate::machine::Now;

/// Reads both clocks: the only place that does.
pub fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let nanos = u32::try_from(boot.tv_nsec).unwrap_or(0);
    Now { boot: Duration::new(u64::try_from(boot.tv_sec).unwrap_or(0), nanos), wall: wall() }
}

#[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
fn wall() -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::from_unix_millis(millis(since)),
        Err(before) => Timestamp::from_unix_millis(-millis(before.duration())),
    }
}

/// A timer that wakes the host's processes from suspension's other side. It costs nothing while it waits.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// Makes a timer. It must be made within a tokio runtime.
    ///
    /// # Errors
    /// When the system has none to give.
    #[expect(deprecated, reason = "it is unsound for types that lie about their descriptor; an OwnedFd does not")]
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: AsyncFd::with_interest(timer, Interest::READABLE)? })
    }

    /// Sleeps until an instant since boot; not at all when it has passed.
    ///
    /// # Errors
    /// When the timer cannot be set.
    pub async fn sleep_until(&self, boot: Duration) -> io::Result<()> {
        if boot <= now().boot {
            return Ok(());
        }
        let at = Timespec {
            tv_sec: i64::try_from(boot.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(boot.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        loop {
            let mut guard = self.timer.readable().await?;
            let read = guard.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?));
            match read {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                // Somebody else's wake-up.
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeps_until_the_instant_and_not_when_it_has_passed() {
        let alarm = Alarm::new().unwrap();
        for _ in 0..3 {
            let until = now().boot + Duration::from_millis(30);
            alarm.sleep_until(until).await.unwrap();
            assert!(now().boot >= until);
            alarm.sleep_until(Duration::ZERO).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_sleep_that_was_given_up_does_not_shorten_the_next() {
        let alarm = Alarm::new().unwrap();
        let soon = now().boot + Duration::from_millis(20);
        let given_up = tokio::time::timeout(Duration::from_millis(5), alarm.sleep_until(soon)).await;
        assert!(given_up.is_err());
        let later = now().boot + Duration::from_millis(60);
        alarm.sleep_until(later).await.unwrap();
        assert!(now().boot >= later);
    }

    #[test]
    fn the_host_has_been_up_for_a_while_and_it_is_later_than_2020() {
        let now = now();
        assert!(now.boot > Duration::ZERO);
        assert!(now.wall > Timestamp::from_unix_secs(1_577_836_800));
    }
}
