//! The bounds of one request: how long its body and how long its handling.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http_body_util::Limited;
use hyper::body::{Frame, SizeHint};
use tower::{Service, layer::layer_fn};

use crate::extract::body_too_large;
use crate::problem::HttpProblem;

/// The bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The longest body, in bytes. Routes may have a smaller one by [`with_body_limit`].
    pub max_body_len: usize,
    /// The longest time from the end of the header to the beginning of the answer.
    pub timeout: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { max_body_len: 256 * 1024, timeout: Duration::from_secs(30) }
    }
}

/// The longest body that a request may have, in bytes: an extension of the request, for error texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// The same routes with a smaller bound on their bodies than [`RequestLimits::max_body_len`].
pub fn with_body_limit<S: Clone + Send + Sync + 'static>(routes: Router<S>, max_body_len: usize) -> Router<S> {
    routes.layer(layer_fn(move |inner| LimitBody { inner, limit: BodyLimit(max_body_len) }))
}

/// Bounds the body of every request to a service. Not a middleware function: those allocate their future.
#[derive(Clone)]
struct LimitBody<S> {
    inner: S,
    limit: BodyLimit,
}

impl<S: Service<Request, Response = Response>> Service<Request> for LimitBody<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match bound_body(request, self.limit, &BodyProgress::default()) {
            Ok(request) => Either::Left(self.inner.call(request)),
            Err(refused) => Either::Right(ready(Ok(refused.into_response()))),
        }
    }
}

/// Bounds body and time of every request.
pub(crate) async fn guard(limits: RequestLimits, request: Request, next: Next) -> Response {
    let progress = BodyProgress::default();
    let request = match bound_body(request, BodyLimit(limits.max_body_len), &progress) {
        Ok(request) => request,
        Err(refused) => return refused.into_response(),
    };
    match tokio::time::timeout(limits.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) if progress.is_waiting() => {
            HttpProblem::new(StatusCode::REQUEST_TIMEOUT, "request.timeout", "The body took too long")
                .with_detail(format!("It was not there after {} s.", limits.timeout.as_secs_f32()))
                .into_response()
        }
        Err(_) => {
            tracing::error!(timeout_ms = limits.timeout.as_millis(), "request took too long");
            HttpProblem::unavailable("engine.timeout", "The engine took too long over this request.").into_response()
        }
    }
}

/// Refuses a body that announces too great a length, and cuts off one that turns out to have it.
fn bound_body(request: Request, limit: BodyLimit, progress: &BodyProgress) -> Result<Request, HttpProblem> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let max = u64::try_from(limit.0).unwrap_or(u64::MAX);
    if announced.is_some_and(|length| length > max) {
        return Err(body_too_large(Some(limit)));
    }
    let progress = progress.clone();
    let mut request = request.map(|body| Body::new(BoundedBody { inner: Limited::new(body, limit.0), progress }));
    request.extensions_mut().insert(limit);
    Ok(request)
}

/// Whether somebody waits for the body of a request.
#[derive(Clone, Default)]
struct BodyProgress(Arc<AtomicU8>);

const UNREAD: u8 = 0;
const WAITING: u8 = 1;
const READ: u8 = 2;

impl BodyProgress {
    fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WAITING
    }
}

/// A body of bounded length that tells how far it was read.
struct BoundedBody {
    inner: Limited<Body>,
    progress: BodyProgress,
}

impl HttpBody for BoundedBody {
    type Data = Bytes;
    type Error = <Limited<Body> as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let progress = match &polled {
            Poll::Pending => WAITING,
            Poll::Ready(Some(Ok(_))) => UNREAD,
            Poll::Ready(None | Some(Err(_))) => READ,
        };
        self.progress.0.store(progress, Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
