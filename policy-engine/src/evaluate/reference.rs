//! The reference evaluator: regorus' interpreter, by which the fast one is judged.

use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use regorus::{Engine, LimitError};
use vouchsafe_policies::{Bundle, ENTRY_POINT};

use super::{Document, Evaluate, EvaluationError, EvaluationLimits};
use crate::compile::{self, CompileError, last_words};
use crate::explain::FileCoverage;

/// Interprets policies as they are written. Slower, closer to OPA, and able to run tests.
///
/// It keeps to the limit of time; those of instructions and memory do not reach it.
pub struct ReferenceEvaluator {
    /// Policies and data, never evaluated with.
    prepared: Engine,
    rule: String,
    limits: EvaluationLimits,
    engine: Option<Engine>,
}

impl ReferenceEvaluator {
    /// An evaluator of the rule that decides.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge.
    pub fn new(bundle: &Bundle, limits: EvaluationLimits) -> Result<Self, CompileError> {
        let mut engine = compile::parse_policies(bundle)?;
        add_data(&mut engine, bundle)?;
        Ok(Self::of_rule(engine, ENTRY_POINT, limits))
    }

    pub(crate) fn of_rule(prepared: Engine, rule: &str, limits: EvaluationLimits) -> Self {
        let mut prepared = prepared;
        prepared.set_execution_timer_config(limits.timer());
        Self { prepared, rule: rule.to_owned(), limits, engine: None }
    }

    /// Another one of the same policies, which it shares.
    pub(crate) fn sharing(&self) -> Self {
        Self { prepared: self.prepared.clone(), rule: self.rule.clone(), limits: self.limits, engine: None }
    }

    /// What was printed since the last time, if the engine gathers it.
    pub(crate) fn take_prints(&mut self) -> Vec<String> {
        self.engine.as_mut().and_then(|engine| engine.take_prints().ok()).unwrap_or_default()
    }

    /// Which lines were reached so far, if the engine watches them. An error takes the count with it.
    pub(crate) fn covered(&self) -> Vec<FileCoverage> {
        let report = self.engine.as_ref().unwrap_or(&self.prepared).get_coverage_report();
        let file = |file: regorus::coverage::File| FileCoverage {
            path: file.path,
            covered: file.covered.into_iter().collect(),
            not_covered: file.not_covered.into_iter().collect(),
        };
        report.map(|report| report.files.into_iter().map(file).collect()).unwrap_or_default()
    }
}

/// Gives an engine the data of a bundle.
pub(crate) fn add_data(engine: &mut Engine, bundle: &Bundle) -> Result<(), CompileError> {
    engine.add_data(compile::data_of(bundle)).map_err(|error| CompileError::Data { message: error.to_string() })
}

impl Evaluate for ReferenceEvaluator {
    fn evaluate(&mut self, input: &Document) -> Result<Document, EvaluationError> {
        let engine = self.engine.take();
        let started = Instant::now();
        // What a panic leaves behind is the engine, which is dropped, and values, which nobody changes in place.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut engine = engine.unwrap_or_else(|| self.prepared.clone());
            engine.set_input(input.value().clone());
            let value = engine.eval_rule(self.rule.clone());
            value.map(|value| (engine, value))
        }));
        match outcome {
            Ok(Ok(_)) if started.elapsed() > self.limits.time => {
                Err(EvaluationError::TimeLimit { limit: self.limits.time })
            }
            Ok(Ok((engine, value))) => {
                self.engine = Some(engine);
                Ok(Document::new(value))
            }
            Ok(Err(error)) => Err(match error.downcast_ref() {
                Some(LimitError::TimeLimitExceeded { .. }) => EvaluationError::TimeLimit { limit: self.limits.time },
                Some(LimitError::MemoryLimitExceeded { limit, .. }) => EvaluationError::MemoryLimit { limit: *limit },
                _ => EvaluationError::Failed { message: error.to_string() },
            }),
            Err(payload) => Err(EvaluationError::Panicked { message: last_words(&*payload) }),
        }
    }
}
