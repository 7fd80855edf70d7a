//! `vouchsafe point`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use vouchsafe_model::spiffe::PeerName;

/// Enforcement points that have a key in place of a certificate.
#[derive(Args, Debug)]
pub(crate) struct PointArgs {
    #[command(subcommand)]
    pub(crate) command: PointCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PointCommand {
    Keygen(KeygenArgs),
}

/// Makes a key for an enforcement point.
///
/// The key goes into a file that its owner alone can read; hand it to the point, which sends it as a bearer token. What is
/// printed goes into the server's settings: they hold the key's hash, of which no key can be made.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  A key for a reverse proxy that knows its users:
    vouchsafe point keygen --name edge-1 --forwards user,http --out edge-1.key >> vouchsafe.toml")]
pub(crate) struct KeygenArgs {
    /// The point's name: 1 to 64 of a-z 0-9 . _ -
    #[arg(long, value_name = "NAME")]
    pub(crate) name: PeerName,
    /// What the point will be believed in when it passes it on; several with commas.
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) forwards: Vec<ForwardArg>,
    /// The codes of the obligations that the point will meet, such as `step_up`; several with commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub(crate) understands: Vec<String>,
    /// The file for the key, NAME.key in this folder if none is named; nothing is overwritten.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What a point may pass on about others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum ForwardArg {
    /// The user on whose behalf a request comes.
    User,
    /// The device that it comes from.
    Device,
    /// The application that asks.
    Application,
    /// The HTTP request that waits for the answer.
    Http,
}
