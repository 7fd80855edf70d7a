//! `/access/v1/evaluation` and `/access/v1/evaluations`.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Map, json};
use vouchsafe_model::{Decision, Outcome};
use vouchsafe_wire::v1::agent::Access;
use vouchsafe_wire::v1::authzen::{
    AccessDecision, AccessDecisions, EvaluationsRequest, Semantic, Unacceptable, read_evaluation, read_evaluations,
};
use vouchsafe_wire::v1::limits::{ACCESS_BODY, ACCESSES_BODY};

use super::error::{Refused, read_body};
use super::question::{NoQuestion, check_belief, question};
use crate::decider::{Decider, NotDecided};
use crate::doors::{Caller, Doors};

/// What a user is told when no reason says what would help.
const NOT_ALLOWED: &str = "This is not allowed.";

/// May the subject do the action to the resource?
#[utoipa::path(
    post,
    path = "/access/v1/evaluation",
    operation_id = "accessEvaluation",
    tag = "authzen",
    request_body(content = Access, description = "AuthZEN 6.1. Unknown fields are ignored."),
    responses(
        (status = 200, description = "Yes or no, and in its context under which id it is on record, and why.",
            body = AccessDecision),
        (status = 400, description = "What is wrong with the request.", body = String, content_type = "text/plain"),
        (status = 401, description = "It is not known who asks.", body = String, content_type = "text/plain"),
        (status = 403, description = "The caller may not ask this.", body = String, content_type = "text/plain"),
        (status = 500, description = "There is no decision on record: deny.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn evaluation(State(doors): State<Doors>, request: Request) -> Result<Response, Refused> {
    let caller = doors.points.caller(request.extensions())?;
    let access = read_evaluation(&read_body(request, ACCESS_BODY).await?)?;
    Ok(as_json(&one(&doors.decider, &caller, access).await?))
}

/// Several evaluations at once, each with what it takes from the top.
#[utoipa::path(
    post,
    path = "/access/v1/evaluations",
    operation_id = "accessEvaluations",
    tag = "authzen",
    request_body(content = Object, description = "AuthZEN 7.1. At most 100 evaluations; unknown fields are ignored."),
    responses(
        (status = 200, description = "As many answers as were run, in their order; one that lacks something is a no.",
            body = AccessDecisions),
        (status = 400, description = "What is wrong with the request.", body = String, content_type = "text/plain"),
        (status = 401, description = "It is not known who asks.", body = String, content_type = "text/plain"),
        (status = 403, description = "The caller may not ask this.", body = String, content_type = "text/plain"),
        (status = 500, description = "There is no decision on record: deny.", body = String, content_type = "text/plain"),
    )
)]
pub(super) async fn evaluations(State(doors): State<Doors>, request: Request) -> Result<Response, Refused> {
    let caller = doors.points.caller(request.extensions())?;
    match read_evaluations(&read_body(request, ACCESSES_BODY).await?)? {
        EvaluationsRequest::One(access) => Ok(as_json(&one(&doors.decider, &caller, access).await?)),
        EvaluationsRequest::Many { evaluations, semantic } => {
            evaluations.iter().flatten().try_for_each(|access| check_belief(&caller, access))?;
            let evaluations = many(&doors.decider, &caller, evaluations, semantic).await?;
            Ok(as_json(&AccessDecisions { evaluations }))
        }
    }
}

async fn one(decider: &Decider, caller: &Caller, access: Access) -> Result<AccessDecision, Refused> {
    check_belief(caller, &access)?;
    match decide(decider, caller, Ok(access), Some(caller)).await? {
        Ok(decision) => Ok(told(&decision)),
        Err(failed) => Err(Refused::bad_request(failed)),
    }
}

