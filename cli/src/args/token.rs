//! `vouchsafe token`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use vouchsafe_model::{ImageId, Sha256Digest, TokenId};

use super::{FormatArgs, LimitArgs, ProfileArgs, value};

/// Join tokens: what lets a device enrol.
#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Makes a join token, in a file to be handed to the device.
///
/// The file holds a secret, and all else that an agent needs to enrol: where, and by which roots the server is known. It is
/// readable by its owner alone. The secret is shown this once: the server keeps only its digest.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  One device, within the hour:
    vouchsafe token create --out join.json

  Fifty devices of one image, within two days:
    vouchsafe token create --label 'rack 12' --uses 50 --ttl 2days \\
      --image web@2026.1 --out rack12.json

  The one device whose endorsement key is known:
    vouchsafe token create --pin-ek 8f…64 hexadecimal digits…03 --out join.json

  Straight to a host, without a file here:
    vouchsafe token create | ssh web1 'umask 077; cat > /etc/vouchsafe/join.json'")]
pub(crate) struct CreateArgs {
    /// What it is for, in your words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) label: String,

    /// How long it is good, such as 30m, 1h or 2days.
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = value::span)]
    pub(crate) ttl: Duration,

    /// How many devices it may enrol.
    #[arg(long, value_name = "DEVICES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,

    /// The one endorsement key that it is for: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
    ///
    /// A device that enrols so has the endorsement `pinned`: you vouch for its TPM.
    #[arg(long, value_name = "HEX")]
    pub(crate) pin_ek: Option<Sha256Digest>,

    /// The golden image that its devices are compared with.
    #[arg(long, value_name = "NAME@VERSION")]
    pub(crate) image: Option<ImageId>,

    /// Consents to the SHA-1 bank for devices whose TPM has no better one. Their scores are held lower.
    #[arg(long)]
    pub(crate) danger_sha1: bool,

    /// The file to write; it must not be there yet. Without it the file's text goes to a pipe.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Lists the join tokens, newest first, without their secrets.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe token list
  vouchsafe token list --format json | jq -r '.[] | select(.uses == 0) | .id'")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Withdraws a join token: it lets nobody in any more.
///
/// Devices that enrolled with it stay enrolled; `vouchsafe device revoke` ends those.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe token revoke 01890a5d-ac96-774b-bcce-b302099a8057")]
pub(crate) struct RevokeArgs {
    /// The token, as `vouchsafe token list` names it.
    #[arg(value_name = "ID")]
    pub(crate) id: TokenId,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
