//! `GET /health`, as OPA's.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{HEALTH, answer};
use crate::doors::Doors;

/// The route, also for a door at which nobody has to say who they are.
pub fn health_routes(doors: &Doors) -> Router {
    Router::new().route(HEALTH, get(health)).with_state(doors.clone())
}

/// Whether decisions can be made. `bundles` and `plugins` may be asked for, and make no difference: an engine that lacks a
/// policy or the records of its devices is not healthy, whoever asks and however.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "opaHealth",
    tag = "opa",
    responses(
        (status = 200, description = "It can decide.", body = Object, example = json!({})),
        (status = 500, description = "It cannot, and denies whatever it is asked.", body = Object,
            example = json!({"error": "one or more bundles are not activated"})),
    )
)]
pub(super) async fn health(State(doors): State<Doors>) -> Response {
    if doors.decider.engine.is_ready() {
        return answer::json(&json!({}), false);
    }
    let body = json!({"error": "one or more bundles are not activated"});
    (StatusCode::INTERNAL_SERVER_ERROR, answer::json(&body, false)).into_response()
}
