//! Why a decision came out as it did: its recorded input once more, with every rule's value and every line watched.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{OpenApi, ToSchema};
use vouchsafe_http::{HttpProblem, Json, OperatorPeer, Path};
use vouchsafe_model::{DecisionId, Outcome, Reason, Sha256Digest, Timestamp};
use vouchsafe_policies::{Bundle, ENTRY_POINT};
use vouchsafe_wire::v1::problem::Problem;

use super::http::{LogState, unknown};
use super::{NotReplayable, Replay, replay_input};
use crate::compile::CompileError;
use crate::decide::PolicyEngine;
use crate::evaluate::Document;
use crate::explain::{self, FileCoverage, RuleValue};
use crate::ruling;

/// How many decisions are explained at once; others wait. Each has the policy parsed anew.
const MAX_EXPLAINING: usize = 1;

/// A decision that was made again, and how it comes about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedDecision {
    /// Its name.
    pub id: DecisionId,
    /// When it was made: the instant that it is explained for.
    pub decided_at: Timestamp,
    /// How it came out.
    pub outcome: Outcome,
    /// The hash of the policy that it was made by.
    pub policy: Sha256Digest,
    /// The hash of the policy that it is explained by: the one in charge now.
    pub explained_by: Sha256Digest,
    /// How it comes out by that one.
    pub outcome_now: Outcome,
    /// Why.
    pub reasons_now: Vec<Reason>,
    /// What each rule is worth.
    pub rules: Vec<RuleValue>,
    /// Which lines were evaluated for the decision.
    pub coverage: Vec<FileCoverage>,
    /// What the policy printed meanwhile.
    pub prints: Vec<String>,
}

/// What the route needs.
#[derive(Clone)]
pub struct ExplainState {
    log: LogState,
    engine: Arc<PolicyEngine>,
    turns: Arc<Semaphore>,
}

impl ExplainState {
    /// Explains the decisions of this log by what is in charge of this engine.
    pub fn new(log: LogState, engine: Arc<PolicyEngine>) -> Self {
        Self { log, engine, turns: Arc::new(Semaphore::new(MAX_EXPLAINING)) }
    }
}

/// The route, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(state: ExplainState) -> Router {
    Router::new().route("/v1/decisions/{id}/explain", get(explain)).with_state(state)
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(paths(explain), components(schemas(ExplainedDecision, Problem)))]
pub struct ExplainApi;

/// Explains a decision: its recorded input is evaluated again by the policy in charge, on the reference evaluator, with the
/// value of each rule and the lines that were reached. Nothing of it decides anything.
#[utoipa::path(
    get, path = "/v1/decisions/{id}/explain", operation_id = "explainDecision", tag = "operator",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = ExplainedDecision), (status = 404, body = Problem),
        (status = 409, description = "The log does not hold all that it was made over.", body = Problem)
    )
)]
async fn explain(
    State(state): State<ExplainState>,
    _: OperatorPeer,
    Path(id): Path<DecisionId>,
) -> Result<Json<ExplainedDecision>, HttpProblem> {
    let found = state.log.read(move |view| view.find(id)).await?.map_err(HttpProblem::internal)?;
    let record = found.ok_or_else(|| unknown(id))?;
    let replay = record.body().ok_or_else(dropped)?;
    let replay = replay_input(replay).map_err(|error| not_replayable(&error))?;
    let turn = state.turns.clone().acquire_owned().await.map_err(HttpProblem::internal)?;
    let bundle = state.engine.bundle();
    let explaining = tokio::task::spawn_blocking(move || {
        let explained = explained(&bundle, replay);
        drop(turn);
        explained
    });
    explaining.await.map_err(HttpProblem::internal)?.map(Json).map_err(HttpProblem::internal)
}

fn explained(bundle: &Bundle, replay: Replay) -> Result<ExplainedDecision, CompileError> {
    let Replay { id, outcome, policy, input, understands } = replay;
    let (decided_at, input) = (input.now, Document::of(&input));
    let explanation = explain::explain(bundle, ENTRY_POINT, &input)?;
    let ruling = ruling::for_asker(ruling::read(explanation.value), &understands);
    Ok(ExplainedDecision {
        id,
        decided_at,
        outcome,
        policy,
        explained_by: bundle.hash(),
        outcome_now: ruling.outcome(),
        reasons_now: ruling.reasons().to_vec(),
        rules: explain::rule_values(bundle, &input)?,
        coverage: explanation.coverage,
        prints: explanation.prints,
    })
}

fn not_replayable(error: &NotReplayable) -> HttpProblem {
    cannot(format!("{error}."))
}

fn dropped() -> HttpProblem {
    cannot("The policy dropped it from the log.".to_owned())
}

fn cannot(detail: String) -> HttpProblem {
    let title = "The decision cannot be made again";
    HttpProblem::new(StatusCode::CONFLICT, "decision.not_replayable", title).with_detail(detail)
}
