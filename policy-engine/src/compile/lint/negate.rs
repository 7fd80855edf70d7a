//! Negations that are true when what they ask of is missing.
//!
//! `not startswith(input.user.id, "admin")` is true here when nobody knows the user, while it has no value in OPA, which
//! evaluates the argument outside of the negation. Written in a condition, it lets in whoever says nothing.

use regorus::unstable::{BoolOp, Expr};

use super::super::finding::FindingKind;
use super::super::names::static_path;
use super::super::types::{Here, Kinds, Origin, operands};
use super::Said;

/// Checks what stands behind `not`.
pub(super) fn check(said: &mut Said, here: &Here<'_>, negated: &Expr) {
    match negated {
        Expr::Call { fcn, params, .. } => {
            let function = static_path(fcn).join(".");
            let takes_null = takes_null(&function);
            params.iter().for_each(|argument| arguments(said, here, argument, !takes_null));
        }
        Expr::BoolExpr { op, lhs, rhs, .. } if *op != BoolOp::Eq => {
            [lhs, rhs].into_iter().for_each(|side| arguments(said, here, side, false));
        }
        Expr::Membership { value, collection, .. } => {
            [value, collection].into_iter().for_each(|part| arguments(said, here, part, false));
        }
        _ => {}
    }
}

fn arguments(said: &mut Said, here: &Here<'_>, argument: &Expr, null_counts: bool) {
    let mut found = Vec::new();
    operands(argument, &mut |reference| found.push(reference));
    for reference in found {
        let typed = here.typed(reference);
        let text = reference.span().text();
        if typed.origin != Origin::Input || typed.shape.is_unknown() && !typed.optional {
            continue;
        }
        let (what, instead) = if typed.optional {
            ("missing", format!("bind it first, outside of the negation: `value := {text}`, then `not …(value)`"))
        } else if null_counts && typed.shape.kinds.may_be(Kinds::NULL) {
            ("null", format!("say `{text} != null` in the same body"))
        } else {
            continue;
        };
        said.error(
            FindingKind::NegatedMissing,
            reference.span(),
            format!("{text} may be {what}, and then the negation is true"),
            instead,
        );
    }
}

/// Builtins that have a value for null.
fn takes_null(function: &str) -> bool {
    function.starts_with("is_") || matches!(function, "type_name" | "sprintf" | "json.marshal" | "print" | "object.get")
}
