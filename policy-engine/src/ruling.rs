//! Reads what a policy said. The one place where an allow is made.

mod obligations;

use regorus::Value;
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::{Obligation, Reason, TrustScore};

use crate::evaluate::{Document, EvaluationError};

pub use obligations::{MAX_OBLIGATIONS, MAX_OBLIGATIONS_LEN, MAX_PARAMETERS, NOT_UNDERSTOOD, for_asker};

/// The most reasons of one decision.
pub const MAX_REASONS: usize = 32;
/// The longest code of a reason, in bytes.
pub const MAX_CODE_LEN: usize = 64;
/// The most that all reasons of one decision may be together, in bytes: they are logged, and the log has a bound.
pub const MAX_REASONS_LEN: usize = 24 * 1024;

/// The policy has no value for this question.
pub const UNDEFINED: &str = "policy.undefined";
/// The policy failed.
pub const ERROR: &str = "policy.error";
/// The policy reached a limit of time, instructions or memory.
pub const TIMEOUT: &str = "policy.timeout";
/// The policy's value is not of the documented shape.
pub const MALFORMED: &str = "policy.malformed";
/// The value of a rule that was asked about is not true.
pub const NOT_TRUE: &str = "policy.not_true";

/// Reads the outcome of an evaluation. It is an allow only if the value is an object of the documented shape whose `allow`
/// is the boolean true; whatever else it is, is a deny that says why. Whether an allow is one [for its asker](for_asker) is
/// yet to be seen.
pub fn read(outcome: Result<Document, EvaluationError>) -> Ruling {
    match outcome {
        Ok(document) if document.is_undefined() => {
            Ruling::deny_because(UNDEFINED, "The policy has no answer to this question.")
        }
        Ok(document) => read_document(document.value()).unwrap_or_else(|malformed| {
            Ruling::deny_because(MALFORMED, format!("The policy's answer is not of the documented shape: {malformed}."))
        }),
        Err(error) => failed(&error),
    }
}

/// Reads the value of a rule other than the one that decides, for the record: what it means, only the caller knows. It
/// counts as an allow only if it is the boolean true, or an object whose `allow` is.
pub(crate) fn of_value(rule: &str, outcome: &Result<Document, EvaluationError>) -> Ruling {
    let is_true = |value: &Value| *value == Value::Bool(true);
    match outcome.as_ref().map(Document::value) {
        Ok(Value::Undefined) => Ruling::deny_because(UNDEFINED, format!("{rule} has no value for this input.")),
        Ok(value) if is_true(value) => Ruling::allow(Vec::new()),
        Ok(Value::Object(object)) if object.get(&Value::from("allow")).is_some_and(is_true) => {
            Ruling::allow(Vec::new())
        }
        Ok(_) => Ruling::deny_because(NOT_TRUE, format!("{rule} is neither true nor an object whose 'allow' is.")),
        Err(error) => failed(error),
    }
}

fn failed(error: &EvaluationError) -> Ruling {
    let code = match error {
        EvaluationError::TimeLimit { .. }
        | EvaluationError::InstructionLimit { .. }
        | EvaluationError::MemoryLimit { .. } => TIMEOUT,
        EvaluationError::Failed { .. } | EvaluationError::Panicked { .. } => ERROR,
    };
    tracing::error!(error = %error, "policy evaluation failed");
    // What went wrong inside is for the log of the engine; who asked learns that it was the policy.
    Ruling::deny_because(code, "The policy could not be evaluated; the engine's log tells more.")
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("it is no object")]
    NotAnObject,
    #[error("'{0}' is no part of it")]
    UnknownField(String),
    #[error("'allow' is not a boolean")]
    Allow,
    #[error("'reasons' is not a list of objects of texts 'code', 'message' and 'fix'")]
    Reasons,
    #[error("'code' of a reason is longer than {MAX_CODE_LEN} bytes")]
    Code,
    #[error("there are more than {MAX_REASONS} reasons")]
    TooManyReasons,
    #[error("the reasons are longer than {MAX_REASONS_LEN} bytes together")]
    TooLongReasons,
    #[error("'obligations' is not a list of objects of 'code', 'parameters' (texts, numbers, booleans) and 'message'")]
    Obligations,
    #[error(
        "a name in 'obligations' is empty, longer than {} bytes or has a control character",
        Obligation::MAX_CODE_LEN
    )]
    ObligationName,
    #[error("there are more than {MAX_OBLIGATIONS} obligations, or {MAX_PARAMETERS} parameters of one")]
    TooManyObligations,
    #[error("the obligations are longer than {MAX_OBLIGATIONS_LEN} bytes together")]
    TooLongObligations,
    #[error("'needs' is not an object whose 'score', if there is one, is a number from 0 to 100")]
    Needs,
}

