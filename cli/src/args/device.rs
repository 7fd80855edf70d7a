//! `vouchsafe device`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use vouchsafe_model::{DeviceState, ImageId, TrustScore};
use vouchsafe_trust_engine::result::ResultNonce;

use super::value::{DevicePrefix, Instant};
use super::{FormatArgs, LimitArgs, ProfileArgs, value};

/// Devices: what is known of them, how far they are trusted, and whether they may take part.
#[derive(Args, Debug)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: DeviceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    List(ListArgs),
    Show(ShowArgs),
    Trust(TrustArgs),
    Result(ResultArgs),
    Assign(AssignArgs),
    Revoke(RevokeArgs),
    Restore(RestoreArgs),
}

/// Lists the devices, each with its score at this instant.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device list
  vouchsafe device list --state revoked
  vouchsafe device list --image web@2026.1 --format json | jq -r '.[] | select(.score < 60) | .id'")]
pub(crate) struct ListArgs {
    /// Only devices in this state.
    #[arg(long, value_enum, value_name = "STATE")]
    pub(crate) state: Option<StateArg>,
    /// Only devices that are compared with this golden image.
    #[arg(long, value_name = "NAME@VERSION")]
    pub(crate) image: Option<ImageId>,
    #[command(flatten)]
    pub(crate) limit: LimitArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Whether a device may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateArg {
    /// It may.
    Active,
    /// An operator revoked it.
    Revoked,
}

impl From<StateArg> for DeviceState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Active => Self::Active,
            StateArg::Revoked => Self::Revoked,
        }
    }
}

/// Shows all that is known of a device, and what its last evidence came to.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device show uws2ljnfuws2ljnfuws2ljnfuws2ljnf
  vouchsafe device show uws2")]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) device: Named,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// A device.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The device: its id, or the first 4 or more characters of it that no other has.
    #[arg(value_name = "DEVICE")]
    pub(crate) device: DevicePrefix,
}

/// Shows a device's trust score at any instant, why it is so, and how it goes on.
///
/// A score of the past is what was known then; one of the future supposes that nothing more is heard of the device. The
/// points that the factors and ceilings cost, and the score, add up to 100.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  Now, and the next 24 hours if it falls silent:
    vouchsafe device trust uws2

  In two hours, and when it falls below 80:
    vouchsafe device trust uws2 --at +2h --threshold 80

  Half an hour ago:
    vouchsafe device trust uws2 --at -30m --span 30m")]
pub(crate) struct TrustArgs {
    #[command(flatten)]
    pub(crate) device: Named,
    /// The instant: a time such as 2026-01-31T12:00:00Z, or +2h or -30m from now.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<Instant>,
    /// The score whose crossing is asked for; the one that the server keeps devices above if none is named.
    #[arg(long, value_name = "POINTS", value_parser = value::threshold)]
    pub(crate) threshold: Option<TrustScore>,
    /// How far the curve goes on from that instant.
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = value::span)]
    pub(crate) span: Duration,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Fetches a device's attestation result: its last verdict as a token that the engine signed, for others to rely on.
///
/// The token is verified by the engine's published keys before it is shown. It is good until the age of evidence ends
/// (`trust.result.max_age_secs`); a device whose evidence is older has none.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device result uws2
  vouchsafe device result uws2 --format jwt > result.jwt
  vouchsafe device result uws2 --nonce $(openssl rand -hex 16) --format json")]
pub(crate) struct ResultArgs {
    #[command(flatten)]
    pub(crate) device: Named,
    /// 8 to 64 bytes in hexadecimal that come back in the token, so that it is known to be a fresh one.
    #[arg(long, value_name = "HEX")]
    pub(crate) nonce: Option<ResultNonce>,
    /// `text` for people, `json` for programs, `jwt` for the token itself.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) format: ResultFormat,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// For people.
    #[default]
    Text,
    /// The claims, for programs.
    Json,
    /// The token.
    Jwt,
}

/// Says which golden image a device is compared with.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device assign uws2 --image web@2026.1
  vouchsafe device assign uws2 --none")]
pub(crate) struct AssignArgs {
    #[command(flatten)]
    pub(crate) device: Named,
    #[command(flatten)]
    pub(crate) image: ImageOrNone,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// An image, or none.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct ImageOrNone {
    /// The golden image.
    #[arg(long, value_name = "NAME@VERSION")]
    pub(crate) image: Option<ImageId>,
    /// Compares it with none; its score is held down until it has one again.
    #[arg(long)]
    pub(crate) none: bool,
}

/// Revokes a device: its score is zero at once, and its evidence is no longer taken.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device revoke uws2 --reason 'stolen, ticket 4711'")]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) device: Named,
    /// Why, for those who read it later.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Lets a revoked device take part again.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe device restore uws2")]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) device: Named,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
