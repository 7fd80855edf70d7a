//! What became of an evaluation.

use serde_json::json;
use vouchsafe_policy_engine::Location;
use vouchsafe_policy_engine::confined::TrialOutcome;

use super::clean;
use crate::args::Format;

/// An answer, or why there is none.
pub(crate) fn outcome(outcome: &TrialOutcome, format: Format) -> String {
    match (outcome, format) {
        // The result is passed on as it was written, figures of any size included.
        (TrialOutcome::Answered(answer), Format::Json) => {
            let result = answer.result.as_ref().map(|result| format!("\"result\":{result},")).unwrap_or_default();
            format!("{{{result}\"evaluator\":\"{}\"}}\n", answer.evaluator.name())
        }
        (TrialOutcome::Answered(answer), Format::Text) => {
            let result = answer.result.as_deref().unwrap_or("undefined");
            format!("{}\n(by the {} evaluator)\n", clean(result), answer.evaluator.name())
        }
        (TrialOutcome::Failed { code, message, location }, Format::Json) => failure(code, message, location.as_ref()),
        (TrialOutcome::Failed { code, message, location }, Format::Text) => {
            let place = location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
            format!("error: {}{} [{code}]\n", clean(&place), clean(message))
        }
    }
}

/// Why there is no answer, for programs.
pub(crate) fn failure(code: &str, message: &str, location: Option<&Location>) -> String {
    let mut error = json!({"code": code, "message": message});
    if let (Some(error), Some(location)) = (error.as_object_mut(), location) {
        error.insert("location".to_owned(), json!(location));
    }
    format!("{}\n", json!({"error": error}))
}
