//! How many requests are taken: of each caller, so that one cannot crowd out the others, and of all together.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use vouchsafe_model::spiffe::{PeerRole, SpiffeId};

use crate::keys::KeyHolder;
use crate::peer::{Peer, RemoteAddress};
use crate::problem::HttpProblem;

/// After so many requests the callers who have been quiet are forgotten, if there are too many of them.
const SWEEP_INTERVAL: usize = 1024;

/// A rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

/// How many requests a door takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Of one device; and of one address, from callers without a certificate.
    pub per_device: Rate,
    /// Of one operator, enforcement point or server.
    pub per_service: Rate,
    /// Of all callers together.
    pub global: Rate,
    /// How many callers are told apart. Those beyond share one rate, so that memory stays bounded whoever calls.
    pub max_callers: usize,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            per_device: Rate::new(5, 50),
            per_service: Rate::new(50_000, 50_000),
            global: Rate::new(100_000, 100_000),
            max_callers: 65_536,
        }
    }
}

impl Rate {
    /// So many requests in a second over time, and so many at once. Zero counts as one.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { per_second: at_least_one(per_second), burst: at_least_one(burst) }
    }
}

const fn at_least_one(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

impl From<Rate> for Quota {
    fn from(rate: Rate) -> Self {
        Self::per_second(rate.per_second).allow_burst(rate.burst)
    }
}

/// Whom a request is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    /// The holder of a certificate or a key, whatever its address and however many of them it has.
    Peer(SpiffeId),
    /// An address, or the 64 bits of an IPv6 network: a host has all addresses of its network (RFC 4291, 2.5.4).
    Address(IpAddr),
    /// Everybody for whom there is no room, and requests without an address.
    Others,
}

/// Counts requests.
pub(crate) struct RateLimiter {
    devices: DefaultKeyedRateLimiter<Caller>,
    services: DefaultKeyedRateLimiter<Caller>,
    all: DefaultDirectRateLimiter,
    clock: DefaultClock,
    max_callers: usize,
    requests: AtomicUsize,
    is_full: AtomicBool,
}

impl RateLimiter {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        Self {
            devices: DefaultKeyedRateLimiter::dashmap(limits.per_device.into()),
            services: DefaultKeyedRateLimiter::dashmap(limits.per_service.into()),
            all: DefaultDirectRateLimiter::direct(limits.global.into()),
            clock: DefaultClock::default(),
            max_callers: limits.max_callers,
            requests: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
        }
    }

    /// Counts one request, or says how long to wait. A caller that is over its own rate takes nothing from the others'.
    fn count(&self, caller: Caller) -> Result<(), Duration> {
        if self.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_INTERVAL) {
            self.forget_the_quiet();
        }
        let callers = if caller.is_service() { &self.services } else { &self.devices };
        let caller = if self.is_full.load(Ordering::Relaxed) { Caller::Others } else { caller };
        let now = self.clock.now();
        callers.check_key(&caller).map_err(|refused| refused.wait_time_from(now))?;
        self.all.check().map_err(|refused| refused.wait_time_from(now))
    }

    /// Callers whose rate is whole again need no memory.
    fn forget_the_quiet(&self) {
        let count = || self.devices.len() + self.services.len();
        if count() >= self.max_callers {
            for callers in [&self.devices, &self.services] {
                callers.retain_recent();
                callers.shrink_to_fit();
            }
        }
        self.is_full.store(count() >= self.max_callers, Ordering::Relaxed);
    }
}

impl Caller {
    fn is_service(&self) -> bool {
        matches!(self, Self::Peer(identity) if !matches!(identity.role, PeerRole::Device(_)))
    }
}

/// Refuses requests beyond the rates.
pub(crate) fn limit(limiter: &RateLimiter, request: &Request) -> Result<(), HttpProblem> {
    limiter.count(caller_of(request)).map_err(|wait| {
        HttpProblem::new(StatusCode::TOO_MANY_REQUESTS, "request.rate_limited", "Too many requests")
            .with_detail("Wait as long as the Retry-After header says.")
            .with_retry_after(wait)
    })
}

