//! The engine's side of the logs, as its wire types describe it, with a memory of all that came.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::de::DeserializeOwned;
use vouchsafe_agent::tls::sha256;
use vouchsafe_model::{AttestationId, Coverage, EndorsementGrade, Sha256Digest, Timestamp, TrustScore, Verdict};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::{Appraised, Challenge, Evidence, EvidencePayload, evidence_binding};
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{BootId, ImaPart, ImaPosition, KnownLogs};
use vouchsafe_wire::v1::problem::Problem;

/// What its verdicts looked at.
const COVERAGE: Coverage = Coverage::quote_only(EndorsementGrade::Vendor);
/// The certificate to which evidence is bound.
pub(crate) const CERTIFICATE: Sha256Digest = Sha256Digest::new([9; 32]);
const NOW: Timestamp = Timestamp::from_unix_millis(1_770_000_000_000);
const LIFE: std::time::Duration = std::time::Duration::from_secs(60);

/// An engine.
#[derive(Clone, Default)]
pub(crate) struct Engine(Arc<Mutex<Memory>>);

/// What it knows.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) event_log: Option<Sha256Digest>,
    pub(crate) boot: Option<BootId>,
    pub(crate) list: Vec<u8>,
    /// The parts that were sent ahead, whatever became of them.
    pub(crate) parts: Vec<Part>,
    /// The evidence that it appraised.
    pub(crate) evidence: Vec<Received>,
    /// What it does about the next parts; takes them when nothing is said.
    pub(crate) moods: VecDeque<Mood>,
    /// What the next challenge says in place of the truth.
    pub(crate) lie: Option<KnownLogs>,
    nonces: u64,
    open: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    /// It takes the part.
    Take,
    /// It takes the part, and the answer is lost.
    CutAnswer,
    /// It answers this problem.
    Problem(u16, &'static str, Option<u32>),
    /// It wants the list from elsewhere, whatever it gets.
    Elsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) compressed: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) boot: Option<BootId>,
    pub(crate) event_log_digest: Option<Sha256Digest>,
    pub(crate) event_log: Option<Vec<u8>>,
    /// Where the list began that came along, and how long it was.
    pub(crate) ima: Option<(u64, usize)>,
}

impl Engine {
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/v1/challenge", post(challenge))
            .route("/v1/logs/ima", post(part).layer(DefaultBodyLimit::max(limits::LOG_BODY)))
            .route("/v1/attest", post(attest).layer(DefaultBodyLimit::max(limits::ATTEST_BODY)))
            .with_state(self.clone())
    }

    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }
}

impl Memory {
    fn position(&self) -> Option<ImaPosition> {
        Some(ImaPosition { boot: self.boot.clone()?, offset: self.list.len() as u64 })
    }

    /// Whether a part begins where the engine is; one from the beginning of another boot's list does.
    fn is_at(&mut self, from: &ImaPosition) -> bool {
        if self.boot.as_ref() != Some(&from.boot) {
            if from.offset != 0 {
                return false;
            }
            (self.boot, self.list) = (Some(from.boot.clone()), Vec::new());
        }
        from.offset == self.list.len() as u64
    }

    fn challenge(&mut self, due_in_ms: u64) -> Challenge {
        self.nonces += 1;
        let nonce = self.nonces.to_be_bytes().to_vec();
        self.open = Some(nonce.clone());
        let truth = KnownLogs { event_log: self.event_log, ima: self.position() };
        Challenge {
            nonce: Bytes::new(nonce).unwrap(),
            selection: "sha256:0-10".parse().unwrap(),
            due_at: NOW,
            due_in_ms,
            expires_at: NOW.plus(LIFE),
            logs: self.lie.take().unwrap_or(truth),
        }
    }
}

fn problem(status: u16, code: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(Problem::new(status, code, "No"))).into_response()
}

fn read<T: DeserializeOwned>(body: &Body) -> T {
    serde_json::from_slice(body).unwrap()
}

async fn challenge(State(engine): State<Engine>) -> axum::Json<Challenge> {
    axum::Json(engine.memory().challenge(0))
}

async fn part(State(engine): State<Engine>, body: Body) -> Response {
    let ImaPart { from, log } = read(&body);
    let bytes = log.inflate(limits::IMA_PART).unwrap();
    let mut memory = engine.memory();
    memory.parts.push(Part { offset: from.offset, len: bytes.len() as u64, compressed: log.compressed_len() });
    let mood = memory.moods.pop_front();
    if let Some(Mood::Problem(status, code, retry_after)) = mood {
        let mut answer = problem(status, code);
        if let Some(secs) = retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, secs.into());
        }
        return answer;
    }
    if memory.is_at(&from) {
        memory.list.extend_from_slice(&bytes);
    }
    let position = match mood {
        // The task of the connection ends without a word.
        Some(Mood::CutAnswer) => {
            drop(memory);
            std::panic::resume_unwind(Box::new(()))
        }
        Some(Mood::Elsewhere) => ImaPosition { offset: from.offset.saturating_sub(1), boot: from.boot },
        _ => memory.position().unwrap_or(ImaPosition { offset: 0, boot: from.boot }),
    };
    axum::Json(position).into_response()
}

async fn attest(State(engine): State<Engine>, body: Body) -> Response {
    let Evidence { nonce, quote, payload, logs } = read(&body);
    let mut memory = engine.memory();
    assert_eq!(memory.open.as_deref(), Some(nonce.as_slice()), "a nonce is good once");
    let binding = evidence_binding(nonce.as_slice(), &CERTIFICATE, &sha256(payload.as_bytes()));
    assert_eq!(quote.message.as_slice(), sha256(&binding).as_bytes(), "the quote binds the payload");
    let EvidencePayload { boot, event_log: digest, .. } = serde_json::from_str(&payload).unwrap();
    let event_log = logs.event_log.map(|log| log.inflate(limits::EVENT_LOG).unwrap());
    if let Some(log) = &event_log {
        assert_eq!(digest, Some(sha256(log)));
    } else if digest.is_some() && digest != memory.event_log {
        return problem(409, "evidence.event_log_unknown");
    }
    let mut ima = None;
    if let Some(ImaPart { from, log }) = logs.ima {
        assert_eq!(Some(&from.boot), boot.as_ref());
        if !memory.is_at(&from) {
            return problem(409, "evidence.ima_position");
        }
        let bytes = log.inflate(limits::IMA_PART).unwrap();
        memory.list.extend_from_slice(&bytes);
        ima = Some((from.offset, bytes.len()));
    }
    memory.open = None;
    memory.event_log = digest.or(memory.event_log);
    memory.evidence.push(Received { boot, event_log_digest: digest, event_log, ima });
    let verdict = Verdict::new(AttestationId::new(NOW, &[0; 10]), NOW, NOW, None, COVERAGE, Vec::new());
    let challenge = memory.challenge(60_000);
    axum::Json(Appraised { verdict, score: TrustScore::new(70.0), challenge, renew: false }).into_response()
}
