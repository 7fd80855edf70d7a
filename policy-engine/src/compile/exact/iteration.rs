//! Whether an expression is worth one thing or several, one after another.

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Literal, Query};

use super::super::types::Typing;
use super::{is_constant, variable};

/// Whether an expression may be worth several things where a query holds.
pub(super) fn varies(typing: &Typing<'_>, query: Option<&Query>, value: &Expr) -> bool {
    if is_constant(value) {
        return false;
    }
    let mut variables = Variables::default();
    if let Some(query) = query {
        variables.read(query);
        // An assignment can stand before or after what it is made of.
        for _ in 0..=query.stmts.len() {
            variables.spread(typing, query);
        }
    }
    variables.varies(typing, value)
}

/// Whether each time that the query holds the key is another: it is the key of the one collection that is gone through.
pub(super) fn has_keys_of_its_own(key: &Expr, query: &Query) -> bool {
    let mut collections = 0;
    let mut is_its_key = false;
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeIn { key: Some(its), .. } => {
                collections += 1;
                is_its_key |= variable(its).is_some_and(|name| variable(key) == Some(name));
            }
            Literal::SomeIn { .. } | Literal::SomeVars { .. } => return false,
            Literal::Expr { expr, .. } if has_wildcard(expr) => return false,
            Literal::Expr { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }
    collections == 1 && is_its_key
}

#[derive(Default)]
struct Variables<'q> {
    /// Those that are gone through, and what is made of them.
    varying: BTreeSet<&'q str>,
    /// Those that are given a value.
    assigned: BTreeSet<&'q str>,
}

impl<'q> Variables<'q> {
    fn read(&mut self, query: &'q Query) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeIn { key, value, .. } => {
                    key.iter().chain([value]).for_each(|pattern| names(pattern, &mut self.varying));
                }
                Literal::Expr { expr, .. } => {
                    if let Expr::AssignExpr { op, lhs, rhs, .. } = expr.as_ref() {
                        names(lhs, &mut self.assigned);
                        if *op == AssignOp::Eq {
                            names(rhs, &mut self.assigned);
                        }
                    }
                }
                Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
            }
        }
    }

    /// What is made of something that varies, varies.
    fn spread(&mut self, typing: &Typing<'_>, query: &'q Query) {
        for statement in &query.stmts {
            let Literal::Expr { expr, .. } = &statement.literal else { continue };
            if let Expr::AssignExpr { op, lhs, rhs, .. } = expr.as_ref() {
                if self.varies(typing, rhs) {
                    names(lhs, &mut self.varying);
                }
                if *op == AssignOp::Eq && self.varies(typing, lhs) {
                    names(rhs, &mut self.varying);
                }
            }
        }
    }

    fn varies(&self, typing: &Typing<'_>, expression: &Expr) -> bool {
        let mut varies = false;
        each(expression, false, &mut |part, is_inside| match part {
            Expr::Var { span, .. } => varies |= self.varying.contains(span.text()),
            Expr::RefBrack { index, .. } if !is_inside => {
                // A variable in brackets that nothing gives a value is gone through.
                varies |= variable(index).is_some_and(|name| {
                    let is_given = self.assigned.contains(name) || (name != "_" && is_known(typing, name));
                    !is_given || self.varying.contains(name)
                });
            }
            _ => {}
        });
        varies
    }
}

/// The names that a query gives a value.
pub(super) fn declared(query: &Query) -> BTreeSet<&str> {
    let mut variables = Variables::default();
    variables.read(query);
    let some = query.stmts.iter().filter_map(|statement| match &statement.literal {
        Literal::SomeVars { vars, .. } => Some(vars),
        _ => None,
    });
    let some = some.flatten().map(regorus::unstable::Span::text);
    some.chain(variables.varying).chain(variables.assigned).collect()
}

/// Whether a name has a value by itself: a parameter, an import, a rule.
fn is_known(typing: &Typing<'_>, name: &str) -> bool {
    let own = typing.scope.rule_in_package(name);
    typing.is_parameter(name)
        || matches!(name, "input" | "data")
        || typing.scope.import(name).is_some()
        || typing.program.is_or_holds_rules(&own)
}

/// The names in a pattern.
fn names<'q>(pattern: &'q Expr, into: &mut BTreeSet<&'q str>) {
    match pattern {
        Expr::Var { span, .. } => drop(into.insert(span.text())),
        Expr::Array { items, .. } => items.iter().for_each(|item| names(item, into)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| names(value, into)),
        _ => {}
    }
}

fn has_wildcard(expression: &Expr) -> bool {
    let mut found = false;
    each(expression, false, &mut |part, is_inside| {
        found |= !is_inside && matches!(part, Expr::RefBrack { index, .. } if variable(index).is_some());
    });
    found
}

/// Every part of an expression, and whether it lies inside a comprehension.
pub(super) fn each<'e>(expression: &'e Expr, is_inside: bool, visit: &mut impl FnMut(&'e Expr, bool)) {
    visit(expression, is_inside);
    match expression {
        Expr::RefDot { refr, .. } => each(refr, is_inside, visit),
        Expr::RefBrack { refr, index, .. } => [refr, index].into_iter().for_each(|part| each(part, is_inside, visit)),
        Expr::Call { params, .. } => params.iter().for_each(|part| each(part, is_inside, visit)),
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|part| each(part, is_inside, visit));
        }
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [key, value]).for_each(|part| each(part, is_inside, visit));
        }
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            each(term, true, visit);
            within(query, visit);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            [key, value].into_iter().for_each(|part| each(part, true, visit));
            within(query, visit);
        }
        Expr::UnaryExpr { expr, .. } => each(expr, is_inside, visit),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            [lhs, rhs].into_iter().for_each(|part| each(part, is_inside, visit));
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().chain([value, collection]).for_each(|part| each(part, is_inside, visit));
        }
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
    }
}

fn within<'e>(query: &'e Query, visit: &mut impl FnMut(&'e Expr, bool)) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().chain([value, collection]).for_each(|part| each(part, true, visit));
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => each(expr, true, visit),
            Literal::Every { domain, query, .. } => {
                each(domain, true, visit);
                within(query, visit);
            }
        }
    }
}