fn caller_of(request: &Request) -> Caller {
    let extensions = request.extensions();
    if let Some(peer) = extensions.get::<Peer>() {
        return Caller::Peer(peer.identity.clone());
    }
    if let Some(KeyHolder { identity }) = extensions.get() {
        return Caller::Peer(identity.clone());
    }
    match extensions.get::<RemoteAddress>() {
        Some(RemoteAddress(remote)) => Caller::Address(network_of(remote.ip())),
        None => Caller::Others,
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Rate = Rate::new(1, 3);
    const FAST: Rate = Rate::new(100_000, 100_000);

    fn device(n: u8) -> Caller {
        let id = vouchsafe_model::DeviceId::from_ek_digest(&vouchsafe_model::Sha256Digest::new([n; 32]));
        Caller::Peer(format!("spiffe://example.org/device/{id}").parse().unwrap())
    }

    fn operator() -> Caller {
        Caller::Peer("spiffe://example.org/operator/ops".parse().unwrap())
    }

    fn address(n: u32) -> Caller {
        Caller::Address(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn a_device_has_its_burst_and_not_one_more_and_takes_nothing_from_others() {
        let limits = RateLimits { per_device: SLOW, per_service: FAST, global: FAST, max_callers: 100 };
        let limiter = RateLimiter::new(&limits);
        assert!((0..3).all(|_| limiter.count(device(1)).is_ok()));
        let wait = limiter.count(device(1)).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(limiter.count(device(2)).is_ok());
        assert!((0..20).all(|_| limiter.count(operator()).is_ok()), "a service has another rate");
    }

    #[test]
    fn all_callers_together_have_a_rate() {
        let limits = RateLimits { per_device: FAST, per_service: FAST, global: SLOW, max_callers: 100 };
        let limiter = RateLimiter::new(&limits);
        assert_eq!((0..4).filter(|n| limiter.count(device(*n)).is_ok()).count(), 3);
    }

    #[test]
    fn what_a_caller_is_refused_is_not_counted_against_all() {
        let limits = RateLimits { per_device: SLOW, per_service: FAST, global: Rate::new(1, 4), max_callers: 100 };
        let limiter = RateLimiter::new(&limits);
        assert_eq!((0..50).filter(|_| limiter.count(device(1)).is_ok()).count(), 3);
        assert!(limiter.count(device(2)).is_ok());
    }

    #[test]
    fn memory_stays_bounded_whoever_calls() {
        let limits = RateLimits { per_device: SLOW, per_service: FAST, global: FAST, max_callers: 100 };
        let limiter = RateLimiter::new(&limits);
        let total = u32::try_from(SWEEP_INTERVAL * 5).unwrap();
        let accepted = (0..total).filter(|n| limiter.count(address(*n)).is_ok()).count();
        assert!(limiter.devices.len() <= limits.max_callers + SWEEP_INTERVAL, "{}", limiter.devices.len());
        assert!(accepted < SWEEP_INTERVAL + 10, "those beyond share one rate, but {accepted} were accepted");
    }

    #[test]
    fn callers_who_were_quiet_are_forgotten() {
        let limits = RateLimits { per_device: FAST, per_service: FAST, global: FAST, max_callers: 10 };
        let limiter = RateLimiter::new(&limits);
        (0..20).for_each(|n| assert!(limiter.count(address(n)).is_ok()));
        // At a hundred thousand a second a rate is whole again after ten microseconds.
        std::thread::sleep(Duration::from_millis(5));
        limiter.forget_the_quiet();
        assert_eq!(limiter.devices.len(), 0);
        assert!(!limiter.is_full.load(Ordering::Relaxed));
    }

    #[test]
    fn a_host_has_one_rate_for_all_addresses_of_its_network() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::"));
        assert_ne!(network("2001:db8:1:3::"), network("2001:db8:1:2::"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }
}
