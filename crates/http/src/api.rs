//! What surrounds the routes of every door, in one place and one order.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::limits::{self, RequestLimits};
use crate::observe::{self, Observer};
use crate::problem;
use crate::rates::{self, RateLimiter, RateLimits};

/// What [`api`] needs to know.
#[derive(Clone)]
pub struct ApiSettings {
    /// The time, for request ids.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// The bounds of one request.
    pub request: RequestLimits,
    /// How many requests are taken, of each caller and of all together.
    pub rates: RateLimits,
}

/// Surrounds routes with request ids, metrics, rate limits, a body limit, a time limit and problems in place of plain
/// errors and panics.
///
/// From the outside in: observe, catch panics, limit rates, limit the request. Each layer's refusals are thereby
/// observed, and what is refused has cost nothing further in.
pub fn api(routes: Router, settings: &ApiSettings) -> Router {
    let observer = Observer { clock: settings.clock.clone(), entropy: settings.entropy.clone() };
    routes
        .method_not_allowed_fallback(problem::no_such_method)
        .fallback(problem::no_such_path)
        // Bodies are bounded by `limits::guard`, which also bounds those that are not read through an extractor.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(settings.request, limits::guard))
        .layer(from_fn_with_state(Arc::new(RateLimiter::new(&settings.rates)), rates::limit))
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(from_fn_with_state(observer, observe::observe))
}
