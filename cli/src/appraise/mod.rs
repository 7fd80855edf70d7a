//! `vouchsafe appraise`: logs of hosts from files, looked at without a server.

mod ima;

use std::process::ExitCode;

use crate::args::appraise::{AppraiseArgs, AppraiseCommand};

/// The exit code when something in a log fails.
const FAILURES: u8 = 2;

/// Appraises a log.
///
/// # Errors
/// When an input is unusable.
pub(crate) fn run(args: AppraiseArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AppraiseCommand::Ima(args) => ima::run(&args),
    }
}
