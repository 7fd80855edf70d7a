//! Clients that ask as fast as they are answered, or at a rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HOST, TE};
use axum::http::{Method, Request, Version};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vouchsafe_pki::LeafUsage;

use super::server::{Credentials, World};
use super::{CONNECTIONS, HTTP2_CONNECTIONS, LOAD, STREAMS};

/// How long a target is asked before it counts.
const WARM: Duration = Duration::from_millis(500);

/// Something that answers.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    method: Method,
    path: &'static str,
    body: Bytes,
    is_grpc: bool,
}

/// A point with many connections.
pub(crate) struct Clients {
    runtime: Runtime,
    config: ClientConfig,
}

/// What sends one request at a time.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Target {
    pub(crate) fn http1(address: SocketAddr, path: &'static str, body: Vec<u8>) -> Self {
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        Self { address, method, path, body: body.into(), is_grpc: false }
    }

    pub(crate) fn grpc(address: SocketAddr, message: Vec<u8>) -> Self {
        let path = "/envoy.service.auth.v3.Authorization/Check";
        Self { address, method: Method::POST, path, body: message.into(), is_grpc: true }
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let request = Request::builder().method(self.method.clone());
        let request = if self.is_grpc {
            let uri = format!("https://{}{}", self.address, self.path);
            request.version(Version::HTTP_2).uri(uri).header(CONTENT_TYPE, "application/grpc").header(TE, "trailers")
        } else {
            request.uri(self.path).header(HOST, "localhost").header(CONTENT_TYPE, "application/json")
        };
        request.body(Full::new(self.body.clone())).unwrap()
    }
}

impl Clients {
    pub(crate) fn new(world: &World) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(world.root())).unwrap();
        let Credentials { issued, key } = world.certify("spiffe://example.org/enforcement/edge", LeafUsage::Client);
        let chain = issued.chain_der.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        Self { runtime: Runtime::new().unwrap(), config }
    }

    /// Answers per second when all ask as fast as they are answered.
    pub(crate) fn throughput(&self, target: &Target) -> f64 {
        self.runtime.block_on(async {
            let answered = Arc::new(AtomicU64::new(0));
            let mut asking = JoinSet::new();
            for mut sender in self.connect(target).await {
                let (target, answered) = (target.clone(), answered.clone());
                asking.spawn(async move {
                    loop {
                        sender.ask(&target).await;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            sleep(WARM).await;
            let (before, began) = (answered.load(Ordering::Relaxed), Instant::now());
            sleep(LOAD).await;
            let (after, took) = (answered.load(Ordering::Relaxed), began.elapsed());
            ended_well(asking).await;
            count(after - before) / took.as_secs_f64()
        })
    }

    /// Milliseconds within which 99 of 100 requests are answered, when so many come each second. A request that has to wait
    /// for the one before it on its connection has waited from when it was due.
    pub(crate) fn p99_ms(&self, target: &Target, per_second: f64) -> f64 {
        self.runtime.block_on(async {
            let senders = self.connect(target).await;
            let connections = count(u64::try_from(senders.len()).unwrap());
            let interval = Duration::from_secs_f64(connections / per_second);
            let began = Instant::now();
            let mut asking = JoinSet::new();
            for (number, mut sender) in (0_u32..).zip(senders) {
                let target = target.clone();
                let mut due = began + interval.mul_f64(f64::from(number) / connections);
                asking.spawn(async move {
                    let mut taken = Vec::new();
                    while due < began + WARM + LOAD {
                        let is_late = due <= Instant::now();
                        sleep_until(due).await;
                        // That the clock wakes us late is no fault of the target.
                        let since = if is_late { due } else { Instant::now() };
                        sender.ask(&target).await;
                        if due >= began + WARM {
                            taken.push(since.elapsed());
                        }
                        due += interval;
                    }
                    taken
                });
            }
            let mut taken: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
            taken.sort();
            taken.get(taken.len() * 99 / 100).unwrap().as_secs_f64() * 1e3
        })
    }

    /// One sender for each request at a time.
    async fn connect(&self, target: &Target) -> Vec<Sender> {
        let mut senders = Vec::new();
        if target.is_grpc {
            for _ in 0..HTTP2_CONNECTIONS {
                let stream = TokioIo::new(self.tls(target, b"h2").await);
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(connection);
                senders.extend((0..STREAMS).map(|_| Sender::Http2(sender.clone())));
            }
        } else {
            for _ in 0..CONNECTIONS {
                let stream = TokioIo::new(self.tls(target, b"http/1.1").await);
                let (sender, connection) = http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                senders.push(Sender::Http1(sender));
            }
        }
        senders
    }

    async fn tls(&self, target: &Target, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(target.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(target.address.ip()), stream).await.unwrap()
    }
}

impl Sender {
    /// Asks, and takes all of the answer.
    async fn ask(&mut self, target: &Target) {
        let answer = match self {
            Self::Http1(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(target.request()).await.unwrap()
            }
            Self::Http2(sender) => sender.send_request(target.request()).await.unwrap(),
        };
        assert!(answer.status().is_success(), "{}: {}", target.path, answer.status());
        let answer = answer.into_body().collect().await.unwrap();
        let status = answer.trailers().and_then(|trailers| trailers.get("grpc-status"));
        assert!(!target.is_grpc || status.is_some_and(|status| status == "0"), "{}: {status:?}", target.path);
    }
}

/// Stops those who ask, none of whom has stopped by itself.
async fn ended_well(mut asking: JoinSet<()>) {
    assert!(asking.try_join_next().is_none(), "a client failed");
    asking.shutdown().await;
}

#[expect(clippy::cast_precision_loss, reason = "no load comes near 2^52 requests")]
fn count(requests: u64) -> f64 {
    requests as f64
}
