//! `GET /.well-known/authzen-configuration`: where what is.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::Response;
use vouchsafe_wire::v1::authzen::PdpMetadata;

use super::error::Refused;
use super::evaluate::as_json;
use crate::doors::Doors;

/// Where it is (RFC 8615).
pub const PATH: &str = "/.well-known/authzen-configuration";

/// For how long it may be kept. It says nothing of anybody, and changes with the settings alone.
const CACHED: HeaderValue = HeaderValue::from_static("max-age=3600");

/// The addresses of the API. They tell nothing that whoever reached this one does not know.
#[utoipa::path(
    get,
    path = "/.well-known/authzen-configuration",
    operation_id = "accessMetadata",
    tag = "authzen",
    responses(
        (status = 200, description = "The addresses.", body = PdpMetadata,
            headers(("Cache-Control" = String, description = "max-age=3600"))),
        (status = 404, description = "The settings do not say how this door is reached over HTTPS.", body = String,
            content_type = "text/plain"),
    )
)]
pub(super) async fn metadata(State(doors): State<Doors>) -> Result<Response, Refused> {
    let base = doors.base_url.as_deref().map(|url| url.trim_end_matches('/'));
    let base = base.filter(|url| url.starts_with("https://") && !url.contains(['?', '#']));
    let base = base.ok_or_else(|| Refused::not_found("It is not known here how this door is reached over HTTPS."))?;
    let at = |path: &str| format!("{base}/access/v1/{path}");
    let mut response = as_json(&PdpMetadata {
        policy_decision_point: base.to_owned(),
        access_evaluation_endpoint: at("evaluation"),
        access_evaluations_endpoint: at("evaluations"),
        search_subject_endpoint: at("search/subject"),
        search_resource_endpoint: at("search/resource"),
        search_action_endpoint: at("search/action"),
    });
    response.headers_mut().insert(CACHE_CONTROL, CACHED);
    Ok(response)
}
