//! `vouchsafe policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FormatArgs;

/// Policies: test your own, and see the built-in one.
#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    Test(TestArgs),
    Show(ShowArgs),
}

/// Compiles a folder of Rego and runs the tests that lie beside it. Exits 1 when one fails.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy test ./policies")]
pub(crate) struct TestArgs {
    /// The folder: *.rego, *_test.rego and data.json.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Prints the files of the built-in default policy.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  Read it:
    vouchsafe policy show | less

  Begin your own with it:
    vouchsafe policy show --out ./policies && vouchsafe policy test ./policies")]
pub(crate) struct ShowArgs {
    /// Writes the files to this folder instead; nothing is overwritten.
    #[arg(long, value_name = "DIR", conflicts_with = "format")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
