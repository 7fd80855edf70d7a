//! The obligations of an answer. They are known by their codes alone: an allow with one that the asker does not meet is none.

use std::collections::BTreeMap;

use regorus::Value;
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::obligation::{Obligation, Parameter};
use vouchsafe_model::{Outcome, Reason};

use super::{Malformed, printable, text};

/// The most obligations of one decision.
pub const MAX_OBLIGATIONS: usize = 8;
/// The most parameters of one obligation.
pub const MAX_PARAMETERS: usize = 16;
/// The most that all obligations of one decision may be together, in bytes: they are logged, and the log has a bound.
pub const MAX_OBLIGATIONS_LEN: usize = 4 * 1024;
/// What a parameter that is no text counts, in bytes.
const NUMBER_LEN: usize = 24;

/// The policy allows only under a condition that the asker does not say it meets.
pub const NOT_UNDERSTOOD: &str = "obligation.not_understood";

pub(super) fn read(value: &Value) -> Result<Vec<Obligation>, Malformed> {
    let Value::Array(items) = value else { return Err(Malformed::Obligations) };
    if items.len() > MAX_OBLIGATIONS {
        return Err(Malformed::TooManyObligations);
    }
    let obligations = items.iter().map(read_one).collect::<Result<Vec<_>, _>>()?;
    if obligations.iter().map(length).sum::<usize>() > MAX_OBLIGATIONS_LEN {
        return Err(Malformed::TooLongObligations);
    }
    Ok(obligations)
}

fn read_one(value: &Value) -> Result<Obligation, Malformed> {
    let Value::Object(fields) = value else { return Err(Malformed::Obligations) };
    let (mut code, mut parameters, mut message) = (None, BTreeMap::new(), None);
    for (key, value) in fields.iter() {
        match (text(key), value) {
            (Some("code"), Value::String(value)) => code = Some(name(value)?),
            (Some("parameters"), Value::Object(values)) => {
                if values.len() > MAX_PARAMETERS {
                    return Err(Malformed::TooManyObligations);
                }
                let values = values
                    .iter()
                    .map(|(key, value)| Ok((name(text(key).ok_or(Malformed::Obligations)?)?, parameter(value)?)));
                parameters = values.collect::<Result<_, Malformed>>()?;
            }
            (Some("message"), Value::String(value)) => message = Some(printable(value)),
            (Some("message"), Value::Null) => {}
            _ => return Err(Malformed::Obligations),
        }
    }
    Ok(Obligation { code: code.ok_or(Malformed::Obligations)?, parameters, message })
}

/// A text that programs compare: it is as it should be, or none.
fn name(text: &str) -> Result<String, Malformed> {
    let valid = !text.is_empty() && text.len() <= Obligation::MAX_CODE_LEN && !text.chars().any(char::is_control);
    if valid { Ok(text.to_owned()) } else { Err(Malformed::ObligationName) }
}

fn parameter(value: &Value) -> Result<Parameter, Malformed> {
    match value {
        Value::Bool(value) => Ok(Parameter::Flag(*value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Parameter::Whole(whole)),
            (None, Some(other)) if other.is_finite() => Ok(Parameter::Number(other)),
            _ => Err(Malformed::Obligations),
        },
        Value::String(value) if !value.chars().any(char::is_control) => Ok(Parameter::Text(value.to_string())),
        _ => Err(Malformed::Obligations),
    }
}

fn length(obligation: &Obligation) -> usize {
    let parameters = obligation.parameters.iter().map(|(key, value)| {
        key.len()
            + match value {
                Parameter::Text(text) => text.len(),
                Parameter::Flag(_) | Parameter::Whole(_) | Parameter::Number(_) => NUMBER_LEN,
            }
    });
    obligation.code.len() + obligation.message.as_ref().map_or(0, String::len) + parameters.sum::<usize>()
}

/// The ruling for an asker who meets obligations of these codes. An allow with another one is a deny for it.
pub fn for_asker(ruling: Ruling, understands: &[String]) -> Ruling {
    let is_missed = |obligation: &&Obligation| !understands.contains(&obligation.code);
    let missed: Vec<_> = ruling.obligations().iter().filter(is_missed).map(not_understood).collect();
    if missed.is_empty() || ruling.outcome() == Outcome::Deny {
        return ruling;
    }
    Ruling::deny(missed).noting(ruling.reasons().iter().cloned()).needing(ruling.required_score())
}

