//! A world with an authority, one device that it has certified, and points.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vouchsafe_http::entropy::EntropyFailed;
use vouchsafe_http::{Clock, Entropy, ManualClock, Peer};
use vouchsafe_model::Sha256Digest;
use vouchsafe_pki::{Authority, Csr, LeafRequest, LeafUsage, LocalKey, Serial};
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::doors::{Doors, PageKey, PointSettings, Points, routes};
use vouchsafe_policy_engine::log::{DecisionLog, LogEntry, LogError};
use vouchsafe_policy_engine::{Decider, EngineSettings, PolicyEngine, RecordTable};
use vouchsafe_wire::v1::decide::LoggedDecision;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::fixtures::{NOW, device, good_record, limits};

/// A point that is registered to pass on devices, users and HTTP requests.
pub(super) const EDGE: &str = "spiffe://example.org/enforcement/edge";
/// A point that is registered to pass on HTTP requests alone.
pub(super) const PLAIN: &str = "spiffe://example.org/enforcement/plain";
/// A point that is registered for the same and meets the obligation `step_up`.
pub(super) const MEETS: &str = "spiffe://example.org/enforcement/meets";
/// A point that nobody registered.
pub(super) const STRANGER: &str = "spiffe://example.org/enforcement/stranger";

struct CountingEntropy(Mutex<u8>);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        let mut count = self.0.lock().unwrap();
        *count = count.wrapping_add(1);
        buffer.fill(*count);
        Ok(())
    }
}

/// A log in memory that can be told to fail.
#[derive(Default)]
pub(super) struct MemoryLog {
    pub(super) fails: std::sync::atomic::AtomicBool,
    entries: Mutex<Vec<LogEntry>>,
}

#[async_trait]
impl DecisionLog for MemoryLog {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        if self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(LogError::Refused(Arc::new(std::io::Error::other("disk full"))));
        }
        self.entries.lock().unwrap().push(entry);
        Ok(())
    }
}

/// The world.
pub(super) struct World {
    pub(super) doors: Doors,
    pub(super) log: Arc<MemoryLog>,
    /// The certificate of device 1, in DER.
    pub(super) certificate: Vec<u8>,
}

fn certify(identity: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let serials = [Serial::from_entropy([1; 20]), Serial::from_entropy([2; 20])];
    let domain = "example.org".parse().unwrap();
    let authority = Authority::create(&dir.path().join("pki"), &domain, NOW, serials).unwrap();
    let csr = Csr::verify(&LocalKey::generate().unwrap().certification_request().unwrap()).unwrap();
    let request = LeafRequest {
        csr: &csr,
        identity: identity.parse().unwrap(),
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        lifetime: Duration::from_secs(3600),
        usage: LeafUsage::Client,
    };
    authority.issue(&request, NOW, Serial::from_entropy([3; 20])).unwrap().chain_der.remove(0)
}

impl World {
    /// A world with the default policy.
    pub(super) fn new() -> Self {
        Self::with_policy(&vouchsafe_policies::default_bundle().unwrap())
    }

    pub(super) fn with_policy(bundle: &Bundle) -> Self {
        Self::with_clock(bundle, Arc::new(ManualClock::new(NOW)))
    }

    /// A world whose clock is this.
    pub(super) fn with_clock(bundle: &Bundle, clock: Arc<dyn Clock>) -> Self {
        let certificate = certify(&spiffe(1));
        let digest = Peer::read_certificate(&certificate).unwrap().certificate_digest;
        let records = RecordTable::new();
        records.load([DeviceRecord { certificate_digest: digest, ..good_record(1) }]);
        let settings = EngineSettings { limits: limits(), threads: 2 };
        let log = Arc::new(MemoryLog::default());
        let decider = Decider {
            engine: Arc::new(PolicyEngine::new(bundle, Arc::new(records), settings).unwrap()),
            log: log.clone(),
            clock,
            entropy: Arc::new(CountingEntropy(Mutex::new(0))),
        };
        let point = |name: &str, forwards: &str| -> PointSettings {
            serde_json::from_str(&format!(r#"{{"name": "{name}", "forwards": {forwards}}}"#)).unwrap()
        };
        let meets = r#"{"name": "meets", "forwards": ["device", "user", "http"], "understands": ["step_up"]}"#;
        let meets = serde_json::from_str(meets).unwrap();
        let points = [point("edge", r#"["device", "user", "http"]"#), point("plain", r#"["http"]"#), meets];
        let doors = Doors::new(decider, PageKey::new(&[7; 32])).with_points(Points::new(points).unwrap());
        Self { doors, log, certificate }
    }

    /// All doors, for requests of this peer.
    pub(super) fn router(&self, identity: &str) -> Router {
        let peer = Peer {
            identity: identity.parse().unwrap(),
            certificate_digest: Sha256Digest::new([0; 32]),
            spki_der: Vec::new(),
            not_after: NOW.plus(Duration::from_secs(60)),
        };
        routes(&self.doors).layer(axum::Extension(peer))
    }

    pub(super) async fn send(&self, identity: &str, request: Request) -> Response {
        self.router(identity).oneshot(request).await.unwrap()
    }

    /// SHA-256 of the certificate of device 1.
    pub(super) fn digest(&self) -> Sha256Digest {
        Peer::read_certificate(&self.certificate).unwrap().certificate_digest
    }

    /// Another certificate of device 1, which is not its present one.
    pub(super) fn former_certificate() -> Vec<u8> {
        certify(&spiffe(1))
    }

    /// Applies a change to the record of device 1.
    pub(super) fn change(&self, change: impl FnOnce(&mut DeviceRecord)) {
        let mut record = DeviceRecord { certificate_digest: self.digest(), ..good_record(1) };
        change(&mut record);
        self.doors.decider.engine.records().apply(RecordChange::Put(Box::new(record)));
    }

    /// What is on record, in order.
    pub(super) fn logged(&self) -> Vec<LoggedDecision> {
        self.log.entries.lock().unwrap().iter().map(|entry| entry.view().unwrap()).collect()
    }

    /// All that was written to the log, as it was written.
    pub(super) fn log_text(&self) -> String {
        let entries = self.log.entries.lock().unwrap();
        let texts: Vec<_> = entries.iter().map(|entry| format!("{:?}", entry.json())).collect();
        texts.concat()
    }
}

/// The SPIFFE ID of a device.
pub(super) fn spiffe(number: u8) -> String {
    format!("spiffe://example.org/device/{}", device(number))
}

/// A certificate as nginx and Envoy write it: PEM in percent-encoding.
pub(super) fn escaped_pem(der: &[u8]) -> String {
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
    let mut escaped = String::new();
    for byte in pem.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").unwrap();
        }
    }
    escaped
}

/// A certificate as Traefik and Caddy write it: its DER in base64.
pub(super) fn base64(der: &[u8]) -> String {
    STANDARD.encode(der)
}

/// The body of an answer.
pub(super) async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The value of a field, `-` if there is none.
pub(super) fn field(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or("-".to_owned(), |value| value.to_str().unwrap().to_owned())
}
