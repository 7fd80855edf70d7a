//! `vouchsafe secureboot`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormatArgs, ProfileArgs};

/// What Secure Boot refuses: updates of dbx, the list of revoked boot loaders.
#[derive(Args, Debug)]
pub(crate) struct SecurebootArgs {
    #[command(subcommand)]
    pub(crate) command: SecurebootCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecurebootCommand {
    Show(ShowArgs),
    Import(ImportArgs),
}

/// Shows what a dbx update revokes. Works on the file alone, without any server.
///
/// The signature of the update is for the firmware to check, which knows the keys.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe secureboot show dbxupdate_x64.bin
  vouchsafe secureboot show --format json \\
    /sys/firmware/efi/efivars/dbx-d719b2cb-3d3a-4596-a3bc-dad00e67656f")]
pub(crate) struct ShowArgs {
    /// A signed update, as the UEFI Forum publishes it, bare signature lists, or the variable as Linux shows it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Puts a dbx update in force on the server: a boot that uses what it revokes fails from its next evidence on.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe secureboot import dbxupdate_x64.bin
  vouchsafe secureboot import --arch arm64 dbxupdate_arm64.bin")]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    /// The update, as the UEFI Forum publishes it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The architecture that it is for.
    #[arg(long, value_name = "ARCH", default_value = "x64")]
    pub(crate) arch: String,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