fn not_understood(obligation: &Obligation) -> Reason {
    let code = &obligation.code;
    let message =
        format!("The policy allows this to enforcement points that meet '{code}', and this one does not say so.");
    let fix = format!(
        "Ask through a point that meets '{code}', and says so: by `understands` of the question, or of its entry in the settings."
    );
    Reason { code: NOT_UNDERSTOOD.to_owned(), message, fix: Some(fix) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{MALFORMED, read as read_ruling};
    use super::*;
    use crate::evaluate::Document;

    fn ruling(obligations: &serde_json::Value) -> Ruling {
        read_ruling(Ok(Document::of(&json!({"allow": true, "obligations": obligations}))))
    }

    fn is_malformed(obligations: &serde_json::Value) -> bool {
        let ruling = ruling(obligations);
        let code = ruling.reasons().first().map(|reason| reason.code.as_str());
        assert_eq!(ruling.outcome() == Outcome::Deny, code == Some(MALFORMED), "{obligations}");
        ruling.outcome() == Outcome::Deny
    }

    #[test]
    fn an_obligation_is_read_as_the_policy_wrote_it() {
        let written = json!([
            {"code": "step_up", "parameters": {"factor": "have", "max_age_secs": 900, "share": 0.5, "again": true},
             "message": "Show\u{7} your key."},
            {"code": "record", "message": null},
        ]);
        let read = serde_json::to_value(ruling(&written).obligations()).unwrap();
        let mut expected = written;
        expected[0]["message"] = "Show  your key.".into();
        expected[1] = json!({"code": "record", "parameters": {}});
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_obligation_is_an_answer_of_no_shape() {
        for obligations in [
            json!({}),
            json!(null),
            json!("step_up"),
            json!(["step_up"]),
            json!([{}]),
            json!([{"code": ""}]),
            json!([{"code": 1}]),
            json!([{"code": "a\nb"}]),
            json!([{"code": "a", "parameters": []}]),
            json!([{"code": "a", "parameters": {"": 1}}]),
            json!([{"code": "a", "parameters": {"b": null}}]),
            json!([{"code": "a", "parameters": {"b": [1]}}]),
            json!([{"code": "a", "parameters": {"b": {"c": 1}}}]),
            json!([{"code": "a", "parameters": {"b": "\u{1b}[2J"}}]),
            json!([{"code": "a", "message": 1}]),
            json!([{"code": "a", "fix": "b"}]),
        ] {
            assert!(is_malformed(&obligations), "{obligations}");
        }
    }

    #[test]
    fn obligations_are_bounded() {
        let many = |count: usize| json!(vec![json!({"code": "a"}); count]);
        assert!(!is_malformed(&many(MAX_OBLIGATIONS)) && is_malformed(&many(MAX_OBLIGATIONS + 1)));
        let parameters = |count: usize| -> serde_json::Value {
            let all: serde_json::Map<_, _> = (0..count).map(|number| (number.to_string(), json!(1))).collect();
            json!([{"code": "a", "parameters": all}])
        };
        assert!(!is_malformed(&parameters(MAX_PARAMETERS)) && is_malformed(&parameters(MAX_PARAMETERS + 1)));
        let code = |length: usize| json!([{"code": "c".repeat(length)}]);
        assert!(!is_malformed(&code(Obligation::MAX_CODE_LEN)) && is_malformed(&code(Obligation::MAX_CODE_LEN + 1)));
        let long = |length: usize| json!([{"code": "a", "parameters": {"b": "x".repeat(length)}}]);
        assert!(!is_malformed(&long(MAX_OBLIGATIONS_LEN - 2)) && is_malformed(&long(MAX_OBLIGATIONS_LEN - 1)));
    }

    #[test]
    fn an_allow_is_one_only_for_those_who_meet_all_of_its_obligations() {
        let asked = |understands: &[&str]| {
            let understands: Vec<_> = understands.iter().map(|code| (*code).to_owned()).collect();
            for_asker(ruling(&json!([{"code": "a"}, {"code": "b"}])).needing(None), &understands)
        };
        assert_eq!(asked(&["b", "c", "a"]).outcome(), Outcome::Allow);
        assert_eq!(asked(&["b", "c", "a"]).obligations().len(), 2);
        for (understands, missed) in [(&["a"][..], 1), (&["A", "b "], 2), (&[], 2), (&["*"], 2)] {
            let ruling = asked(understands);
            assert_eq!((ruling.outcome(), ruling.reasons().len()), (Outcome::Deny, missed), "{understands:?}");
            assert!(ruling.reasons().iter().all(|reason| reason.code == NOT_UNDERSTOOD && reason.fix.is_some()));
            assert!(ruling.obligations().is_empty());
        }
        assert!(asked(&["a"]).reasons()[0].message.contains("'b'"));
    }

    #[test]
    fn a_deny_has_no_obligations_and_none_makes_it_an_allow() {
        let denied = read_ruling(Ok(Document::of(&json!({"allow": false, "obligations": [{"code": "a"}]}))));
        assert!(denied.obligations().is_empty());
        assert_eq!(for_asker(denied, &["a".to_owned()]).outcome(), Outcome::Deny);
    }
}
