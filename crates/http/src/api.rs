//! What surrounds the routes of every door, in one place and one order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

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
/// observed, and what is refused has cost nothing further in. All of it is one layer: each layer of axum's costs every
/// request two allocations, a copy of the request and a copy of all services further in.
pub fn api(routes: Router, settings: &ApiSettings) -> Router {
    let surroundings = Surroundings {
        observer: Observer { clock: settings.clock.clone(), entropy: settings.entropy.clone() },
        rates: RateLimiter::new(&settings.rates),
        limits: settings.request,
    };
    routes
        .method_not_allowed_fallback(problem::no_such_method)
        .fallback(problem::no_such_path)
        // Bodies are bounded by `limits::guard`, which also bounds those that are not read through an extractor.
        .layer((from_fn_with_state(Arc::new(surroundings), surround), DefaultBodyLimit::disable()))
}

/// What the layer needs.
struct Surroundings {
    observer: Observer,
    rates: RateLimiter,
    limits: RequestLimits,
}

async fn surround(State(around): State<Arc<Surroundings>>, request: Request, next: Next) -> Response {
    observe::observe(&around.observer, request, |request| {
        let limited = async {
            match rates::limit(&around.rates, &request) {
                Ok(()) => limits::guard(around.limits, request, next).await,
                Err(refused) => refused.into_response(),
            }
        };
        // A panic leaves nothing behind that anybody shares but rates, which are counted atomically.
        AssertUnwindSafe(limited).catch_unwind().map(|outcome| outcome.unwrap_or_else(problem::after_panic))
    })
    .await
}
