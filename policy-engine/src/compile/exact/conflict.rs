//! Rules that may be worth two things at once.
//!
//! That is an error to the reference evaluator, and nothing to the fast one, which goes on: a negation of it is true, a
//! reason that needed it is not given. So definitions of one rule have to be worth the same, or to exclude each other as
//! far as can be seen; or else all that builds on the rule has to fail with it.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, Module, Query, Rule, RuleHead, Span};

use super::super::gate::Location;
use super::super::graph;
use super::super::names::{Names, RulePath, Scope};
use super::super::types::{is_partial_object, static_text};
use super::{Inexact, is_constant, iteration, variable};

/// What is known of the rules.
#[derive(Default)]
pub(super) struct Conflicts {
    rules: BTreeMap<RulePath, Known>,
    uses: Vec<Use>,
}

#[derive(Default)]
struct Known {
    definitions: Vec<Definition>,
    /// Whether the rule is worth something when a part of it fails: it is a set or an object, or has a default or an `else`.
    tolerates: bool,
}

/// One body of a rule.
struct Definition {
    location: Location,
    /// The file: names mean the same in one file alone.
    file: String,
    /// The value, if it is written out.
    value: Option<String>,
    guards: Vec<Guard>,
}

/// A condition without variables of its own.
struct Guard {
    /// What it is about.
    about: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// It holds.
    Holds,
    /// It does not.
    HoldsNot,
    /// It is this, or is not.
    Equals(String),
    Differs(String),
    /// It lies below, or above, a number; whether the number itself is meant as well.
    Below(f64, bool),
    Above(f64, bool),
}

struct Use {
    rule: RulePath,
    place: RulePath,
    tolerates: bool,
    location: Location,
}

impl Conflicts {
    /// Takes note of a definition.
    pub(super) fn define(&mut self, path: &RulePath, module: &Module, scope: &Scope<'_>, rule: &Rule) {
        let known = self.rules.entry(path.clone()).or_default();
        let Rule::Spec { head, bodies, span } = rule else {
            known.tolerates = true;
            return;
        };
        let (assign, arguments) = match head {
            RuleHead::Set { .. } => (None, &[][..]),
            RuleHead::Compr { assign, .. } => (assign.as_ref(), &[][..]),
            RuleHead::Func { assign, args, .. } => (assign.as_ref(), args.as_slice()),
        };
        if matches!(head, RuleHead::Set { .. })
            || matches!(head, RuleHead::Compr { refr, .. } if is_partial_object(refr))
        {
            known.tolerates = true;
            return;
        }
        let parameters: Vec<&str> = arguments.iter().filter_map(|argument| variable(argument)).collect();
        let value = |own: Option<&Expr>| match own {
            Some(value) => is_constant(value).then(|| written(value)),
            None => Some("true".to_owned()),
        };
        let head_value = assign.map(|assign| assign.value.as_ref());
        let file = module.package.span.source.file().clone();
        let mut definition = Definition {
            location: Location::of(span),
            file,
            value: value(head_value),
            // Arguments that are written out are conditions as well.
            guards: arguments.iter().enumerate().filter_map(|(number, written)| argument(number, written)).collect(),
        };
        match bodies.as_slice() {
            [] => known.definitions.push(definition),
            [body] => {
                definition.guards.extend(guards(scope, &parameters, &body.query));
                known.definitions.push(definition);
            }
            // Bodies that follow one another with `else` exclude each other; what excludes them from others is not asked.
            [_, more @ ..] if more.iter().all(|body| body.is_else) => {
                known.tolerates = true;
                known.definitions.push(Definition { value: None, ..definition });
            }
            several => {
                known.definitions.extend(several.iter().map(|body| Definition {
                    location: Location::of(&body.span),
                    file: definition.file.clone(),
                    value: definition.value.clone(),
                    guards: guards(scope, &parameters, &body.query),
                }));
            }
        }
    }

    /// Takes note that a rule looks at a place; whether it may go on if there is nothing.
    pub(super) fn uses(&mut self, rule: &RulePath, place: RulePath, tolerates: bool, at: &Span) {
        self.uses.push(Use { rule: rule.clone(), place, tolerates, location: Location::of(at) });
    }

    /// Rules that may be worth two things at once, where something builds on them that does not fail with them.
    pub(super) fn found(&self, names: &Names) -> Vec<Inexact> {
        let mut doubtful: BTreeMap<&RulePath, &Location> = BTreeMap::new();
        for (path, known) in &self.rules {
            if let Some(location) = known.doubt() {
                doubtful.insert(path, location);
            }
        }
        let mut found = BTreeSet::new();
        // What fails with a doubtful rule is as doubtful as the rule.
        for _ in 0..=self.rules.len() {
            let mut more = Vec::new();
            for used in &self.uses {
                let Some((rule, known)) = self.rules.get_key_value(&used.rule) else { continue };
                let mut related = names.related(&used.place);
                let Some((doubted, location)) = related.find_map(|path| doubtful.get_key_value(path)) else { continue };
                if used.tolerates || known.tolerates || known.definitions.len() > 1 {
                    let message = format!(
                        "{} may be worth two things at once, which it takes for nothing and goes on ({})",
                        graph::name(doubted),
                        used.location
                    );
                    found.insert(Inexact::new((*location).clone(), message));
                } else if !doubtful.contains_key(rule) {
                    more.push((rule, *location));
                }
            }
            if more.is_empty() {
                break;
            }
            doubtful.extend(more);
        }
        found.into_iter().collect()
    }
}

