//! `vouchsafe appraise`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FormatArgs;

/// Looks at what hosts measured, offline and without any server.
#[derive(Args, Debug)]
pub(crate) struct AppraiseArgs {
    #[command(subcommand)]
    pub(crate) command: AppraiseCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppraiseCommand {
    #[command(name = "eventlog")]
    EventLog(EventLogArgs),
    Ima(ImaArgs),
}

/// Reads an IMA measurement list, ASCII or binary. Exits 0 if nothing fails, 2 if something does, 1 if it is unusable.
///
/// Every template hash is computed again, PCR 10 is replayed for SHA-1 and SHA-256, and signatures of files are checked
/// with the keys that are given. With a policy each file is held against it. Whether a host has this list is for a quote
/// of its PCR 10 to say.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe appraise ima /sys/kernel/security/ima/binary_runtime_measurements
  vouchsafe appraise ima list.txt --keys /etc/keys --policy web@2026.1.toml --format json

Policy:
  A golden image in TOML, or its runtime section alone:
    exclude = [\"/var/log/**\"]
    [digests]
    \"/usr/bin/ls\" = [\"sha256:…\"]")]
pub(crate) struct ImaArgs {
    /// The list: `ascii_runtime_measurements` or `binary_runtime_measurements`.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Keys that may sign files: a folder of .pem, .crt, .cer, .der, .x509 and .pub files, or one file.
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
    /// What may run.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Replays a boot event log and tells what was booted. Exits 0 without a failure, 2 with one, 1 if the file is unusable.
///
/// Without --pcrs nothing is known of who wrote the log: anyone could have. With them it must replay to these values;
/// whether a TPM vouches for the values is for `vouchsafe verify quote` to say.
///
/// With --image the boot is held against a golden image, as the engine does with what a device sends: its PCR values and
/// its boot section. Without --pcrs the values that the log replays to count as quoted. What runs is for
/// `vouchsafe appraise ima --policy` to say.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe appraise eventlog /sys/kernel/security/tpm0/binary_bios_measurements
  vouchsafe appraise eventlog boot.log --pcrs quote.pcrs --format json
  vouchsafe appraise eventlog boot.log --image web-2026.1.toml
  vouchsafe appraise eventlog boot.log --pcrs quote.pcrs --dbx dbxupdate_x64.bin \\
    --image web-2026.1.toml.dsse --key images.key.pub

Files:
  FILE   a log in the crypto-agile format of the TCG or in that of TPM 1.2
  PCRS   JSON such as {\"sha256\":{\"0\":\"…hex…\"}}, or what tpm2_quote -o wrote with
         --pcrs_format serialized (its default)
  IMAGE  a golden image in TOML, or the envelope that `vouchsafe image sign` made of it
  DBX    an update of dbx, as `vouchsafe secureboot show` reads it")]
pub(crate) struct EventLogArgs {
    /// The log.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The PCR values that the log must replay to.
    #[arg(long, value_name = "PCRS")]
    pub(crate) pcrs: Option<PathBuf>,
    /// The golden image that the boot must meet.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<PathBuf>,
    /// A public key in PEM that must have signed the image. May be given more than once: one of them will do.
    #[arg(long = "key", value_name = "FILE", requires = "image")]
    pub(crate) keys: Vec<PathBuf>,
    /// An update of dbx: nothing that it revokes may have been booted. May be given more than once.
    #[arg(long, value_name = "DBX")]
    pub(crate) dbx: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
