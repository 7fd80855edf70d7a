//! What an enforcement point has to do for an allow to be one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A condition that the policy leaves to the enforcement point to meet: to ask the user for another factor, to record the
/// session, to end it after an hour. What a code means is between the policy and the point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Obligation {
    /// A stable code: `step_up`.
    pub code: String,
    /// What goes with it: `{"factor": "have"}`.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// A sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One value that goes with an obligation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// A text.
    Text(String),
}

impl Obligation {
    /// The longest code, in bytes.
    pub const MAX_CODE_LEN: usize = 64;
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Whole(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_as_they_were_read() {
        let text = r#"{"code":"step_up","parameters":{"a":true,"b":900,"c":0.5,"d":"have"},"message":"Again."}"#;
        let obligation: Obligation = serde_json::from_str(text).unwrap();
        let parameters: Vec<_> = obligation.parameters.values().map(ToString::to_string).collect();
        assert_eq!(parameters, ["true", "900", "0.5", "have"]);
        assert_eq!(serde_json::to_string(&obligation).unwrap(), text);
        for value in ["null", "[]", "{}"] {
            let text = format!(r#"{{"code":"a","parameters":{{"a":{value}}}}}"#);
            assert!(serde_json::from_str::<Obligation>(&text).is_err(), "{value}");
        }
    }
}
