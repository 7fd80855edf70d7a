//! OPA's Data API (`/v1/data`, `/v0/data`), as far as we speak it: what is answered.
//!
//! What is asked has no type of its own: `{"input": …}` around a document of the sender's.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use vouchsafe_model::DecisionId;

/// What was asked of a rule other than the one that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataQuery {
    /// The rule: `data.authz.allow`.
    pub rule: String,
    /// The document that was sent as its input, if one was.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub input: Option<Value>,
}

impl DataQuery {
    /// The longest that a document may be as JSON, in bytes: what is asked is logged, and the log has a bound.
    pub const MAX_INPUT_LEN: usize = 64 * 1024;
    /// The longest name of a rule, in bytes.
    pub const MAX_RULE_LEN: usize = 256;
}

/// The answer of `/v1/data`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DataAnswer {
    /// The value of the rule; absent when it is undefined.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    /// The name under which the answer is on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
    /// Where the policy comes from, when that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// How long it took, in nanoseconds, when that was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, u64>,
    /// How the value came about, when that was asked: events, or lines of text with `pretty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub explanation: Option<Value>,
    /// What is odd about the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Warning>,
}

/// What decides, and by which policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    /// The version of the engine.
    pub version: String,
    /// Not told.
    pub build_commit: String,
    /// Not told.
    pub build_timestamp: String,
    /// Not told.
    pub build_hostname: String,
    /// The policies in charge, by name.
    pub bundles: BTreeMap<String, BundleRevision>,
}

/// Which policy it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BundleRevision {
    /// The hash under which decisions are logged.
    pub revision: String,
}

/// What is odd about a question that was answered all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// `api_usage_warning`.
    pub code: String,
    /// In words.
    pub message: String,
}

/// An error in OPA's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpaError {
    /// `invalid_parameter`, `unauthorized`, `resource_not_found`, `undefined_document`, `internal_error` …
    pub code: String,
    /// In words.
    pub message: String,
    /// What is wrong, one by one, where that can be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<OpaFault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpaFault {
    /// Its kind.
    pub code: String,
    /// In words.
    pub message: String,
    /// Where, if it is somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<OpaLocation>,
}

/// A place in what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpaLocation {
    /// `input`.
    pub file: String,
    /// The line, from 1.
    pub row: usize,
    /// The column, from 1.
    pub col: usize,
}

/// One operation of `PATCH /v1/data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatchOperation {
    /// `add`, `remove` or `replace`.
    pub op: PatchVerb,
    /// Where, below the path of the request: a JSON Pointer (RFC 6901).
    pub path: String,
    /// The new value; none to remove one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub value: Option<Value>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PatchVerb {
    /// Makes a value, or replaces one; in an array, before the element that is there.
    Add,
    /// Removes a value.
    Remove,
    /// Replaces a value that is there.
    Replace,
}

/// A value that is there, also when it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_told_from_nothing() {
        let read = |text: &str| serde_json::from_str::<DataQuery>(text).unwrap().input;
        assert_eq!(read(r#"{"rule": "data.a.b", "input": null}"#), Some(json!(null)));
        assert_eq!(read(r#"{"rule": "data.a.b"}"#), None);
        let answer = |result| serde_json::to_string(&DataAnswer { result, ..DataAnswer::default() }).unwrap();
        assert_eq!((answer(Some(json!(null))).as_str(), answer(None).as_str()), (r#"{"result":null}"#, "{}"));
    }
}
