//! Inputs that tests state, given to both evaluators.
//!
//! A test says `vouchsafe.decision.allow with input as EXPRESSION`. The expression is evaluated on its own, in the test's
//! package, and its value put to both evaluators as a question. Expressions that need variables of their test are passed
//! over.

use regorus::Engine;
use regorus::unstable::{Expr, Literal, Module, Query, Rule};

use crate::compile::{self, Location};
use crate::evaluate::{Document, Evaluate, EvaluationLimits, ReferenceEvaluator};

/// The most inputs that are compared.
const MAX_PROBES: usize = 2_000;

/// An input for which the two evaluators differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Where the input is stated.
    pub location: Location,
    /// The input.
    pub input: serde_json::Value,
    /// What the reference evaluator answers, or its error.
    pub reference: String,
    /// What the fast evaluator answers, or its error.
    pub fast: String,
}

/// A rule whose value is an input.
pub(super) struct Probe {
    location: Location,
    /// A file of its own: package, imports, and the rule.
    source: String,
    rule: String,
}

/// Finds the inputs that all tests state.
pub(super) fn find(engine: &mut Engine) -> Vec<Probe> {
    let modules = engine.get_modules().clone();
    let names = compile::Names::of(&modules);
    let mut probes = Vec::new();
    for module in &modules {
        let scope = names.scope(module);
        for rule in &module.policy {
            for input in stated_inputs(rule) {
                let name = format!("stated_input_{}", probes.len());
                let rule = compile::rule_name(&scope.rule_in_package(&name));
                let source = format!("{}\n{name} := {}\n", preamble(module), input.span().text());
                probes.push(Probe { location: Location::of(input.span()), source, rule });
            }
        }
    }
    probes.truncate(MAX_PROBES);
    probes
}

/// The values of the probes. Those that cannot be evaluated on their own are left out.
pub(super) fn inputs(engine: &Engine, probes: &[Probe], limits: EvaluationLimits) -> Vec<(Location, Document)> {
    let value = |probe: &Probe| {
        let mut engine = engine.clone();
        engine.add_policy(probe.location.file.clone(), probe.source.clone()).ok()?;
        let mut evaluator = ReferenceEvaluator::of_rule(engine, &probe.rule, limits);
        let value = evaluator.evaluate(&Document::of(&serde_json::Value::Null)).ok()?;
        (!value.is_undefined()).then(|| (probe.location.clone(), value))
    };
    probes.iter().filter_map(value).collect()
}

/// Puts every input to both evaluators.
pub(super) fn compare(
    inputs: &[(Location, Document)],
    fast: &mut impl Evaluate,
    reference: &mut impl Evaluate,
) -> Vec<Difference> {
    let difference = |(location, input): &(Location, Document)| {
        let (fast, reference) = (fast.evaluate(input), reference.evaluate(input));
        let same = match (&fast, &reference) {
            (Ok(fast), Ok(reference)) => fast == reference,
            // Two errors are two denies; the machine swallows some errors of rules, whose value is then undefined.
            (Err(_), Err(_)) => true,
            (Ok(value), Err(_)) | (Err(_), Ok(value)) => value.is_undefined(),
        };
        let shown = |outcome: Result<Document, _>| match outcome {
            Ok(document) => format!("{document:?}"),
            Err(error) => crate::evaluate::EvaluationError::to_string(&error),
        };
        (!same).then(|| Difference {
            location: location.clone(),
            input: input.to_json(),
            reference: shown(reference),
            fast: shown(fast),
        })
    };
    inputs.iter().filter_map(difference).collect()
}

/// What stands between `with input as` and its end, for every such place in a rule.
fn stated_inputs(rule: &Rule) -> Vec<&Expr> {
    let Rule::Spec { bodies, .. } = rule else { return Vec::new() };
    let mut queries: Vec<&Query> = bodies.iter().map(|body| body.query.as_ref()).collect();
    let mut inputs = Vec::new();
    while let Some(query) = queries.pop() {
        for statement in &query.stmts {
            if let Literal::Every { query, .. } = &statement.literal {
                queries.push(query);
            }
            let replaced = statement.with_mods.iter().filter(|replaced| replaced.refr.span().text() == "input");
            inputs.extend(replaced.map(|replaced| replaced.r#as.as_ref()));
        }
    }
    inputs
}

/// Package and imports of a file, as they are written.
fn preamble(module: &Module) -> String {
    let mut text = format!("package {}\n", module.package.refr.span().text());
    for import in &module.imports {
        text.push_str("import ");
        text.push_str(import.refr.span().text());
        if let Some(alias) = &import.r#as {
            text.push_str(" as ");
            text.push_str(alias.text());
        }
        text.push('\n');
    }
    text
}
