//! Evaluates any rule of any policies, for people who try something.
//!
//! No policy in charge is asked this way: what is asked here is text that somebody types, and may be any place below
//! `data`, packages as well. What the fast evaluator gives is given only when the reference evaluator gives the same.

use regorus::{Engine, LimitError, Value};
use serde::{Deserialize, Serialize};

use crate::compile::{self, CompileError, Compiled, EvaluatorKind, Finding, Location, RegoVersion};
use crate::evaluate::{Document, Evaluate as _, EvaluationLimits, FastEvaluator};

/// The longest query, in bytes.
pub const MAX_QUERY_LEN: usize = 4096;

/// What is asked, of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Each policy's name and text.
    pub policies: Vec<(String, String)>,
    /// The edition that they are written in.
    pub version: RegoVersion,
    /// What lies below `data`: an object.
    pub data: serde_json::Value,
    /// The input, as JSON; without any, `input` is undefined.
    pub input: Option<String>,
    /// The place: `data.vouchsafe.decision`.
    pub query: String,
}

/// What a place is worth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialAnswer {
    /// The value, as JSON; none when it is undefined.
    pub result: Option<String>,
    /// Whose answer it is.
    pub evaluator: EvaluatorKind,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The policies cannot be read.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The input is no JSON.
    #[error("the input is no JSON: {message}")]
    Input {
        /// What is wrong.
        message: String,
    },
    /// The data is no object, or lies where a rule is.
    #[error("the data cannot be used: {message}")]
    Data {
        /// What is wrong.
        message: String,
    },
    /// The query is no place.
    #[error("'{}' is no place: write data.PACKAGE.RULE", query.escape_debug())]
    Query {
        /// The query.
        query: String,
    },
    /// It took too long, or too much.
    #[error("the evaluation reached a limit: {message}")]
    Limit {
        /// Which.
        message: String,
    },
    /// It failed.
    #[error("the evaluation failed: {message}")]
    Failed {
        /// Why.
        message: String,
    },
}

impl TrialError {
    /// Where it is, if that is known, and what it is, in one line.
    pub fn told(&self) -> (Option<Location>, String) {
        match self {
            Self::Compile(CompileError::Parse { message, .. }) | Self::Failed { message } => compile::told(message),
            Self::Compile(CompileError::Gate(error)) => {
                let Finding { location, message, instead, .. } = Finding::from(error);
                (location, format!("{message}: {instead}"))
            }
            other => (None, other.to_string()),
        }
    }

    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Compile(CompileError::Parse { .. }) => "policy.unreadable",
            Self::Compile(CompileError::Gate(error)) => Finding::from(error).code.name(),
            Self::Compile(_) => "policy.unusable",
            Self::Input { .. } => "input.unreadable",
            Self::Data { .. } => "data.unusable",
            Self::Query { .. } => "query.unreadable",
            Self::Limit { .. } => "evaluation.limit",
            Self::Failed { .. } => "evaluation.failed",
        }
    }
}

/// Why the policies may end the process that evaluates them, if they may: a rule that needs itself does.
///
/// # Errors
/// When they cannot be read.
pub fn may_not_end(question: &Trial) -> Result<Option<String>, TrialError> {
    let warning = compile::apart(|| Ok(compile::inspect(&read(question)?).err().map(|error| error.to_string())))?;
    Ok(warning)
}

/// Answers a question.
///
/// # Errors
/// When something in it cannot be read, or the evaluation fails.
pub fn answer(question: &Trial, limits: EvaluationLimits) -> Result<TrialAnswer, TrialError> {
    let place = place(&question.query)?;
    let mut outcome = Ok(TrialAnswer { result: None, evaluator: EvaluatorKind::Reference });
    compile::apart(|| {
        outcome = evaluate(question, &place, limits);
        Ok(())
    })?;
    outcome
}

fn read(question: &Trial) -> Result<Engine, CompileError> {
    compile::read(question.policies.iter().map(|(name, text)| (name.as_str(), text.as_str())), question.version)
}

fn evaluate(question: &Trial, place: &[String], limits: EvaluationLimits) -> Result<TrialAnswer, TrialError> {
    let mut engine = read(question)?;
    let data = Document::of(&question.data).into_value();
    engine.add_data(data.clone()).map_err(|error| TrialError::Data { message: error.to_string() })?;
    engine.set_execution_timer_config(limits.timer());
    let input = match &question.input {
        Some(text) => Value::from_json_str(text).map_err(|error| TrialError::Input { message: error.to_string() })?,
        None => Value::Undefined,
    };
    let program = compile::compile_exactly(&engine, place, &question.data);
    let value = reference(&mut engine, &question.query, input.clone())?;
    let fast =
        program.map(|program| FastEvaluator::new(Compiled { program, data }, limits).evaluate(&Document::new(input)));
    let agrees = matches!(fast, Some(Ok(fast)) if *fast.value() == value);
    let evaluator = if agrees { EvaluatorKind::Fast } else { EvaluatorKind::Reference };
    let result = match value {
        Value::Undefined => None,
        value => {
            Some(serde_json::to_string(&value).map_err(|error| TrialError::Failed { message: error.to_string() })?)
        }
    };
    Ok(TrialAnswer { result, evaluator })
}

fn reference(engine: &mut Engine, query: &str, input: Value) -> Result<Value, TrialError> {
    if input != Value::Undefined {
        engine.set_input(input);
    }
    let results =
        engine.eval_query(query.to_owned(), false).map_err(|error| match error.downcast_ref::<LimitError>() {
            Some(limit) => TrialError::Limit { message: limit.to_string() },
            None => TrialError::Failed { message: error.to_string().trim().to_owned() },
        })?;
    let first = results.result.into_iter().next().and_then(|result| result.expressions.into_iter().next());
    Ok(first.map_or(Value::Undefined, |expression| expression.value))
}

