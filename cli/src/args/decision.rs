//! `vouchsafe decision`.

use std::net::IpAddr;

use clap::{Args, Subcommand, ValueEnum};
use vouchsafe_model::Timestamp;

use super::value::DevicePrefix;
use super::{FormatArgs, ProfileArgs};

/// Decisions: may this device, user and application do this?
#[derive(Args, Debug)]
pub(crate) struct DecisionArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: DecisionCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DecisionCommand {
    Ask(Box<AskArgs>),
}

/// Asks for one decision. Exits 0 for allow and 3 for deny.
///
/// The first line is `decision: allow` or `decision: deny`; then come the reasons, each with its code and what would change
/// it, and the score with its parts. What you say of user, application and flow is taken from you as from an enforcement
/// point; what is not said is unknown to the policy.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  By a device, over a flow that is as it should be:
    vouchsafe decision ask --device uws2 --flow authenticated,encrypted \\
      --action read --resource db:orders

  With a user:
    vouchsafe decision ask --device uws2 --user alice --role sales --factor know --factor have \\
      --flow authenticated,encrypted --action GET --resource https://wiki.example.org/

  In a script:
    if vouchsafe decision ask --device uws2 --flow authenticated,encrypted \\
         --action connect --resource ssh:web1 >/dev/null; then …; fi")]
pub(crate) struct AskArgs {
    /// The device that the request comes from.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<DevicePrefix>,
    /// The user on whose behalf.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// A role of the user; again for more.
    #[arg(long = "role", value_name = "ROLE", requires = "user")]
    pub(crate) roles: Vec<String>,
    /// A factor by which the user authenticated: know, have or are; again for more.
    #[arg(long = "factor", value_name = "FACTOR", requires = "user")]
    pub(crate) factors: Vec<String>,
    /// When the user authenticated.
    #[arg(long, value_name = "TIME", requires = "user")]
    pub(crate) authenticated_at: Option<Timestamp>,
    /// The application that asks.
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// The application's version.
    #[arg(long, value_name = "VERSION", requires = "app")]
    pub(crate) app_version: Option<String>,
    /// The address that the request comes from. The flow then counts as neither authenticated nor encrypted, unless --flow
    /// says so.
    #[arg(long, value_name = "IP", conflicts_with = "no_flow")]
    pub(crate) source_ip: Option<IpAddr>,
    /// What the flow that carries the request is; several with commas.
    #[arg(long, value_enum, value_name = "PROPERTIES", value_delimiter = ',', conflicts_with = "no_flow")]
    pub(crate) flow: Vec<FlowProperty>,
    /// Says nothing of the flow: the policy sees it as unknown. So it is without --flow and --source-ip, too.
    #[arg(long)]
    pub(crate) no_flow: bool,
    /// What is to be done, such as read, GET or connect.
    #[arg(long, value_name = "ACTION", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) action: String,
    /// To what, such as db:orders.
    #[arg(long, value_name = "RESOURCE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) resource: String,
    /// An obligation that you meet, by its code; again for more. An allow with another one is a deny.
    #[arg(long = "understands", value_name = "CODE")]
    pub(crate) understands: Vec<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// A property of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowProperty {
    /// Both ends authenticated each other.
    Authenticated,
    /// It is encrypted from end to end.
    Encrypted,
    /// It is described, and is neither.
    Neither,
}
