//! Runs the tests of a bundle, as OPA does: every rule whose name begins with `test_` passes when it is true.
//!
//! The reference evaluator runs them. Where the fast one shall decide, it runs what of them it can, and every input that a
//! test states is given to both, whose answers must be the same.

mod coverage;
mod probes;

use std::time::{Duration, Instant};

use regorus::Engine;
use regorus::unstable::{Expr, Rule, RuleHead};
use serde::Serialize;
use vouchsafe_policies::{Bundle, ENTRY_POINT};

use crate::compile::{self, Choose, CompileError, Compiled, EvaluatorKind, Executable, Inexact, Location};
use crate::evaluate::{Document, Evaluate, EvaluationError, EvaluationLimits, FastEvaluator, ReferenceEvaluator};

pub use coverage::{CoverageReport, coverage};
pub use probes::Difference;

/// The most that one test may take. More than a decision, for tests ask many questions.
const TEST_LIMITS: Duration = Duration::from_secs(10);

/// What the tests of a bundle came to.
#[derive(Clone, Debug)]
pub struct TestReport {
    /// Which evaluator does the policy as it is written, as far as can be seen without running it.
    pub evaluator: EvaluatorKind,
    /// Why it is not the fast one.
    pub because: Vec<Inexact>,
    /// The tests, by file and line.
    pub tests: Vec<TestOutcome>,
    /// How many inputs that tests state were given to both evaluators.
    pub inputs_compared: usize,
    /// The inputs for which they differ.
    pub differences: Vec<Difference>,
}

impl TestReport {
    /// Whether every test passed (those that are still to do not counted) and the evaluators agree.
    pub fn passed(&self) -> bool {
        let good = |test: &TestOutcome| {
            matches!(test.result, TestResult::Passed | TestResult::Todo) && !matches!(test.fast, FastResult::Differs(_))
        };
        self.tests.iter().all(good) && self.differences.is_empty()
    }
}

/// One test.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// The rule: `data.vouchsafe_test.test_nothing_is_denied`.
    pub name: String,
    /// Where it is defined.
    pub location: Location,
    /// What it came to.
    pub result: TestResult,
    /// What the fast evaluator makes of it.
    pub fast: FastResult,
    /// How long the reference evaluator took.
    pub duration: Duration,
    /// What it printed.
    pub prints: Vec<String>,
}

/// What a test came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestResult {
    /// It is true.
    Passed,
    /// It is false, undefined, or something else.
    Failed,
    /// It could not be evaluated.
    Errored(String),
    /// It is still to be done: its name begins with `todo_`.
    Todo,
}

/// What the fast evaluator makes of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FastResult {
    /// The same.
    Same,
    /// Something else.
    Differs(String),
    /// It cannot run it: most tests replace the input, which it has no means to do.
    NotRun,
}

/// Runs all tests of a bundle.
///
/// # Errors
/// When policies and tests cannot be compiled. A test that fails is no error.
pub fn run(bundle: &Bundle, limits: EvaluationLimits) -> Result<TestReport, CompileError> {
    let runnable = compile::compile(bundle, 0, Choose::ByThePolicy)?;
    let evaluator = runnable.program.kind();
    let fast = match runnable.program {
        Executable::Fast { spare, .. } => Some(spare),
        Executable::Reference(_) => None,
    };
    // The reference evaluator recurses over expressions and rules alike, so it gets a deep stack.
    let report = compile::apart(|| run_apart(bundle, fast, limits))?;
    Ok(TestReport { evaluator, because: runnable.because, ..report })
}

fn run_apart(bundle: &Bundle, fast: Option<Compiled>, limits: EvaluationLimits) -> Result<TestReport, CompileError> {
    let mut engine = compile::parse_with_tests(bundle)?;
    let found = find(&mut engine);
    let probes = probes::find(&mut engine);
    crate::evaluate::add_data(&mut engine, bundle)?;
    engine.set_gather_prints(true);
    let limits = EvaluationLimits { time: TEST_LIMITS, ..limits };

    let tests = found.into_iter().map(|test| test.run(&engine, fast.as_ref(), limits)).collect();
    let report = TestReport {
        evaluator: EvaluatorKind::Reference,
        because: Vec::new(),
        tests,
        inputs_compared: 0,
        differences: Vec::new(),
    };
    let Some(fast) = fast else { return Ok(report) };
    let inputs = probes::inputs(&engine, &probes, limits);
    let mut fast = FastEvaluator::new(fast, limits);
    let mut reference = ReferenceEvaluator::of_rule(engine, ENTRY_POINT, limits);
    let differences = probes::compare(&inputs, &mut fast, &mut reference);
    Ok(TestReport { inputs_compared: inputs.len(), differences, ..report })
}

/// A test as it was found.
struct Found {
    name: String,
    location: Location,
    todo: bool,
}

fn find(engine: &mut Engine) -> Vec<Found> {
    let modules = engine.get_modules().clone();
    let names = compile::Names::of(&modules);
    let mut found: Vec<Found> = Vec::new();
    for module in &modules {
        let scope = names.scope(module);
        for rule in &module.policy {
            let Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } = rule.as_ref() else { continue };
            let Expr::Var { span, .. } = refr.as_ref() else { continue };
            let (is_test, todo) = (span.text().starts_with("test_"), span.text().starts_with("todo_test_"));
            let name = compile::rule_name(&scope.rule_path(rule));
            // A rule that is defined in several parts is one test.
            if (is_test || todo) && !found.iter().any(|other| other.name == name) {
                found.push(Found { name, location: Location::of(rule.span()), todo });
            }
        }
    }
    found.sort_by(|one, other| one.location.cmp(&other.location));
    found
}

impl Found {
    fn run(self, engine: &Engine, fast: Option<&Compiled>, limits: EvaluationLimits) -> TestOutcome {
        if self.todo {
            return self.outcome(TestResult::Todo, FastResult::NotRun, Duration::ZERO, Vec::new());
        }
        let mut reference = ReferenceEvaluator::of_rule(engine.clone(), &self.name, limits);
        let nothing = Document::of(&serde_json::Value::Null);
        let started = Instant::now();
        let value = reference.evaluate(&nothing);
        let duration = started.elapsed();
        let prints = reference.take_prints();
        let result = match &value {
            Ok(document) if *document == Document::of(&true) => TestResult::Passed,
            Ok(_) => TestResult::Failed,
            Err(error) => TestResult::Errored(error.to_string()),
        };
        let fast = fast.map_or(FastResult::NotRun, |decides| self.run_fast(engine, decides, limits, &result));
        self.outcome(result, fast, duration, prints)
    }

    fn run_fast(
        &self,
        engine: &Engine,
        decides: &Compiled,
        limits: EvaluationLimits,
        result: &TestResult,
    ) -> FastResult {
        let Ok(program) = compile::compile_rule(&mut engine.clone(), &self.name) else { return FastResult::NotRun };
        let mut fast = FastEvaluator::new(Compiled { program, data: decides.data.clone() }, limits);
        let value: Result<Document, EvaluationError> = fast.evaluate(&Document::of(&serde_json::Value::Null));
        let passed = matches!(&value, Ok(document) if *document == Document::of(&true));
        if passed == (*result == TestResult::Passed) {
            FastResult::Same
        } else {
            FastResult::Differs(value.map_or_else(|error| error.to_string(), |document| format!("{document:?}")))
        }
    }

    fn outcome(self, result: TestResult, fast: FastResult, duration: Duration, prints: Vec<String>) -> TestOutcome {
        TestOutcome { name: self.name, location: self.location, result, fast, duration, prints }
    }
}