fn read_document(document: &Value) -> Result<Ruling, Malformed> {
    let Value::Object(answer) = document else { return Err(Malformed::NotAnObject) };
    let (mut allow, mut reasons, mut obliged, mut required_score) = (None, Vec::new(), Vec::new(), None);
    for (key, value) in answer.iter() {
        match (text(key), value) {
            (Some("allow"), Value::Bool(value)) => allow = Some(*value),
            (Some("allow"), _) => return Err(Malformed::Allow),
            (Some("reasons"), value) => reasons = read_reasons(value)?,
            (Some("obligations"), value) => obliged = obligations::read(value)?,
            (Some("needs"), value) => required_score = read_needs(value)?,
            _ => return Err(Malformed::UnknownField(key.to_string().chars().take(MAX_CODE_LEN).collect())),
        }
    }
    let ruling = match allow {
        Some(true) => Ruling::allow(reasons),
        Some(false) => Ruling::deny(reasons),
        None => return Err(Malformed::Allow),
    };
    Ok(ruling.obliging(obliged).needing(required_score))
}

/// What the request needs, as the policy says. It decides nothing: the policy has.
fn read_needs(value: &Value) -> Result<Option<TrustScore>, Malformed> {
    let Value::Object(needs) = value else { return Err(Malformed::Needs) };
    let mut score = None;
    for (key, value) in needs.iter() {
        match (text(key), value) {
            (Some("score"), Value::Number(points)) => score = Some(points.as_f64().ok_or(Malformed::Needs)?),
            _ => return Err(Malformed::Needs),
        }
    }
    match score {
        Some(points) if (0.0..=100.0).contains(&points) => Ok(Some(TrustScore::new(points))),
        Some(_) => Err(Malformed::Needs),
        None => Ok(None),
    }
}

fn read_reasons(value: &Value) -> Result<Vec<Reason>, Malformed> {
    let Value::Array(items) = value else { return Err(Malformed::Reasons) };
    if items.len() > MAX_REASONS {
        return Err(Malformed::TooManyReasons);
    }
    let reasons = items.iter().map(read_reason).collect::<Result<Vec<_>, _>>()?;
    let length =
        |reason: &Reason| reason.code.len() + reason.message.len() + reason.fix.as_ref().map_or(0, String::len);
    if reasons.iter().map(length).sum::<usize>() > MAX_REASONS_LEN {
        return Err(Malformed::TooLongReasons);
    }
    Ok(reasons)
}

