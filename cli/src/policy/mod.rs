//! `vouchsafe policy`: check, test, measure, try and pack a policy before a server uses it, and see the built-in one.

mod bench;
pub(crate) mod candidate;
mod eval;
pub(crate) mod packed;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use vouchsafe_pki::files;
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::evaluate::EvaluationLimits;
use vouchsafe_policy_engine::testing;

use crate::args::policy::{CheckArgs, CoverageArgs, FilesPolicyCommand, ShowArgs, TestArgs};
use crate::confined;
use crate::failure::{FAILED, Hint as _};
use crate::output;
use crate::output::policy::{Report, Sources};

/// A policy was refused, or a question about one has no answer.
pub(crate) const REFUSED: u8 = 2;

/// Runs a policy command that needs no server.
///
/// # Errors
/// When a policy cannot be read or compiled, or a file cannot be written.
pub(crate) fn run(command: FilesPolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        FilesPolicyCommand::Check(args) => check(&args),
        FilesPolicyCommand::Test(args) => test(&args),
        FilesPolicyCommand::Coverage(args) => coverage(&args),
        FilesPolicyCommand::Bench(args) => bench::run(&args),
        FilesPolicyCommand::Eval(args) => eval::run(args),
        FilesPolicyCommand::Show(args) => show(&args),
        FilesPolicyCommand::Keygen(args) => packed::keygen(&args),
        FilesPolicyCommand::Bundle(args) => packed::bundle(&args),
        FilesPolicyCommand::Verify(args) => packed::verify(&args),
    }
}

/// The policy that lies in a folder.
pub(crate) fn read(dir: &Path) -> anyhow::Result<Bundle> {
    Bundle::from_dir(dir)
        .with_context(|| format!("cannot read the policy in {}", dir.display()))
        .hint("a policy is a folder of *.rego, *_test.rego and data.json; begin with: vouchsafe policy show --out DIR")
}

/// Puts a policy through the gate, where the gate can die of it.
fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let bundle = read(&args.policy)?;
    let report = confined::child().examine(&bundle, EvaluationLimits::default()).context("cannot check the policy")?;
    output::show(args.format.format, &report, || output::gate::report(&report))?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}

/// Runs the tests as the server would run the policy: with its limits, on both of its evaluators.
fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let dir = args.dir.display();
    let bundle = read(&args.dir)?;
    let report = testing::run(&bundle, EvaluationLimits::default())
        .with_context(|| format!("the policy in {dir} cannot be used"))?;
    if report.tests.is_empty() {
        // A policy without tests would pass them all, and so would a folder that was named by mistake.
        return Err(anyhow::anyhow!("the policy in {dir} has no tests"))
            .hint("write rules whose names begin with test_ in files whose names end in _test.rego");
    }
    let report = Report::of(&report);
    output::show(args.format.format, &report, || output::policy::results(&report))?;
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Says which lines the tests reach.
fn coverage(args: &CoverageArgs) -> anyhow::Result<ExitCode> {
    let bundle = read(&args.dir)?;
    let report = testing::coverage(&bundle, EvaluationLimits::default())
        .with_context(|| format!("the policy in {} cannot be used", args.dir.display()))?;
    output::show(args.format.format, &report, || output::coverage::report(&report))?;
    let is_enough = report.percent() >= f64::from(args.minimum);
    Ok(if is_enough { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let bundle = vouchsafe_policies::default_bundle().context("the built-in policy cannot be read")?;
    let sources = Sources::of(&bundle)?;
    match &args.out {
        Some(dir) => write(dir, &sources)?,
        None => output::show(args.format.format, &sources, || output::policy::sources(&sources))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the files where there are none.
fn write(dir: &Path, sources: &Sources) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    for name in sources.files.keys() {
        let path = dir.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(files::WriteFileError::Exists { path }).hint("name another folder; nothing was written");
        }
    }
    for (name, text) in &sources.files {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    crate::host::print(&output::policy::written(dir, sources))
}
