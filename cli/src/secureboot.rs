//! `vouchsafe secureboot`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_attest::secure_boot::{DbxUpdate, MAX_UPDATE_LEN};
use vouchsafe_pki::files;

use crate::args::secureboot::{SecurebootArgs, SecurebootCommand, ShowArgs};
use crate::operate::Operation;
use crate::output;
use crate::output::secureboot::{UpdateReport, view};

/// Shows an update from its file, or has the server take it.
///
/// # Errors
/// When the file is none, or the server does not take it.
pub(crate) fn run(args: SecurebootArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        SecurebootCommand::Show(args) => show(&args).map(|()| ExitCode::SUCCESS),
        SecurebootCommand::Import(args) => crate::operate(Operation::ImportDbx(args)),
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let report = UpdateReport::of(read(&args.file)?);
    output::show(args.format.format, &report, || view(&report))
}

/// Reads an update.
///
/// # Errors
/// When the file is none.
pub(crate) fn read(path: &Path) -> anyhow::Result<DbxUpdate> {
    let bytes = files::read_file(path, MAX_UPDATE_LEN).context("cannot use the update")?;
    DbxUpdate::parse(&bytes).with_context(|| format!("{} is no update of dbx", path.display()))
}
