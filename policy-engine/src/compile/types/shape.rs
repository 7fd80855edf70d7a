//! What a value may be: kinds, fields, elements, and the texts of enumerations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// A set of kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const NULL: Self = Self(1);
    pub(crate) const BOOLEAN: Self = Self(1 << 1);
    pub(crate) const NUMBER: Self = Self(1 << 2);
    pub(crate) const STRING: Self = Self(1 << 3);
    pub(crate) const ARRAY: Self = Self(1 << 4);
    pub(crate) const OBJECT: Self = Self(1 << 5);
    pub(crate) const SET: Self = Self(1 << 6);
    pub(crate) const ANY: Self = Self(0x7f);

    const NAMED: [(Self, &'static str); 7] = [
        (Self::NULL, "null"),
        (Self::BOOLEAN, "a boolean"),
        (Self::NUMBER, "a number"),
        (Self::STRING, "a text"),
        (Self::ARRAY, "an array"),
        (Self::OBJECT, "an object"),
        (Self::SET, "a set"),
    ];

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether a value may be of one of these kinds.
    pub(crate) const fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether a value is of one of these kinds and no other.
    pub(crate) const fn is_only(self, other: Self) -> bool {
        self.0 != 0 && self.0 & !other.0 == 0
    }
}

/// `a number or null`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("anything");
        }
        let names: Vec<_> =
            Self::NAMED.iter().rev().filter(|(kind, _)| self.may_be(*kind)).map(|(_, name)| *name).collect();
        f.write_str(&names.join(" or "))
    }
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kinds: Kinds,
    /// Fields that an object has.
    pub(crate) fields: BTreeMap<String, Arc<Shape>>,
    /// Whether an object may have other fields.
    pub(crate) open: bool,
    /// The elements of an array or a set, and the values of an object's other fields; `None` when unknown.
    pub(crate) items: Option<Arc<Shape>>,
    /// The only texts that it may be, if they are known.
    pub(crate) words: Option<BTreeSet<String>>,
}

impl Shape {
    /// Nothing is known of it.
    pub(crate) fn unknown() -> Self {
        Self { open: true, ..Self::of(Kinds::ANY) }
    }

    /// A value of these kinds, of which nothing else is known.
    pub(crate) fn of(kinds: Kinds) -> Self {
        let open = kinds.may_be(Kinds::OBJECT);
        Self { kinds, fields: BTreeMap::new(), open, items: None, words: None }
    }

    /// This text.
    pub(crate) fn word(text: &str) -> Self {
        Self { words: Some(BTreeSet::from([text.to_owned()])), ..Self::of(Kinds::STRING) }
    }

    /// An array or set of such elements.
    pub(crate) fn collection(kind: Kinds, items: Arc<Self>) -> Self {
        Self { items: Some(items), ..Self::of(kind) }
    }

    /// Whether nothing is known of it.
    pub(crate) fn is_unknown(&self) -> bool {
        self.kinds == Kinds::ANY
    }

    /// The same, of fewer kinds.
    pub(crate) fn narrowed(&self, kinds: Kinds) -> Self {
        Self { kinds: self.kinds.and(kinds), ..self.clone() }
    }

    /// One or the other.
    pub(crate) fn union(&self, other: &Self) -> Self {
        if self == other {
            return self.clone();
        }
        let mut fields = self.fields.clone();
        for (name, shape) in &other.fields {
            fields
                .entry(name.clone())
                .and_modify(|known| *known = Arc::new(known.union(shape)))
                .or_insert_with(|| Arc::clone(shape));
        }
        Self {
            kinds: self.kinds.or(other.kinds),
            fields,
            open: self.open || other.open,
            items: joined(self, other, Self::has_items, |shape| shape.items.clone(), |a, b| Arc::new(a.union(&b))),
            words: joined(self, other, Self::has_text, |shape| shape.words.clone(), |a, b| &a | &b),
        }
    }

    fn has_items(&self) -> bool {
        self.kinds.may_be(Kinds::ARRAY.or(Kinds::SET)) || self.open
    }

    fn has_text(&self) -> bool {
        self.kinds.may_be(Kinds::STRING)
    }

