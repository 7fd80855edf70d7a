//! `POST /v1/decision` and `POST /v1/decisions`: our own door.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::future::try_join_all;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{HttpProblem, Json};
use vouchsafe_model::Decision;
use vouchsafe_wire::v1::decide::{AskDecision, AskDecisions, Decisions};
use vouchsafe_wire::v1::limits::{DECISION_BODY, DECISIONS, DECISIONS_BODY};
use vouchsafe_wire::v1::problem::Problem;

use super::{Caller, Doors};
use crate::decider::{Answer, Decider, NotDecided};
use crate::question::QuestionError;

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(doors: &Doors) -> Router {
    let one = with_body_limit(Router::new().route("/v1/decision", post(decide)), DECISION_BODY);
    let many = with_body_limit(Router::new().route("/v1/decisions", post(decide_all)), DECISIONS_BODY);
    one.merge(many).with_state(doors.clone())
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(decide, decide_all), components(schemas(AskDecision, AskDecisions, Decision, Decisions, Problem)))]
pub struct NativeApi;

/// Decides one request, anew.
#[utoipa::path(
    post,
    path = "/v1/decision",
    operation_id = "decide",
    tag = "decisions",
    request_body(content = AskDecision, description = "Who asks, from where, with what, for what."),
    responses(
        (status = 200, description = "The decision, good for this one request: allow or deny, and why.", body = Decision,
            headers(("Cache-Control" = String, description = "no-store: a decision is never used twice."))),
        (status = 400, description = "The body is not JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no client certificate and no key that is known.", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "Neither an enforcement point nor an operator asks, or one who is not registered to \
            pass on what the question says of others.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The question is not acceptable.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "A decision was made and could not be put on record: deny.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn decide(
    State(decider): State<Arc<Decider>>,
    caller: Caller,
    Json(ask): Json<AskDecision>,
) -> Result<Response, HttpProblem> {
    caller.may_ask_natively(&ask)?;
    let question = caller.question(ask).map_err(|error| unacceptable("", &error))?;
    let answer = decider.decide(question, Some(caller.identity().clone())).await.map_err(not_decided)?;
    Ok(as_json(answer.into_json()))
}

/// Decides up to 100 requests, each anew and each on record by itself. The answers are in the order of the questions; when one
/// question is not acceptable, none is decided.
#[utoipa::path(
    post,
    path = "/v1/decisions",
    operation_id = "decideAll",
    tag = "decisions",
    request_body(content = AskDecisions, description = "The questions, 1 to 100."),
    responses(
        (status = 200, description = "The decisions, in the order of the questions.", body = Decisions,
            headers(("Cache-Control" = String, description = "no-store: a decision is never used twice."))),
        (status = 400, description = "The body is not JSON.", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "There is no client certificate and no key that is known.", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "Neither an enforcement point nor an operator asks, or one who is not registered to \
            pass on what the question says of others.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A question is not acceptable, or there are none or too many.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "A decision could not be put on record: none of them may be acted upon.",
            body = Problem, content_type = "application/problem+json"),
    )
)]
async fn decide_all(
    State(decider): State<Arc<Decider>>,
    caller: Caller,
    Json(AskDecisions { questions }): Json<AskDecisions>,
) -> Result<Response, HttpProblem> {
    if !(1..=DECISIONS).contains(&questions.len()) {
        let detail = format!("questions: there have to be 1 to {DECISIONS}, and there are {}.", questions.len());
        return Err(HttpProblem::unacceptable("decision.questions", detail));
    }
    questions.iter().try_for_each(|ask| caller.may_ask_natively(ask))?;
    let checked = questions.into_iter().enumerate().map(|(position, ask)| {
        caller.question(ask).map_err(|error| unacceptable(&format!("questions[{position}]: "), &error))
    });
    let questions = checked.collect::<Result<Vec<_>, _>>()?;
    // Side by side, so that all of them wait for the log once.
    let deciding = questions.into_iter().map(|question| decider.decide(question, Some(caller.identity().clone())));
    let answers = try_join_all(deciding).await.map_err(not_decided)?;
    let decisions: Vec<_> = answers.into_iter().map(Answer::into_json).collect();
    Ok(as_json([&br#"{"decisions":["#[..], &decisions.join(&b','), b"]}"].concat()))
}

fn as_json(body: Vec<u8>) -> Response {
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([json, (CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
}

pub(crate) fn unacceptable(place: &str, error: &QuestionError) -> HttpProblem {
    HttpProblem::unacceptable("decision.question", format!("{place}{error}."))
}

/// A decision that is not on record is not answered, whatever it was.
pub(crate) fn not_decided(error: NotDecided) -> HttpProblem {
    match error {
        NotDecided::NotLogged(_) => {
            let title = "The decision could not be put on record";
            HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, "decision.not_logged", title)
                .with_detail("Treat this as a deny, and ask again.")
        }
        NotDecided::Entropy(_) | NotDecided::Unwritable(_) | NotDecided::Unaskable(_) => HttpProblem::internal(error),
    }
}
