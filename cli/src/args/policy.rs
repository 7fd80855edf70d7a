//! `vouchsafe policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FormatArgs;

/// Policies: check, test, measure and try your own, and see the built-in one.
#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    Check(CheckArgs),
    Test(TestArgs),
    Coverage(CoverageArgs),
    Bench(BenchArgs),
    Eval(EvalArgs),
    Show(ShowArgs),
}

/// Puts a policy through the gate that a server puts it through. Exits 2 when it is refused.
///
/// The gate holds every name that the policy looks at against the schema of the input, searches for what could harm the
/// server and for what is surely not meant, compiles it, and runs its tests on both evaluators. It says which of these will
/// decide: the fast one, or the reference one for policies that the fast one would not do as they are written.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy check ./policies")]
pub(crate) struct CheckArgs {
    /// The folder: *.rego, *_test.rego and data.json.
    #[arg(value_name = "DIR")]
    pub(crate) policy: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
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

/// Says which lines of a policy its tests never reach. Exits 1 when they reach too few.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy coverage ./policies

  In a pipeline, refuse what is tested too little:
    vouchsafe policy coverage ./policies --minimum 90")]
pub(crate) struct CoverageArgs {
    /// The folder: *.rego, *_test.rego and data.json.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The least that the tests should reach, in percent of the lines.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100), default_value_t = 0)]
    pub(crate) minimum: u8,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Measures how long a policy takes for an input, on both evaluators.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy bench ./policies --input input.json")]
pub(crate) struct BenchArgs {
    /// The folder: *.rego and data.json.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The input, as JSON: see input.schema.json of `vouchsafe policy show`.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// How often each evaluator evaluates it.
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=10_000_000), default_value_t = 5_000)]
    pub(crate) times: u32,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Evaluates a rule or a package of any Rego for an input. Exits 2 when that fails.
///
/// The answer says which evaluator gave it: the fast one's is given when the reference one gives the same. With
/// `--format json` it is `{"result": …, "evaluator": "fast"}`, without `result` when there is none, or
/// `{"error": {"code": …, "message": …}}`.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy eval --policy ./policies --input input.json data.vouchsafe.decision

  A file by itself, with data, for programs:
    vouchsafe policy eval --policy p.rego --data d.json --input i.json data.p.allow --format json")]
pub(crate) struct EvalArgs {
    /// Rego: files, or folders with their data.json.
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    pub(crate) policy: Vec<PathBuf>,
    /// What lies below `data` besides, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// The input, as JSON; `-` reads standard input. Without it, there is no input.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Reads the policies as Rego v0, as it was before OPA 1.0.
    #[arg(long)]
    pub(crate) rego_v0: bool,
    /// The place to evaluate: data.PACKAGE.RULE.
    #[arg(value_name = "QUERY")]
    pub(crate) query: Option<String>,
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
