//! What the fast evaluator does not do as the reference evaluator does.
//!
//! It is five times as fast, and differs: an assignment of nothing holds (`x := input.missing`), a comprehension has an
//! element for what has no value, one rule that is worth two things is worth nothing or the last of them, `every` passes
//! over what is false. Each of that can turn a deny into an allow. So every difference that was ever seen is looked for
//! before a policy is put in charge; where one may occur, the reference evaluator decides.

mod conflict;
mod iteration;

use std::collections::BTreeSet;
use std::fmt;
use std::ptr;

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Module, Query, Ref, Rule, RuleBody, RuleHead, Span};
use serde::{Deserialize, Serialize};

use super::gate::Location;
use super::graph;
use super::names::{RulePath, static_path};
use super::types::{Here, Program, Visit, is_partial_object, operands, static_text, walk_rule};
use conflict::Conflicts;

/// Why the fast evaluator does not decide.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Inexact {
    /// Where; nowhere in particular when it is about the policy as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// What it would not do as it is written.
    pub message: String,
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Inexact {
    pub(crate) fn new(location: impl Into<Option<Location>>, message: impl Into<String>) -> Self {
        Self { location: location.into(), message: message.into() }
    }
}

/// What of the rules that the decision needs the fast evaluator would not do as it is written.
pub(crate) fn inexact(modules: &[Ref<Module>], program: &Program<'_>, decides: &BTreeSet<RulePath>) -> Vec<Inexact> {
    let mut found = BTreeSet::new();
    let mut conflicts = Conflicts::default();
    for module in modules {
        let scope = program.names().scope(module);
        for rule in &module.policy {
            let path = scope.rule_path(rule);
            if !decides.contains(&path) {
                continue;
            }
            conflicts.define(&path, module, &scope, rule);
            let last = match rule.as_ref() {
                Rule::Spec { bodies, .. } => bodies.last().filter(|body| body.is_else),
                Rule::Default { .. } => None,
            };
            let mut exact = Exact { rule: &path, last, found: &mut found, conflicts: &mut conflicts };
            exact.shape(rule);
            walk_rule(program, &scope, rule, &mut exact);
        }
    }
    found.extend(conflicts.found(program.names()));
    found.into_iter().collect()
}

struct Exact<'a> {
    rule: &'a RulePath,
    /// What stands behind its last `else`.
    last: Option<&'a RuleBody>,
    found: &'a mut BTreeSet<Inexact>,
    conflicts: &'a mut Conflicts,
}

impl Exact<'_> {
    fn push(&mut self, at: &Span, message: impl Into<String>) {
        self.found.insert(Inexact::new(Location::of(at), message));
    }

    /// Heads and defaults that it does not know of.
    fn shape(&mut self, rule: &Rule) {
        match rule {
            Rule::Default { args, value, span, .. } => {
                if !args.is_empty() {
                    self.push(span, "defaults of functions are not applied");
                } else if !is_constant(value) {
                    self.push(value.span(), "a default that is not written out is not worked out");
                }
            }
            Rule::Spec { head, .. } => {
                let (RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. }) = head;
                let inner = match refr.as_ref() {
                    Expr::RefBrack { refr, index, .. } if static_text(index).is_none() && !is_constant(index) => refr,
                    _ => refr,
                };
                if !matches!(inner.as_ref(), Expr::Var { .. }) {
                    self.push(refr.span(), "a rule whose name has several parts is not found by the first of them");
                }
            }
        }
    }

    /// Refuses assignments of what may be nothing, unless something else would not hold then. `strict` are the expressions
    /// beside the query that have no value then.
    fn assignments(&mut self, here: &Here<'_>, query: &Query, strict: &[&Expr]) {
        let mut needed: BTreeSet<&str> = BTreeSet::new();
        let mut need = |expression| {
            operands(expression, &mut |reference| needed.extend(root(reference)));
        };
        strict.iter().for_each(|expression| need(expression));
        let mut assigned: Vec<(&Expr, &Expr)> = Vec::new();
        for statement in query.stmts.iter().filter(|statement| statement.with_mods.is_empty()) {
            match &statement.literal {
                Literal::Expr { expr, .. } => match expr.as_ref() {
                    Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => assigned.push((lhs, rhs)),
                    // What stands alone in an `every` is not asked for.
                    Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } if here.is_every => {}
                    other => need(other),
                },
                Literal::SomeIn { collection, .. } | Literal::Every { domain: collection, .. } => need(collection),
                Literal::SomeVars { .. } | Literal::NotExpr { .. } => {}
            }
        }
        // What is made of nothing is nothing: an assignment that is needed needs those that it is made of.
        for _ in 0..assigned.len() {
            for (lhs, rhs) in &assigned {
                if variable(lhs).is_none_or(|name| needed.contains(name)) {
                    operands(rhs, &mut |reference| needed.extend(root(reference)));
                }
            }
        }
        for (lhs, rhs) in assigned {
            // A pattern does not match nothing.
            if variable(lhs).is_some_and(|name| !needed.contains(name)) && here.may_be_nothing(rhs) {
                let message =
                    format!("the assignment to '{}' holds even when there is nothing to assign", lhs.span().text());
                self.push(lhs.span(), message);
            }
        }
    }

    /// Refuses what may have no value where it is taken for an element all the same.
    fn element(&mut self, here: &Here<'_>, element: &Expr) {
        if here.may_be_nothing(element) {
            let message = format!("'{}' becomes an element even when it has no value", in_short(element));
            self.push(element.span(), message);
        }
    }
}

