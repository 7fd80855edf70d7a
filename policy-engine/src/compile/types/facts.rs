//! What is known to hold where a statement is evaluated, because the other statements of its body have to hold as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use regorus::unstable::{AssignOp, BoolOp, Expr, Literal, Query};

use super::super::names::static_path;
use super::shape::Kinds;
use super::typing::{Typed, Typing};

/// What the bodies around a place demand.
#[derive(Clone, Default)]
pub(crate) struct Facts {
    /// Places that have a value; whether that is so even if an assignment of nothing held.
    present: BTreeMap<String, bool>,
    /// The kinds that values may only be of.
    kinds: BTreeMap<String, Kinds>,
}

impl Facts {
    /// The same, and what the statements of a query demand.
    pub(crate) fn with(&self, typing: &Typing<'_>, query: &Query) -> Self {
        let mut facts = self.clone();
        for statement in query.stmts.iter().filter(|statement| statement.with_mods.is_empty()) {
            match &statement.literal {
                Literal::Expr { expr, .. } => facts.learn(typing, expr),
                Literal::SomeIn { collection, .. } => facts.need(typing, collection, true),
                Literal::SomeVars { .. } | Literal::NotExpr { .. } | Literal::Every { .. } => {}
            }
        }
        facts
    }

    /// What is known of a value here.
    pub(crate) fn narrow(&self, typed: Typed) -> Typed {
        let Some(place) = &typed.place else { return typed };
        let optional = typed.optional && !self.is_present(place, false);
        match self.kinds.get(place) {
            Some(kinds) => Typed { shape: Arc::new(typed.shape.narrowed(*kinds)), optional, ..typed },
            None => Typed { optional, ..typed },
        }
    }

    /// Whether a place has a value; if asked so, whatever an assignment does.
    pub(crate) fn is_present(&self, place: &str, strictly: bool) -> bool {
        let from = self.present.range(place.to_owned()..);
        let begins_so = from.take_while(|(known, _)| known.starts_with(place));
        let mut known = begins_so.filter(|(_, strict)| **strict || !strictly).map(|(known, _)| known);
        known.any(|known| matches!(known.as_bytes().get(place.len()), None | Some(b'.' | b'[')))
    }

    fn learn(&mut self, typing: &Typing<'_>, statement: &Expr) {
        self.need(typing, statement, !matches!(statement, Expr::AssignExpr { op: AssignOp::ColEq, .. }));
        match statement {
            Expr::Call { fcn, params, .. } => {
                if let ([value], Some(kinds)) = (params.as_slice(), asked_kind(&static_path(fcn).join("."))) {
                    self.only(typing, value, kinds);
                }
            }
            Expr::BoolExpr { op: BoolOp::Ne, lhs, rhs, .. } => {
                let not_null = Kinds::ANY.without(Kinds::NULL);
                match (lhs.as_ref(), rhs.as_ref()) {
                    (Expr::Null { .. }, value) | (value, Expr::Null { .. }) => self.only(typing, value, not_null),
                    _ => {}
                }
            }
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, .. } | Expr::AssignExpr { op: AssignOp::Eq, lhs, rhs, .. } => {
                self.equal(typing, lhs, rhs);
                self.equal(typing, rhs, lhs);
            }
            Expr::Membership { value, collection, .. } => {
                let items = typing.expression(collection).shape.any_item();
                self.only(typing, value, items.kinds);
            }
            _ => {}
        }
    }

    fn equal(&mut self, typing: &Typing<'_>, value: &Expr, other: &Expr) {
        self.only(typing, value, typing.expression(other).shape.kinds);
    }

    /// The value of an expression is of these kinds alone.
    fn only(&mut self, typing: &Typing<'_>, value: &Expr, kinds: Kinds) {
        if kinds == Kinds::ANY {
            return;
        }
        if let Some(place) = typing.expression(value).place {
            self.kinds.entry(place).and_modify(|known| *known = known.and(kinds)).or_insert(kinds);
        }
    }

    /// Everything that an expression refers to has a value, or the expression would have none.
    fn need(&mut self, typing: &Typing<'_>, expression: &Expr, strictly: bool) {
        operands(expression, &mut |reference| {
            if let Some(place) = typing.expression(reference).place {
                *self.present.entry(place).or_default() |= strictly;
            }
        });
    }
}

/// The kind that a builtin asks for.
fn asked_kind(builtin: &str) -> Option<Kinds> {
    Some(match builtin {
        "is_number" => Kinds::NUMBER,
        "is_string" => Kinds::STRING,
        "is_boolean" => Kinds::BOOLEAN,
        "is_array" => Kinds::ARRAY,
        "is_object" => Kinds::OBJECT,
        "is_set" => Kinds::SET,
        "is_null" => Kinds::NULL,
        _ => return None,
    })
}

/// Every reference that has to have a value so that the expression has one. What a comprehension refers to need not.
pub(crate) fn operands<'e>(expression: &'e Expr, found: &mut impl FnMut(&'e Expr)) {
    let mut pending = vec![expression];
    while let Some(here) = pending.pop() {
        match here {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => {
                found(here);
                indices(here, &mut pending);
            }
            Expr::Call { params, .. } => pending.extend(params.iter().map(AsRef::as_ref)),
            Expr::Array { items, .. } | Expr::Set { items, .. } => pending.extend(items.iter().map(AsRef::as_ref)),
            Expr::Object { fields, .. } => {
                pending.extend(fields.iter().flat_map(|(_, key, value)| [key.as_ref(), value.as_ref()]));
            }
            Expr::UnaryExpr { expr, .. } => pending.push(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => pending.extend([lhs.as_ref(), rhs.as_ref()]),
            Expr::Membership { key, value, collection, .. } => {
                pending.extend(key.iter().chain([value, collection]).map(AsRef::as_ref));
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. }
            | Expr::ArrayCompr { .. }
            | Expr::SetCompr { .. }
            | Expr::ObjectCompr { .. } => {}
        }
    }
}

/// The expressions in the brackets of a reference.
fn indices<'e>(reference: &'e Expr, into: &mut Vec<&'e Expr>) {
    let mut here = reference;
    loop {
        here = match here {
            Expr::RefDot { refr, .. } => refr,
            Expr::RefBrack { refr, index, .. } => {
                into.push(index);
                refr
            }
            _ => return,
        };
    }
}