impl Known {
    /// Where a definition stands that may hold beside another of another value.
    fn doubt(&self) -> Option<&Location> {
        let definitions = self.definitions.iter().enumerate();
        definitions
            .flat_map(|(number, one)| self.definitions.iter().skip(number + 1).map(move |other| (one, other)))
            .find(|(one, other)| !one.agrees_with(other))
            .map(|(_, other)| &other.location)
    }
}

impl Definition {
    fn agrees_with(&self, other: &Self) -> bool {
        let same = self.value.is_some() && self.value == other.value;
        let excludes = |one: &Guard, other: &Guard| one.about == other.about && one.test.excludes(&other.test);
        same || (self.file == other.file
            && self.guards.iter().any(|guard| other.guards.iter().any(|other| excludes(guard, other))))
    }
}

impl Test {
    fn excludes(&self, other: &Self) -> bool {
        self.excludes_one_way(other) || other.excludes_one_way(self)
    }

    fn excludes_one_way(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Holds, Self::HoldsNot) => true,
            (Self::HoldsNot, Self::Equals(value)) => value == "true",
            (Self::Holds, Self::Equals(value)) => value == "false",
            (Self::Equals(one), Self::Equals(other)) => one != other,
            (Self::Equals(one), Self::Differs(other)) => one == other,
            (Self::Below(top, with_top), Self::Above(bottom, with_bottom)) => {
                top < bottom || (top <= bottom && !(*with_top && *with_bottom))
            }
            (Self::Equals(value), Self::Below(top, with_top)) => {
                value.parse().is_ok_and(|value: f64| value > *top || (value >= *top && !with_top))
            }
            (Self::Equals(value), Self::Above(bottom, with_bottom)) => {
                value.parse().is_ok_and(|value: f64| value < *bottom || (value <= *bottom && !with_bottom))
            }
            _ => false,
        }
    }
}

fn argument(number: usize, argument: &Expr) -> Option<Guard> {
    let test = Test::Equals(written(argument));
    is_constant(argument).then(|| Guard { about: format!("argument {number}"), test })
}

/// The conditions of a query that are about nothing but input, data, rules and parameters.
fn guards(scope: &Scope<'_>, parameters: &[&str], query: &Query) -> Vec<Guard> {
    let mut found = Vec::new();
    for statement in query.stmts.iter().filter(|statement| statement.with_mods.is_empty()) {
        let (expression, holds) = match &statement.literal {
            Literal::Expr { expr, .. } => (expr, Test::Holds),
            Literal::NotExpr { expr, .. } => (expr, Test::HoldsNot),
            _ => continue,
        };
        if !is_steady(scope, parameters, query, expression) {
            continue;
        }
        if holds == Test::Holds {
            found.extend(comparison(expression));
        }
        found.push(Guard { about: written(expression), test: holds });
    }
    found
}

fn comparison(expression: &Expr) -> Option<Guard> {
    let (op, lhs, rhs) = match expression {
        Expr::BoolExpr { op, lhs, rhs, .. } => (op, lhs, rhs),
        Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => (&BoolOp::Eq, lhs, rhs),
        _ => return None,
    };
    let number = |value: &Expr| match value {
        Expr::Number { value, .. } => value.as_f64().ok(),
        _ => None,
    };
    let (about, value, is_turned) = if is_constant(rhs) { (lhs, rhs, false) } else { (rhs, lhs, true) };
    if !is_constant(value) {
        return None;
    }
    let test = match (op, is_turned) {
        (BoolOp::Eq, _) => Test::Equals(written(value)),
        (BoolOp::Ne, _) => Test::Differs(written(value)),
        (BoolOp::Lt, false) | (BoolOp::Gt, true) => Test::Below(number(value)?, false),
        (BoolOp::Le, false) | (BoolOp::Ge, true) => Test::Below(number(value)?, true),
        (BoolOp::Gt, false) | (BoolOp::Lt, true) => Test::Above(number(value)?, false),
        (BoolOp::Ge, false) | (BoolOp::Le, true) => Test::Above(number(value)?, true),
    };
    Some(Guard { about: written(about), test })
}

/// Whether an expression is worth the same wherever it stands in the file: it names nothing that its query gives a value,
/// and goes through nothing.
fn is_steady(scope: &Scope<'_>, parameters: &[&str], query: &Query, expression: &Expr) -> bool {
    let declared = iteration::declared(query);
    let is_known = |name: &str| {
        !declared.contains(name)
            && (parameters.contains(&name)
                || matches!(name, "input" | "data")
                || scope.import(name).is_some()
                || scope.is_own_rule(name))
    };
    let mut is_steady = true;
    iteration::each(expression, false, &mut |part, is_inside| match part {
        Expr::Var { span, .. } => is_steady &= !is_inside && is_known(span.text()),
        _ => is_steady &= !is_inside,
    });
    is_steady
}

/// How an expression is written, without regard to spaces.
fn written(expression: &Expr) -> String {
    // The span of a text is what stands between its quotes.
    if let Some(text) = static_text(expression) {
        return format!("{text:?}");
    }
    expression.span().text().split_whitespace().collect::<Vec<_>>().join(" ")
}
