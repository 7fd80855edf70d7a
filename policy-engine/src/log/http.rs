//! What operators ask of the decision log: decisions, and proofs that they are in it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::{IntoParams, OpenApi};
use vouchsafe_http::{HttpProblem, OperatorPeer, Path, Query};
use vouchsafe_journal::{Journal, ProveError, View};
use vouchsafe_model::{DecisionId, DeviceId, Outcome, Timestamp};
use vouchsafe_wire::v1::decide::RecordedDecision;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::operate;
use vouchsafe_wire::v1::problem::Problem;

use super::query::{self, DecisionFilter, DecisionPage, Order};

/// How many requests look through the log at once; others wait. It is on the disk that decisions wait for.
const MAX_READERS: usize = 2;

/// What these routes need.
#[derive(Clone)]
pub struct LogState {
    journal: Journal,
    key_pem: Arc<str>,
    readers: Arc<Semaphore>,
}

impl LogState {
    /// The routes of this journal, whose public key this is, as a `SubjectPublicKeyInfo` in PEM.
    pub fn new(journal: Journal, key_pem: impl Into<Arc<str>>) -> Self {
        Self { journal, key_pem: key_pem.into(), readers: Arc::new(Semaphore::new(MAX_READERS)) }
    }

    /// Reads the log beside the tasks that answer requests.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> T + Send + 'static,
    ) -> Result<T, HttpProblem> {
        let place = self.readers.clone().acquire_owned().await.map_err(HttpProblem::internal)?;
        let view = self.journal.view();
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            read(&view)
        });
        reading.await.map_err(HttpProblem::internal)
    }
}

/// The routes, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(state: LogState) -> Router {
    Router::new()
        .route("/v1/decisions", get(list))
        .route("/v1/decisions/{id}", get(show))
        .route("/v1/decisions/{id}/proof", get(prove))
        .route("/v1/decision-log/checkpoint", get(checkpoint))
        .route("/v1/decision-log/key", get(key))
        .with_state(state)
}

/// Their part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(list, show, prove, checkpoint, key), components(schemas(RecordedDecision, Problem)))]
pub struct LogApi;

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DecisionQuery {
    /// Only those about requests from this device.
    #[param(value_type = Option<String>)]
    device: Option<DeviceId>,
    /// Only those about requests of this user.
    user: Option<String>,
    /// Only those about this resource, or, when it ends in `*`, about those that begin so.
    resource: Option<String>,
    /// Only those that came out so.
    outcome: Option<Outcome>,
    /// Only those made at this instant or later.
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Only those made before this instant.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// The oldest first; without it the newest.
    #[serde(default)]
    oldest_first: bool,
    /// Where the page before ended: its `next`.
    after: Option<u64>,
    /// How many, at most 500.
    limit: Option<u32>,
}

/// Lists decisions, the newest first. A page looks through a bounded part of the log: one with few rows or none is the last
/// only when it has no `next`.
#[utoipa::path(
    get, path = "/v1/decisions", operation_id = "listDecisions", tag = "operator", params(DecisionQuery),
    responses((status = 200, body = operate::Page<RecordedDecision>), (status = 422, body = Problem))
)]
async fn list(
    State(state): State<LogState>,
    _: OperatorPeer,
    Query(query): Query<DecisionQuery>,
) -> Result<Response, HttpProblem> {
    let limit = query.limit.unwrap_or(limits::PAGE);
    if !(1..=limits::PAGE).contains(&limit) {
        let detail = format!("limit: 1 to {} rows are shown at once.", limits::PAGE);
        return Err(HttpProblem::unacceptable("query.limit", detail));
    }
    let DecisionQuery { device, user, resource, outcome, since, until, oldest_first, after, .. } = query;
    let filter = DecisionFilter { device, user, resource, outcome, since, until };
    let order = if oldest_first { Order::OldestFirst } else { Order::NewestFirst };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = state.read(move |view| query::page(view, &filter, order, after, limit)).await?;
    let DecisionPage { rows, next } = page.map_err(HttpProblem::internal)?;
    let next = next.map_or_else(String::new, |next| format!(r#","next":"{next}""#));
    Ok(json(format!(r#"{{"items":[{}]{next}}}"#, rows.join(","))))
}

/// Shows a decision.
#[utoipa::path(
    get, path = "/v1/decisions/{id}", operation_id = "showDecision", tag = "operator", params(("id" = String, Path)),
    responses((status = 200, body = RecordedDecision), (status = 404, body = Problem))
)]
async fn show(
    State(state): State<LogState>,
    _: OperatorPeer,
    Path(id): Path<DecisionId>,
) -> Result<Response, HttpProblem> {
    let found = state.read(move |view| view.find(id)).await?.map_err(HttpProblem::internal)?;
    found.map(|record| json(query::row(&record))).ok_or_else(|| unknown(id))
}

/// Proves that a decision is in the log: a text (C2SP tlog-proof) that anyone who has the log's key can verify.
#[utoipa::path(
    get, path = "/v1/decisions/{id}/proof", operation_id = "proveDecision", tag = "operator",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem),
        (status = 503, description = "The decision is so new that no checkpoint covers it.", body = Problem)
    )
)]
async fn prove(
    State(state): State<LogState>,
    _: OperatorPeer,
    Path(id): Path<DecisionId>,
) -> Result<Response, HttpProblem> {
    match state.read(move |view| view.prove(id)).await? {
        Ok(Some(proof)) => Ok(text(proof.to_text())),
        Ok(None) => Err(unknown(id)),
        Err(ProveError::NotSigned) => Err(not_signed()),
        Err(ProveError::Read(error)) => Err(HttpProblem::internal(error)),
    }
}

/// The latest checkpoint of the log: a signed note (C2SP tlog-checkpoint). Kept elsewhere, it shows later whether the log
/// still has what it had.
#[utoipa::path(
    get, path = "/v1/decision-log/checkpoint", operation_id = "logCheckpoint", tag = "operator",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = Problem))
)]
async fn checkpoint(State(state): State<LogState>, _: OperatorPeer) -> Result<Response, HttpProblem> {
    let checkpoint = state.journal.checkpoint().ok_or_else(not_signed)?;
    Ok(text(checkpoint.note().to_owned()))
}

/// The key that checkpoints are verified with: a public key in PEM.
#[utoipa::path(
    get, path = "/v1/decision-log/key", operation_id = "logKey", tag = "operator",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
async fn key(State(state): State<LogState>, _: OperatorPeer) -> Response {
    text(state.key_pem.to_string())
}

pub(super) fn unknown(id: DecisionId) -> HttpProblem {
    HttpProblem::new(StatusCode::NOT_FOUND, "decision.not_found", "There is no such decision")
        .with_detail(format!("No decision {id} is in the log; retention may have removed it."))
}

fn not_signed() -> HttpProblem {
    HttpProblem::unavailable("decision_log.not_signed", "No checkpoint covers it yet. Ask again in a moment.")
        .with_retry_after(std::time::Duration::from_secs(1))
}

fn json(body: String) -> Response {
    answer("application/json", body)
}

fn text(body: String) -> Response {
    answer("text/plain; charset=utf-8", body)
}

fn answer(media_type: &'static str, body: String) -> Response {
    let no_store = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ([(CONTENT_TYPE, HeaderValue::from_static(media_type)), no_store], body).into_response()
}
