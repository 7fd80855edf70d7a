//! Comparisons: an order is one of numbers, and a text is compared with one that can be there.
//!
//! In Rego everything has an order: null before booleans before numbers before texts. `"10" >= 80` is true, and so is
//! `null < 80`: a threshold that is compared with something else than a number decides nothing.

use regorus::unstable::{BoolOp, Expr, Span};

use super::super::finding::FindingKind;
use super::super::types::{Here, Kinds, Origin, Typed};
use super::Said;
use super::suggest;

/// Checks a comparison.
pub(super) fn check(said: &mut Said, here: &Here<'_>, op: &BoolOp, (lhs, rhs): (&Expr, &Expr), at: &Span) {
    let (left, right) = (here.typed(lhs), here.typed(rhs));
    match op {
        BoolOp::Eq | BoolOp::Ne => {
            never_equal(said, &left, &right, rhs.span());
            never_equal(said, &right, &left, lhs.span());
        }
        BoolOp::Lt | BoolOp::Le | BoolOp::Ge | BoolOp::Gt => {
            if left.origin.max(right.origin) == Origin::Input {
                order(said, (lhs, &left), (rhs, &right), at);
            }
        }
    }
}

/// Checks `value in collection`.
pub(super) fn membership(said: &mut Said, here: &Here<'_>, value: &Expr, collection: &Expr) {
    let (left, right) = (here.typed(value), here.typed(collection));
    let item = Typed { shape: right.shape.any_item(), ..right.clone() };
    never_equal(said, &item, &left, value.span());
    // Of a set of texts, each should be one that can be there.
    if let Expr::Array { items, .. } | Expr::Set { items, .. } = collection {
        for item in items {
            let typed = here.typed(item);
            never_equal(said, &left, &typed, item.span());
        }
    }
}

fn order(said: &mut Said, left: (&Expr, &Typed), right: (&Expr, &Typed), at: &Span) {
    let is_number = |side: &Typed| side.shape.kinds.is_only(Kinds::NUMBER);
    let is_text = |side: &Typed| side.shape.kinds.is_only(Kinds::STRING);
    if is_number(left.1) && is_number(right.1) {
        return;
    }
    if is_text(left.1) && is_text(right.1) {
        said.warning(
            FindingKind::NotNumbers,
            at,
            "texts are ordered by their bytes".to_owned(),
            "compare numbers: time.parse_rfc3339_ns of times, to_number of figures".to_owned(),
        );
        return;
    }
    let (expression, side) = if is_number(left.1) { right } else { left };
    let text = expression.span().text();
    let instead = format!("say is_number({text}) in the same body");
    if side.shape.is_unknown() {
        if side.origin == Origin::Input && side.place.is_some() {
            // A field that is not there, of which that was told.
            return;
        }
        let message = format!("{text} may be anything, and everything has an order: every text is above every number");
        said.warning(FindingKind::UnknownType, at, message, instead);
    } else {
        let message = format!("{text} is {}, and everything has an order: null < 80 < \"10\"", side.shape.kinds);
        let can_be_number = side.shape.kinds.may_be(Kinds::NUMBER);
        let instead = if can_be_number { instead } else { "compare numbers".to_owned() };
        said.error(FindingKind::NotNumbers, at, message, instead);
    }
}

/// Tells of a text that what comes from the input never is.
fn never_equal(said: &mut Said, from_input: &Typed, written: &Typed, at: &Span) {
    let (Some(can_be), Some(words)) = (&from_input.shape.words, &written.shape.words) else { return };
    if from_input.origin != Origin::Input || !written.shape.kinds.is_only(Kinds::STRING) {
        return;
    }
    for word in words.iter().filter(|word| !can_be.contains(*word)) {
        let list = || format!("it is one of: {}", can_be.iter().cloned().collect::<Vec<_>>().join(", "));
        let instead = suggest::nearest(word, can_be.iter().map(String::as_str))
            .map_or_else(list, |meant| format!("did you mean \"{meant}\"?"));
        said.warning(FindingKind::NeverEqual, at, format!("the input never is \"{word}\" here"), instead);
    }
}
