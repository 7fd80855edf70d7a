//! `POST /v1/decision`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{Clock, DecisionPeer, Entropy, HttpProblem, Json};
use vouchsafe_model::Decision;
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::limits::DECISION_BODY;
use vouchsafe_wire::v1::problem::Problem;

use crate::decide::PolicyEngine;
use crate::log::{DecisionLog, LogEntry, LogError};
use crate::metrics;
use crate::question::{Question, QuestionError};

/// What the door needs.
#[derive(Clone)]
pub struct DecisionState {
    /// What decides.
    pub engine: Arc<PolicyEngine>,
    /// Where decisions are put on record.
    pub log: Arc<dyn DecisionLog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the names of decisions.
    pub entropy: Arc<dyn Entropy>,
}

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(state: DecisionState) -> Router {
    with_body_limit(Router::new().route("/v1/decision", post(decide)), DECISION_BODY).with_state(Arc::new(state))
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(decide), components(schemas(AskDecision, Decision, Problem)))]
pub struct DecisionApi;

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
        (status = 401, description = "There is no client certificate.", body = Problem,
            content_type = "application/problem+json"),
        (status = 403, description = "The client certificate is neither that of an enforcement point nor an operator's.",
            body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The question is not acceptable.", body = Problem,
            content_type = "application/problem+json"),
        (status = 503, description = "A decision was made and could not be put on record: deny.", body = Problem,
            content_type = "application/problem+json"),
    )
)]
async fn decide(
    State(state): State<Arc<DecisionState>>,
    asker: DecisionPeer,
    Json(ask): Json<AskDecision>,
) -> Result<Response, HttpProblem> {
    let question = Question::check(ask).map_err(|error| unacceptable(&error))?;
    let entropy = state.entropy.bytes().map_err(HttpProblem::internal)?;
    let decision = state.engine.decide(&question, state.clock.now(), &entropy);
    // Written before the wait, and given to nobody before its end: what is waited with is small then.
    let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let answer = (no_store, Json(&decision)).into_response();
    let entry = LogEntry::new(decision, &question, Some(asker.peer.identity)).map_err(|e| not_logged(&e))?;
    drop(question);
    state.log.append(entry).await.map_err(|error| not_logged(&error))?;
    Ok(answer)
}

fn unacceptable(error: &QuestionError) -> HttpProblem {
    HttpProblem::unacceptable("decision.question", format!("{error}."))
}

/// A decision that is not on record is not answered, whatever it was.
fn not_logged(error: &LogError) -> HttpProblem {
    metrics::not_logged();
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(error = %error, cause, "decision not logged");
    HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, "decision.not_logged", "The decision could not be put on record")
        .with_detail("Treat this as a deny, and ask again.")
}
