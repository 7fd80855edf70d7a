//! `vouchsafe secureboot` on files.

use anyhow::Context as _;
use vouchsafe_attest::secure_boot::{DbxUpdate, MAX_UPDATE_LEN};
use vouchsafe_pki::files;

use crate::args::secureboot::{SecurebootArgs, SecurebootCommand};
use crate::output;
use crate::output::secureboot::{UpdateReport, view};

/// Shows an update.
///
/// # Errors
/// When the file is none.
pub(crate) fn run(args: &SecurebootArgs) -> anyhow::Result<()> {
    let SecurebootCommand::Show(args) = &args.command;
    let bytes = files::read_file(&args.file, MAX_UPDATE_LEN).context("cannot use the update")?;
    let update = DbxUpdate::parse(&bytes).with_context(|| format!("{} is no update of dbx", args.file.display()))?;
    let report = UpdateReport::of(update);
    output::show(args.format.format, &report, || view(&report))
}
