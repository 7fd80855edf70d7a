//! The input schema as a shape.
//!
//! Reads as much of JSON Schema as is generated from the wire types: `type`, `properties`, `additionalProperties`, `items`,
//! `const`, `enum`, `$ref`, `anyOf` and `oneOf`. What it does not know of, it takes to allow anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::shape::{Kinds, Shape};

/// References in references that are followed.
const MAX_DEPTH: usize = 32;

/// The shape that a schema describes.
pub(crate) fn shape(schema: &Value) -> Shape {
    of(schema, schema, 0)
}

fn of(schema: &Value, root: &Value, depth: usize) -> Shape {
    if depth > MAX_DEPTH {
        return Shape::unknown();
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or_else(Shape::unknown, |target| of(target, root, depth + 1));
    }
    if let Some(alternatives) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let shapes = alternatives.iter().map(|alternative| of(alternative, root, depth + 1));
        return shapes.reduce(|one, other| one.union(&other)).unwrap_or_else(Shape::unknown);
    }
    let kinds = kinds(schema);
    let mut shape = Shape { open: false, words: words(schema), ..Shape::of(kinds) };
    if kinds.may_be(Kinds::OBJECT) {
        let fields = schema.get("properties").and_then(Value::as_object);
        let fields = fields.into_iter().flatten();
        shape.fields = fields.map(|(name, field)| (name.clone(), Arc::new(of(field, root, depth + 1)))).collect();
        let others = schema.get("additionalProperties");
        shape.open = others != Some(&Value::Bool(false));
        shape.items = others.filter(|others| others.is_object()).map(|others| Arc::new(of(others, root, depth + 1)));
    }
    if let Some(items) = schema.get("items").filter(|_| kinds.may_be(Kinds::ARRAY)) {
        shape.items = Some(Arc::new(of(items, root, depth + 1)));
    }
    shape
}

fn kinds(schema: &Value) -> Kinds {
    let kind = |name: &Value| match name.as_str() {
        Some("null") => Kinds::NULL,
        Some("boolean") => Kinds::BOOLEAN,
        Some("number" | "integer") => Kinds::NUMBER,
        Some("string") => Kinds::STRING,
        Some("array") => Kinds::ARRAY,
        Some("object") => Kinds::OBJECT,
        _ => Kinds::ANY,
    };
    match schema.get("type") {
        Some(Value::Array(names)) => names.iter().map(kind).fold(Kinds::NONE, Kinds::or),
        Some(name) => kind(name),
        None => Kinds::ANY,
    }
}

fn words(schema: &Value) -> Option<BTreeSet<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(word) = schema.get("const").and_then(text) {
        return Some(BTreeSet::from([word]));
    }
    schema.get("enum").and_then(Value::as_array).map(|words| words.iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Shape {
        shape(&serde_json::from_str(vouchsafe_policies::INPUT_SCHEMA).unwrap())
    }

    fn at(path: &str) -> Option<Arc<Shape>> {
        path.split('.').try_fold(Arc::new(input()), |shape, step| match step {
            "*" => Some(shape.any_item()),
            name => shape.field(name),
        })
    }

    #[test]
    fn the_schema_of_the_input_is_understood_to_its_leaves() {
        let number = Kinds::NUMBER;
        for (path, kinds) in [
            ("now", Kinds::STRING),
            ("device", Kinds::OBJECT.or(Kinds::NULL)),
            ("device.score", number),
            ("device.verdict.age_secs", number),
            ("device.verdict.findings.*.pcr", number.or(Kinds::NULL)),
            ("user.roles.*", Kinds::STRING),
            ("network.source_ip", Kinds::STRING.or(Kinds::NULL)),
            ("request.resource", Kinds::STRING),
            ("request.http.headers.any", Kinds::ARRAY),
            ("request.http.headers.any.*", Kinds::STRING),
            ("request.access.context.any", Kinds::ANY),
        ] {
            assert_eq!(at(path).unwrap().kinds, kinds, "{path}");
        }
        let states = at("device.state").unwrap();
        assert!(states.words.as_ref().unwrap().contains("active"), "{states:?}");
        for path in ["devices", "device.scor", "request.resource.name", "user.roles.admin"] {
            assert!(at(path).is_none(), "{path}");
        }
    }

    #[test]
    fn what_is_not_understood_allows_anything() {
        assert!(shape(&serde_json::json!({"not": {}})).is_unknown());
        assert!(shape(&serde_json::json!({"$ref": "#"})).is_unknown());
        assert!(shape(&serde_json::json!({"$ref": "https://example.org/x"})).is_unknown());
    }
}
