//! The machine's life in scenes, each as an operator would tell it.

use std::time::Duration;

use super::testing::{
    DAY, ENGINE_BOOT, certificate, challenge, enrolled, failure, keys, member, now, pending, problem,
};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A machine with its time and no jitter, told one thing after the other.
struct Scene {
    machine: Machine,
    boot: Duration,
}

impl Scene {
    fn new(state: State, may_enrol: bool) -> Self {
        Self { machine: Machine::new(state, may_enrol, now(Duration::ZERO), 0), boot: Duration::ZERO }
    }

    fn tell(&mut self, event: Event) -> Action {
        self.machine.step(event, now(self.boot), 0).action
    }

    fn tick(&mut self) -> Action {
        self.tell(Event::Tick)
    }

    /// Sleeps as long as it asks for, and says what it asks for then.
    fn sleep(&mut self, action: &Action) -> Action {
        let Action::SleepUntil(until) = action else { panic!("{action:?} is no sleep") };
        self.boot = *until;
        self.tick()
    }

    fn fail(&mut self, failure: Failure) -> Action {
        self.tell(Event::Failed(failure))
    }

    fn challenge(&self, number: u64) -> Challenge {
        challenge(ENGINE_BOOT.plus(self.boot), number, MINUTE, MINUTE)
    }
}

#[test]
fn a_new_device_enrols_attests_and_renews() {
    let mut scene = Scene::new(State::default(), true);
    assert_eq!(scene.tick(), Action::MakeKeys);
    assert_eq!(scene.tell(Event::KeysMade(keys())), Action::BeginEnrolment);
    assert_eq!(scene.tell(Event::EnrolmentBegan(pending())), Action::CompleteEnrolment(pending()));
    let first = scene.challenge(1);
    let asleep = scene.tell(Event::Enrolled(enrolled(ENGINE_BOOT, first.clone(), 4 * MINUTE)));
    assert_eq!(asleep, Action::SleepUntil(MINUTE));
    assert_eq!(scene.sleep(&asleep), Action::Attest(first));
    let second = scene.challenge(2);
    let asleep = scene.tell(Event::Appraised { challenge: second.clone(), renew: false });
    assert_eq!(asleep, Action::SleepUntil(2 * MINUTE));
    // The certificate is to be renewed at the same instant, and goes first.
    assert_eq!(scene.sleep(&asleep), Action::Renew);
    let next = certificate(ENGINE_BOOT.plus(scene.boot), 4 * MINUTE);
    assert_eq!(scene.tell(Event::Renewed(next.clone())), Action::Attest(second));
    assert_eq!(scene.machine.state().membership.as_ref().unwrap().certificate, next);
}

#[test]
fn every_step_of_an_enrolment_is_on_the_disk_before_the_next() {
    let mut machine = Machine::new(State::default(), true, now(Duration::ZERO), 0);
    assert!(!machine.step(Event::Tick, now(Duration::ZERO), 0).store);
    let enrolled = enrolled(ENGINE_BOOT, challenge(ENGINE_BOOT, 1, MINUTE, MINUTE), DAY);
    for event in [Event::KeysMade(keys()), Event::EnrolmentBegan(pending()), Event::Enrolled(enrolled)] {
        assert!(machine.step(event.clone(), now(Duration::ZERO), 0).store, "{event:?}");
    }
}

#[test]
fn an_enrolment_goes_on_with_its_ticket_after_a_crash() {
    let state = State { keys: Some(keys()), pending: Some(pending()), ..State::default() };
    // Without the join file too: the token is in the ticket's keeping.
    let mut scene = Scene::new(state, false);
    assert_eq!(scene.tick(), Action::CompleteEnrolment(pending()));
    let asleep = scene.fail(failure(FailureKind::Interrupted));
    assert_eq!(scene.sleep(&asleep), Action::CompleteEnrolment(pending()), "the same ticket again");
}

#[test]
fn a_refused_token_ends_the_agent() {
    let mut scene = Scene::new(State { keys: Some(keys()), ..State::default() }, true);
    assert_eq!(scene.tick(), Action::BeginEnrolment);
    let stop = scene.fail(problem(403, "token.expired"));
    assert_eq!(stop, Action::Stop(Stop::EnrolmentRefused("it failed".to_owned())));
    assert_eq!(scene.tick(), stop, "it stays ended");
}

#[test]
fn an_enrolment_waits_for_an_engine_that_is_away_or_overrun() {
    let mut scene = Scene::new(State { keys: Some(keys()), ..State::default() }, true);
    let mut action = scene.tick();
    for failed in
        [failure(FailureKind::Unreachable), problem(429, "request.rate_limited"), problem(503, "engine.not_ready")]
    {
        assert_eq!(action, Action::BeginEnrolment);
        let asleep = scene.fail(failed);
        action = scene.sleep(&asleep);
    }
    assert_eq!(action, Action::BeginEnrolment);
}

