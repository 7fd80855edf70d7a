//! `completions` and `man`: what packagers ask for.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::CommandError;
use crate::cli::Cli;

/// Writes completions for a shell to standard output.
pub(super) fn completions(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vouchsafe-agent", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script).map_err(CommandError::System)
}

/// Writes one manual page for each command.
pub(super) fn manual(directory: &Path) -> Result<(), CommandError> {
    let failed = |source| CommandError::Output { path: directory.to_owned(), source };
    DirBuilder::new().recursive(true).create(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)
}
