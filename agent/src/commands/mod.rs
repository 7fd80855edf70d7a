//! What the command line asks for, and the exit code that it ends with.

mod documents;
mod quote;
mod service;
mod status;

use std::io;
use std::path::PathBuf;

use crate::cli::{Cli, Command};
use crate::config::{Config, ConfigError};
use crate::logging::{self, LogError};
use crate::machine::Stop;
use crate::run::RunError;
use crate::state_directory::StateError;
use crate::tpm::{InvalidPublicArea, TpmError};

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There can be no log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state cannot be read or kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// The TPM did not do it.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// A stored key is damaged.
    #[error(transparent)]
    Key(#[from] InvalidPublicArea),
    /// The agent ended by itself.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The device is not enrolled.
    #[error("not enrolled")]
    NotEnrolled,
    /// A result cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system has no threads, signals or output to give.
    #[error("the system refuses threads, signals or output")]
    System(#[source] io::Error),
}

impl CommandError {
    /// The exit code, as `--help` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::System(_) | Self::Run(RunError::System(_) | RunError::Broken(_)) | Self::Log(LogError::Twice(_)) => 1,
            Self::Config(_)
            | Self::State(_)
            | Self::Key(_)
            | Self::Output { .. }
            | Self::Log(_)
            | Self::Run(RunError::State(_) | RunError::Local(_)) => 3,
            Self::Tpm(_) | Self::Run(RunError::Tpm(_) | RunError::Stopped(Stop::TpmUnusable(_))) => 4,
            Self::Run(RunError::Untrusted(_) | RunError::Stopped(Stop::EnrolmentRefused(_))) => 5,
            Self::Run(RunError::Stopped(Stop::Revoked(_))) => 6,
            Self::Run(RunError::NotInTime { .. }) => 7,
            Self::Run(RunError::Stopped(Stop::NotEnrolled | Stop::CertificateExpired(_))) | Self::NotEnrolled => 8,
        }
    }
}

/// Does what the command line asks for.
///
/// # Errors
/// See [`CommandError`].
pub fn dispatch(cli: Cli) -> Result<(), CommandError> {
    let Cli { command, config, flags } = cli;
    match command {
        Command::Completions { shell } => return documents::completions(shell),
        Command::Man { directory } => return documents::manual(&directory),
        _ => {}
    }
    let config = Config::read(config.as_deref(), &flags)?;
    logging::set_up(&config.log_level, config.log_format)?;
    match command {
        Command::Run { join } => service::run(&config, join.as_deref()),
        Command::Enrol { join, wait_secs, again } => service::enrol(&config, &join, wait_secs, again),
        Command::Status { format } => status::show(&config, format),
        Command::Quote { nonce, pcrs, out } => quote::make(&config, &nonce.0, &pcrs, &out),
        Command::Completions { .. } | Command::Man { .. } => Ok(()),
    }
}

/// Writes a line to standard output.
fn say(line: &str) -> Result<(), CommandError> {
    use std::io::Write as _;
    writeln!(io::stdout().lock(), "{line}").map_err(CommandError::System)
}
