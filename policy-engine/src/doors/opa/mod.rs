//! OPA's Data API, v1 and v0, as its clients and plugins speak it.
//!
//! A path names one of a fixed list of rules and never becomes the text of a query. The rule that decides takes a question of
//! ours as its input and is answered as at our own door; the others take any document (see [`crate::query`]). What OPA can do
//! beside that, ad-hoc queries, partial evaluation and policies that callers bring along, is not here and says so in OPA's way.

mod answer;
mod ask;
mod change;
mod error;
mod explained;
mod health;
mod parameters;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_wire::v1::limits::{DATA_BODY, DATA_CHANGE_BODY};
use vouchsafe_wire::v1::opa::{
    BundleRevision, DataAnswer, OpaError, OpaFault, OpaLocation, PatchOperation, PatchVerb, Provenance, Warning,
};

use super::Doors;
pub use error::as_opa;
pub use health::health_routes;

/// What the handlers share.
#[derive(Clone)]
struct Opa {
    doors: Doors,
    /// Explanations are slow: one at a time.
    explaining: Arc<Semaphore>,
    /// So are changes of the data.
    writing: Arc<Semaphore>,
}

/// The path under which health is told.
pub const HEALTH: &str = "/health";

/// The routes, to be surrounded as those of all doors.
pub fn routes(doors: &Doors) -> Router {
    let opa = Opa { doors: doors.clone(), explaining: one_at_a_time(), writing: one_at_a_time() };
    let asking = Router::new()
        .route("/v1/data/{*path}", get(ask::get_v1).post(ask::post_v1))
        .route("/v1/data", get(ask::get_v1).post(ask::post_v1))
        .route("/v0/data/{*path}", post(ask::post_v0))
        .route("/v0/data", post(ask::post_v0));
    let changing = Router::new()
        .route("/v1/data/{*path}", axum::routing::put(change::put).patch(change::patch).delete(change::delete));
    let absent =
        ["/v1/query", "/v1/compile", "/v1/compile/{*path}", "/v1/policies", "/v1/policies/{*path}", "/v1/config"];
    let absent = absent.into_iter().fold(Router::new(), |routes, path| routes.route(path, any(error::not_served)));
    let routes = with_body_limit(asking.merge(absent), DATA_BODY).merge(with_body_limit(changing, DATA_CHANGE_BODY));
    routes.with_state(opa).merge(health_routes(doors))
}

fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(
    paths(ask::get_v1, ask::post_v1, ask::post_v0, change::put, change::patch, change::delete, health::health),
    components(schemas(
        DataAnswer,
        Provenance,
        BundleRevision,
        Warning,
        OpaError,
        OpaFault,
        OpaLocation,
        PatchOperation,
        PatchVerb
    ))
)]
pub struct OpaApi;
