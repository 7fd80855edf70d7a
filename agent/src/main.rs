//! `vouchsafe-agent`: the attester as a program.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use vouchsafe_agent::cli::Cli;
use vouchsafe_agent::commands::dispatch;

fn main() -> ExitCode {
    let Err(error) = dispatch(Cli::parse()) else { return ExitCode::SUCCESS };
    let mut message = format!("vouchsafe-agent: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    // Nothing can be done about a standard error that is gone.
    let _ = writeln!(std::io::stderr().lock(), "{message}");
    ExitCode::from(error.exit_code())
}
