//! Envoy's external authorization (`envoy.extensions.filters.http.ext_authz.v3`), over gRPC and over HTTP.
//!
//! Envoy asks before it passes a request on, and passes it on for an OK alone. Its `failure_mode_allow` has to be off, as it
//! is by default: with it, whatever keeps us from answering lets requests pass.

mod grpc;
mod http;

use axum::Router;
use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use utoipa::OpenApi;
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_wire::v1::limits::FORWARDED_BODY;

use super::Doors;

pub use http::EnvoyApi;

/// The most that the message of a gRPC call may be, in bytes: the bound of a body, without the frame's own five.
const MAX_MESSAGE_LEN: usize = FORWARDED_BODY - 5;

/// The routes of both, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(doors: &Doors) -> Router {
    let service =
        AuthorizationServer::new(grpc::ExtAuthz::new(doors.clone())).max_decoding_message_size(MAX_MESSAGE_LEN);
    let grpc = Router::new().route_service("/envoy.service.auth.v3.Authorization/{method}", service);
    with_body_limit(grpc.merge(http::routes(doors)), FORWARDED_BODY)
}

/// Its part of the OpenAPI description; gRPC has a description of its own.
pub fn openapi() -> utoipa::openapi::OpenApi {
    EnvoyApi::openapi()
}
