//! `vouchsafe policy bench`: how long a policy takes.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use vouchsafe_pki::files;
use vouchsafe_policy_engine::evaluate::{Document, Evaluate, EvaluationLimits, FastEvaluator, ReferenceEvaluator};

use crate::args::policy::BenchArgs;
use crate::output;
use crate::output::bench::{Bench, Measured};

/// The longest input that is read, in bytes.
const MAX_INPUT_LEN: usize = 1024 * 1024;
/// The longest that one evaluator is measured.
const MAX_TIME: Duration = Duration::from_secs(10);

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let bundle = super::read(&args.dir)?;
    let input = String::from_utf8(files::read_file(&args.input, MAX_INPUT_LEN)?).context("the input is no text")?;
    let input = Document::from_json(&input).with_context(|| format!("cannot use {}", args.input.display()))?;
    let limits = EvaluationLimits::default();
    let reference = ReferenceEvaluator::new(&bundle, limits)
        .with_context(|| format!("the policy in {} cannot be used", args.dir.display()))?;
    let fast = match FastEvaluator::compile(&bundle, limits) {
        Ok(fast) => measure(fast, &input, args.times),
        Err(error) => Measured::not_run(&error),
    };
    let decides = vouchsafe_policy_engine::evaluator_of(&bundle)?.name().to_owned();
    let bench = Bench { decides, fast, reference: measure(reference, &input, args.times) };
    output::show(args.format.format, &bench, || output::bench::told(&bench))?;
    Ok(ExitCode::SUCCESS)
}

/// Evaluates an input again and again, after a tenth as often that does not count.
fn measure(mut evaluator: impl Evaluate, input: &Document, times: u32) -> Measured {
    for _ in 0..times / 10 {
        drop(evaluator.evaluate(input));
    }
    let began = Instant::now();
    let mut took = Vec::new();
    let mut last = None;
    while took.len() < usize::try_from(times).unwrap_or(usize::MAX) && began.elapsed() < MAX_TIME {
        let started = Instant::now();
        let outcome = evaluator.evaluate(input);
        took.push(started.elapsed());
        last = Some(outcome);
    }
    took.sort_unstable();
    Measured::of(&took, last)
}