fn read_reason(value: &Value) -> Result<Reason, Malformed> {
    let Value::Object(fields) = value else { return Err(Malformed::Reasons) };
    let (mut code, mut message, mut fix) = (None, None, None);
    for (key, value) in fields.iter() {
        match (text(key), value) {
            (Some("code"), Value::String(value)) => code = Some(printable(value)),
            (Some("message"), Value::String(value)) => message = Some(printable(value)),
            (Some("fix"), Value::String(value)) => fix = Some(printable(value)),
            (Some("fix"), Value::Null) => {}
            _ => return Err(Malformed::Reasons),
        }
    }
    let (Some(code), Some(message)) = (code, message) else { return Err(Malformed::Reasons) };
    if code.is_empty() || code.len() > MAX_CODE_LEN {
        return Err(Malformed::Code);
    }
    Ok(Reason { code, message, fix })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Reasons are shown on terminals and written to logs: control characters become spaces.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use vouchsafe_model::Outcome;

    fn ruling(answer: &serde_json::Value) -> Ruling {
        read(Ok(Document::of(answer)))
    }

    fn codes(ruling: &Ruling) -> Vec<&str> {
        ruling.reasons().iter().map(|reason| reason.code.as_str()).collect()
    }

    #[test]
    fn true_in_an_object_of_the_documented_shape_is_an_allow() {
        for answer in [
            json!({"allow": true}),
            json!({"allow": true, "reasons": [], "obligations": []}),
            json!({"allow": true, "reasons": [{"code": "a", "message": "b", "fix": null}]}),
        ] {
            assert_eq!(ruling(&answer).outcome(), Outcome::Allow, "{answer}");
        }
    }

    #[test]
    fn nothing_else_is_an_allow() {
        for answer in [
            json!(true),
            json!(null),
            json!([{"allow": true}]),
            json!("allow"),
            json!({}),
            json!({"allow": "true"}),
            json!({"allow": 1}),
            json!({"allow": null}),
            json!({"allow": [true]}),
            json!({"Allow": true}),
            json!({"allow": true, "deny": true}),
            json!({"allow": true, "reasons": {}}),
            json!({"allow": true, "reasons": ["a"]}),
            json!({"allow": true, "reasons": [{"code": "a"}]}),
            json!({"allow": true, "reasons": [{"code": "", "message": "b"}]}),
            json!({"allow": true, "reasons": [{"code": "a", "message": 1}]}),
            json!({"allow": true, "reasons": [{"code": "a", "message": "b", "more": 1}]}),
            json!({"allow": true, "obligations": {}}),
            json!({"allow": true, "needs": null}),
            json!({"allow": true, "needs": 60}),
            json!({"allow": true, "needs": {"score": "60"}}),
            json!({"allow": true, "needs": {"score": null}}),
            json!({"allow": true, "needs": {"score": -0.1}}),
            json!({"allow": true, "needs": {"score": 100.1}}),
            json!({"allow": true, "needs": {"score": 60, "evidence": 900}}),
            json!({"result": {"allow": true}}),
        ] {
            let ruling = ruling(&answer);
            assert_eq!(ruling.outcome(), Outcome::Deny, "{answer}");
            assert_eq!(codes(&ruling), [MALFORMED], "{answer}");
        }
    }

    #[test]
    fn what_is_needed_is_told_whatever_the_outcome() {
        for allow in [true, false] {
            let needed = |needs: serde_json::Value| ruling(&json!({"allow": allow, "needs": needs})).required_score();
            assert_eq!(needed(json!({"score": 60})), Some(TrustScore::new(60.0)));
            assert_eq!(needed(json!({"score": 59.5})), Some(TrustScore::new(59.5)));
            assert_eq!(
                (needed(json!({"score": 0})), needed(json!({"score": 100}))),
                (Some(TrustScore::ZERO), Some(TrustScore::MAX))
            );
            assert_eq!(needed(json!({})), None);
        }
    }

    #[test]
    fn errors_and_nothing_at_all_are_denied_by_their_codes() {
        assert_eq!(codes(&read(Ok(Document::new(Value::Undefined)))), [UNDEFINED]);
        let of = |error| read(Err(error));
        assert_eq!(codes(&of(EvaluationError::InstructionLimit { limit: 1 })), [TIMEOUT]);
        assert_eq!(codes(&of(EvaluationError::MemoryLimit { limit: 1 })), [TIMEOUT]);
        assert_eq!(codes(&of(EvaluationError::Failed { message: "secret".into() })), [ERROR]);
        let panicked = of(EvaluationError::Panicked { message: "secret".into() });
        assert_eq!((panicked.outcome(), codes(&panicked)), (Outcome::Deny, vec![ERROR]));
        assert!(!panicked.reasons()[0].message.contains("secret"));
    }

    #[test]
    fn reasons_are_bounded() {
        let many = |count: usize| json!({"allow": false, "reasons": vec![json!({"code": "a", "message": "b"}); count]});
        assert_eq!(codes(&ruling(&many(MAX_REASONS))).len(), MAX_REASONS);
        assert_eq!(codes(&ruling(&many(MAX_REASONS + 1))), [MALFORMED]);
        let long = |length: usize| json!({"allow": false, "reasons": [{"code": "a", "message": "b".repeat(length)}]});
        assert_eq!(codes(&ruling(&long(MAX_REASONS_LEN - 1))), ["a"]);
        assert_eq!(codes(&ruling(&long(MAX_REASONS_LEN))), [MALFORMED]);
        let code = |length: usize| json!({"allow": false, "reasons": [{"code": "c".repeat(length), "message": "b"}]});
        assert_eq!(codes(&ruling(&code(MAX_CODE_LEN)))[0].len(), MAX_CODE_LEN);
        assert_eq!(codes(&ruling(&code(MAX_CODE_LEN + 1))), [MALFORMED]);
    }

    #[test]
    fn reasons_cannot_drive_a_terminal() {
        let answer = json!({"allow": false, "reasons": [{"code": "a", "message": "x\u{1b}[2J\r\ny", "fix": "z\0"}]});
        let ruling = ruling(&answer);
        assert_eq!(ruling.reasons()[0].message, "x [2J  y");
        assert_eq!(ruling.reasons()[0].fix.as_deref(), Some("z "));
    }
}
