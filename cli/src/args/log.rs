//! `vouchsafe log`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use vouchsafe_model::{DecisionId, Outcome};

use super::value::{DevicePrefix, Instant};
use super::{FormatArgs, ProfileArgs};

/// The decision log: looked through over the API, and verified offline.
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    #[command(flatten)]
    Online(OnlineLogCommand),
    Verify(Box<VerifyLogArgs>),
}

/// What the server is asked.
#[derive(Debug, Subcommand)]
pub(crate) enum OnlineLogCommand {
    Query(Box<QueryArgs>),
    Show(ShowArgs),
    Explain(ExplainArgs),
    Prove(ProveArgs),
    Checkpoint(CheckpointArgs),
    Key(KeyArgs),
}

/// Lists decisions, the newest first, by device, user, resource, outcome and time.
///
/// What the policy leaves out of the log is shown as it is there: not at all.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log query --device uws2 --outcome deny --since -1h
  vouchsafe log query --user alice --resource 'db:*' --limit 20
  vouchsafe log query --since 2026-01-31T00:00:00Z --until 2026-02-01T00:00:00Z --format json \\
    | jq -r '.[].entry.question.request.resource' | sort | uniq -c")]
pub(crate) struct QueryArgs {
    /// Only decisions about this device.
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<DevicePrefix>,
    /// Only decisions about this user.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only decisions about this resource; with `*` at its end, about those that begin so.
    #[arg(long, value_name = "RESOURCE")]
    pub(crate) resource: Option<String>,
    /// Only decisions that came out so.
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub(crate) outcome: Option<OutcomeArg>,
    /// Only decisions made then or later: a time such as 2026-01-31T12:00:00Z, or -2h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) since: Option<Instant>,
    /// Only decisions made before then.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<Instant>,
    /// The oldest first.
    #[arg(long)]
    pub(crate) oldest_first: bool,
    /// The most rows that are fetched.
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// How a decision came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeArg {
    /// The request could pass.
    Allow,
    /// It could not.
    Deny,
}

impl From<OutcomeArg> for Outcome {
    fn from(outcome: OutcomeArg) -> Self {
        match outcome {
            OutcomeArg::Allow => Self::Allow,
            OutcomeArg::Deny => Self::Deny,
        }
    }
}

/// Shows one decision as the log has it, as JSON.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log show 019c13ec-9e00-7707-8707-070707070707")]
pub(crate) struct ShowArgs {
    /// The decision, as its answer and `vouchsafe log query` name it.
    #[arg(value_name = "ID")]
    pub(crate) id: DecisionId,
}

/// Explains one decision: the value of every rule for what it was made over, and which lines were not reached.
///
/// Its recorded input is evaluated again by the policy that is in charge now; when that is another one than then, it is said.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log explain 019c13ec-9e00-7707-8707-070707070707
  vouchsafe log explain 019c13ec-9e00-7707-8707-070707070707 --format json \\
    | jq '.rules[] | {rule, value}'")]
pub(crate) struct ExplainArgs {
    /// The decision, as its answer and `vouchsafe log query` name it.
    #[arg(value_name = "ID")]
    pub(crate) id: DecisionId,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Proves that one decision is in the log: prints a proof that is verified without the server.
///
/// The proof holds the decision, a path of hashes and a signed checkpoint (C2SP tlog-proof). Whoever has the log's public key
/// verifies it by `vouchsafe log verify --proof`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log prove 019c13ec-9e00-7707-8707-070707070707 > decision.tlog-proof
  vouchsafe log verify --proof decision.tlog-proof --key log.pub")]
pub(crate) struct ProveArgs {
    /// The decision.
    #[arg(value_name = "ID")]
    pub(crate) id: DecisionId,
}

/// Prints the latest checkpoint of the log, to be kept elsewhere.
///
/// A checkpoint (C2SP tlog-checkpoint) says how many decisions there were and what they were, in one hash, signed. Whoever
/// has the log's key and its files can write another log, but none that fits a checkpoint that you kept.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log checkpoint > 2026-01-31.checkpoint
  vouchsafe log verify /var/lib/vouchsafe/decisions --key log.pub \\
    --checkpoint 2026-01-31.checkpoint")]
pub(crate) struct CheckpointArgs {}

/// Prints the public key that the log is signed with, in PEM. It is the log.pub of the server's folder.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log key > log.pub")]
pub(crate) struct KeyArgs {}

/// Verifies a log, or the proof of one decision, without a server. Exits 0 if it is as it was written, 2 if not.
///
/// Every line, the chain of hashes, the tree that checkpoints sign, their signatures, the order of the entries, and that no
/// id is there twice. Entries that retention removed are named; any other that is missing is an error, which names file,
/// line and byte. A log that is being written can be verified, too.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe log verify /var/lib/vouchsafe/decisions --key /var/lib/vouchsafe/log.pub
  vouchsafe log verify --proof decision.tlog-proof --key log.pub

Files:
  DIR         the folder of the log: segments named by their first entry, ending in .vjl
  PUBKEY      a P-256 public key in PEM: log.pub of the server's folder, or `vouchsafe log key`
  CHECKPOINT  a signed note: `vouchsafe log checkpoint`
  PROOF       `vouchsafe log prove`")]
pub(crate) struct VerifyLogArgs {
    /// The folder of the log.
    #[arg(value_name = "DIR", required_unless_present = "proof", conflicts_with = "proof")]
    pub(crate) dir: Option<PathBuf>,
    /// The proof of one decision.
    #[arg(long, value_name = "PROOF", requires = "keys")]
    pub(crate) proof: Option<PathBuf>,
    /// The public key of the log; again for former ones. Without it signatures are not looked at.
    #[arg(long = "key", value_name = "PUBKEY")]
    pub(crate) keys: Vec<PathBuf>,
    /// A checkpoint that was kept elsewhere, which the log must fit.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "proof", requires = "keys")]
    pub(crate) checkpoint: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
