//! How long a policy takes.

use std::time::Duration;

use serde::Serialize;
use vouchsafe_policy_engine::CompileError;
use vouchsafe_policy_engine::evaluate::{Document, EvaluationError};

use super::{clean, line};

/// Both evaluators, and which of them would decide.
#[derive(Debug, Serialize)]
pub(crate) struct Bench {
    pub(crate) decides: String,
    pub(crate) fast: Measured,
    pub(crate) reference: Measured,
}

/// What was measured of one.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    times: usize,
    median_us: Option<f64>,
    p99_us: Option<f64>,
    /// What it answers.
    result: Option<serde_json::Value>,
    /// Why it does not.
    error: Option<String>,
}

impl Measured {
    /// Durations, from the shortest to the longest, and the last outcome.
    pub(crate) fn of(took: &[Duration], last: Option<Result<Document, EvaluationError>>) -> Self {
        let at = |percent: usize| {
            let index = (took.len() * percent / 100).min(took.len().saturating_sub(1));
            took.get(index).map(|took| took.as_secs_f64() * 1e6)
        };
        let (result, error) = match last {
            Some(Ok(document)) => (Some(document.to_json()), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        Self { times: took.len(), median_us: at(50), p99_us: at(99), result, error }
    }

    /// It cannot run the policy.
    pub(crate) fn not_run(error: &CompileError) -> Self {
        Self { times: 0, median_us: None, p99_us: None, result: None, error: Some(error.to_string().trim().to_owned()) }
    }
}

/// A table of both.
pub(crate) fn told(bench: &Bench) -> String {
    let mut text = format!("{:10} {:>10} {:>10} {:>8}\n", "evaluator", "median", "p99", "times");
    for (name, measured) in [("fast", &bench.fast), ("reference", &bench.reference)] {
        let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1} µs"));
        let (median, p99) = (figure(measured.median_us), figure(measured.p99_us));
        line(&mut text, format_args!("{name:10} {median:>10} {p99:>10} {:>8}", measured.times));
        if let Some(error) = &measured.error {
            line(&mut text, format_args!("           {}", clean(error)));
        }
    }
    line(&mut text, format_args!("\nThe {} evaluator decides.", bench.decides));
    text
}