async fn many(
    decider: &Decider,
    caller: &Caller,
    evaluations: Vec<Result<Access, Unacceptable>>,
    semantic: Semantic,
) -> Result<Vec<AccessDecision>, NotDecided> {
    let answer = |access| async move {
        let outcome = decide(decider, caller, access, Some(caller)).await?;
        Ok::<_, NotDecided>(outcome.map_or_else(|failed| not_evaluated(&failed), |decision| told(&decision)))
    };
    let (stops_at, reason) = match semantic {
        // Side by side, so that all of them wait for the log once.
        Semantic::ExecuteAll => return try_join_all(evaluations.into_iter().map(answer)).await,
        Semantic::DenyOnFirstDeny => (false, "deny_on_first_deny"),
        Semantic::PermitOnFirstPermit => (true, "permit_on_first_permit"),
    };
    let mut answers = Vec::with_capacity(evaluations.len());
    for access in evaluations {
        let mut answered = answer(access).await?;
        let is_last = answered.decision == stops_at;
        if is_last {
            answered.context.insert("reason".to_owned(), reason.into());
        }
        answers.push(answered);
        if is_last {
            break;
        }
    }
    Ok(answers)
}

/// Decides one evaluation, for somebody who is told of its obligations or for nobody. What is no question is no decision
/// either, and is told in words.
async fn decide(
    decider: &Decider,
    caller: &Caller,
    access: Result<Access, Unacceptable>,
    told: Option<&Caller>,
) -> Result<Result<Decision, String>, NotDecided> {
    let question = match access {
        Ok(access) => question(access, told).map_err(|error: NoQuestion| error.to_string()),
        Err(error) => Err(format!("{error}.")),
    };
    match question {
        Ok(question) => {
            let answer = decider.decide(question, Some(caller.identity().clone())).await?;
            Ok(Ok(answer.decision().clone()))
        }
        Err(failed) => Ok(Err(failed)),
    }
}

/// Whether a candidate of a search may, as an evaluation of it would say.
pub(super) async fn is_permitted(decider: &Decider, caller: &Caller, access: Access) -> Result<bool, NotDecided> {
    // Results are names, without a place for obligations.
    let outcome = decide(decider, caller, Ok(access), None).await?;
    Ok(outcome.is_ok_and(|decision| decision.outcome() == Outcome::Allow))
}

fn told(decision: &Decision) -> AccessDecision {
    let permitted = decision.outcome() == Outcome::Allow;
    let mut context = Map::new();
    context.insert("id".to_owned(), decision.id().to_string().into());
    context.insert("decided_at".to_owned(), decision.decided_at().to_string().into());
    context.insert("policy".to_owned(), decision.policy().to_string().into());
    if let Some(score) = decision.score() {
        context.insert("score".to_owned(), score.score.points().into());
    }
    // Texts always have a JSON form.
    context.insert("reasons".to_owned(), serde_json::to_value(decision.reasons()).unwrap_or_default());
    if !decision.obligations().is_empty() {
        context.insert("obligations".to_owned(), serde_json::to_value(decision.obligations()).unwrap_or_default());
    }
    if !permitted {
        let admin = decision.reasons().iter().map(|reason| format!("{}: {}", reason.code, reason.message));
        let fixes: Vec<_> = decision.reasons().iter().filter_map(|reason| reason.fix.as_deref()).collect();
        let user = if fixes.is_empty() { NOT_ALLOWED.to_owned() } else { fixes.join(" ") };
        context.insert("reason_admin".to_owned(), json!({"403": admin.collect::<Vec<_>>().join(" ")}));
        context.insert("reason_user".to_owned(), json!({"403": user}));
    }
    AccessDecision { decision: permitted, context }
}

/// An evaluation that lacks something is denied and says what (7.2.1).
fn not_evaluated(message: &str) -> AccessDecision {
    let error = json!({"status": 400, "message": message});
    AccessDecision { decision: false, context: Map::from_iter([("error".to_owned(), error)]) }
}

/// JSON that nobody stores.
pub(super) fn as_json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
            ([json, (CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "answer without a JSON form");
            Refused::internal().into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_something_is_a_no() {
        let answer = serde_json::to_value(not_evaluated("evaluations[1].resource is missing.")).unwrap();
        let expected = json!({
            "decision": false,
            "context": {"error": {"status": 400, "message": "evaluations[1].resource is missing."}}
        });
        assert_eq!(answer, expected);
    }
}
