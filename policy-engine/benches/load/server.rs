//! The doors, with all that stands behind them in service, and beside them what answers a constant.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::post;
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, HttpResponse, OkHttpResponse,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use vouchsafe_http::limits::with_body_limit;
use vouchsafe_http::{
    ApiSettings, Clock, ConnectionLimits, Health, OsEntropy, Rate, RateLimits, RequestLimits, ServerIdentity,
    ServerTls, SystemClock, api, serve,
};
use vouchsafe_journal::{
    CheckpointKey, Journal, JournalParts, JournalSettings, SignCheckpoint, SigningFailed, SystemDisk, Writing,
};
use vouchsafe_model::Timestamp;
use vouchsafe_pki::{Authority, Csr, IssuedCertificate, IssuerKey as _, LeafRequest, LeafUsage, LocalKey, Serial};
use vouchsafe_policy_engine::Decider;
use vouchsafe_policy_engine::doors::{Doors, PageKey, Points, routes};
use vouchsafe_policy_engine::log::{JournalLog, MAX_WAIT, MaskedLog};
use vouchsafe_wire::v1::limits::{DECISION_BODY, FORWARDED_BODY};

use super::fixtures::{engine, record_at};

/// Devices on record.
const DEVICES: u32 = 1_000;
/// As long as the answer of a decision is.
const CONSTANT_LEN: usize = 1_024;

/// An authority, and a folder for what is kept.
pub(crate) struct World {
    authority: Authority,
    pub(crate) folder: TempDir,
    now: Timestamp,
}

/// A certificate and its key.
pub(crate) struct Credentials {
    pub(crate) issued: IssuedCertificate,
    pub(crate) key: LocalKey,
}

/// Doors that are open as long as this lives.
pub(crate) struct Server {
    /// All of ours, and `/constant`.
    pub(crate) doors: SocketAddr,
    /// An Envoy's that allows everything.
    pub(crate) constant_envoy: SocketAddr,
    _runtime: Runtime,
    _writing: Writing,
}

#[derive(Debug)]
struct Signer(LocalKey, CheckpointKey);

impl SignCheckpoint for Signer {
    fn public_key(&self) -> &CheckpointKey {
        &self.1
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.0.sign(text).map_err(|_| SigningFailed)
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        let serials = [Serial::from_entropy([1; 20]), Serial::from_entropy([2; 20])];
        let domain = "example.org".parse().unwrap();
        let authority = Authority::create(&folder.path().join("pki"), &domain, now, serials).unwrap();
        Self { authority, folder, now }
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        self.authority.root_der().to_vec()
    }

    pub(crate) fn certify(&self, identity: &str, usage: LeafUsage) -> Credentials {
        let key = LocalKey::generate().unwrap();
        let csr = Csr::verify(&key.certification_request().unwrap()).unwrap();
        let request = LeafRequest {
            csr: &csr,
            identity: identity.parse().unwrap(),
            dns_names: Vec::new(),
            ip_addresses: vec![[127, 0, 0, 1].into()],
            lifetime: Duration::from_secs(3600),
            usage,
        };
        let issued = self.authority.issue(&request, self.now, Serial::from_entropy([3; 20])).unwrap();
        Credentials { issued, key }
    }

    pub(crate) fn server(&self) -> Credentials {
        self.certify("spiffe://example.org/server/engine", LeafUsage::Server)
    }

    fn tls(&self) -> ServerTls {
        let Credentials { issued, key } = self.server();
        let identity = ServerIdentity::new(issued.chain_der, &key).unwrap();
        let domain = self.authority.trust_domain().clone();
        ServerTls::mutual(identity, domain, &[self.root()], Arc::new(SystemClock)).unwrap()
    }

    fn journal(&self) -> (Journal, Writing) {
        let key = LocalKey::generate().unwrap();
        let public = CheckpointKey::from_spki_der(&key.spki_der().unwrap()).unwrap();
        Journal::open(JournalParts {
            folder: self.folder.path().join("log"),
            new_origin: "example.org/decisions/load".parse().unwrap(),
            settings: JournalSettings { max_total_bytes: Some(1024 * 1024 * 1024), ..JournalSettings::default() },
            signer: Arc::new(Signer(key, public)),
            disk: Arc::new(SystemDisk),
            now: Arc::new(|| SystemClock.now()),
        })
        .unwrap()
    }

    fn doors(&self, journal: Journal) -> Doors {
        // They have attested just now.
        let engine = Arc::new(engine((0..DEVICES).map(|number| record_at(number, self.now))));
        let log = MaskedLog::new(engine.clone(), Arc::new(JournalLog::new(journal, MAX_WAIT)));
        let decider =
            Decider { engine, log: Arc::new(log), clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) };
        let edge = r#"{"name": "edge", "forwards": ["device", "user", "application", "http"]}"#;
        let points = Points::new([serde_json::from_str(edge).unwrap()]).unwrap();
        Doors::new(decider, PageKey::new(&[7; 32])).with_points(points)
    }
}

impl Server {
    pub(crate) fn open(world: &World) -> Self {
        let (journal, writing) = world.journal();
        let runtime = Runtime::new().unwrap();
        let ours = routes(&world.doors(journal)).merge(constant()).merge(Health::new().routes());
        let doors = runtime.block_on(open(world, ours));
        let constant_envoy = runtime.block_on(open(world, constant_envoy()));
        Self { doors, constant_envoy, _runtime: runtime, _writing: writing }
    }
}

async fn open(world: &World, routes: Router) -> SocketAddr {
    // The limits of rates stand further out than any machine gets here, and are counted as in service.
    let far = Rate::new(10_000_000, 10_000_000);
    let settings = ApiSettings {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        request: RequestLimits::default(),
        rates: RateLimits { per_service: far, global: far, ..RateLimits::default() },
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tls, surrounded) = (world.tls(), api(routes, &settings));
    tokio::spawn(async move {
        serve(listener, Some(tls), surrounded, &ConnectionLimits::default(), CancellationToken::new()).await
    });
    address
}

/// Takes what a decision takes, and answers as much.
fn constant() -> Router {
    let answer = Bytes::from(vec![b' '; CONSTANT_LEN]);
    let handler = move |_: Bytes| std::future::ready(([(CONTENT_TYPE, "application/json")], answer).into_response());
    with_body_limit(Router::new().route("/constant", post(handler)), DECISION_BODY)
}

struct Constant;

#[async_trait]
impl Authorization for Constant {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let allow = HttpResponse::OkResponse(OkHttpResponse::default());
        Ok(Response::new(CheckResponse { http_response: Some(allow), ..CheckResponse::default() }))
    }
}

fn constant_envoy() -> Router {
    let service = AuthorizationServer::new(Constant);
    let routes = Router::new().route_service("/envoy.service.auth.v3.Authorization/{method}", service);
    with_body_limit(routes, FORWARDED_BODY)
}
