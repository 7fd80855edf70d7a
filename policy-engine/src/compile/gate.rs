//! What is refused before it is ever run, because at run time it would be too late.
//!
//! Both evaluators of regorus recurse on the native stack, whose overflow ends the process and cannot be caught; and a
//! builtin cannot be interrupted while it allocates. So a policy is refused when a rule can reach itself, when rules call
//! rules too deep, when expressions nest too deep, and when a builtin is asked for more than can be seen to be little.

use std::collections::BTreeSet;
use std::fmt;

use regorus::unstable::{Expr, Module, Ref, Span};
use serde::{Deserialize, Serialize};

use super::graph::RuleGraph;
use super::lint;
use super::names::{Names, RulePath};
use super::scan::{self, Call};
use crate::wanted::Wanted;

/// The longest chain of rules of which each needs the next.
pub(super) const MAX_RULE_DEPTH: usize = 32;
/// The deepest that expressions may nest.
pub(super) const MAX_EXPRESSION_DEPTH: usize = 64;
/// The most elements of a range of numbers.
pub(super) const MAX_RANGE_LEN: i64 = 10_000;

/// The greatest shift to the left, in bits.
const MAX_SHIFT: i64 = 1024;

/// A place in a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The file, by its path in the bundle.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Location {
    /// Where a span begins. The line and column that spans carry are those of their last token.
    pub(crate) fn of(span: &Span) -> Self {
        let begin = usize::try_from(span.start).unwrap_or_default();
        let before = span.source.contents().get(..begin).unwrap_or_default();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1);
        let line = count(before.matches('\n').count());
        let column = count(before.rsplit('\n').next().unwrap_or_default().chars().count());
        Self { file: span.source.file().clone(), line, column }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a policy is not run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GateError {
    /// A rule needs itself, directly or through others.
    #[error(
        "{location}: {} depends on itself: {} (a variable with the name of a rule counts as the rule: give it another \
         name)",
        chain.first().map_or("a rule", String::as_str),
        chain.join(" → ")
    )]
    Recursion {
        /// The rules, each needing the next, the first again at the end.
        chain: Vec<String>,
        /// Where the first is defined.
        location: Location,
    },
    /// Rules need rules that need rules, too far down.
    #[error("{location}: {rule} needs a chain of more than {MAX_RULE_DEPTH} rules")]
    RulesTooDeep {
        /// The first of them.
        rule: String,
        /// Where it is defined.
        location: Location,
    },
    /// Expressions in expressions, too far down.
    #[error("{location}: expressions are nested deeper than {MAX_EXPRESSION_DEPTH}")]
    ExpressionsTooDeep {
        /// The expression.
        location: Location,
    },
    /// Brackets in brackets, each of which the parser reads again for those around it.
    #[error("{location}: brackets are nested so that this would be read {times} times")]
    ReadTooOften {
        /// How often.
        times: u64,
        /// What.
        location: Location,
    },
    /// A builtin whose cost nobody can see beforehand.
    #[error("{location}: {function} may take any amount of memory: {advice}")]
    Unbounded {
        /// The builtin.
        function: String,
        /// The call.
        location: Location,
        /// What is acceptable.
        advice: &'static str,
    },
}

/// What is known of policies that are harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// What of the input they may look at.
    pub(crate) wanted: Wanted,
    /// Whether the same input always has the same value: nothing asks for the time, or for what is random.
    pub(crate) is_repeatable: bool,
    /// The rules that the decision needs, the one that decides among them; empty when that is not there.
    pub(crate) decides: BTreeSet<RulePath>,
}

/// Inspects parsed policies, of which the rule at this place decides.
pub(crate) fn inspect(modules: &[Ref<Module>], decides: &[String]) -> Result<Inspected, GateError> {
    let names = Names::of(modules);
    let mut inputs = BTreeSet::new();
    let mut graph = RuleGraph::default();
    let mut is_repeatable = true;
    for module in modules {
        let scope = names.scope(module);
        for rule in &module.policy {
            let uses = scan::scan(rule, &scope)?;
            for call in &uses.calls {
                check_call(call)?;
                is_repeatable &= !lint::is_nondeterministic(&call.function);
            }
            let needs = uses.references.iter().flat_map(|prefix| names.related(prefix));
            graph.add(scope.rule_path(rule), &Location::of(rule.span()), needs);
            inputs.extend(uses.inputs);
        }
    }
    graph.check()?;
    Ok(Inspected { wanted: Wanted::at(&inputs), is_repeatable, decides: graph.reached_from(decides) })
}

