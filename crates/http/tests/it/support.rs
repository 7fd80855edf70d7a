//! An authority, doors that it has certified, and clients with and without certificates.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use vouchsafe_http::{
    ApiSettings, Clock, ConnectionLimits, ManualClock, OsEntropy, Rate, RateLimits, RequestLimits, ServeError,
    ServerIdentity, ServerTls, SystemClock, serve,
};
use vouchsafe_pki::{Authority, Csr, IssuedCertificate, LeafRequest, LeafUsage, LocalKey, Serial};
use vouchsafe_wire::v1::problem::Problem;

pub(crate) const DEVICE: &str = "spiffe://example.org/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf";
pub(crate) const OPERATOR: &str = "spiffe://example.org/operator/ops";
pub(crate) const ENFORCEMENT: &str = "spiffe://example.org/enforcement/edge-1";
pub(crate) const SERVER: &str = "spiffe://example.org/server/engine";

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An authority and the clock of its doors, which begins at the present: clients here go by the real time.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) clock: Arc<ManualClock>,
    _dir: TempDir,
}

/// A certificate and its key.
pub(crate) struct Credentials {
    pub(crate) issued: IssuedCertificate,
    pub(crate) key: LocalKey,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of("example.org")
    }

    pub(crate) fn of(trust_domain: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        let serials = [Serial::from_entropy([1; 20]), Serial::from_entropy([2; 20])];
        let authority =
            Authority::create(&dir.path().join("pki"), &trust_domain.parse().unwrap(), now, serials).unwrap();
        Self { authority, clock: Arc::new(ManualClock::new(now)), _dir: dir }
    }

    /// A certificate of one hour from what the doors' clock shows.
    pub(crate) fn certify(&self, identity: &str, usage: LeafUsage) -> Credentials {
        let key = LocalKey::generate().unwrap();
        let csr = Csr::verify(&key.certification_request().unwrap()).unwrap();
        let request = LeafRequest {
            csr: &csr,
            identity: identity.parse().unwrap(),
            dns_names: Vec::new(),
            ip_addresses: vec![[127, 0, 0, 1].into()],
            lifetime: HOUR,
            usage,
        };
        let issued = self.authority.issue(&request, self.clock.now(), Serial::from_entropy([3; 20])).unwrap();
        Credentials { issued, key }
    }

    pub(crate) fn client(&self, identity: &str) -> Credentials {
        self.certify(identity, LeafUsage::Client)
    }

    pub(crate) fn identity(&self) -> ServerIdentity {
        let Credentials { issued, key } = self.certify(SERVER, LeafUsage::Server);
        ServerIdentity::new(issued.chain_der, &key).unwrap()
    }

    pub(crate) fn mutual(&self) -> ServerTls {
        self.mutual_with_roots(&[&self.authority])
    }

    pub(crate) fn mutual_with_roots(&self, authorities: &[&Authority]) -> ServerTls {
        let roots: Vec<_> = authorities.iter().map(|authority| authority.root_der().to_vec()).collect();
        let domain = self.authority.trust_domain().clone();
        ServerTls::mutual(self.identity(), domain, &roots, self.clock.clone()).unwrap()
    }

    /// A client that trusts this authority and shows these credentials, if any.
    pub(crate) fn client_config(&self, credentials: Option<&Credentials>) -> ClientConfig {
        self.client_config_of(credentials, &rustls::version::TLS13)
    }

    pub(crate) fn client_config_of(
        &self,
        credentials: Option<&Credentials>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.root_der())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match credentials {
            None => builder.with_no_client_auth(),
            Some(Credentials { issued, key }) => {
                let chain = issued.chain_der.iter().cloned().map(CertificateDer::from).collect();
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

/// A door that is open.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Door {
    pub(crate) async fn open(tls: Option<ServerTls>, router: Router, limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { serve(listener, tls, router, &limits, shutdown).await }
        });
        Self { address, shutdown, served }
    }

    pub(crate) async fn close(self) -> Result<(), ServeError> {
        self.shutdown.cancel();
        self.served.await.unwrap()
    }

    pub(crate) async fn connect_plain(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection whose handshake is done as far as the client can tell.
    pub(crate) async fn connect(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::from(self.address.ip());
        TlsConnector::from(Arc::new(config)).connect(name, self.connect_plain().await).await
    }

    /// One request over HTTP/1 on a connection of its own.
    pub(crate) async fn get(&self, config: ClientConfig, path: &str) -> io::Result<Answer> {
        get(&mut self.connect(config).await?, path).await
    }

    /// A client that speaks HTTP/2.
    pub(crate) fn http2(&self, mut config: ClientConfig) -> (reqwest::Client, String) {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let client = reqwest::Client::builder().tls_backend_preconfigured(config).build().unwrap();
        (client, format!("https://{}", self.address))
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One request over HTTP/1 on an open connection.
pub(crate) async fn get<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, path: &str) -> io::Result<Answer> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: door\r\nx-request-id: test\r\n\r\n").as_bytes()).await?;
    read_answer(stream).await
}

pub(crate) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
    let body_len = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_len + body_len {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head[9..12].parse().unwrap();
    Ok(Answer { status, body: String::from_utf8(bytes[head_len..].to_vec()).unwrap(), head })
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.split_once(": ").filter(|(found, _)| *found == name).map(|(_, value)| value))
}

/// How long until the other side closes the connection, having sent nothing more.
pub(crate) async fn closed_after<S: AsyncRead + Unpin>(stream: &mut S) -> Duration {
    let began = std::time::Instant::now();
    let mut rest = Vec::new();
    // A reset is an end as good as any.
    drop(
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("it is never closed"),
    );
    began.elapsed()
}

pub(crate) fn settings() -> ApiSettings {
    let fast = Rate::new(1_000_000, 1_000_000);
    ApiSettings {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        request: RequestLimits::default(),
        rates: RateLimits { per_device: fast, per_service: fast, global: fast, max_callers: 1000 },
    }
}

/// Asks a router in this process.
pub(crate) async fn ask(router: Router, request: Request<Body>) -> Response {
    router.oneshot(request).await.unwrap()
}

pub(crate) async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Status, the headers that matter, and the body, for snapshots.
pub(crate) async fn shown(response: Response) -> String {
    let status = response.status();
    let headers = response.headers().clone();
    show(status, &headers, &text(response).await)
}

pub(crate) fn show(status: StatusCode, headers: &HeaderMap, body: &str) -> String {
    let mut shown = format!("{status}\n");
    for name in ["content-type", "cache-control", "allow", "x-request-id"] {
        if let Some(value) = headers.get(name) {
            shown.extend([name, ": ", value.to_str().unwrap(), "\n"]);
        }
    }
    // By way of the struct, whose fields keep their order whatever features serde_json was built with.
    match serde_json::from_str::<Problem>(body) {
        Ok(problem) => shown.push_str(&serde_json::to_string_pretty(&problem).unwrap()),
        Err(_) => shown.push_str(body),
    }
    shown
}
