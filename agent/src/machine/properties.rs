//! What the machine promises, whatever happens: a simulated engine that answers anything, loses anything, and restarts
//! the host at will.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::enrol::DeviceCertificate;

use super::testing::{ENGINE_BOOT, certificate, challenge, enrolled, failure, keys, member, now, pending};
use super::*;

/// What the world does about one request.
#[derive(Clone, Debug)]
enum Outcome {
    /// It is answered as it should be.
    Answer { due_in_ms: u64, life_ms: u64, renew: bool },
    /// It is answered as it should be, but that a long list went in place of evidence.
    SendAhead,
    /// It fails.
    Fail(FailureKind, Option<Duration>),
    /// The host restarts before the answer is stored; what was sent may or may not have arrived.
    Restart,
}

fn kind() -> impl Strategy<Value = FailureKind> {
    let status = prop_oneof![Just(400u16), Just(401), Just(403), Just(409), Just(422), Just(429), Just(500), Just(503)];
    let code = prop_oneof![Just("quote.nonce_spent"), Just("device.unknown"), Just("request.rate_limited")];
    prop_oneof![
        Just(FailureKind::Tpm),
        Just(FailureKind::Local),
        Just(FailureKind::CredentialRefused),
        Just(FailureKind::Unreachable),
        Just(FailureKind::Untrusted),
        Just(FailureKind::CertificateRefused),
        Just(FailureKind::Interrupted),
        Just(FailureKind::Unintelligible),
        (status, code).prop_map(|(status, code)| FailureKind::Problem { status, code: code.to_owned() }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let retry_after =
        prop_oneof![3 => Just(None), 1 => (0u64..100_000).prop_map(|secs| Some(Duration::from_secs(secs)))];
    prop_oneof![
        4 => (0u64..200_000, 0u64..200_000, any::<bool>())
            .prop_map(|(due_in_ms, life_ms, renew)| Outcome::Answer { due_in_ms, life_ms, renew }),
        4 => (kind(), retry_after).prop_map(|(kind, after)| Outcome::Fail(kind, after)),
        1 => Just(Outcome::SendAhead),
        1 => Just(Outcome::Restart),
    ]
}

/// One turn of the world: what comes of a request, how long it takes, and what is drawn meanwhile.
type Turn = (Outcome, u16, u64);

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec((outcome(), any::<u16>(), any::<u64>()), 1..60)
}

/// The world around one machine.
struct World {
    machine: Machine,
    disk: State,
    boot: Duration,
    wall_error_ms: i64,
    certificate_life: Duration,
    nonces: u64,
    /// What the machine asked for last.
    wish: Action,
    /// Nonces that the engine may have seen.
    delivered: BTreeSet<Vec<u8>>,
    /// When a request last failed: a renewal, and any other.
    failed_at: [Option<Duration>; 2],
    /// When requests were sent, the latest last.
    sent_at: Vec<Duration>,
}

/// Whether the engine cannot have seen what failed in this way.
fn stays_here(kind: &FailureKind) -> bool {
    match kind {
        FailureKind::Tpm
        | FailureKind::Local
        | FailureKind::TpmUnusable
        | FailureKind::CredentialRefused
        | FailureKind::Unreachable
        | FailureKind::Untrusted
        | FailureKind::CertificateRefused => true,
        FailureKind::Interrupted | FailureKind::Problem { .. } | FailureKind::Unintelligible => false,
    }
}

/// The most requests in a second: what an engine that answers everything at once may get.
const BUSIEST_SECOND: usize = 16;

impl World {
    fn new(state: State, wall_error_ms: i64, certificate_life: Duration) -> Self {
        let machine = Machine::new(State::default(), true, now(Duration::ZERO), 0);
        let mut world = Self {
            machine,
            disk: state,
            boot: Duration::ZERO,
            wall_error_ms,
            certificate_life,
            nonces: 1,
            wish: Action::Await,
            delivered: BTreeSet::new(),
            failed_at: [None; 2],
            sent_at: Vec::new(),
        };
        world.restart(0);
        world
    }

    fn engine(&self) -> Timestamp {
        ENGINE_BOOT.plus(self.boot)
    }

    fn now(&self) -> Now {
        let wall = self.engine().unix_millis().saturating_add(self.wall_error_ms);
        Now { boot: self.boot, wall: Timestamp::from_unix_millis(wall) }
    }

    fn restart(&mut self, entropy: u64) {
        // A service manager takes a while, and so does the host.
        self.boot += Duration::from_secs(1);
        self.machine = Machine::new(self.disk.clone(), true, self.now(), entropy);
        self.failed_at = [None; 2];
        self.tell(Event::Tick, entropy);
    }

    fn tell(&mut self, event: Event, entropy: u64) {
        let before = self.machine.state().clone();
        let step = self.machine.step(event, self.now(), entropy);
        if step.store {
            self.disk = self.machine.state().clone();
        } else {
            let kept = |state: &State| (state.keys.clone(), state.pending.clone(), state.membership.is_some());
            assert_eq!(kept(self.machine.state()), kept(&before), "what must not be lost changed and was not stored");
        }
        self.wish = step.action;
    }

    /// Sleeps until the machine asks for something. `None` when it stopped.
    fn until_request(&mut self, entropy: u64) -> Option<Action> {
        for _ in 0..4 {
            match self.wish.clone() {
                Action::SleepUntil(until) => {
                    assert!(until > self.boot, "a sleep of no length: {until:?} at {:?}", self.boot);
                    let asleep = until.saturating_sub(self.boot);
                    let longest = schedule::LONGEST_DUE.max(LONGEST_RETRY_AFTER * 2) + Duration::from_secs(60);
                    assert!(asleep <= longest, "asleep for {asleep:?}");
                    // Timers are late, and hosts are slow.
                    self.boot = until + Duration::from_millis(entropy % 50);
                    self.tell(Event::Tick, entropy);
                }
                Action::Stop(_) => return None,
                Action::Await => panic!("nothing is out, and it waits"),
                request => return Some(request),
            }
        }
        panic!("it sleeps for ever")
    }

    /// Follows the machine to its next request, and lets the world answer. `None` when it stopped.
    fn turn(&mut self, (outcome, latency_ms, entropy): &Turn) -> Option<()> {
        let action = self.until_request(*entropy)?;
        self.send(&action, outcome);
        self.boot += Duration::from_millis(u64::from(*latency_ms));
        // While a request is out, nothing else is asked for, and no answer to another question is taken.
        self.tell(Event::Tick, *entropy);
        assert_eq!(self.wish, Action::Await, "a second request at once");
        let foreign =
            if action == Action::Renew { Event::KeysMade(keys()) } else { Event::Renewed(self.certificate()) };
        self.tell(foreign, *entropy);
        assert_eq!(self.wish, Action::Await, "an answer to another question was taken");
        let event = match outcome {
            Outcome::Answer { due_in_ms, life_ms, renew } => self.answer(&action, *due_in_ms, *life_ms, *renew),
            // The nonce that stayed here counts as used below: it is to be forgotten.
            Outcome::SendAhead if matches!(action, Action::Attest(_)) => Event::SentAhead,
            Outcome::SendAhead => self.answer(&action, 0, 60_000, false),
            Outcome::Fail(kind, retry_after) => {
                self.failed_at[usize::from(action == Action::Renew)] = Some(self.boot);
                Event::Failed(Failure { kind: kind.clone(), retry_after: *retry_after, text: "it failed".to_owned() })
            }
            Outcome::Restart => {
                self.restart(*entropy);
                return Some(());
            }
        };
        self.tell(event, *entropy);
        Some(())
    }

    fn send(&mut self, action: &Action, outcome: &Outcome) {
        let failed_at = &mut self.failed_at[usize::from(*action == Action::Renew)];
        let paused = failed_at.take().is_none_or(|at| self.boot >= at + SHORTEST);
        assert!(paused, "no pause after a failure: {action:?} at {:?}", self.boot);
        self.sent_at.push(self.boot);
        let lately = self.sent_at.iter().rev().take_while(|at| **at + Duration::from_secs(1) > self.boot).count();
        assert!(lately <= BUSIEST_SECOND, "{lately} requests in a second");
        if let Action::Attest(challenge) = action {
            let nonce = challenge.nonce.as_slice().to_vec();
            assert!(!self.delivered.contains(&nonce), "a nonce was used twice");
            if !matches!(outcome, Outcome::Fail(kind, _) if stays_here(kind)) {
                self.delivered.insert(nonce);
            }
        }
    }

    fn certificate(&self) -> DeviceCertificate {
        certificate(self.engine(), self.certificate_life)
    }

    fn answer(&mut self, action: &Action, due_in_ms: u64, life_ms: u64, renew: bool) -> Event {
        self.nonces += 1;
        let (due_in, life) = (Duration::from_millis(due_in_ms), Duration::from_millis(life_ms));
        let challenge = challenge(self.engine(), self.nonces, due_in, life);
        match action {
            Action::MakeKeys => Event::KeysMade(keys()),
            Action::BeginEnrolment => Event::EnrolmentBegan(pending()),
            Action::CompleteEnrolment(_) => Event::Enrolled(enrolled(self.engine(), challenge, self.certificate_life)),
            Action::FetchChallenge => Event::Challenged(challenge),
            Action::Attest(_) => Event::Appraised { challenge, renew },
            Action::Renew => Event::Renewed(self.certificate()),
            other => panic!("{other:?} is no request"),
        }
    }
}

fn start() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::default()), Just(member())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// One request at a time, a pause after every failure, no nonce twice, nothing unstored, no endless sleep: the world
    /// asserts all of it on the way.
    #[test]
    fn keeps_its_promises_whatever_happens(
        state in start(),
        turns in turns(),
        wall_error_ms in prop_oneof![Just(0i64), any::<i64>()],
        certificate_life_secs in 10u64..1_000_000,
    ) {
        let mut world = World::new(state, wall_error_ms, Duration::from_secs(certificate_life_secs));
        for turn in &turns {
            if world.turn(turn).is_none() {
                break;
            }
        }
    }

    #[test]
    fn tries_for_ever_while_failures_may_pass(
        failures in prop::collection::vec((prop_oneof![
            Just(FailureKind::Tpm), Just(FailureKind::Unreachable), Just(FailureKind::Interrupted),
            Just(FailureKind::Problem { status: 503, code: "engine.timeout".to_owned() }),
            Just(FailureKind::Problem { status: 429, code: "request.rate_limited".to_owned() }),
        ], any::<u16>(), any::<u64>()), 1..100),
        state in start(),
    ) {
        let mut world = World::new(state, 0, Duration::from_secs(100_000_000));
        for (kind, latency, entropy) in &failures {
            prop_assert!(world.turn(&(Outcome::Fail(kind.clone(), None), *latency, *entropy)).is_some());
        }
        prop_assert_eq!(world.sent_at.len(), failures.len());
    }

    #[test]
    fn certificates_are_renewed_before_they_end_while_the_engine_answers(
        lives in prop::collection::vec((20u16..200, 1u64..200_000, any::<u64>()), 1..50),
        wall_error_ms: i64,
        certificate_life_secs in prop_oneof![30u64..300, 300u64..1_000_000],
    ) {
        let mut world = World::new(member(), wall_error_ms, Duration::from_secs(certificate_life_secs));
        for (latency, due_in_secs, entropy) in &lives {
            let outcome = Outcome::Answer { due_in_ms: due_in_secs * 1_000, life_ms: 60_000, renew: false };
            prop_assert!(world.turn(&(outcome, *latency, *entropy)).is_some());
            let ends = world.machine.state().membership.as_ref().unwrap().certificate.expires_at;
            prop_assert!(world.engine() < ends, "the certificate ended at {ends}, and it is {}", world.engine());
        }
    }

    #[test]
    fn an_engine_in_a_hurry_does_not_make_it_ask_without_pause(
        lives in prop::collection::vec((0u64..20, prop_oneof![1u64..20, Just(60_000)], any::<u64>()), 20..100),
    ) {
        let mut world = World::new(member(), 0, Duration::from_secs(1_000_000));
        for (due_in_ms, life_ms, entropy) in lives {
            let outcome = Outcome::Answer { due_in_ms, life_ms, renew: false };
            prop_assert!(world.turn(&(outcome, 0, entropy)).is_some());
        }
    }

    #[test]
    fn no_sequence_of_events_breaks_it(events in prop::collection::vec((0u8..10, any::<u64>(), any::<u32>(), any::<i64>()), 0..60)) {
        let mut machine = Machine::new(member(), true, Now { boot: Duration::ZERO, wall: ENGINE_BOOT }, 0);
        for (which, entropy, boot, wall) in events {
            let now = Now { boot: Duration::from_millis(u64::from(boot)), wall: Timestamp::from_unix_millis(wall) };
            let any_time = Timestamp::from_unix_millis(wall.wrapping_mul(31));
            let challenge = challenge(any_time, entropy, Duration::from_millis(entropy >> 24), Duration::from_millis(u64::from(boot)));
            let event = match which {
                0 => Event::Tick,
                1 => Event::KeysMade(keys()),
                2 => Event::EnrolmentBegan(pending()),
                3 => Event::Enrolled(enrolled(any_time, challenge, Duration::from_secs(u64::from(boot)))),
                4 => Event::Challenged(challenge),
                5 => Event::Appraised { challenge, renew: entropy % 2 == 0 },
                6 => Event::Renewed(certificate(any_time, Duration::from_secs(u64::from(boot)))),
                7 => Event::Failed(failure(FailureKind::Interrupted)),
                8 => Event::SentAhead,
                _ => Event::Failed(failure(FailureKind::CertificateRefused)),
            };
            machine.step(event, now, entropy);
        }
    }
}
