//! `run` and `enrol`.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use vouchsafe_wire::v1::enrol::JoinFile;

use super::{CommandError, say};
use crate::config::{Config, ConfigError, join_file};
use crate::run::{Agent, Parts, Until};
use crate::state::State;
use crate::state_directory::StateDirectory;
use crate::tpm::TpmHandle;

/// How long an agent that is told to end waits for its TPM.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);
/// How long it waits for anything else.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

/// Enrols if need be, then attests until it is told to end.
pub(super) fn run(config: &Config, join: Option<&Path>) -> Result<(), CommandError> {
    let mut directory = StateDirectory::open(&config.state_dir)?;
    let state = directory.load()?;
    let join = join.or(config.join.as_deref()).map(|path| join_unless_enrolled(path, &state)).transpose()?.flatten();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        tpm.tcti = %config.tcti,
        state.dir = %config.state_dir.display(),
        "starting"
    );
    let outcome = drive(config, join, directory, state, Until::Told).map(drop);
    match &outcome {
        Ok(()) => tracing::info!("told to end"),
        Err(error) => tracing::error!(error = %error, "ending"),
    }
    outcome
}

/// Enrols, and says under which name.
pub(super) fn enrol(config: &Config, join: &Path, wait_secs: u64, again: bool) -> Result<(), CommandError> {
    let mut directory = StateDirectory::open(&config.state_dir)?;
    let mut state = directory.load()?;
    if let Some(membership) = state.membership.as_ref().filter(|_| !again) {
        return say(&format!("already enrolled as {}; --again enrols once more", membership.device));
    }
    state.membership = None;
    let until = Until::Enrolled(Duration::from_secs(wait_secs));
    let state = drive(config, Some(join_file(join)?), directory, state, until)?;
    match state.membership {
        Some(membership) => say(&format!("enrolled as {}", membership.device)),
        // It was told to end before it had enrolled.
        None => Err(CommandError::NotEnrolled),
    }
}

/// The join file. Whoever removed it after the enrolment did well, and is not bothered.
fn join_unless_enrolled(path: &Path, state: &State) -> Result<Option<JoinFile>, CommandError> {
    match join_file(path) {
        Err(ConfigError::Missing { .. }) if state.membership.is_some() || state.pending.is_some() => Ok(None),
        read => Ok(Some(read?)),
    }
}

/// Runs an agent and returns what it remembers in the end.
fn drive(
    config: &Config,
    join: Option<JoinFile>,
    directory: StateDirectory,
    state: State,
    until: Until,
) -> Result<State, CommandError> {
    let tpm = TpmHandle::start(config.tpm()?).map_err(CommandError::System)?;
    let parts = Parts {
        tpm: tpm.clone(),
        ak: config.ak,
        ek: config.ek,
        join,
        request_limit: config.request_limit(),
        logs: config.logs(),
    };
    let runtime = runtime().map_err(CommandError::System)?;
    let outcome = runtime.block_on(async {
        let told = told_to_end().map_err(CommandError::System)?;
        let mut agent = Agent::new(parts, directory, state)?;
        agent.run(until, told).await?;
        Ok(agent.state().clone())
    });
    runtime.shutdown_timeout(SHUTDOWN_LIMIT);
    if let Err(error) = tpm.close(CLOSING_LIMIT) {
        tracing::warn!(error = %error, "the TPM was not closed in time");
    }
    outcome
}

/// One worker beside the main thread: it performs requests, and the main thread watches the signals. While a handshake
/// waits for its signature, the runtime replaces the worker by another thread.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).max_blocking_threads(4).thread_name("agent").enable_all().build()
}

/// Waits for SIGTERM or SIGINT.
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
