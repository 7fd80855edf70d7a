//! `vouchsafe appraise`: logs of hosts from files, looked at without a server.

mod eventlog;
mod ima;

use std::process::ExitCode;

use vouchsafe_model::{Finding, Severity};

use crate::args::appraise::{AppraiseArgs, AppraiseCommand};

/// The exit code when something in a log fails.
const FAILURES: u8 = 2;

/// Appraises a log.
///
/// # Errors
/// When an input is unusable.
pub(crate) fn run(args: AppraiseArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        AppraiseCommand::EventLog(args) => eventlog::run(&args),
        AppraiseCommand::Ima(args) => ima::run(&args),
    }
}

/// Success, unless a finding says otherwise.
fn exit_code(findings: &[Finding]) -> ExitCode {
    if fails(findings) { ExitCode::from(FAILURES) } else { ExitCode::SUCCESS }
}

/// Whether one of the findings is a failure.
fn fails(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Failure)
}