/// The steps of a place below `data`: `data.a["b-c"].d` is a, b-c, d.
fn place(query: &str) -> Result<Vec<String>, TrialError> {
    let refused = || TrialError::Query { query: query.chars().take(MAX_QUERY_LEN).collect() };
    let mut rest = query.strip_prefix("data").filter(|_| query.len() <= MAX_QUERY_LEN).ok_or_else(refused)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, behind) = step(rest).ok_or_else(refused)?;
        steps.push(step);
        rest = behind;
    }
    Ok(steps)
}

fn step(text: &str) -> Option<(String, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        let end =
            name.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(name.len());
        let (name, behind) = name.split_at_checked(end)?;
        let is_name = name.chars().next().is_some_and(|first| !first.is_ascii_digit());
        return is_name.then(|| (name.to_owned(), behind));
    }
    let inside = text.strip_prefix('[')?;
    let mut values = serde_json::Deserializer::from_str(inside).into_iter::<serde_json::Value>();
    let value = values.next()?.ok()?;
    let behind = inside.get(values.byte_offset()..)?.strip_prefix(']')?;
    match value {
        serde_json::Value::String(name) => Some((name, behind)),
        serde_json::Value::Number(number) => Some((number.to_string(), behind)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(policy: &str, query: &str) -> Trial {
        Trial {
            policies: vec![("p.rego".to_owned(), policy.to_owned())],
            version: RegoVersion::V1,
            data: serde_json::json!({"given": {"n": 7}}),
            input: Some(r#"{"n": 3, "big": 12345678901234567890}"#.to_owned()),
            query: query.to_owned(),
        }
    }

    fn answered(policy: &str, query: &str) -> (Option<String>, EvaluatorKind) {
        let answer = answer(&question(policy, query), EvaluationLimits::default()).unwrap();
        (answer.result, answer.evaluator)
    }

    #[test]
    fn places_are_read() {
        let steps = |query: &str| place(query).ok().map(|steps| steps.join("|"));
        assert_eq!(steps("data"), Some(String::new()));
        assert_eq!(steps("data.a.b_1"), Some("a|b_1".to_owned()));
        assert_eq!(steps(r#"data.a["b-\"c"].d[0]"#), Some("a|b-\"c|d|0".to_owned()));
        for query in [
            "",
            "input",
            "datax",
            "data.",
            "data.1",
            "data.a b",
            "data.a; true",
            "data[x]",
            "data[",
            "data.a[\"b\"",
            "data.a == 1",
            "data[true]",
        ] {
            assert_eq!(steps(query), None, "{query}");
        }
        assert!(place(&format!("data.{}", "x".repeat(MAX_QUERY_LEN - 5))).is_ok());
        assert!(place(&format!("data.{}", "x".repeat(MAX_QUERY_LEN - 4))).is_err());
    }

    #[test]
    fn rules_packages_and_data_are_answered() {
        let policy = "package a.b\n\nx := input.n + 1\n\ny if input.n > 5\n\nz := input.big\n\nf(n) := n";
        let fast = |result: &str| (Some(result.to_owned()), EvaluatorKind::Fast);
        let reference = |result: &str| (Some(result.to_owned()), EvaluatorKind::Reference);
        assert_eq!(answered(policy, "data.a.b.x"), fast("4"));
        assert_eq!(answered(policy, "data.a.b.y"), (None, EvaluatorKind::Fast));
        assert_eq!(answered(policy, "data.a.b.z"), fast("12345678901234567890"));
        assert_eq!(answered(policy, "data.given.n"), reference("7"));
        assert_eq!(answered(policy, "data.a[\"b\"]"), reference(r#"{"x":4,"z":12345678901234567890}"#));
        assert_eq!(answered(policy, "data.nowhere"), (None, EvaluatorKind::Reference));
    }

    #[test]
    fn what_the_fast_evaluator_would_do_otherwise_is_answered_by_the_other() {
        let policy = "package p\n\nxs := [x | x := input.missing]\n\nconflict := 1\n\nconflict := 2 if input.n";
        assert_eq!(answered(policy, "data.p.xs"), (Some("[]".to_owned()), EvaluatorKind::Reference));
        let error = answer(&question(policy, "data.p.conflict"), EvaluationLimits::default()).unwrap_err();
        assert_eq!(error.code(), "evaluation.failed");
        assert!(error.to_string().contains("conflict"), "{error}");
    }

    #[test]
    fn the_old_edition_is_read_when_it_is_asked_for() {
        let old = Trial { version: RegoVersion::V0, ..question("package p\n\nx { input.n == 3 }", "data.p.x") };
        assert_eq!(answer(&old, EvaluationLimits::default()).unwrap().result.as_deref(), Some("true"));
        let new = Trial { version: RegoVersion::V1, ..old };
        assert_eq!(answer(&new, EvaluationLimits::default()).unwrap_err().code(), "policy.unreadable");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = question("package p\n\nx := 1", "data.p.x");
        let code = |question: Trial| answer(&question, EvaluationLimits::default()).unwrap_err().code();
        assert_eq!(code(Trial { input: Some("{".to_owned()), ..good.clone() }), "input.unreadable");
        assert_eq!(code(Trial { data: serde_json::json!([]), ..good.clone() }), "data.unusable");
        assert_eq!(code(Trial { query: "1 + 1".to_owned(), ..good.clone() }), "query.unreadable");
        assert_eq!(may_not_end(&good).unwrap(), None);
        let endless = question("package p\n\nx if x", "data.p.x");
        assert!(may_not_end(&endless).unwrap().unwrap().contains("depends on itself"));
    }
}
