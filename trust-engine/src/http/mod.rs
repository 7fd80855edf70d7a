//! The doors of the trust engine. Handlers turn bytes into one call and its outcome into bytes; nothing is decided here.

mod attest;
mod dbx;
mod devices;
mod enrol;
mod images;
mod problem;
mod results;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};
use utoipa::OpenApi;

use crate::engine::TrustEngine;

pub use results::{result_key_routes, result_routes};

/// What handlers share.
pub type Shared = Arc<TrustEngine>;

/// The routes of hosts that have no identity yet.
pub fn enrol_routes(engine: Shared) -> Router {
    Router::new()
        .route("/v1/enrol/begin", post(enrol::begin))
        .route("/v1/enrol/complete", post(enrol::complete))
        .with_state(engine)
}

/// The routes of devices that have enrolled.
pub fn device_routes(engine: Shared) -> Router {
    Router::new()
        .route("/v1/attest", post(attest::attest))
        .route("/v1/challenge", post(attest::challenge))
        .route("/v1/renew", post(attest::renew))
        .route("/v1/logs/ima", post(attest::ima))
        .with_state(engine)
}

/// The routes of operators.
pub fn operator_routes(engine: Shared) -> Router {
    Router::new()
        .route("/v1/tokens", post(tokens::create).get(tokens::list))
        .route("/v1/tokens/{id}/revoke", post(tokens::revoke))
        .route("/v1/credentials", post(tokens::issue_credential))
        .route("/v1/devices", get(devices::list))
        .route("/v1/devices/{device}", get(devices::show))
        .route("/v1/devices/{device}/revoke", post(devices::revoke))
        .route("/v1/devices/{device}/restore", post(devices::restore))
        .route("/v1/devices/{device}/image", put(devices::assign_image))
        .route("/v1/devices/{device}/trust", get(devices::trust))
        .route("/v1/images", post(images::capture).get(images::list))
        .route("/v1/images/{id}", get(images::show))
        .route("/v1/images/{id}/retire", post(images::retire))
        .route("/v1/images/{id}/document", get(images::document))
        .route("/v1/devices/{device}/measurements", get(devices::measurements))
        .route("/v1/devices/{device}/ima-list", get(devices::ima_list))
        .route("/v1/secure-boot/dbx", get(dbx::list))
        .route("/v1/secure-boot/dbx/{arch}", put(dbx::import))
        .with_state(engine)
}

/// The routes of operators that take whole images: their bodies are long.
pub fn image_routes(engine: Shared) -> Router {
    Router::new()
        .route("/v1/image-documents", post(images::import))
        .route("/v1/image-documents/dry-run", post(images::dry_run))
        .with_state(engine)
}

/// What the routes look like, for OpenAPI.
#[derive(OpenApi)]
#[openapi(
    paths(
        enrol::begin,
        enrol::complete,
        attest::attest,
        attest::challenge,
        attest::renew,
        attest::ima,
        tokens::create,
        tokens::list,
        tokens::revoke,
        tokens::issue_credential,
        devices::list,
        devices::show,
        devices::revoke,
        devices::restore,
        devices::assign_image,
        devices::trust,
        images::capture,
        images::list,
        images::show,
        images::retire,
        images::document,
        images::import,
        images::dry_run,
        devices::measurements,
        devices::ima_list,
        dbx::list,
        dbx::import,
        results::result,
        results::keys,
    ),
    components(schemas(vouchsafe_wire::v1::problem::Problem, vouchsafe_wire::v1::attest::EvidencePayload))
)]
pub struct TrustApi;
