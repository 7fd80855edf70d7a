//! The activation gate: what a policy has to pass before it decides anything.
//!
//! It is read, its names are held against the schema of the input, it is searched for what could harm the engine and for
//! what is surely not meant, compiled, and tested on both evaluators. All of that works on text that somebody wrote, with a
//! compiler that somebody else wrote: a server has it done in a [child process](crate::confined) with limits, whose death is
//! a refusal and nothing else.

use serde::{Deserialize, Serialize};
use vouchsafe_policies::Bundle;

use crate::compile::{self, Choose, CompileError, EvaluatorKind, Finding, FindingKind, Inexact, Severity};
use crate::evaluate::EvaluationLimits;
use crate::testing::{self, FastResult, TestOutcome, TestReport, TestResult};

/// What the gate has to say of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateReport {
    /// Whether it may be put in charge.
    pub passed: bool,
    /// Which evaluator would decide.
    pub evaluator: EvaluatorKind,
    /// Why it is not the fast one.
    pub because: Vec<Inexact>,
    /// What was found, by place.
    pub findings: Vec<Finding>,
    /// How the tests ended.
    pub tests: TestCounts,
}

/// How the tests of a policy ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// How many pass.
    pub passed: usize,
    /// How many fail, cannot be evaluated, or end otherwise on the other evaluator.
    pub failed: usize,
    /// How many are still to be written.
    pub todo: usize,
    /// How many inputs were given to both evaluators.
    pub inputs_compared: usize,
}

impl GateReport {
    /// A policy of which nothing but this can be said.
    pub(crate) fn refusal(finding: Finding) -> Self {
        Self {
            passed: false,
            evaluator: EvaluatorKind::Reference,
            because: Vec::new(),
            findings: vec![finding],
            tests: TestCounts::default(),
        }
    }

    /// The evaluator to put it in charge on.
    pub fn choose(&self) -> Choose {
        match self.evaluator {
            EvaluatorKind::Fast => Choose::ByThePolicy,
            EvaluatorKind::Reference => Choose::Reference,
        }
    }

    /// For what it is refused.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

/// Puts a policy through the gate, in this process.
///
/// A policy that makes the evaluators overflow their stack, in a way that nobody has seen yet, ends this process: a server
/// has it [`Confined`](crate::confined::Confined).
pub fn examine(bundle: &Bundle, limits: EvaluationLimits) -> GateReport {
    let outcome = compile::lint(bundle).and_then(|findings| Ok((findings, testing::run(bundle, limits)?)));
    match outcome {
        Ok((findings, tests)) => judge(findings, &tests),
        Err(error) => GateReport::refusal(refused(&error)),
    }
}

fn judge(mut findings: Vec<Finding>, tests: &TestReport) -> GateReport {
    let mut counts = TestCounts { inputs_compared: tests.inputs_compared, ..TestCounts::default() };
    let (mut evaluator, mut because) = (tests.evaluator, tests.because.clone());
    for test in &tests.tests {
        if let FastResult::Differs(value) = &test.fast {
            evaluator = EvaluatorKind::Reference;
            because.push(Inexact::new(test.location.clone(), format!("it takes {} for {value}", test.name)));
        }
        match failure(test) {
            Some(finding) => {
                counts.failed += 1;
                findings.push(finding);
            }
            None if test.result == TestResult::Todo => counts.todo += 1,
            None => counts.passed += 1,
        }
    }
    for difference in &tests.differences {
        evaluator = EvaluatorKind::Reference;
        because.push(Inexact::new(
            difference.location.clone(),
            format!("it answers this input with {}, and not with {}", difference.fast, difference.reference),
        ));
    }
    findings.sort();
    let passed = findings.iter().all(|finding| finding.severity != Severity::Error);
    GateReport { passed, evaluator, because, findings, tests: counts }
}

/// What is wrong with a test.
fn failure(test: &TestOutcome) -> Option<Finding> {
    let message = match &test.result {
        TestResult::Failed => format!("{} fails", test.name),
        TestResult::Errored(error) => format!("{} cannot be evaluated: {error}", test.name),
        TestResult::Passed | TestResult::Todo => return None,
    };
    let instead = "run `vouchsafe policy test`, and mend the policy or the test";
    Some(Finding::error(FindingKind::TestFailed, test.location.clone(), message, instead))
}

/// Why a policy cannot be used at all.
pub(crate) fn refused(error: &CompileError) -> Finding {
    let of = |code, message: &str, instead: &str| {
        let (location, message) = compile::told(message);
        Finding::error(code, location, message, instead)
    };
    match error {
        CompileError::Gate(error) => Finding::from(error),
        CompileError::Parse { message, .. } => {
            of(FindingKind::Unreadable, message, "mend what is written there; the policy is read as Rego v1")
        }
        CompileError::Compile { message } | CompileError::Data { message } => {
            of(FindingKind::Unusable, message, "write it otherwise")
        }
        CompileError::NoEntryPoint => {
            of(FindingKind::Unusable, &error.to_string(), "define `decision` in `package vouchsafe`")
        }
        CompileError::NoSuchRule { .. } | CompileError::DataApi(_) => of(
            FindingKind::Unusable,
            &error.to_string(),
            "define the rule, or take it out of the entry points that the settings list",
        ),
        CompileError::Panicked { .. } | CompileError::Thread(_) => {
            of(FindingKind::Unusable, &error.to_string(), "write it otherwise, and report what made the compiler fail")
        }
    }
}
