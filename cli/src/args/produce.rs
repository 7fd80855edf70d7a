//! `vouchsafe completions` and `vouchsafe man`: what is produced from the command line's own description.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Prints the completions of a shell.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe completions bash > /etc/bash_completion.d/vouchsafe
  vouchsafe completions zsh > ~/.zfunc/_vouchsafe")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Writes a manual page for every command.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// The folder; it is made if it is not there, and pages of earlier versions are replaced.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
