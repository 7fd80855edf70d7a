//! `vouchsafe appraise eventlog`: a boot event log.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_attest::eventlog::{self, EventLog};
use vouchsafe_attest::quote::pcr_file;
use vouchsafe_model::PcrBank;
use vouchsafe_pki::files;

use super::exit_code;
use crate::args::appraise::EventLogArgs;
use crate::failure::Hint as _;
use crate::output;
use crate::output::eventlog::EventLogReport;

/// Reads, replays and appraises a log.
///
/// # Errors
/// When the log or the PCR file is unusable.
pub(super) fn run(args: &EventLogArgs) -> anyhow::Result<ExitCode> {
    let bytes = files::read_file(&args.file, eventlog::MAX_LEN).context("cannot use the event log")?;
    let log = EventLog::parse(&bytes)
        .with_context(|| format!("{} is no boot event log", args.file.display()))
        .hint("give a copy of /sys/kernel/security/tpm0/binary_bios_measurements")?;
    let replay = log.replay();
    let mut findings = log.deviations();
    if let Some(path) = &args.pcrs {
        let differences = read_pcrs(path)?.iter().flat_map(|bank| replay.differences(bank)).collect::<Vec<_>>();
        findings.extend(differences);
    }
    let code = exit_code(&findings);
    let report = EventLogReport::new(&log, &replay, findings, args.pcrs.is_some());
    output::show(args.format.format, &report, || output::eventlog::view(&report))?;
    Ok(code)
}

fn read_pcrs(path: &Path) -> anyhow::Result<Vec<PcrBank>> {
    let bytes = files::read_file(path, pcr_file::MAX_LEN).context("cannot use the PCR file")?;
    pcr_file::parse(&bytes, &[])
        .context("the PCR file holds no PCR values")
        .hint("give JSON such as {\"sha256\":{\"0\":\"…hex…\"}}, or what tpm2_quote -o wrote")
}
