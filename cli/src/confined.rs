//! The program as its own child: what works on policies runs where it can die without harm.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_policy_engine::confined::{self, ChildLimits, Confined};

/// The hidden command with which the program becomes the child.
pub(crate) const COMMAND: &str = "policy-gate";

/// How work is done in a child of this program.
pub(crate) fn child() -> Confined {
    // The program that runs, also when another one has taken its place on the disk.
    let program = PathBuf::from("/proc/self/exe");
    Confined { program, arguments: vec![COMMAND.to_owned()], limits: ChildLimits::default() }
}

/// Is the child.
///
/// # Errors
/// When standard input holds no task.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    confined::answer(io::stdin().lock(), io::stdout().lock()).context("cannot do the task")?;
    Ok(ExitCode::SUCCESS)
}
