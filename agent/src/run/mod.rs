//! The machine in the world: its actions performed, its state stored, its life told in the log.

mod perform;
mod status;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use vouchsafe_wire::v1::attest::Appraised;
use vouchsafe_wire::v1::enrol::JoinFile;

use crate::clock::{self, Alarm};
use crate::logs::LogPaths;
use crate::machine::{Action, Event, Failure, FailureKind, Machine, Now, Stop};
use crate::state::{EngineAddress, State};
use crate::state_directory::{StateDirectory, StateError};
use crate::tpm::{AkAlgorithm, EkPreference, TpmHandle};
use perform::{Performed, Shell};
pub use status::{LastAttestation, LastFailure, Status};

/// What an agent is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its TPM.
    pub tpm: TpmHandle,
    /// The algorithm of its attestation key.
    pub ak: AkAlgorithm,
    /// The endorsement key that it shows.
    pub ek: EkPreference,
    /// What it may enrol with.
    pub join: Option<JoinFile>,
    /// How long one request may take.
    pub request_limit: Duration,
    /// Where the host's measurement logs are.
    pub logs: LogPaths,
}

/// How long an agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it is told to end.
    Told,
    /// Until it has enrolled, and no longer than this.
    Enrolled(Duration),
}

/// How an agent ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It has nothing more to do.
    #[error(transparent)]
    Stopped(#[from] Stop),
    /// Its state cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// It could not enrol in the time that it had.
    #[error("could not enrol within {limit_secs} s: {last_failure}")]
    NotInTime {
        /// How long it had.
        limit_secs: u64,
        /// What went wrong last.
        last_failure: String,
    },
    /// It cannot enrol with an engine that it cannot know.
    #[error("could not enrol: {0}")]
    Untrusted(String),
    /// It cannot enrol with this TPM.
    #[error("could not enrol: {0}")]
    Tpm(String),
    /// It cannot enrol with what it was given.
    #[error("could not enrol: {0}")]
    Local(String),
    /// The system has no timer or randomness to give.
    #[error("the system refuses a timer or randomness")]
    System(#[source] io::Error),
    /// Performing an action broke: a mistake of ours.
    #[error("an action broke")]
    Broken(#[source] JoinError),
}

/// An agent.
#[derive(Debug)]
pub struct Agent {
    machine: Machine,
    directory: StateDirectory,
    shell: Arc<Shell>,
    alarm: Alarm,
    status: Status,
}

impl Agent {
    /// Makes an agent that goes on from a state, and keeps it in this directory. It must be made within a tokio runtime.
    ///
    /// # Errors
    /// When the system has no timer or randomness to give.
    pub fn new(parts: Parts, directory: StateDirectory, mut state: State) -> Result<Self, RunError> {
        let Parts { tpm, ak, ek, join, request_limit, logs } = parts;
        let join = join.filter(|join| adopt(&mut state, join));
        let machine = Machine::new(state, join.is_some(), clock::now(), entropy()?);
        let shell = Arc::new(Shell::new(tpm, (ak, ek), join.map(|join| join.token), request_limit, logs));
        let alarm = Alarm::new().map_err(RunError::System)?;
        let status = Status::read(directory.path());
        Ok(Self { machine, directory, shell, alarm, status })
    }

    /// Runs until `told`, or as long as `until` says. What is under way when it is told to end is given up.
    ///
    /// # Errors
    /// When it ends by itself: see [`RunError`].
    pub async fn run(&mut self, until: Until, told: impl Future<Output = ()>) -> Result<(), RunError> {
        let mut told = std::pin::pin!(told);
        let deadline = match until {
            Until::Enrolled(limit) => Some(clock::now().boot + limit),
            Until::Told => None,
        };
        let mut event = Event::Tick;
        loop {
            let now = clock::now();
            let failure = if let Event::Failed(failure) = &event { Some(failure.clone()) } else { None };
            let step = self.machine.step(event, now, entropy()?);
            if step.store {
                self.directory.store(self.machine.state())?;
            }
            if let Some(failure) = &failure {
                self.tell_failure(failure, &step.action, now);
            }
            if let (Until::Enrolled(limit), Some(deadline)) = (until, deadline) {
                if self.machine.state().membership.is_some() {
                    return Ok(());
                }
                Self::give_up(failure, &step.action, (limit, deadline), now)?;
            }
            tokio::select! {
                biased;
                () = &mut told => return Ok(()),
                performed = self.take(step.action) => event = self.tell(performed?),
            }
        }
    }

    /// What the agent last did.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What the agent remembers.
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    async fn take(&self, action: Action) -> Result<Performed, RunError> {
        match action {
            Action::Stop(stop) => Err(stop.into()),
            Action::SleepUntil(boot) => {
                self.alarm.sleep_until(boot).await.map_err(RunError::System)?;
                Ok(Performed { event: Event::Tick, appraised: None })
            }
            // Nothing is ever out here: every request is waited for below. Were it otherwise, it must not spin.
            Action::Await => {
                let later = clock::now().boot + Duration::from_secs(1);
                self.alarm.sleep_until(later).await.map_err(RunError::System)?;
                Ok(Performed { event: Event::Tick, appraised: None })
            }
            action => {
                // A task of its own: the TPM's signature blocks it, and the signals are served here meanwhile.
                let task = tokio::spawn(Arc::clone(&self.shell).perform(action, self.machine.state().clone()));
                AbortOnDrop(task).await.map_err(RunError::Broken)
            }
        }
    }

    /// Says what went well. What did not is said when it is known how long the wait is.
    fn tell(&mut self, Performed { event, appraised }: Performed) -> Event {
        match &event {
            Event::KeysMade(_) => tracing::info!("made the device's keys in the TPM"),
            Event::EnrolmentBegan(_) => tracing::info!("the engine answered with a credential"),
            Event::Enrolled(enrolled) => tracing::info!(
                device.id = %enrolled.device,
                certificate.expires_at = %enrolled.certificate.expires_at,
                "enrolled"
            ),
            Event::Renewed(certificate) => {
                tracing::info!(certificate.expires_at = %certificate.expires_at, "renewed the device certificate");
            }
            Event::Challenged(challenge) => tracing::debug!(due_in_ms = challenge.due_in_ms, "took a new challenge"),
            Event::Tick | Event::Appraised { .. } | Event::SentAhead | Event::Failed(_) => {}
        }
        if let Some(appraised) = &appraised {
            self.tell_appraisal(appraised);
        }
        event
    }

    fn tell_appraisal(&mut self, appraised: &Appraised) {
        let (verdict, challenge) = (&appraised.verdict, &appraised.challenge);
        tracing::info!(
            verdict.status = %verdict.status(),
            score = %appraised.score,
            next.due_in_ms = challenge.due_in_ms,
            "the engine appraised our evidence"
        );
        let now = clock::now();
        self.status = Status {
            updated_at: Some(now.wall),
            last_attestation: Some(LastAttestation {
                appraised_at: verdict.appraised_at(),
                verdict: verdict.status(),
                score: appraised.score,
            }),
            next_due_at: Some(now.wall.plus(Duration::from_millis(challenge.due_in_ms))),
            last_failure: None,
        };
        self.write_status();
    }

    fn tell_failure(&mut self, failure: &Failure, next: &Action, now: Now) {
        let retry_in = if let Action::SleepUntil(at) = next { at.saturating_sub(now.boot) } else { Duration::ZERO };
        let next_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
        if let Action::Stop(_) = next {
            tracing::error!(error = %failure.text, "giving up");
        } else {
            tracing::warn!(error = %failure.text, next_ms, "will try again");
        }
        self.status.updated_at = Some(now.wall);
        self.status.last_failure = Some(LastFailure { at: now.wall, text: failure.text.clone() });
        self.write_status();
    }

    fn write_status(&self) {
        if let Err(error) = self.status.write(self.directory.path()) {
            tracing::warn!(error = %error, "cannot write the status file");
        }
    }

    /// An enrolment that somebody waits for does not go on for ever.
    fn give_up(
        failure: Option<Failure>,
        next: &Action,
        (limit, deadline): (Duration, Duration),
        now: Now,
    ) -> Result<(), RunError> {
        let Some(Failure { kind, text, .. }) = failure else { return Ok(()) };
        match (next, kind) {
            (Action::Stop(_), _) => Ok(()),
            (_, FailureKind::Untrusted) => Err(RunError::Untrusted(text)),
            (_, FailureKind::Tpm) => Err(RunError::Tpm(text)),
            (_, FailureKind::Local) => Err(RunError::Local(text)),
            (Action::SleepUntil(at), _) if *at >= deadline || now.boot >= deadline => {
                Err(RunError::NotInTime { limit_secs: limit.as_secs(), last_failure: text })
            }
            _ => Ok(()),
        }
    }
}

/// Takes an engine from a join file, unless the device is a member of one. An enrolment that began elsewhere is dropped.
/// Whether the file is of any use: the token of one engine is nothing to tell another.
fn adopt(state: &mut State, join: &JoinFile) -> bool {
    let engine = EngineAddress::from(join);
    if state.membership.is_some() {
        let same = state.engine.as_ref().is_some_and(|known| known.enrol_url == engine.enrol_url);
        if !same {
            tracing::warn!(join.url = %engine.enrol_url, "already enrolled with another engine; the join file is not used");
        }
        return same;
    }
    if state.engine.as_ref() != Some(&engine) {
        (state.engine, state.pending) = (Some(engine), None);
    }
    true
}

fn entropy() -> Result<u64, RunError> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| RunError::System(io::Error::other("no randomness")))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::testing;

    fn join(enrol_url: &str) -> JoinFile {
        let join = serde_json::json!({
            "enrol_url": enrol_url, "attest_url": "https://engine:8443", "trust_bundle_pem": "roots",
            "token": "vs1-abcdefghijklmnop", "expires_at": "2030-01-01T00:00:00Z",
        });
        serde_json::from_value(join).unwrap()
    }

    #[test]
    fn a_token_is_told_to_no_engine_but_its_own() {
        let mut member = testing::member();
        assert!(adopt(&mut member, &join("https://engine:8441")), "it may serve to enrol there again");
        assert!(!adopt(&mut member, &join("https://other:8441")));
        assert_eq!(member, testing::member());
    }

    #[test]
    fn an_enrolment_that_began_elsewhere_is_dropped() {
        let begun = State { membership: None, pending: Some(testing::pending()), ..testing::member() };
        let mut same = begun.clone();
        assert!(adopt(&mut same, &join("https://engine:8441")));
        assert_eq!(same, begun);
        let mut other = begun;
        assert!(adopt(&mut other, &join("https://other:8441")));
        assert!(other.pending.is_none() && other.engine.is_some_and(|engine| engine.enrol_url == "https://other:8441"));
    }
}
