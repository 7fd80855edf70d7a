//! `vouchsafe policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vouchsafe_model::Timestamp;

use super::value::Instant;
use super::{FormatArgs, ProfileArgs};

/// Policies: check, test, measure and try your own, and see the built-in one.
#[derive(Args, Debug)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    #[command(flatten)]
    Files(FilesPolicyCommand),
    #[command(flatten)]
    Server(ServerPolicyCommand),
}

/// What is asked of a server.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerPolicyCommand {
    Status(StatusArgs),
    Replay(ReplayArgs),
    Activate(ActivateArgs),
}

/// What is done with files alone.
#[derive(Debug, Subcommand)]
pub(crate) enum FilesPolicyCommand {
    Check(CheckArgs),
    Test(TestArgs),
    Coverage(CoverageArgs),
    Bench(BenchArgs),
    Eval(EvalArgs),
    Show(ShowArgs),
    Keygen(KeygenArgs),
    Bundle(BundleArgs),
    Verify(VerifyArgs),
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

/// Makes a key that signs bundles: FILE, for its owner alone, and FILE.pub, for the servers that use them.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy keygen policy.key")]
pub(crate) struct KeygenArgs {
    /// Where to write the private key. Nothing is overwritten.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Packs a policy into one file, as OPA packs bundles, and signs it.
///
/// The same files give the same bytes, but for the signature of a key on a curve, which is another one each time.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy bundle ./policies --revision 42 --key policy.key --output policy.tar.gz

  One that counts no longer than the year:
    vouchsafe policy bundle ./policies --revision 43 --key policy.key --output policy.tar.gz \\
      --expires-at 2027-01-01T00:00:00Z

Key:
  A P-256, RSA or Ed25519 key in PEM, as `vouchsafe policy keygen` or `openssl genpkey` make it.")]
pub(crate) struct BundleArgs {
    /// The folder: *.rego, *_test.rego and data.json.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Which bundle of this policy it is. Servers never go back to a smaller number.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) revision: u64,
    /// The private key. Without one the bundle is not signed, and servers refuse it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The name under which servers know the key.
    #[arg(long, value_name = "ID", default_value = "policy", requires = "key")]
    pub(crate) key_id: String,
    /// What the bundle is signed for, if the key vouches for something in particular.
    #[arg(long, value_name = "SCOPE", default_value = "", hide_default_value = true, requires = "key")]
    pub(crate) scope: String,
    /// From when on the bundle counts no more.
    #[arg(long, value_name = "TIME")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Where to write it. What was there is overwritten.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Checks who signed a bundle. Exits 2 when the key did not, or when it is no bundle.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy verify policy.tar.gz --key policy.key.pub")]
pub(crate) struct VerifyArgs {
    /// The bundle.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The public key that has to have signed it.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The name under which the bundle names the key.
    #[arg(long, value_name = "ID", default_value = "policy")]
    pub(crate) key_id: String,
    /// What it has to be signed for.
    #[arg(long, value_name = "SCOPE", default_value = "", hide_default_value = true)]
    pub(crate) scope: String,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Shows which policy decides now, where it comes from and since when, and what the policy on trial has come to.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy status
  vouchsafe policy status --format json | jq -r .policy")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Another policy, and the decisions that it is held against.
#[derive(Args, Debug)]
pub(crate) struct CandidateArgs {
    /// The other policy: a folder of *.rego and data.json, or a bundle in a file.
    #[arg(long, value_name = "DIR|BUNDLE")]
    pub(crate) candidate: PathBuf,
    /// Only decisions made then or later: a time such as 2026-01-31T12:00:00Z, or -2h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "-1d")]
    pub(crate) since: Instant,
    /// Only decisions made before then.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) until: Option<Instant>,
}

/// Makes recorded decisions again by another policy, and says which of them it would change.
///
/// Time, score and all else that a policy looks at are taken from the record, so only the policy is another. Decisions whose
/// record is not whole are counted, by why, and never guessed at. The candidate passes the gate first; exits 2 when it does
/// not.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy replay --candidate ./policies
  vouchsafe policy replay --candidate ./policies --since -7d --format json \\
    | jq '.allow_to_deny | map_values(length)'")]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) candidate: CandidateArgs,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Puts a policy in charge of a server, after saying what it would change.
///
/// The candidate passes the gate here, recorded decisions are made again by it as `policy replay` does, and when that was
/// seen and agreed to, it passes the gate of the server and decides from the next question on, and after a restart as well.
/// It takes the place of the policy that the server's settings name; to go back to that, activate just that. Where another
/// policy came into charge meanwhile, nothing is changed, nor where the policy comes as a signed bundle: that is published.
/// Exits 2 when the candidate does not pass the gate, and 1 when nothing was activated for another reason.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  vouchsafe policy activate --candidate ./policies --since -7d

  In a pipeline, where nobody is asked:
    vouchsafe policy activate --candidate policy.tar.gz --yes --format json | jq .policy.policy")]
pub(crate) struct ActivateArgs {
    #[command(flatten)]
    pub(crate) candidate: CandidateArgs,
    /// Activate it whatever it changes, and ask nobody. Needed where there is no terminal.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) profile: ProfileArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}
