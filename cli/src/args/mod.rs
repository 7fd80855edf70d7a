//! The command line, as types. Parsing checks all that can be checked without a file or a server.

pub(crate) mod appraise;
pub(crate) mod build;
pub(crate) mod credential;
pub(crate) mod decision;
pub(crate) mod device;
pub(crate) mod image;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod point;
pub(crate) mod policy;
pub(crate) mod produce;
pub(crate) mod secureboot;
pub(crate) mod token;
pub(crate) mod value;
pub(crate) mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What the exit codes mean, at the end of the help of the whole program.
const EXIT_CODES: &str = "\
Exit codes:
  0  done; for `decision ask`: allow; for `verify` and `image verify`: authentic;
     for `appraise`: no failure; for `log verify`: as it was written
  1  it could not be done, or was asked for in the wrong way; standard error says which
  2  `verify`, `image verify`: not authentic; `image check --strict`, `image merge`,
     `policy check`: refused; `appraise`: something in the log failed; `policy eval`:
     the evaluation failed; `log verify`: not as it was written
  3  `decision ask` alone: deny

Where to begin:
  vouchsafe init --help     makes a new server
  vouchsafe token --help    lets devices in";

/// Continuous trust for machines: devices prove by their TPM what they run, and every request is decided anew.
///
/// One binary for the server, its operators, and offline checks that need no server.
#[derive(Debug, Parser)]
#[command(name = "vouchsafe", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true, infer_subcommands = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArgs),
    Serve(crate::serve::ServeArgs),
    Token(token::TokenArgs),
    Device(device::DeviceArgs),
    Image(image::ImageArgs),
    Secureboot(secureboot::SecurebootArgs),
    Credential(credential::CredentialArgs),
    Decision(decision::DecisionArgs),
    Log(log::LogArgs),
    Verify(verify::VerifyArgs),
    Appraise(appraise::AppraiseArgs),
    Point(point::PointArgs),
    Policy(policy::PolicyArgs),
    /// Works on a policy that comes in on standard input. The program calls itself so.
    #[command(hide = true)]
    PolicyGate,
    Completions(produce::CompletionsArgs),
    Man(produce::ManArgs),
}

/// How an operator's command finds the server and the operator's certificate.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which server")]
pub(crate) struct ProfileArgs {
    /// The operator's profile: operator.toml.
    ///
    /// When neither this nor --dir is given, the first of these is taken: the file that `VOUCHSAFE_PROFILE` names,
    /// operator.toml in the folder that `VOUCHSAFE_DIR` names, in the current folder, in /var/lib/vouchsafe.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "dir")]
    pub(crate) profile: Option<PathBuf>,

    /// The folder that `vouchsafe init` or `vouchsafe credential issue` made; it holds operator.toml.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// For whom the answer is printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct FormatArgs {
    /// `text` for people, `json` for programs.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) format: Format,
}

/// For whom the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How much of a list is asked for.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LimitArgs {
    /// The most rows that are fetched.
    #[arg(long, value_name = "ROWS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_line_of_an_example_is_wrapped() {
        let mut open = vec![Cli::command()];
        while let Some(command) = open.pop() {
            let texts = [command.get_after_help(), command.get_after_long_help()];
            for line in texts.into_iter().flatten().map(ToString::to_string).collect::<String>().lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
            open.extend(command.get_subcommands().cloned());
        }
    }
}
