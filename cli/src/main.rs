//! `vouchsafe`: the server, the operator's tool, and offline checks, in one binary.
//!
//! Exit codes: 0 done, 1 failed or asked for in the wrong way, 2 not authentic (`verify`, `image verify`, `policy verify`), refused
//! (`image check --strict`, `image merge`, `policy check`, `policy replay`, `policy activate`, the policy of `serve`), something
//! failed (`appraise`, `policy eval`) or is not as it was written (`log verify`), 3 deny (`decision ask`).
//! Each has one meaning, so that a script never takes a mistyped option for a verdict.

mod appraise;
mod args;
mod client;
mod confined;
mod failure;
mod host;
mod image;
mod init;
mod log;
mod operate;
mod output;
mod point;
mod policy;
mod produce;
mod profile;
mod secureboot;
mod serve;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use crate::args::image::ImageArgs;
use crate::args::log::{LogArgs, LogCommand};
use crate::args::policy::{PolicyArgs, PolicyCommand};
use crate::args::{Cli, Command};
use crate::image::Place;
use crate::operate::Operation;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    run(cli.command).unwrap_or_else(|error| failure::fail(&error))
}

/// Help and version are answers; everything else is a mistake, and never exits as a verdict would.
fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() { ExitCode::from(failure::FAILED) } else { ExitCode::SUCCESS }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(&args)?,
        Command::Serve(args) => return serve::run(&args),
        Command::Token(args) => return operate(Operation::Token(args)),
        Command::Device(args) => return operate(Operation::Device(args)),
        Command::Image(ImageArgs { profile, command }) => {
            return match image::Place::of(command) {
                Place::Files(command) => image::run(command),
                Place::Server(command) => operate(Operation::Image(profile, command)),
            };
        }
        Command::Secureboot(args) => return secureboot::run(args),
        Command::Credential(args) => return operate(Operation::Credential(args)),
        Command::Decision(args) => return operate(Operation::Decision(args)),
        Command::Log(LogArgs { profile, command }) => {
            return match command {
                LogCommand::Verify(args) => log::verify(&args),
                LogCommand::Online(command) => operate(Operation::Log(profile, command)),
            };
        }
        Command::Verify(args) => return verify::run(args),
        Command::Appraise(args) => return appraise::run(args),
        Command::Point(args) => point::run(args)?,
        Command::Policy(PolicyArgs { command }) => {
            return match command {
                PolicyCommand::Files(command) => policy::run(command),
                PolicyCommand::Server(command) => operate(Operation::Policy(command)),
            };
        }
        Command::PolicyGate => return confined::run(),
        Command::Completions(args) => produce::completions(&args)?,
        Command::Man(args) => produce::manual(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One thread is enough to ask one question. Others have room for policies, which recurse.
fn operate(operation: Operation) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().thread_stack_size(serve::STACK).enable_all().build();
    let runtime = runtime.context("cannot start")?;
    runtime.block_on(operate::run(operation))
}