#[test]
fn a_ticket_that_is_of_no_use_begins_the_enrolment_anew_but_not_for_ever() {
    let mut scene = Scene::new(State { keys: Some(keys()), ..State::default() }, true);
    let mut action = scene.tick();
    for _ in 0..2 {
        assert_eq!(action, Action::BeginEnrolment);
        assert_eq!(scene.tell(Event::EnrolmentBegan(pending())), Action::CompleteEnrolment(pending()));
        let asleep = scene.fail(problem(400, "enrol.ticket_expired"));
        action = scene.sleep(&asleep);
    }
    assert_eq!(action, Action::BeginEnrolment);
    scene.tell(Event::EnrolmentBegan(pending()));
    let end = scene.fail(failure(FailureKind::CredentialRefused));
    assert_eq!(end, Action::Stop(Stop::EnrolmentRefused("it failed".to_owned())));
}

#[test]
fn a_revoked_device_stops_whatever_it_was_doing() {
    let revoked = Action::Stop(Stop::Revoked("it failed".to_owned()));
    let mut attesting = Scene::new(member(), true);
    let asleep = attesting.tick();
    assert!(matches!(attesting.sleep(&asleep), Action::Attest(_)));
    assert_eq!(attesting.fail(problem(403, "device.revoked")), revoked);
    let mut enrolling = Scene::new(State { keys: Some(keys()), ..State::default() }, true);
    enrolling.tick();
    assert_eq!(enrolling.fail(problem(403, "device.revoked")), revoked);
}

#[test]
fn a_nonce_that_never_left_is_used_again_and_one_that_may_have_is_not() {
    let mut scene = Scene::new(member(), false);
    let asleep = scene.tick();
    let attest = scene.sleep(&asleep);
    for harmless in
        [FailureKind::Unreachable, FailureKind::Untrusted, FailureKind::Tpm, FailureKind::CertificateRefused]
    {
        let asleep = scene.fail(failure(harmless));
        assert_eq!(scene.sleep(&asleep), attest);
    }
    let asleep = scene.fail(failure(FailureKind::Interrupted));
    assert_eq!(scene.sleep(&asleep), Action::FetchChallenge);
    let fresh = scene.challenge(9);
    let asleep = scene.tell(Event::Challenged(fresh.clone()));
    assert_eq!(scene.sleep(&asleep), Action::Attest(fresh));
    let asleep = scene.fail(problem(409, "quote.nonce_spent"));
    assert_eq!(scene.sleep(&asleep), Action::FetchChallenge);
}

#[test]
fn evidence_that_lacks_a_log_is_soon_sent_with_it_and_what_is_refused_for_ever_ever_less_often() {
    let mut scene = Scene::new(member(), false);
    let asleep = scene.tick();
    scene.sleep(&asleep);
    // Trouble before is no reason to wait longer for what is no trouble.
    for _ in 0..5 {
        let asleep = scene.fail(failure(FailureKind::Unreachable));
        assert!(matches!(scene.sleep(&asleep), Action::Attest(_)));
    }
    let mut waits = Vec::new();
    for number in 10..20 {
        let refused_at = scene.boot;
        let asleep = scene.fail(problem(409, "evidence.event_log_unknown"));
        assert_eq!(scene.sleep(&asleep), Action::FetchChallenge);
        waits.push(scene.boot.saturating_sub(refused_at).as_secs_f64());
        let due_now = challenge(ENGINE_BOOT.plus(scene.boot), number, Duration::ZERO, MINUTE);
        assert_eq!(scene.tell(Event::Challenged(due_now.clone())), Action::Attest(due_now));
    }
    assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 150.0]);
    let next = scene.challenge(30);
    let asleep = scene.tell(Event::Appraised { challenge: next, renew: false });
    scene.sleep(&asleep);
    let refused_at = scene.boot;
    scene.fail(problem(409, "evidence.ima_position"));
    assert_eq!(scene.tick(), Action::SleepUntil(refused_at + SECOND / 2), "what was appraised ends the series");
}

#[test]
fn after_a_long_list_was_sent_ahead_the_evidence_goes_by_a_fresh_nonce() {
    let mut scene = Scene::new(member(), false);
    let asleep = scene.tick();
    let Action::Attest(old) = scene.sleep(&asleep) else { panic!("it is due") };
    for number in 10..13 {
        scene.boot += MINUTE / 2;
        let fetch = scene.tell(Event::SentAhead);
        assert_eq!(fetch, Action::FetchChallenge, "at once: nothing failed");
        let fresh = challenge(ENGINE_BOOT.plus(scene.boot), number, Duration::ZERO, MINUTE);
        assert_ne!(fresh.nonce, old.nonce);
        assert_eq!(scene.tell(Event::Challenged(fresh.clone())), Action::Attest(fresh));
    }
}

