//! Documents: what goes into a policy and what comes out.

use std::fmt;

use regorus::Value;
use serde::Serialize;

use super::serialize::ValueSerializer;
use crate::wanted::Wanted;

/// A JSON document, or the absence of one, in the form that evaluators share.
///
/// Cloning is cheap. Documents of different evaluators should share nothing: their reference counts would be fought over.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Value);

/// A text that is no JSON document.
#[derive(Debug, thiserror::Error)]
#[error("no JSON document: {message}")]
pub struct DocumentError {
    message: String,
}

impl Document {
    /// The document of a value, as serde would write it.
    pub fn of(value: &impl Serialize) -> Self {
        Self::of_wanted(value, &Wanted::All)
    }

    /// The document of a value with what is wanted of its fields; the others are `null`.
    pub fn of_wanted(value: &impl Serialize, wanted: &Wanted) -> Self {
        // What JSON cannot hold is undefined, and so denies.
        Self(value.serialize(ValueSerializer(wanted)).unwrap_or(Value::Undefined))
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(text: &str) -> Result<Self, DocumentError> {
        Value::from_json_str(text).map(Self).map_err(|error| DocumentError { message: error.to_string() })
    }

    /// Writes JSON. Sets become arrays; what is undefined becomes `null`.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.0 {
            Value::Undefined => serde_json::Value::Null,
            value => serde_json::to_value(value).unwrap_or_default(),
        }
    }

    /// Whether there is none.
    pub fn is_undefined(&self) -> bool {
        self.0 == Value::Undefined
    }

    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_undefined() { f.write_str("undefined") } else { fmt::Display::fmt(&self.to_json(), f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_document_is_what_serde_would_write() {
        let value = json!({"a": [null, true, -3, 1.5, "x", {}], "b": {"c": 18_446_744_073_709_551_615_u64}});
        assert_eq!(Document::of(&value), Document::from_json(&value.to_string()).unwrap());
        assert_eq!(Document::of(&value).to_json(), value);
    }

    #[test]
    fn nothing_is_told_from_null() {
        assert!(Document::new(Value::Undefined).is_undefined());
        assert!(!Document::from_json("null").unwrap().is_undefined());
        assert!(Document::from_json("{").is_err());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            any::<f64>().prop_map(|value| json!(value)),
            ".{0,8}".prop_map(|value| json!(value)),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| json!(items)),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(|entries| json!(entries)),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_way_past_the_text_ends_where_the_text_does(value in any_json()) {
            prop_assert_eq!(Document::of(&value), Document::from_json(&value.to_string()).unwrap());
        }
    }
}
