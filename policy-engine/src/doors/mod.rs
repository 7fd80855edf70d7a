//! The doors that enforcement points knock at, each in the protocol that its points already speak.
//!
//! A door turns what came into a [`Question`](crate::Question), has it [decided](crate::Decider), and tells the answer in
//! its protocol. It decides nothing: whatever it does not understand, it refuses, and no refusal can be taken for an allow.

pub mod http_request;
pub mod native;

use axum::Router;
use utoipa::OpenApi;

use crate::decider::Decider;

/// The routes of all doors, to be surrounded by [`vouchsafe_http::api()`].
pub fn routes(decider: Decider) -> Router {
    native::routes(decider)
}

/// The OpenAPI description of all doors.
pub fn openapi() -> utoipa::openapi::OpenApi {
    native::NativeApi::openapi()
}
