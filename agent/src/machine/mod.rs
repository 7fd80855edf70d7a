//! The agent's life as a state machine without any input or output: enrolling → attesting → renewing …
//!
//! It is told what happened ([`Event`]) and when, and says what to do next ([`Action`]). Clocks and randomness are
//! arguments. What it promises, whatever happens (see `properties`): one request at a time; a pause after every failure;
//! another attempt after every failure that may pass; no nonce twice once it may have reached the engine.

mod backoff;
mod enrolling;
mod event;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
mod schedule;
#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use vouchsafe_wire::v1::attest::Challenge;
use vouchsafe_wire::v1::enrol::{DeviceCertificate, Enrolled};

pub use backoff::{Backoff, LONGEST_RETRY_AFTER, SHORTEST};
pub use event::{Action, Event, Failure, FailureKind, Now, Step, Stop};
use schedule::{Armed, EngineClock, engine_time, renewal_jitter};

use crate::state::{Membership, State};

/// The shortest time between the beginnings of two attestations, whatever the engine asks for.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(250);
/// The shortest time between two renewals, or two requests for a challenge.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// The machine.
#[derive(Debug)]
pub struct Machine {
    state: State,
    may_enrol: bool,
    busy: Option<Request>,
    stopped: Option<Stop>,
    clock: Option<EngineClock>,
    /// The stored challenge's instants, while there is one.
    armed: Option<Armed>,
    /// Nothing but a renewal before this instant.
    gate: Duration,
    /// No request for a challenge before this instant.
    fetch_gate: Duration,
    backoff: Backoff,
    /// Evidence in a row that may have reached the engine and was not appraised. A challenge is answered meanwhile each
    /// time, which is no reason to send large evidence that is refused again and again at the pace of a first failure.
    unheard: Backoff,
    renewal: Renewal,
    /// Enrolments in a row that ended after their first message.
    rounds: u32,
}

/// A request that has not been answered.
#[derive(Clone, Debug, PartialEq)]
enum Request {
    MakeKeys,
    Begin,
    Complete,
    Challenge,
    /// With the challenge that it answers, kept until it may have been delivered.
    Attest(Challenge, Armed),
    Renew,
}

#[derive(Debug, Default)]
struct Renewal {
    gate: Duration,
    backoff: Backoff,
    jitter: Duration,
    /// The engine asked for it.
    asked_for: bool,
}

impl Machine {
    /// A machine that goes on from a stored state. `may_enrol`: there is a join file.
    pub fn new(state: State, may_enrol: bool, now: Now, entropy: u64) -> Self {
        let mut machine = Self {
            state,
            may_enrol,
            busy: None,
            stopped: None,
            clock: None,
            armed: None,
            gate: now.boot,
            fetch_gate: now.boot,
            backoff: Backoff::default(),
            unheard: Backoff::default(),
            renewal: Renewal::default(),
            rounds: 0,
        };
        if let Some(membership) = &mut machine.state.membership {
            machine.renewal.jitter = renewal_jitter(&membership.certificate, entropy);
            machine.armed = membership.challenge.as_ref().and_then(|stored| Armed::stored(stored, now, entropy));
            if machine.armed.is_none() {
                membership.challenge = None;
            }
        }
        machine
    }

    /// What is to be stored.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The engine's next instant for evidence, since boot, if it is known.
    pub fn next_due(&self) -> Option<Duration> {
        self.armed.map(|armed| armed.due)
    }

    /// Takes note of what happened, and says what to do. `entropy` is uniform over all of `u64`, and new each time.
    pub fn step(&mut self, event: Event, now: Now, entropy: u64) -> Step {
        let mut store = self.stopped.is_none() && self.absorb(event, now, entropy);
        let action = self.next(now, &mut store);
        Step { store, action }
    }

    /// Whether the state changed. Answers to what was not asked are ignored.
    fn absorb(&mut self, event: Event, now: Now, entropy: u64) -> bool {
        let Some(request) = self.busy.take() else { return false };
        match (request, event) {
            (request, Event::Tick) => {
                self.busy = Some(request);
                false
            }
            (Request::MakeKeys, Event::KeysMade(keys)) => {
                self.state.keys = Some(keys);
                self.backoff.succeeded();
                true
            }
            (Request::Begin, Event::EnrolmentBegan(pending)) => {
                self.state.pending = Some(pending);
                self.backoff.succeeded();
                true
            }
            (Request::Complete, Event::Enrolled(enrolled)) => self.enrolled(enrolled, now, entropy),
            (Request::Challenge, Event::Challenged(challenge)) => self.challenged(challenge, now, entropy),
            (Request::Attest(..), Event::Appraised { challenge, renew }) => {
                self.renewal.asked_for |= renew;
                self.unheard.succeeded();
                self.challenged(challenge, now, entropy)
            }
            (Request::Attest(..), Event::SentAhead) => {
                // Nothing failed. The nonce is as old as the sending took: it is forgotten, and a fresh one asked for.
                self.backoff.succeeded();
                self.unheard.succeeded();
                false
            }
            (Request::Renew, Event::Renewed(certificate)) => self.renewed(certificate, now, entropy),
            (request, Event::Failed(failure)) => self.failed(request, failure, now, entropy),
            (request, _) => {
                self.busy = Some(request);
                false
            }
        }
    }

    fn enrolled(&mut self, enrolled: Enrolled, now: Now, entropy: u64) -> bool {
        let Enrolled { device, certificate, challenge } = enrolled;
        self.renewal = Renewal { jitter: renewal_jitter(&certificate, entropy), ..Renewal::default() };
        self.rounds = 0;
        self.state.pending = None;
        self.trust(&certificate);
        self.state.membership = Some(Membership { device, certificate, challenge: None });
        self.challenged(challenge, now, entropy)
    }

