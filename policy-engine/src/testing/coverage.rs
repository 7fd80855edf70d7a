//! Which lines of a policy its tests reach.

use serde::Serialize;
use vouchsafe_policies::Bundle;

use super::find;
use crate::compile::{self, CompileError};
use crate::evaluate::{Document, Evaluate, EvaluationLimits, ReferenceEvaluator};
use crate::explain::FileCoverage;

/// What the tests of a bundle reach. Tests themselves are not counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoverageReport {
    /// How many tests there are.
    pub tests: usize,
    /// Each policy, in the order of their paths.
    pub files: Vec<FileCoverage>,
}

impl CoverageReport {
    /// The share of the lines that are reached, in percent; all of nothing is all.
    pub fn percent(&self) -> f64 {
        let sum = |lines: fn(&FileCoverage) -> usize| self.files.iter().map(lines).sum::<usize>();
        percent(sum(|file| file.covered.len()), sum(|file| file.not_covered.len()))
    }
}

impl FileCoverage {
    /// The share of the lines that are reached, in percent.
    pub fn percent(&self) -> f64 {
        percent(self.covered.len(), self.not_covered.len())
    }
}

#[expect(clippy::cast_precision_loss, reason = "no policy has 2^52 lines")]
fn percent(covered: usize, not_covered: usize) -> f64 {
    let all = covered + not_covered;
    if all == 0 { 100.0 } else { covered as f64 * 100.0 / all as f64 }
}

/// Runs the tests of a bundle, and counts what they reach.
///
/// # Errors
/// When policies and tests cannot be compiled. What a test comes to does not matter here.
pub fn coverage(bundle: &Bundle, limits: EvaluationLimits) -> Result<CoverageReport, CompileError> {
    compile::apart(|| {
        let mut engine = compile::parse_with_tests(bundle)?;
        crate::evaluate::add_data(&mut engine, bundle)?;
        let tests = find(&mut engine);
        engine.set_enable_coverage(true);
        engine.set_gather_prints(true);
        let limits = EvaluationLimits { time: super::TEST_LIMITS, ..limits };
        let nothing = Document::of(&serde_json::Value::Null);
        let mut files: Vec<FileCoverage> = Vec::new();
        for test in &tests {
            let mut evaluator = ReferenceEvaluator::of_rule(engine.clone(), &test.name, limits);
            drop(evaluator.evaluate(&nothing));
            evaluator.covered().into_iter().for_each(|file| add(&mut files, file));
        }
        if tests.is_empty() {
            let mut evaluator = ReferenceEvaluator::of_rule(engine, vouchsafe_policies::ENTRY_POINT, limits);
            drop(evaluator.evaluate(&nothing));
            files = evaluator.covered().into_iter().map(FileCoverage::reaching_nothing).collect();
        }
        files.retain(|file| bundle.policies().iter().any(|policy| policy.path() == file.path));
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(CoverageReport { tests: tests.len(), files })
    })
}

impl FileCoverage {
    fn reaching_nothing(mut self) -> Self {
        self.not_covered.append(&mut self.covered);
        self.not_covered.sort_unstable();
        self
    }
}

/// Adds what another test reaches.
fn add(files: &mut Vec<FileCoverage>, file: FileCoverage) {
    let Some(known) = files.iter_mut().find(|known| known.path == file.path) else {
        files.push(file);
        return;
    };
    known.covered.extend(file.covered);
    known.not_covered.extend(file.not_covered);
    for lines in [&mut known.covered, &mut known.not_covered] {
        lines.sort_unstable();
        lines.dedup();
    }
    known.not_covered.retain(|line| known.covered.binary_search(line).is_err());
}
