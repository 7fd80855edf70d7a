//! The doors that enforcement points knock at, each in the protocol that its points already speak.
//!
//! A door turns what came into a [`Question`](crate::Question), has it [decided](crate::Decider), and tells the answer in
//! its protocol. It decides nothing: whatever it does not understand, it refuses, and no refusal can be taken for an allow.

pub mod authzen;
pub mod caller;
pub mod envoy;
pub mod forward_auth;
mod forwarded;
pub mod http_request;
pub mod kubernetes;
pub mod native;
pub mod opa;
pub mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use vouchsafe_http::HttpProblem;

pub use authzen::PageKey;
pub use caller::{Caller, Forward, NotBelieved, PointSettings, Points, PointsError};
pub use watch::{WatchSettings, Watches};

use crate::decider::Decider;

/// The codes of the reasons for which doors deny without asking the policy. Such a decision says nothing of the policy, and what
/// is on record of the request is only fit to be shown: another policy cannot be tried on it.
pub const DENIED_UNASKED: [&str; 8] = [
    "request.method_ambiguous",
    "request.scheme_unknown",
    "request.host_ambiguous",
    "request.path_ambiguous",
    "request.query_ambiguous",
    "request.headers_ambiguous",
    "request.too_large",
    "request.user_claimed",
];

/// What stands behind all doors. Clones share it: each request has one.
#[derive(Clone)]
pub struct Doors {
    /// What decides and puts on record.
    pub decider: Arc<Decider>,
    /// Who is believed in what.
    pub points: Points,
    /// The watches that are open.
    pub watches: Watches,
    /// The key of the tokens by which a search goes on.
    pub page_key: PageKey,
    /// How these doors are reached from outside, if that is known: `https://engine.example.org:8443`.
    pub base_url: Option<Arc<str>>,
}

impl Doors {
    /// Doors at which no point is registered.
    pub fn new(decider: Decider, page_key: PageKey) -> Self {
        Self {
            decider: Arc::new(decider),
            points: Points::default(),
            watches: Watches::default(),
            page_key,
            base_url: None,
        }
    }

    /// The same doors, reached at this address.
    #[must_use]
    pub fn at(self, base_url: Option<String>) -> Self {
        Self { base_url: base_url.map(Arc::from), ..self }
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
    native::routes(doors)
        .merge(opa::routes(doors))
        .merge(authzen::routes(doors))
        .merge(envoy::routes(doors))
        .merge(forward_auth::routes(doors))
        .merge(watch::routes(doors))
        .merge(kubernetes::routes(doors))
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
    document.merge(envoy::openapi());
    document.merge(forward_auth::ForwardAuthApi::openapi());
    document.merge(watch::WatchApi::openapi());
    document.merge(kubernetes::KubernetesApi::openapi());
    document
}
