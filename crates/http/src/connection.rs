//! One connection: HTTP/1 or HTTP/2 by what TLS agreed on, its peer, and its end.
//!
//! The protocol is never guessed from the first bytes: waiting for them would have no bound.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use vouchsafe_pki::PeerCertificate;

use crate::clock::Clock;
use crate::peer::{self, Peer, RemoteAddress};
use crate::serve::ConnectionLimits;

/// How long a client has to close a connection on which nothing is in flight any more.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// How often an HTTP/2 client that is silent is asked whether it is still there, and how long it has to answer.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// How much an HTTP/2 client may send ahead of what is read: on one stream, and on all of a connection.
const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Longer than any process runs, and short enough to be added to any instant.
const LONGEST_QUIET: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What ends a connection from our side.
pub(crate) struct Ends {
    /// Finish what is in flight and take nothing new.
    pub(crate) shutdown: CancellationToken,
    /// Stop at once.
    pub(crate) cut_off: CancellationToken,
}

/// A connection that was accepted.
pub(crate) struct Connection<'a> {
    pub(crate) router: Router,
    pub(crate) remote: SocketAddr,
    pub(crate) limits: &'a ConnectionLimits,
    pub(crate) ends: &'a Ends,
}

impl Connection<'_> {
    pub(crate) async fn run_plain(self, stream: TcpStream) {
        self.run_http1(stream, None).await;
    }

    /// Serves a connection whose handshake is done; on a mutual door, `clock` says when its certificate expires.
    pub(crate) async fn run_tls(self, stream: TlsStream<TcpStream>, clock: Option<&Arc<dyn Clock>>) {
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let identified = match (clock, certificate) {
            (None, _) => None,
            (Some(clock), Some(leaf)) => match PeerCertificate::identify(leaf) {
                Ok(certificate) => Some(Identified { peer: certificate.into(), clock: clock.clone() }),
                // The handshake checked the same certificate the same way.
                Err(error) => return tracing::error!(client.address = %self.remote, %error, "peer without a name"),
            },
            (Some(_), None) => {
                return tracing::error!(client.address = %self.remote, "mutual handshake without a certificate");
            }
        };
        if is_http2 {
            self.run_http2(stream, identified).await;
        } else {
            self.run_http1(stream, identified).await;
        }
    }

    async fn run_http1<I>(self, stream: I, identified: Option<Identified>)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_read_timeout)
            .max_buf_size(usize::try_from(self.limits.max_header_len).unwrap_or(usize::MAX).max(8192));
        let activity = Arc::new(Activity::new());
        let service = self.service(identified, activity.clone());
        self.drive(builder.serve_connection(TokioIo::new(stream), service), &activity).await;
    }

    async fn run_http2<I>(self, stream: I, identified: Option<Identified>)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.max_http2_streams)
            .max_header_list_size(self.limits.max_header_len)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(HTTP2_PING);
        let activity = Arc::new(Activity::new());
        let service = self.service(identified, activity.clone());
        self.drive(builder.serve_connection(TokioIo::new(stream), service), &activity).await;
    }

    /// Runs a connection to its end: the client's, ours, or that of its time.
    async fn drive<C: GracefulConnection<Error = hyper::Error>>(&self, connection: C, activity: &Activity) {
        let mut connection = pin!(connection);
        let closed = tokio::select! {
            closed = connection.as_mut() => Some(closed),
            () = self.ends.shutdown.cancelled() => None,
            () = activity.quiet_for(self.limits.idle_timeout) => None,
            () = sleep(self.limits.max_connection_age) => None,
        };
        let closed = if let Some(closed) = closed {
            closed
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                closed = connection => closed,
                () = activity.quiet_for(CLOSING_GRACE) => Ok(()),
                () = self.ends.cut_off.cancelled() => Ok(()),
                () = sleep(self.limits.drain_timeout), if !self.ends.shutdown.is_cancelled() => Ok(()),
            }
        };
        if let Err(error) = closed {
            let error = crate::problem::chain(&error);
            tracing::debug!(client.address = %self.remote, error, "connection broken");
        }
    }

    /// The router, with what is known of the connection added to each request.
    fn service(
        &self,
        identified: Option<Identified>,
        activity: Arc<Activity>,
    ) -> impl hyper::service::HttpService<Incoming, ResBody = CountedBody, Error = Infallible, Future: Send + 'static> + use<>
    {
        let router = self.router.clone();
        let remote = RemoteAddress(self.remote);
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let in_flight = InFlight::begin(&activity);
            request.extensions_mut().insert(remote);
            let answer = match &identified {
                Some(Identified { peer, clock }) if peer.is_expired(clock.now()) => {
                    tracing::info!(peer.identity = %peer.identity, "request refused: the certificate has expired");
                    Err(peer::certificate_expired(peer).into_response())
                }
                Some(Identified { peer, .. }) => {
                    request.extensions_mut().insert(peer.clone());
                    Ok(router.clone().oneshot(request))
                }
                None => Ok(router.clone().oneshot(request)),
            };
            async move {
                let response: Response = match answer {
                    Ok(answering) => answering.await?,
                    Err(refused) => refused,
                };
                Ok::<_, Infallible>(response.map(|body| CountedBody { body, _in_flight: in_flight }))
            }
        })
    }
}

/// The holder of the client's certificate, and by which clock it expires.
struct Identified {
    peer: Peer,
    clock: Arc<dyn Clock>,
}

/// How many requests a connection has in flight, and since when it has none.
struct Activity {
    in_flight: AtomicUsize,
    began: Instant,
    /// When a request was last finished, in milliseconds after `began`.
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { in_flight: AtomicUsize::new(0), began: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    /// Waits until nothing has been in flight for so long, counted from now at the earliest.
    async fn quiet_for(&self, span: Duration) {
        let called = Instant::now();
        let span = span.min(LONGEST_QUIET);
        let mut quiet_since = called;
        loop {
            sleep_until(quiet_since + span).await;
            quiet_since = match self.in_flight.load(Ordering::SeqCst) {
                0 => called.max(self.began + Duration::from_millis(self.last_ms.load(Ordering::SeqCst))),
                _ => Instant::now(),
            };
            if quiet_since + span <= Instant::now() {
                return;
            }
        }
    }
}

/// One request in flight, until its answer's body is sent or dropped.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(activity.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_ms.store(now_ms, Ordering::SeqCst);
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The body of an answer, which keeps its request in flight.
struct CountedBody {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