#[test]
fn a_nonce_is_off_the_disk_before_it_is_sent() {
    let mut machine = Machine::new(member(), false, now(Duration::ZERO), 0);
    machine.step(Event::Tick, now(Duration::ZERO), 0);
    let step = machine.step(Event::Tick, now(MINUTE), 0);
    assert!(step.store && matches!(step.action, Action::Attest(_)));
    assert_eq!(machine.state().membership.as_ref().unwrap().challenge, None);
}

#[test]
fn a_host_that_slept_through_a_nonce_asks_for_another() {
    let mut scene = Scene::new(member(), false);
    scene.tick();
    scene.boot = Duration::from_secs(7 * 3600);
    assert_eq!(scene.tick(), Action::FetchChallenge);
}

#[test]
fn a_restart_goes_on_with_a_challenge_that_is_not_due_yet_and_no_other() {
    let mut early = Machine::new(member(), false, now(30 * SECOND), 0);
    assert_eq!(early.step(Event::Tick, now(30 * SECOND), 0).action, Action::SleepUntil(MINUTE));
    let mut late = Machine::new(member(), false, now(MINUTE), 0);
    assert_eq!(late.step(Event::Tick, now(MINUTE), 0).action, Action::FetchChallenge);
}

#[test]
fn an_expired_certificate_enrols_again_with_the_same_keys_where_it_can() {
    for (may_enrol, failed) in
        [(true, failure(FailureKind::CertificateRefused)), (true, problem(403, "peer.forbidden"))]
    {
        let mut scene = Scene::new(member(), may_enrol);
        scene.boot = 2 * DAY;
        assert_eq!(scene.tick(), Action::Renew);
        let asleep = scene.fail(failed);
        assert_eq!(scene.sleep(&asleep), Action::BeginEnrolment, "the keys are kept");
    }
    let mut scene = Scene::new(member(), false);
    scene.boot = 2 * DAY;
    scene.tick();
    let stop = scene.fail(failure(FailureKind::CertificateRefused));
    assert_eq!(stop, Action::Stop(Stop::CertificateExpired(ENGINE_BOOT.plus(DAY))));
}

#[test]
fn a_certificate_is_not_given_up_for_a_failure_that_says_nothing_about_it() {
    for failed in [failure(FailureKind::Unreachable), failure(FailureKind::Interrupted), problem(503, "engine.timeout")]
    {
        let mut scene = Scene::new(member(), true);
        scene.boot = 2 * DAY;
        let mut action = scene.tick();
        for _ in 0..20 {
            action = match &action {
                Action::SleepUntil(_) => scene.sleep(&action),
                Action::Renew | Action::FetchChallenge => scene.fail(failed.clone()),
                other => panic!("{other:?} after {failed:?}"),
            };
        }
    }
}

#[test]
fn a_certificate_that_has_not_expired_survives_a_refusal() {
    let mut scene = Scene::new(member(), true);
    let asleep = scene.tick();
    scene.sleep(&asleep);
    let asleep = scene.fail(problem(403, "peer.forbidden"));
    assert_eq!(scene.sleep(&asleep), Action::FetchChallenge, "it goes on as the same device");
}

#[test]
fn the_engine_may_ask_for_a_renewal_and_for_patience() {
    let mut scene = Scene::new(member(), false);
    let asleep = scene.tick();
    scene.sleep(&asleep);
    let next = scene.challenge(2);
    assert_eq!(scene.tell(Event::Appraised { challenge: next, renew: true }), Action::Renew);
    let patience = Failure { retry_after: Some(40 * SECOND), ..problem(503, "engine.not_ready") };
    let asleep = scene.fail(patience);
    assert_eq!(asleep, Action::SleepUntil(MINUTE + 40 * SECOND), "the renewal waits as long as it was asked to");
}

#[test]
fn without_a_join_file_a_new_device_has_nothing_to_do() {
    assert_eq!(Scene::new(State::default(), false).tick(), Action::Stop(Stop::NotEnrolled));
}

#[test]
fn a_tpm_that_lost_the_keys_ends_the_agent() {
    let mut scene = Scene::new(member(), true);
    let asleep = scene.tick();
    scene.sleep(&asleep);
    let end = scene.fail(failure(FailureKind::TpmUnusable));
    assert_eq!(end, Action::Stop(Stop::TpmUnusable("it failed".to_owned())));
}
