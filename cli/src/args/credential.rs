//! `vouchsafe credential`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use vouchsafe_model::spiffe::PeerName;
use vouchsafe_wire::v1::operate::CredentialRole;

use super::{FormatArgs, ProfileArgs, value};

/// Certificates for operators and enforcement points.
#[derive(Args, Debug)]
pub(crate) struct CredentialArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: CredentialCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    Issue(IssueArgs),
}

/// Makes a key here and lets the server certify it. The key never leaves this machine.
///
/// The folder then holds the key, the certificate and the roots by which the server is known; for an operator also a
/// profile, so that `--dir` can name the folder.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  Access for a colleague, to be handed over with care:
    vouchsafe credential issue --role operator --name alice --out ~/.vouchsafe

  An enforcement point that asks for decisions:
    vouchsafe credential issue --role enforcement --name edge-1 --ttl 7days --out /etc/edge/tls

  On the server's machine, when no operator's certificate is valid any more:
    vouchsafe credential issue --role operator --name admin --out ./operator \\
      --ca /var/lib/vouchsafe/ca --profile /var/lib/vouchsafe/operator.toml")]
pub(crate) struct IssueArgs {
    /// What its holder may do.
    #[arg(long, value_enum, value_name = "ROLE")]
    pub(crate) role: RoleArg,
    /// The holder's name: 1 to 64 of a-z 0-9 . _ -
    #[arg(long, value_name = "NAME")]
    pub(crate) name: PeerName,
    /// The folder to write to; it is made if it is not there, and nothing in it is overwritten.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How long it is good, at most 90 days.
    #[arg(long, value_name = "SPAN", default_value = "30days", value_parser = value::span)]
    pub(crate) ttl: Duration,
    /// Signs with the authority in this folder instead of asking the server, which then need not run.
    #[arg(long, value_name = "DIR")]
    pub(crate) ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// What a credential's holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Operate the server.
    Operator,
    /// Ask for decisions.
    Enforcement,
}

impl RoleArg {
    /// Its name, which is also that of its files.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Enforcement => "enforcement",
        }
    }
}

impl From<RoleArg> for CredentialRole {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Operator => Self::Operator,
            RoleArg::Enforcement => Self::Enforcement,
        }
    }
}
