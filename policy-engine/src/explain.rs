//! How a decision came about: the same input once more, on the reference evaluator, with every line watched.
//!
//! For people, and slow: the policy is parsed anew each time, so that nothing here costs a decision anything. What it finds
//! decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regorus::Engine;
use regorus::unstable::{Rule, RuleHead};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_policies::Bundle;

use crate::compile::{self, CompileError, Location};
use crate::evaluate::{Document, Evaluate, EvaluationError, EvaluationLimits, ReferenceEvaluator, add_data};

/// The most rules whose values are told.
pub const MAX_RULES: usize = 500;
/// The most of all values together, in bytes. Those beyond are left out.
pub const MAX_VALUES_LEN: usize = 256 * 1024;
/// The most that one rule may take. More than a decision, for every line is watched.
const RULE_TIME: Duration = Duration::from_secs(1);
/// The most that all rules may take together.
const ALL_RULES_TIME: Duration = Duration::from_secs(10);

/// How the value of a rule came about.
#[derive(Debug)]
pub struct Explanation {
    /// The value, or why there is none.
    pub value: Result<Document, EvaluationError>,
    /// The lines that were evaluated, file by file.
    pub coverage: Vec<FileCoverage>,
    /// What the policy printed.
    pub prints: Vec<String>,
    /// The lines on which rules begin, file by file.
    pub rules_begin: BTreeMap<String, BTreeSet<u32>>,
}

/// Which lines of a file were evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileCoverage {
    /// The file, by its path in the bundle.
    pub path: String,
    /// Lines that were evaluated, from 1.
    pub covered: Vec<u32>,
    /// Lines that could have been and were not: an earlier condition failed, or nobody needed them.
    pub not_covered: Vec<u32>,
}

/// What a rule is worth for an input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleValue {
    /// The rule: `data.vouchsafe.allow`.
    pub rule: String,
    /// The file in which it is first defined.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// Its value; absent when it is undefined, could not be evaluated, or is too long to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<serde_json::Value>,
    /// Why it could not be evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Explains the value of a rule for an input. Waits: call it where that harms nobody.
///
/// # Errors
/// When the bundle cannot be prepared.
pub fn explain(bundle: &Bundle, rule: &str, input: &Document) -> Result<Explanation, CompileError> {
    let mut watched = prepared(bundle)?;
    compile::apart(|| {
        let rules_begin = rules_begin(&mut watched);
        watched.set_enable_coverage(true);
        watched.set_gather_prints(true);
        let mut evaluator = ReferenceEvaluator::of_rule(watched, rule, limits());
        let value = evaluator.evaluate(input);
        Ok(Explanation { value, coverage: evaluator.covered(), prints: evaluator.take_prints(), rules_begin })
    })
}

/// The value of every rule of the policies for an input, functions not counted: they have none of their own. Waits.
///
/// # Errors
/// When the bundle cannot be prepared.
pub fn rule_values(bundle: &Bundle, input: &Document) -> Result<Vec<RuleValue>, CompileError> {
    let mut engine = prepared(bundle)?;
    compile::apart(|| {
        let rules = rules(&mut engine);
        engine.set_gather_prints(true);
        let began = std::time::Instant::now();
        let (mut values, mut room) = (Vec::with_capacity(rules.len()), MAX_VALUES_LEN);
        for (rule, location) in rules.into_iter().take(MAX_RULES) {
            let value = if began.elapsed() < ALL_RULES_TIME {
                ReferenceEvaluator::of_rule(engine.clone(), &rule, limits()).evaluate(input)
            } else {
                Err(EvaluationError::TimeLimit { limit: ALL_RULES_TIME })
            };
            let error = value.as_ref().err().map(ToString::to_string);
            let value = value.ok().filter(|value| !value.is_undefined()).map(|value| value.to_json());
            let length = value.as_ref().map_or(0, |value| value.to_string().len());
            let value = value.filter(|_| length <= room);
            room -= value.as_ref().map_or(0, |_| length);
            values.push(RuleValue { rule, file: location.file, line: location.line, value, error });
        }
        Ok(values)
    })
}

fn prepared(bundle: &Bundle) -> Result<Engine, CompileError> {
    let mut engine = compile::parse_policies(bundle)?;
    add_data(&mut engine, bundle)?;
    Ok(engine)
}

fn limits() -> EvaluationLimits {
    EvaluationLimits { time: RULE_TIME, ..EvaluationLimits::default() }
}

fn rules_begin(engine: &mut Engine) -> BTreeMap<String, BTreeSet<u32>> {
    let mut begins: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for rule in engine.get_modules().iter().flat_map(|module| &module.policy) {
        let Location { file, line, .. } = Location::of(rule.span());
        begins.entry(file).or_default().insert(line);
    }
    begins
}

impl Explanation {
    /// Lines that could have been evaluated and were not, of rules of which others were: what came before them failed, or
    /// was enough.
    pub fn skipped<'a>(&'a self, file: &'a FileCoverage) -> impl Iterator<Item = u32> + 'a {
        let begins = self.rules_begin.get(&file.path);
        let rule_of = move |line: u32| begins.and_then(|begins| begins.range(..=line).next_back()).copied();
        let entered: BTreeSet<_> = file.covered.iter().map(|line| rule_of(*line)).collect();
        file.not_covered.iter().copied().filter(move |line| entered.contains(&rule_of(*line)))
    }
}

/// The rules that have a value, each where it is first defined, by name.
fn rules(engine: &mut Engine) -> BTreeMap<String, Location> {
    let modules = engine.get_modules().clone();
    let names = compile::Names::of(&modules);
    let mut rules = BTreeMap::new();
    for module in &modules {
        let scope = names.scope(module);
        for rule in &module.policy {
            if !matches!(rule.as_ref(), Rule::Spec { head: RuleHead::Func { .. }, .. }) {
                let name = compile::rule_name(&scope.rule_path(rule));
                rules.entry(name).or_insert_with(|| Location::of(rule.span()));
            }
        }
    }
    rules
}
