//! JSON that means one thing only: I-JSON (RFC 7493), as strictly as a decision needs it.
//!
//! Documents whose shape is their author's own, a question's or a policy's data, are read here before a policy sees them.
//! What two readers could read in two ways is refused rather than read in one of them: a name that stands twice in one
//! object, a text that is no Unicode, and a number whose digits would be lost.
//!
//! Of numbers, whole ones of 64 bits (-2^63 to 2^64 - 1) are kept to the digit. Others become the double that is nearest to
//! them, as every reader does it, as long as it is below 2^64 in magnitude: beyond, a double no longer tells one whole number
//! from the next thousand, and what was written as digits could not be told from what was meant as a magnitude.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What is beyond in magnitude is refused.
const LEAST_REFUSED: f64 = 18_446_744_073_709_551_616.0;

/// A text that is no I-JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct NoIJson {
    /// What is wrong.
    pub message: String,
    /// The line, from 1; 0 when there is none.
    pub line: usize,
    /// The column, from 1; 0 when there is none.
    pub column: usize,
}

/// Reads a text to its end.
///
/// # Errors
/// When it is no JSON, no I-JSON, or nested deeper than 128.
pub fn parse(text: &[u8]) -> Result<Value, NoIJson> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = StrictSeed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| NoIJson { message: without_place(&error), line: error.line(), column: error.column() })
}

/// The words of an error. The place is told apart.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
}

struct StrictSeed;

impl<'de> DeserializeSeed<'de> for StrictSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let within = Some(value).filter(|value| value.abs() < LEAST_REFUSED).and_then(Number::from_f64);
        within.map(Value::Number).ok_or_else(|| E::custom("a number beyond 64 bits, whose digits would be lost"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(de::Error::custom(format_args!("the name {name:?} stands twice in one object")));
            }
            let value = entries.next_value_seed(Self)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn refusal(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth_and_however_it_is_written() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"x": [{"a": 1, "b": 2, "a": 3}]}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"{"": 1, "": 2}"#,
        ] {
            assert!(refusal(text).contains("stands twice in one object (line 1"), "{text}");
        }
        assert_eq!(parse(br#"{"a": {"a": 1}, "A": 2}"#).unwrap(), json!({"a": {"a": 1}, "A": 2}));
    }

    #[test]
    fn whole_numbers_of_64_bits_are_kept_to_the_digit_and_those_beyond_are_refused() {
        for text in ["18446744073709551615", "-9223372036854775808", "9007199254740993", "0", "-0"] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
        assert_eq!(parse(b"18446744073709551615").unwrap().to_string(), "18446744073709551615");
        for text in ["18446744073709551616", "-18446744073709551616", "1e20", "-1e300", "1e400", "[1e20]"] {
            assert!(
                refusal(text).starts_with("a number beyond 64 bits") || refusal(text).contains("out of range"),
                "{text}"
            );
        }
    }

    #[test]
    fn other_numbers_are_the_nearest_double() {
        assert_eq!(parse(b"0.1").unwrap(), json!(0.1));
        assert_eq!(parse(b"0.10000000000000000555").unwrap(), json!(0.1));
        assert_eq!(parse(b"1e-400").unwrap(), json!(0.0));
        assert_eq!(parse(b"1e19").unwrap(), json!(1e19));
    }

    #[test]
    fn texts_are_unicode() {
        for text in
            [&b"\"\xFF\""[..], b"\"\xC0\x80\"", br#""\ud800""#, br#""\udc00\ud800""#, b"\"\xED\xA0\x80\"", b"\"a\nb\""]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse(br#""\ud83d\ude00""#).unwrap(), json!("\u{1F600}"));
    }

    #[test]
    fn what_is_no_single_json_text_is_refused_with_its_place() {
        for text in
            ["", " ", "{", "{}{}", "{} x", "{'a': 1}", "[1,]", "{\"a\":}", "nul", "01", "+1", "NaN", "\u{feff}{}"]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        let error = parse(b"{\n  \"a\": }").unwrap_err();
        assert_eq!((error.line, error.column, error.message.as_str()), (2, 8, "expected value"));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(127).as_bytes()).is_ok());
        assert!(refusal(&nested(128)).contains("recursion limit"));
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_and_read_again_the_same(text in r#"[\[\]{}:," a0-9.e\\-]{0,40}"#) {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
            }
        }
    }
}
