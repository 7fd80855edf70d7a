//! Every request leaves the same traces: an id, a span, two metrics, and an answer that nobody stores.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use tracing::Instrument;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::keys::KeyHolder;
use crate::peer::{Peer, RemoteAddress};

/// The header that names a request, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from a client.
pub const MAX_REQUEST_ID_LEN: usize = 64;

/// How many requests were answered, by route, method and status.
pub const REQUESTS_TOTAL: &str = "http_requests_total";
/// How long they took, in seconds, by route, method and status.
pub const REQUEST_DURATION_SECONDS: &str = "http_request_duration_seconds";

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// The id of the request that this task handles, if it handles one.
pub fn current_request_id() -> Option<String> {
    CURRENT.try_with(ToString::to_string).ok()
}

/// What request ids are made from.
pub(crate) struct Observer {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// Surrounds a request with its traces.
pub(crate) async fn observe<F: Future<Output = Response>>(
    observer: &Observer,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let began = Instant::now();
    let id = sane_id(request.headers()).unwrap_or_else(|| observer.new_id());
    // The template of the route, never the path: paths are as many as strangers like.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let method = known_method(request.method());
    let span = span_of(&request, &id, route, method);

    let mut response = CURRENT.scope(id.clone(), next(request)).instrument(span.clone()).await;

    let headers = response.headers_mut();
    // A protocol may ask that every id comes back, also one that would not stand well in a log.
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.entry(REQUEST_ID).or_insert(id);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status();
    let duration = began.elapsed();
    span.in_scope(|| {
        tracing::debug!(
            http.response.status_code = status.as_u16(),
            duration_ms = duration.as_secs_f64() * 1000.0,
            "request answered"
        );
    });
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.as_str().to_owned())];
    metrics::counter!(REQUESTS_TOTAL, &labels).increment(1);
    metrics::histogram!(REQUEST_DURATION_SECONDS, &labels).record(duration);
    response
}

impl Observer {
    /// A version 7 UUID. Without entropy it is still an id, only a foreseeable one.
    fn new_id(&self) -> Arc<str> {
        let millis = u64::try_from(self.clock.now().unix_millis()).unwrap_or(0);
        let entropy = self.entropy.bytes().unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &entropy).into_uuid().hyphenated().to_string().into()
    }
}

/// The client's own id for its request, if it is one that can stand in a log without harm.
fn sane_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_sane = (1..=MAX_REQUEST_ID_LEN).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_sane.then(|| id.into())
}

/// The method as a label. Strangers may make up methods, and labels must stay few.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn span_of(request: &Request, id: &str, route: &str, method: &'static str) -> tracing::Span {
    let peer = request.extensions().get::<Peer>().map(|peer| &peer.identity);
    let holder = request.extensions().get::<KeyHolder>().map(|holder| &holder.identity);
    let remote = request.extensions().get::<RemoteAddress>();
    tracing::info_span!(
        "request",
        request.id = id,
        http.route = route,
        http.request.method = method,
        client.address = remote.map(|RemoteAddress(address)| tracing::field::display(address)),
        peer.identity = peer.or(holder).map(tracing::field::display),
    )
}
