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
use crate::keys::KeyDoor;
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
    surrounded(routes, settings, None)
}

/// The same for a door whose callers have keys in place of certificates. Each request that is let in carries the extension
/// [`crate::KeyHolder`], and counts against the rate of that point; each that is not, against the rate of its address.
pub fn api_by_key(routes: Router, settings: &ApiSettings, door: KeyDoor) -> Router {
    surrounded(routes, settings, Some(door))
}

fn surrounded(routes: Router, settings: &ApiSettings, keys: Option<KeyDoor>) -> Router {
    let surroundings = Surroundings {
        keys,
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
    keys: Option<KeyDoor>,
    observer: Observer,
    rates: RateLimiter,
    limits: RequestLimits,
}

async fn surround(State(around): State<Arc<Surroundings>>, mut request: Request, next: Next) -> Response {
    let refused = around.keys.as_ref().and_then(|door| Some((door, door.identify(&mut request).err()?)));
    observe::observe(&around.observer, request, |request| {
        let limited = async {
            match (rates::limit(&around.rates, &request), refused) {
                (Err(limited), _) => limited.into_response(),
                (Ok(()), Some((door, refused))) => door.refuse(request.uri().path(), refused),
                (Ok(()), None) => limits::guard(around.limits, request, next).await,
            }
        };
        // A panic leaves nothing behind that anybody shares but rates, which are counted atomically.
        AssertUnwindSafe(limited).catch_unwind().map(|outcome| outcome.unwrap_or_else(problem::after_panic))
    })
    .await
}