impl Visit for Exact<'_> {
    fn expression(&mut self, here: &Here<'_>, expression: &Expr) {
        let steps = match expression {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => static_path(expression),
            Expr::Call { fcn, .. } => {
                let steps = static_path(fcn);
                if let [name @ ("walk" | "print")] = steps.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    self.push(fcn.span(), format!("it does not know '{name}'"));
                }
                steps
            }
            _ => return,
        };
        if steps.first().is_none_or(|name| here.typing.is_local(name)) {
            return;
        }
        let names = here.typing.program.names();
        for place in here.typing.scope.places(&steps) {
            let is_in_rule = (1..=place.len()).any(|length| place.get(..length).is_some_and(|path| names.has(path)));
            if !is_in_rule && names.related(&place).next().is_some() {
                let message = format!("rules are not found by what they lie in: {}", graph::name(&place));
                self.push(expression.span(), message);
            }
            self.conflicts.uses(self.rule, place, here.tolerates_nothing, expression.span());
        }
    }

    fn statement(&mut self, here: &Here<'_>, statement: &LiteralStmt) {
        if !statement.with_mods.is_empty() {
            self.push(&statement.span, "it does not know 'with'");
        }
        if here.is_every {
            match &statement.literal {
                Literal::NotExpr { span, .. } => self.push(span, "'every' passes over negations"),
                Literal::Expr { expr, .. }
                    if matches!(expr.as_ref(), Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. }) =>
                {
                    self.push(expr.span(), "'every' passes over what stands alone: compare it with true");
                }
                _ => {}
            }
        }
    }

    fn every(&mut self, here: &Here<'_>, query: &Query) {
        self.assignments(here, query, &[]);
    }

    fn comprehension(&mut self, here: &Here<'_>, comprehension: &Expr) {
        match comprehension {
            Expr::ArrayCompr { term, query, .. } => {
                self.element(here, term);
                self.assignments(here, query, &[]);
            }
            Expr::SetCompr { term, query, .. } => self.assignments(here, query, &[term]),
            Expr::ObjectCompr { key, value, query, .. } => {
                self.element(here, key);
                self.element(here, value);
                self.assignments(here, query, &[]);
                if !is_constant(value) && !iteration::has_keys_of_its_own(key, query) {
                    let message = "of two values for one key it takes the last; the keys may repeat";
                    self.push(comprehension.span(), message);
                }
            }
            _ => {}
        }
    }

    fn head(&mut self, here: &Here<'_>, head: &RuleHead, body: Option<&RuleBody>) {
        let own = body.and_then(|body| body.assign.as_ref()).map(|assign| assign.value.as_ref());
        let (refr, value) = match head {
            RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                (refr, own.or(assign.as_ref().map(|assign| assign.value.as_ref())))
            }
            RuleHead::Set { refr, key, .. } => (refr, key.as_ref().map(AsRef::as_ref)),
        };
        let is_object = is_partial_object(refr);
        if is_object {
            if let Expr::RefBrack { index, .. } = refr.as_ref() {
                self.element(here, index);
            }
            value.iter().for_each(|value| self.element(here, value));
        }
        let is_tried_on = self.last.is_some_and(|last| body.is_some_and(|body| !ptr::eq(last, body)));
        if let Some(value) = value.filter(|value| is_tried_on && here.may_be_nothing(value)) {
            self.push(
                value.span(),
                "a value that may be nothing ends the search, and what stands behind 'else' is not tried",
            );
        }
        if let Some(body) = body {
            let strict: Vec<&Expr> = value.filter(|_| !is_object && !is_tried_on).into_iter().collect();
            self.assignments(here, &body.query, &strict);
        }
        let query = body.map(|body| body.query.as_ref());
        let Some(value) = value.filter(|value| iteration::varies(&here.typing, query, value)) else { return };
        let key = match refr.as_ref() {
            Expr::RefBrack { index, .. } if is_object => Some(index),
            _ => None,
        };
        let is_one_for_each_key = key.zip(query).is_some_and(|(key, query)| iteration::has_keys_of_its_own(key, query));
        if !matches!(head, RuleHead::Set { .. }) && !is_one_for_each_key {
            self.push(value.span(), format!("of several values of {} it takes the last", graph::name(self.rule)));
        }
    }
}

/// Whether a value is written out.
fn is_constant(expression: &Expr) -> bool {
    match expression {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {
            true
        }
        Expr::UnaryExpr { expr, .. } => is_constant(expr),
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().all(|item| is_constant(item)),
        Expr::Object { fields, .. } => fields.iter().all(|(_, key, value)| is_constant(key) && is_constant(value)),
        _ => false,
    }
}

/// The name, if it is nothing but one.
fn variable(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Var { span, .. } => Some(span.text()),
        _ => None,
    }
}

/// The name that a reference begins with.
fn root(reference: &Expr) -> Option<&str> {
    match reference {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => root(refr),
        other => variable(other),
    }
}

/// How an expression is written, on one line and not too long.
fn in_short(expression: &Expr) -> String {
    const LONGEST: usize = 60;
    let text: String = expression.span().text().split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain(['…']).collect() }
}

#[cfg(test)]
mod tests;
