//! OpenID AuthZEN, Authorization API 1.0: evaluation, evaluations, search and metadata, in its HTTPS binding.
//!
//! An evaluation becomes a question like any other (see [`question`]), and its answer a decision on record; so does every
//! candidate of a search. What AuthZEN leaves to an implementation is told in docs/doors.md.

mod error;
mod evaluate;
mod metadata;
mod page;
mod question;
mod search;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::observe::REQUEST_ID;
use vouchsafe_wire::v1::authzen::{
    AccessDecision, AccessDecisions, AgentContext, PageAnswer, PageRequest, PdpMetadata, SearchAnswer, Searched,
    Semantic,
};
use vouchsafe_wire::v1::limits::{ACCESS_BODY, ACCESSES_BODY};

use super::Doors;
pub use error::as_text;
pub use metadata::PATH as METADATA;
pub use page::PageKey;

/// What all its paths begin with, but that of its metadata.
pub const PREFIX: &str = "/access/";

/// The routes, to be surrounded as those of all doors.
pub fn routes(doors: &Doors) -> Router {
    let one = Router::new()
        .route("/access/v1/evaluation", post(evaluate::evaluation))
        .route("/access/v1/search/subject", post(search::subject))
        .route("/access/v1/search/resource", post(search::resource))
        .route("/access/v1/search/action", post(search::action));
    let many = Router::new().route("/access/v1/evaluations", post(evaluate::evaluations));
    let metadata = Router::new().route(METADATA, get(metadata::metadata));
    with_body_limit(one, ACCESS_BODY)
        .merge(with_body_limit(many, ACCESSES_BODY))
        .merge(metadata)
        .layer(from_fn(echo))
        .with_state(doors.clone())
}

/// Every identifier of a request comes back as it was, whatever it looks like (10.1.3). In the log it is named as it suits a
/// log.
async fn echo(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut response = next.run(request).await;
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Its part of the OpenAPI description.
#[derive(OpenApi)]
#[openapi(
    paths(
        evaluate::evaluation,
        evaluate::evaluations,
        search::subject,
        search::resource,
        search::action,
        metadata::metadata
    ),
    components(schemas(
        AccessDecision,
        AccessDecisions,
        SearchAnswer,
        PageAnswer,
        PageRequest,
        PdpMetadata,
        AgentContext,
        Searched,
        Semantic
    ))
)]
pub struct AuthzenApi;
