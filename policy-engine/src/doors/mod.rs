//! The doors that enforcement points knock at, each in the protocol that its points already speak.
//!
//! A door turns what came into a [`Question`](crate::Question), has it [decided](crate::Decider), and tells the answer in
//! its protocol. It decides nothing: whatever it does not understand, it refuses, and no refusal can be taken for an allow.

pub mod authzen;
pub mod caller;
pub mod native;
pub mod opa;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use vouchsafe_http::HttpProblem;

pub use authzen::PageKey;
pub use caller::{Caller, Forward, NotBelieved, PointSettings, Points, PointsError};

use crate::decider::Decider;

/// What stands behind all doors. Clones share it.
#[derive(Clone)]
pub struct Doors {
    /// What decides and puts on record.
    pub decider: Arc<Decider>,
    /// Who is believed in what.
    pub points: Points,
    /// The key of the tokens by which a search goes on.
    pub page_key: PageKey,
    /// How these doors are reached from outside, if that is known: `https://engine.example.org:8443`.
    pub base_url: Option<String>,
}

impl Doors {
    /// Doors at which no point is registered.
    pub fn new(decider: Decider, page_key: PageKey) -> Self {
        Self { decider: Arc::new(decider), points: Points::default(), page_key, base_url: None }
    }

    /// The same doors, reached at this address.
    #[must_use]
    pub fn at(self, base_url: Option<String>) -> Self {
        Self { base_url, ..self }
    }

    /// The same doors with these points registered.
    #[must_use]
    pub fn with_points(self, points: Points) -> Self {
        Self { points, ..self }
    }
}

impl FromRef<Doors> for Arc<Decider> {
    fn from_ref(doors: &Doors) -> Self {
        doors.decider.clone()
    }
}

impl FromRef<Doors> for Points {
    fn from_ref(doors: &Doors) -> Self {
        doors.points.clone()
    }
}

/// The routes of all doors, to be surrounded by [`vouchsafe_http::api()`] or [`vouchsafe_http::api_by_key()`].
pub fn routes(doors: &Doors) -> Router {
    native::routes(doors).merge(opa::routes(doors)).merge(authzen::routes(doors))
}

/// The paths that need no certificate and no key where keys are taken.
pub const OPEN_PATHS: &[&str] = &[opa::HEALTH, authzen::METADATA];

/// How a refusal before any door looks to those who ask for this path: as that door's own.
pub fn refusal(path: &str, problem: HttpProblem) -> Response {
    if path.starts_with("/v1/data") || path.starts_with("/v0/data") {
        opa::as_opa(problem)
    } else if path.starts_with(authzen::PREFIX) {
        authzen::as_text(problem)
    } else {
        problem.into_response()
    }
}

/// The OpenAPI description of all doors.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = native::NativeApi::openapi();
    document.merge(opa::OpaApi::openapi());
    document.merge(authzen::AuthzenApi::openapi());
    document
}
