//! Doors in this process, and callers that knock at them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use vouchsafe_http::entropy::EntropyFailed;
use vouchsafe_http::{Entropy, KeyHolder, ManualClock, Peer};
use vouchsafe_model::Sha256Digest;
use vouchsafe_policy_engine::doors::{Doors, Forward, PageKey, PointSettings, Points};
use vouchsafe_policy_engine::log::{DecisionLog, LogEntry, LogError};
use vouchsafe_policy_engine::{Decider, PolicyEngine};
use vouchsafe_wire::v1::decide::LoggedDecision;

use crate::fixtures::NOW;

pub(crate) const OPERATOR: Caller = Caller::Certificate("operator/ops");
/// A point that is believed in everything.
pub(crate) const EDGE: Caller = Caller::Key("edge-1");
/// A point that is registered and believed in nothing.
pub(crate) const MUTE: Caller = Caller::Key("mute");
/// A point that nobody registered.
pub(crate) const STRANGER: Caller = Caller::Certificate("enforcement/stranger");

/// By what somebody proves who they are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    Nobody,
    Certificate(&'static str),
    Key(&'static str),
}

/// A source of bytes that are never the same twice.
#[derive(Default)]
pub(crate) struct CountingEntropy(Mutex<u64>);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyFailed> {
        let mut count = self.0.lock().unwrap();
        *count += 1;
        buffer.fill(0);
        buffer.iter_mut().zip(count.to_le_bytes()).for_each(|(to, from)| *to = from);
        Ok(())
    }
}

/// A log in memory that can be told to fail.
#[derive(Default)]
pub(crate) struct MemoryLog {
    pub(crate) fails: bool,
    pub(crate) entries: Mutex<Vec<LogEntry>>,
}

#[async_trait]
impl DecisionLog for MemoryLog {
    async fn append(&self, entry: LogEntry) -> Result<(), LogError> {
        if self.fails {
            return Err(LogError::Refused(Arc::new(std::io::Error::other("disk full of secrets"))));
        }
        self.entries.lock().unwrap().push(entry);
        Ok(())
    }
}

impl MemoryLog {
    /// What is on record.
    pub(crate) fn views(&self) -> Vec<LoggedDecision> {
        self.entries.lock().unwrap().iter().map(|entry| entry.view().unwrap()).collect()
    }
}

/// Doors of an engine, with the points above registered.
pub(crate) struct World {
    pub(crate) doors: Doors,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new(engine: PolicyEngine) -> Self {
        Self::with_log(engine, MemoryLog::default())
    }

    pub(crate) fn with_log(engine: PolicyEngine, log: MemoryLog) -> Self {
        let (log, clock) = (Arc::new(log), Arc::new(ManualClock::new(NOW)));
        let decider = Decider {
            engine: Arc::new(engine),
            log: log.clone(),
            clock: clock.clone(),
            entropy: Arc::new(CountingEntropy::default()),
        };
        let everything = [Forward::User, Forward::Device, Forward::Application, Forward::Http];
        let point = |name: &str, forwards: &[Forward]| PointSettings {
            name: name.parse().unwrap(),
            key_sha256: None,
            forwards: forwards.iter().copied().collect(),
            understands: Vec::new(),
        };
        let points = Points::new([point("edge-1", &everything), point("mute", &[])]).unwrap();
        Self { doors: Doors::new(decider, PageKey::new(&[7; 32])).with_points(points), log, clock }
    }

    pub(crate) fn router(&self) -> Router {
        vouchsafe_policy_engine::doors::routes(&self.doors)
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, caller: Caller, body: &str) -> Answer {
        self.send(caller, Request::post(path).header("content-type", "application/json"), body).await
    }

    pub(crate) async fn send(&self, caller: Caller, request: axum::http::request::Builder, body: &str) -> Answer {
        let request = match caller {
            Caller::Nobody => request,
            Caller::Certificate(name) => request.extension(Peer {
                identity: format!("spiffe://example.org/{name}").parse().unwrap(),
                certificate_digest: Sha256Digest::new([0; 32]),
                spki_der: Vec::new(),
                not_after: NOW,
            }),
            Caller::Key(name) => request
                .extension(KeyHolder { identity: format!("spiffe://example.org/enforcement/{name}").parse().unwrap() }),
        };
        let response = self.router().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }
}