/// Refuses calls whose cost grows with a number that is not written in the policy.
fn check_call(call: &Call<'_>) -> Result<(), GateError> {
    let advice = match call.function.as_str() {
        "numbers.range" | "numbers.range_step" => match call.arguments {
            [from, to, ..] if is_short_range(from, to) => return Ok(()),
            _ => "write both ends as numbers, at most 10000 apart",
        },
        "bits.lsh" => match call.arguments {
            [_, shift] if integer(shift).is_some_and(|bits| (0..=MAX_SHIFT).contains(&bits)) => return Ok(()),
            _ => "write the shift as a number, at most 1024",
        },
        "net.cidr_expand" => "use net.cidr_contains",
        "graph.reachable_paths" => "use graph.reachable",
        _ => return Ok(()),
    };
    Err(GateError::Unbounded { function: call.function.clone(), location: Location::of(call.span), advice })
}

fn is_short_range(from: &Expr, to: &Expr) -> bool {
    match (integer(from), integer(to)) {
        (Some(from), Some(to)) => from.checked_sub(to).is_some_and(|length| length.abs() < MAX_RANGE_LEN),
        _ => false,
    }
}

/// The whole number that is written there, if one is.
fn integer(expression: &Expr) -> Option<i64> {
    match expression {
        Expr::Number { value, .. } => value.as_i64().ok(),
        Expr::UnaryExpr { expr, .. } => match expr.as_ref() {
            Expr::Number { value, .. } => value.as_i64().ok()?.checked_neg(),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regorus::Engine;

    fn inspected(policies: &[&str]) -> Result<Wanted, GateError> {
        let mut engine = Engine::new();
        for (number, policy) in policies.iter().enumerate() {
            engine.add_policy(format!("{number}.rego"), (*policy).to_owned()).unwrap();
        }
        inspect(engine.get_modules(), &[]).map(|inspected| inspected.wanted)
    }

    #[test]
    fn recursion_is_found_wherever_it_hides() {
        for policy in [
            "x if x",
            "x if not x",
            "x if y\ny if x",
            "x := y + 1\ny := x - 1",
            "f(n) := f(n - 1)",
            "f(n) := 1 if { n == 0 } else := f(n - 1)",
            "x := [y | some y in x]",
            "x := {y | y := data.p.x}",
            "x := {\"k\": y | y := data[\"p\"].x}",
            "x := data.p[input.name]",
            "x := data[input.name]",
            "x := count(data)",
            "x contains y if some y in x",
            "x[y] := 1 if some y in x",
            "x if { every y in [1] { data.p.x == y } }",
            "x := 1 if { input.a } else := x",
            "default x := false\nx if y == true\ny := input.a if x",
            "x if input.a with input.a as x",
            "x if f(1) with f as data.p.x\nf(n) := n",
            "x.a := 1 if data.p.x.a == 1",
            "x.a := 1 if data.p.x",
            "x.a := 1 if x.a.b",
            "x := y.z\ny := {\"z\": x}",
            "x := 1 if [y, 1] = [x, 1]",
            "x := {1} & x",
            "x := {x: 1}",
            "x := 1 if input[x]",
            "x := sprintf(\"%v\", [x])",
            "x := -x",
        ] {
            let error = inspected(&[&format!("package p\n\n{policy}")]);
            assert!(matches!(error, Err(GateError::Recursion { .. })), "{policy}: {error:?}");
        }
    }

    #[test]
    fn recursion_is_found_across_packages_and_imports() {
        for other in [
            "import data.p\n\ny := p.x",
            "import data.p.x as z\n\ny := z",
            "y := data.p.x",
            "import data.p as q\n\ny := q[\"x\"]",
        ] {
            let error = inspected(&[
                "package p\n\nimport data.lib.other\n\nx := other.y",
                &format!("package lib.other\n\n{other}"),
            ])
            .unwrap_err();
            let GateError::Recursion { chain, location } = error else { panic!("{other}: {error:?}") };
            assert_eq!(chain.first(), chain.last());
            assert_eq!(chain.len(), 3, "{other}: {chain:?}");
            assert!(location.line >= 3);
        }
    }

    #[test]
    fn the_cycle_is_named() {
        let error = inspected(&["package p\n\na if b\n\nb if c\n\nc if b"]).unwrap_err();
        assert!(
            error.to_string().starts_with("0.rego:5:1: data.p.b depends on itself: data.p.b → data.p.c → data.p.b ("),
            "{error}"
        );
    }

    #[test]
    fn what_only_looks_like_recursion_passes() {
        for policy in [
            "x := input.x",
            "x := f(1)\nf(x) := x",
            "x := {\"x\": 1}.x",
            "x := \"x\"",
            "x := input.data.p.x",
            "x := data.q.x",
            "x.a := 1\nx.b := data.p.x.a",
            "x if y\nz if y\ny if input.y",
            "f(n) := g(n)\ng(n) := n + 1",
        ] {
            assert!(inspected(&[&format!("package p\n\n{policy}")]).is_ok(), "{policy}");
        }
    }

    #[test]
    fn one_rule_more_than_the_longest_chain_is_refused() {
        let chain = |length: usize| {
            let rules: Vec<_> = (1..length).map(|n| format!("r{n} := r{}", n + 1)).collect();
            format!("package p\n\n{}\nr{length} := 1", rules.join("\n"))
        };
        assert!(inspected(&[&chain(MAX_RULE_DEPTH)]).is_ok());
        let error = inspected(&[&chain(MAX_RULE_DEPTH + 1)]).unwrap_err();
        assert_eq!(error.to_string(), "0.rego:3:1: data.p.r1 needs a chain of more than 32 rules");
    }

    #[test]
    fn one_term_more_than_the_deepest_expression_is_refused() {
        let sum = |terms: usize| format!("package p\n\nx := {}", vec!["1"; terms].join(" + "));
        assert!(inspected(&[&sum(MAX_EXPRESSION_DEPTH)]).is_ok());
        assert!(matches!(inspected(&[&sum(MAX_EXPRESSION_DEPTH + 1)]), Err(GateError::ExpressionsTooDeep { .. })));
    }

    #[test]
    fn builtins_take_no_more_than_is_written() {
        for call in [
            "numbers.range(1, 10000)",
            "numbers.range(-5, 5)",
            "numbers.range_step(0, 9999, 2)",
            "bits.lsh(1, 1024)",
            "net.cidr_contains(\"10.0.0.0/8\", input.ip)",
        ] {
            assert!(inspected(&[&format!("package p\n\nx := {call}")]).is_ok(), "{call}");
        }
        for call in [
            "numbers.range(1, 10001)",
            "numbers.range(1, input.n)",
            "numbers.range(-9223372036854775808, 9223372036854775807)",
            "numbers.range_step(0, input.n, 1)",
            "bits.lsh(1, 1025)",
            "bits.lsh(1, input.n)",
            "net.cidr_expand(\"10.0.0.0/8\")",
            "graph.reachable_paths(input.graph, {\"a\"})",
            "[y | y := numbers.range(1, input.n)[_]]",
        ] {
            let error = inspected(&[&format!("package p\n\nx := {call}")]);
            assert!(matches!(error, Err(GateError::Unbounded { .. })), "{call}: {error:?}");
        }
    }

    #[test]
    fn what_a_policy_may_look_at_is_known() {
        let whole = || vec![Vec::new()];
        for (policy, expected) in [
            ("x := input.device.score", vec![vec!["device", "score"]]),
            ("x := input.device.factors[0].value", vec![vec!["device", "factors"]]),
            ("x := input[\"device\"].claims.os", vec![vec!["device", "claims", "os"]]),
            ("x if \"ops\" in input.user.roles", vec![vec!["user", "roles"]]),
            ("import input.user\n\nx := user.id", vec![vec!["user", "id"]]),
            ("import input.device as d\n\nx := d.score", vec![vec!["device", "score"]]),
            ("x := y.claims if y := input.device", vec![vec!["device"]]),
            ("x := object.get(input.device, \"claims\", null)", vec![vec!["device"]]),
            ("x := input.device[y] if y := \"claims\"", vec![vec!["device"]]),
            ("x if input.device == null", vec![vec!["device", ""]]),
            ("x if 1 < input.device.score", vec![vec!["device", "score", ""]]),
            ("x if input.device == input.user", vec![vec!["device"], vec!["user"]]),
            ("x if input.device == [null]", vec![vec!["device"]]),
            ("f(i) := i.user\n\nx := f(input)", whole()),
            ("x := input[y] if y := \"user\"", whole()),
            ("x := [y | walk(input, y)]", whole()),
            ("x := {y | some y, _ in input}", whole()),
        ] {
            let places: Vec<Vec<String>> =
                expected.iter().map(|place| place.iter().map(ToString::to_string).collect()).collect();
            let found = inspected(&[&format!("package p\n\n{policy}")]).unwrap();
            assert_eq!(found, Wanted::at(&places), "{policy}");
        }
    }
}
