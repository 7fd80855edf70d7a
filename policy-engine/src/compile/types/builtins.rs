//! Builtins: what they are worth, and which always have a value.

use std::sync::Arc;

use super::shape::{Kinds, Shape};
use super::typing::Typed;

/// What a builtin is worth, as far as that is needed.
pub(crate) fn result(name: &str, arguments: &[Typed]) -> Shape {
    let item = || arguments.first().map_or_else(Shape::unknown, |first| (*first.shape.any_item()).clone());
    let texts = |kind| Shape::collection(kind, Arc::new(Shape::of(Kinds::STRING)));
    match name {
        "count"
        | "sum"
        | "product"
        | "to_number"
        | "abs"
        | "ceil"
        | "floor"
        | "round"
        | "indexof"
        | "strings.count"
        | "time.now_ns"
        | "time.parse_ns"
        | "time.parse_rfc3339_ns"
        | "time.parse_duration_ns"
        | "time.add_date"
        | "units.parse"
        | "units.parse_bytes"
        | "semver.compare"
        | "bits.and"
        | "bits.or"
        | "bits.xor"
        | "bits.negate"
        | "bits.lsh"
        | "bits.rsh" => Shape::of(Kinds::NUMBER),
        "max" | "min" => item(),
        "concat" | "sprintf" | "lower" | "upper" | "trim" | "trim_space" | "trim_left" | "trim_right"
        | "trim_prefix" | "trim_suffix" | "replace" | "regex.replace" | "strings.replace_n" | "strings.reverse"
        | "substring" | "format_int" | "type_name" | "json.marshal" | "base64.encode" | "base64.decode"
        | "base64url.encode" | "base64url.decode" | "hex.encode" | "hex.decode" | "time.weekday" | "time.format" => {
            Shape::of(Kinds::STRING)
        }
        "split" | "regex.split" | "regex.find_n" => texts(Kinds::ARRAY),
        "object.keys" => Shape::of(Kinds::SET),
        "sort" => Shape::collection(Kinds::ARRAY, Arc::new(item())),
        "contains" | "startswith" | "endswith" | "regex.match" | "glob.match" | "net.cidr_contains" | "is_number"
        | "is_string" | "is_boolean" | "is_array" | "is_object" | "is_set" | "is_null" | "semver.is_valid" => {
            Shape::of(Kinds::BOOLEAN)
        }
        _ => Shape::unknown(),
    }
}

/// Whether a builtin always has a value for such arguments.
pub(crate) fn is_total(name: &str, arguments: &[Typed]) -> bool {
    let are = |kinds: &[Kinds]| {
        arguments.len() == kinds.len()
            && arguments.iter().zip(kinds).all(|(argument, kinds)| argument.shape.kinds.is_only(*kinds))
    };
    let (text, number, texts) = (Kinds::STRING, Kinds::NUMBER, Kinds::ARRAY.or(Kinds::SET));
    let items_are = |index: usize, kinds: Kinds| {
        arguments.get(index).is_some_and(|argument| argument.shape.any_item().kinds.is_only(kinds))
    };
    match name {
        "count" => are(&[Kinds::STRING.or(Kinds::ARRAY).or(Kinds::SET).or(Kinds::OBJECT)]),
        "sum" | "product" => are(&[texts]) && items_are(0, number),
        "sort" => are(&[texts]),
        "abs" | "ceil" | "floor" | "round" => are(&[number]),
        "lower" | "upper" | "trim_space" => are(&[text]),
        "trim" | "trim_left" | "trim_right" | "trim_prefix" | "trim_suffix" | "split" => are(&[text, text]),
        "contains" | "startswith" | "endswith" => are(&[text, text]),
        "replace" => are(&[text, text, text]),
        "concat" => are(&[text, texts]) && items_are(1, text),
        // A verb that does not suit its argument is told in the text.
        "sprintf" => are(&[text, Kinds::ARRAY]),
        "object.get" => {
            arguments.len() == 3 && arguments.iter().take(1).all(|object| object.shape.kinds.is_only(Kinds::OBJECT))
        }
        "object.union" => are(&[Kinds::OBJECT, Kinds::OBJECT]),
        "object.keys" => are(&[Kinds::OBJECT]),
        "type_name" | "json.marshal" => arguments.len() == 1,
        _ => name.starts_with("is_") && arguments.len() == 1,
    }
}