    /// The value of a field; `None` when there is no such field.
    pub(crate) fn field(&self, name: &str) -> Option<Arc<Self>> {
        if let Some(shape) = self.fields.get(name) {
            return Some(Arc::clone(shape));
        }
        // Members of sets are their own values: `set["x"]`.
        if self.kinds.may_be(Kinds::SET) || (self.kinds.may_be(Kinds::OBJECT) && self.open) {
            return Some(self.items.clone().unwrap_or_else(|| Arc::new(Self::unknown())));
        }
        None
    }

    /// Any element of an array or set, or any value of an object.
    pub(crate) fn any_item(&self) -> Arc<Self> {
        let fields = self.fields.values().map(|shape| shape.as_ref().clone());
        let items = self.has_items().then(|| self.items.as_ref().map_or_else(Self::unknown, |items| (**items).clone()));
        fields.chain(items).reduce(|one, other| one.union(&other)).map_or_else(|| Arc::new(Self::unknown()), Arc::new)
    }

    /// What a JSON value is. Objects may have more fields later; of long collections only so many elements are looked at.
    pub(crate) fn of_json(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::of(Kinds::NULL),
            Value::Bool(_) => Self::of(Kinds::BOOLEAN),
            Value::Number(_) => Self::of(Kinds::NUMBER),
            Value::String(_) => Self::of(Kinds::STRING),
            Value::Array(items) => {
                let shape = Self::of(Kinds::ARRAY);
                Self { items: items_of_json(items.iter(), items.len()), ..shape }
            }
            Value::Object(fields) => {
                let few = fields.iter().take(MAX_LOOKED_AT);
                let known = few.map(|(name, value)| (name.clone(), Arc::new(Self::of_json(value)))).collect();
                let items = items_of_json(fields.values(), fields.len());
                Self { fields: known, items, ..Self::of(Kinds::OBJECT) }
            }
        }
    }
}

/// Elements of one collection that are looked at.
const MAX_LOOKED_AT: usize = 1_000;

fn items_of_json<'a>(items: impl Iterator<Item = &'a serde_json::Value>, len: usize) -> Option<Arc<Shape>> {
    if len > MAX_LOOKED_AT {
        return None;
    }
    items.map(Shape::of_json).reduce(|one, other| one.union(&other)).map(Arc::new)
}

/// What is known of either of two shapes, of which only some have the part that it is about.
fn joined<T>(
    one: &Shape,
    other: &Shape,
    concerns: impl Fn(&Shape) -> bool,
    part: impl Fn(&Shape) -> Option<T>,
    join: impl Fn(T, T) -> T,
) -> Option<T> {
    match (concerns(one), concerns(other)) {
        (true, true) => Some(join(part(one)?, part(other)?)),
        (true, false) => part(one),
        (false, true) => part(other),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_are_told_in_words() {
        assert_eq!(Kinds::NUMBER.or(Kinds::NULL).to_string(), "a number or null");
        assert_eq!(Kinds::ANY.to_string(), "anything");
        assert_eq!(Kinds::ARRAY.to_string(), "an array");
    }

    #[test]
    fn a_union_knows_what_both_know() {
        let one = Shape::of_json(&json!({"a": 1, "b": "x"}));
        let other = Shape::of_json(&json!({"a": null}));
        let union = one.union(&other);
        assert_eq!(union.field("a").unwrap().kinds, Kinds::NUMBER.or(Kinds::NULL));
        assert_eq!(union.field("b").unwrap().kinds, Kinds::STRING);
        assert_eq!(Shape::word("x").union(&Shape::word("y")).words.unwrap().len(), 2);
        assert_eq!(Shape::word("x").union(&Shape::of(Kinds::STRING)).words, None);
        assert_eq!(Shape::word("x").union(&Shape::of(Kinds::NULL)).words.unwrap().len(), 1);
    }

    #[test]
    fn elements_are_of_all_kinds_that_occur() {
        assert_eq!(Shape::of_json(&json!([1, "x"])).any_item().kinds, Kinds::NUMBER.or(Kinds::STRING));
        assert_eq!(Shape::of_json(&json!({"a": 1, "b": 2})).any_item().kinds, Kinds::NUMBER);
        assert!(Shape::of_json(&json!([])).any_item().is_unknown());
        assert!(Shape::of_json(&json!(vec![1; MAX_LOOKED_AT + 1])).any_item().is_unknown());
    }
}
