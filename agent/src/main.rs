//! `vouchsafe-agent`: the attester as a program.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use vouchsafe_agent::cli::Cli;
use vouchsafe_agent::commands::dispatch;

fn main() -> ExitCode {
    let Err(error) = dispatch(Cli::parse()) else { return ExitCode::SUCCESS };
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let message = causes.fold(error.to_string(), |message, cause| message + ": " + &cause.to_string());
    // Nothing can be done about a standard error that is gone.
    let _ = writeln!(std::io::stderr().lock(), "vouchsafe-agent: {message}");
    ExitCode::from(error.exit_code())
}