    fn challenged(&mut self, challenge: Challenge, now: Now, entropy: u64) -> bool {
        self.clock = Some(EngineClock::of(&challenge, now));
        self.armed = Armed::fresh(&challenge, now, entropy);
        let Some(membership) = &mut self.state.membership else { return false };
        if self.armed.is_some() {
            membership.challenge = Some(challenge);
            self.backoff.succeeded();
        } else {
            // It could never be answered in time. Whatever is wrong there must not make us ask without pause.
            self.gate = now.boot + self.backoff.failed(None, entropy);
        }
        true
    }

    fn renewed(&mut self, certificate: DeviceCertificate, now: Now, entropy: u64) -> bool {
        self.renewal = Renewal {
            gate: now.boot + SHORTEST_PAUSE,
            jitter: renewal_jitter(&certificate, entropy),
            ..Renewal::default()
        };
        self.trust(&certificate);
        if let Some(membership) = &mut self.state.membership {
            membership.certificate = certificate;
        }
        true
    }

    /// Knows the engine by the roots that it sends along with a certificate.
    fn trust(&mut self, certificate: &DeviceCertificate) {
        if let Some(engine) = &mut self.state.engine {
            engine.trust_bundle_pem.clone_from(&certificate.trust_bundle_pem);
        }
    }

    fn failed(&mut self, request: Request, failure: Failure, now: Now, entropy: u64) -> bool {
        if failure.kind.is_revocation() {
            self.stopped = Some(Stop::Revoked(failure.text));
            return false;
        }
        if failure.kind == FailureKind::TpmUnusable {
            self.stopped = Some(Stop::TpmUnusable(failure.text));
            return false;
        }
        if matches!(request, Request::MakeKeys | Request::Begin | Request::Complete) {
            return self.enrolment_failed(&request, failure, now, entropy);
        }
        if self.certificate_expired(&failure.kind, now) {
            self.gate = now.boot + self.backoff.failed(failure.retry_after, entropy);
            return self.expelled();
        }
        let backoff = match request {
            Request::Renew => {
                self.renewal.gate = now.boot + self.renewal.backoff.failed(failure.retry_after, entropy);
                return false;
            }
            Request::Attest(..) if failure.kind.may_be_delivered() => &mut self.unheard,
            Request::Attest(challenge, armed) => {
                self.armed = Some(armed);
                if let Some(membership) = &mut self.state.membership {
                    membership.challenge = Some(challenge);
                }
                &mut self.backoff
            }
            _ => &mut self.backoff,
        };
        self.gate = now.boot + backoff.failed(failure.retry_after, entropy);
        false
    }

    fn certificate_expired(&self, failure: &FailureKind, now: Now) -> bool {
        let ended = self.state.membership.as_ref().map(|membership| membership.certificate.expires_at);
        failure.says_certificate_expired()
            || (failure.is_about_certificate() && ended.is_some_and(|ended| engine_time(self.clock, now) >= ended))
    }

    /// The certificate is of no use any more: the device has to enrol again, with the same keys.
    fn expelled(&mut self) -> bool {
        let Some(membership) = &self.state.membership else { return false };
        if !self.may_enrol {
            self.stopped = Some(Stop::CertificateExpired(membership.certificate.expires_at));
            return false;
        }
        self.state.membership = None;
        (self.armed, self.renewal) = (None, Renewal::default());
        true
    }

    fn next(&mut self, now: Now, store: &mut bool) -> Action {
        if let Some(stop) = &self.stopped {
            return Action::Stop(stop.clone());
        }
        if self.busy.is_some() {
            return Action::Await;
        }
        match &self.state.membership {
            None => self.next_of_enrolment(now),
            Some(membership) => {
                let renew_at = self.renew_at(&membership.certificate, now);
                self.next_of_member(renew_at, now, store)
            }
        }
    }

    fn next_of_member(&mut self, renew_at: Duration, now: Now, store: &mut bool) -> Action {
        if renew_at <= now.boot {
            return self.request(Request::Renew, Action::Renew);
        }
        // The host may have slept through it.
        self.armed = self.armed.filter(|armed| armed.expires > now.boot);
        let attest_at = self.armed.map_or(self.fetch_gate, |armed| armed.due).max(self.gate);
        if attest_at > now.boot {
            return Action::SleepUntil(attest_at.min(renew_at));
        }
        let stored = self.state.membership.as_mut().and_then(|membership| membership.challenge.take());
        if let (Some(challenge), Some(armed)) = (stored, self.armed.take()) {
            // The nonce leaves the disk before it leaves the host, so that no restart sends it twice.
            *store = true;
            self.gate = now.boot + SHORTEST_INTERVAL;
            self.request(Request::Attest(challenge.clone(), armed), Action::Attest(challenge))
        } else {
            self.fetch_gate = now.boot + SHORTEST_PAUSE;
            self.request(Request::Challenge, Action::FetchChallenge)
        }
    }

    fn request(&mut self, request: Request, action: Action) -> Action {
        self.busy = Some(request);
        action
    }

    /// The certificate's instant of renewal on the host's clock.
    fn renew_at(&self, certificate: &DeviceCertificate, now: Now) -> Duration {
        let wait = if self.renewal.asked_for {
            Duration::ZERO
        } else {
            certificate.renew_at.plus(self.renewal.jitter).since(engine_time(self.clock, now))
        };
        (now.boot + wait).max(self.renewal.gate)
    }
}
