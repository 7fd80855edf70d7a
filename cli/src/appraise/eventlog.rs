//! `vouchsafe appraise eventlog`: a boot event log.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_attest::eventlog::{self, EventLog, Replay};
use vouchsafe_attest::image::{ClaimedBoot, Compiled};
use vouchsafe_attest::quote::pcr_file;
use vouchsafe_attest::secure_boot::{Dbx, revoked};
use vouchsafe_model::{Finding, HashAlgorithm, PcrBank};
use vouchsafe_pki::files;

use super::{exit_code, fails};
use crate::args::appraise::EventLogArgs;
use crate::failure::Hint as _;
use crate::image::{OpenedImage, open};
use crate::output::eventlog::{EventLogReport, ImageReport, ValuesFrom};
use crate::{output, secureboot};

/// Of several banks the one that an image is compared in: the first of these that it speaks of.
const PREFERRED: [HashAlgorithm; 5] =
    [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512, HashAlgorithm::Sm3, HashAlgorithm::Sha1];

/// Reads, replays and appraises a log.
///
/// # Errors
/// When the log, the PCR file, the image or an update of dbx is unusable.
pub(super) fn run(args: &EventLogArgs) -> anyhow::Result<ExitCode> {
    let bytes = files::read_file(&args.file, eventlog::MAX_LEN).context("cannot use the event log")?;
    let log = EventLog::parse(&bytes)
        .with_context(|| format!("{} is no boot event log", args.file.display()))
        .hint("give a copy of /sys/kernel/security/tpm0/binary_bios_measurements")?;
    let given = args.pcrs.as_deref().map(read_pcrs).transpose()?;
    let dbx = read_dbx(&args.dbx)?;
    let image = args.image.as_deref().map(|path| open(path, &args.keys)).transpose()?;
    let boot = Boot { log: &log, replay: log.replay(), given, dbx };
    let (findings, image) = match image {
        None => (boot.alone(), None),
        Some(opened) => {
            let (findings, report) = boot.against(opened)?;
            (findings, Some(report))
        }
    };
    let code = exit_code(&findings);
    let report = EventLogReport::new(&log, &boot.replay, findings, boot.given.is_some(), image);
    output::show(args.format.format, &report, || output::eventlog::view(&report))?;
    Ok(code)
}

/// What is known of a boot.
struct Boot<'a> {
    log: &'a EventLog<'a>,
    replay: Replay,
    given: Option<Vec<PcrBank>>,
    dbx: Dbx,
}

impl Boot<'_> {
    /// What there is to say of it without an image.
    fn alone(&self) -> Vec<Finding> {
        let mut findings = self.log.deviations();
        findings.extend(revoked(&self.log.facts(), &self.dbx));
        let given = self.given.iter().flatten();
        findings.extend(given.flat_map(|bank| self.replay.differences(bank)));
        findings
    }

    /// What an image says of it.
    fn against(&self, opened: OpenedImage) -> anyhow::Result<(Vec<Finding>, ImageReport)> {
        let OpenedImage { image, signed_by } = opened;
        let wanted = image.banks();
        let replayed = || self.replay.banks().iter().filter_map(|bank| self.replay.as_quoted(bank.bank)).collect();
        let from = if self.given.is_some() { ValuesFrom::Given } else { ValuesFrom::Replayed };
        let given: Vec<PcrBank> = self.given.clone().unwrap_or_else(replayed);
        let find = |bank: &HashAlgorithm| given.iter().find(|values| values.bank == *bank);
        let spoken_of = PREFERRED.iter().filter(|bank| wanted.contains(bank)).find_map(find);
        let values = spoken_of
            .or_else(|| PREFERRED.iter().find_map(find))
            .context("the log measures nothing, and there is no PCR value that an image could be held against")?;
        let image = Compiled::new(image).context("the image cannot be used")?;
        let mut findings = ClaimedBoot::of(values, self.log, &self.dbx).against(&image);
        let met = !fails(&findings);
        let others = self.given.iter().flatten().filter(|bank| bank.bank != values.bank);
        findings.extend(others.flat_map(|bank| self.replay.differences(bank)));
        let id = image.document().id.clone();
        Ok((findings, ImageReport { id, signed_by, bank: values.bank, values: from, met }))
    }
}

fn read_pcrs(path: &Path) -> anyhow::Result<Vec<PcrBank>> {
    let bytes = files::read_file(path, pcr_file::MAX_LEN).context("cannot use the PCR file")?;
    pcr_file::parse(&bytes, &[])
        .context("the PCR file holds no PCR values")
        .hint("give JSON such as {\"sha256\":{\"0\":\"…hex…\"}}, or what tpm2_quote -o wrote")
}

fn read_dbx(paths: &[PathBuf]) -> anyhow::Result<Dbx> {
    let mut dbx = Dbx::default();
    for path in paths {
        dbx.extend(&secureboot::read(path)?.entries);
    }
    Ok(dbx)
}
