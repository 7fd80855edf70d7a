//! The journal as the decision log: nobody is told before it is kept, and nobody waits for ever.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use vouchsafe_journal::{
    CheckpointKey, Disk, Journal, JournalParts, JournalSettings, MAX_BODY_LEN, SignCheckpoint, SigningFailed,
    SystemDisk, Writing,
};
use vouchsafe_model::decision::{Reason, Ruling};
use vouchsafe_model::{Decision, DecisionId, Sha256Digest};
use vouchsafe_pki::{IssuerKey as _, LocalKey};
use vouchsafe_policy_engine::evaluate::Document;
use vouchsafe_policy_engine::log::{
    DecisionLog, JournalLog, LogEntry, LogError, MAX_DECISION_LEN, MAX_REQUEST_LEN, MAX_WAIT,
};
use vouchsafe_policy_engine::question::{MAX_HTTP_LEN, MAX_TEXT_LEN};
use vouchsafe_policy_engine::ruling::{
    self, MAX_OBLIGATIONS, MAX_OBLIGATIONS_LEN, MAX_PARAMETERS, MAX_REASONS, MAX_REASONS_LEN,
};
use vouchsafe_policy_engine::{Question, Seen};
use vouchsafe_wire::v1::agent::{Access, Action, Entity, HttpRequest, User};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::limits::DATA_BODY;

use crate::fixtures::{NOW, decide, default_engine, good_ask};

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

/// A journal in a folder of its own.
pub(crate) struct Kept {
    pub(crate) journal: Journal,
    writing: Option<Writing>,
    _folder: tempfile::TempDir,
}

impl Kept {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(SystemDisk))
    }

    fn on(disk: Arc<dyn Disk>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = LocalKey::generate().unwrap();
        let public = CheckpointKey::from_spki_der(&key.spki_der().unwrap()).unwrap();
        let opened = Journal::open(JournalParts {
            folder: folder.path().join("decisions"),
            new_origin: "example.org/decisions/test".parse().unwrap(),
            settings: JournalSettings {
                max_segment_bytes: 16 * 1024,
                checkpoint_interval: Duration::from_millis(10),
                ..JournalSettings::default()
            },
            signer: Arc::new(Signer(key, public)),
            disk,
            now: Arc::new(|| NOW),
        });
        let (journal, writing) = opened.unwrap();
        Self { journal, writing: Some(writing), _folder: folder }
    }

    pub(crate) fn log(&self) -> JournalLog {
        JournalLog::new(self.journal.clone(), Duration::from_secs(30))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            writing.finish();
        }
    }
}

/// The entry of the decision about a question, which is the one of this number.
pub(crate) fn entry_of(number: u32, ask: AskDecision) -> LogEntry {
    let ruling = if number.is_multiple_of(2) {
        Ruling::allow(Vec::new())
    } else {
        Ruling::deny(vec![Reason { code: "test.odd".to_owned(), message: "It is odd.".to_owned(), fix: None }])
    };
    let at = NOW.plus(Duration::from_secs(number.into()));
    let mut entropy = [7; 10];
    entropy[..4].copy_from_slice(&number.to_be_bytes());
    let id = DecisionId::new(at, &entropy);
    let decision = Decision::new(id, at, ruling, ask.device, None, Sha256Digest::new([5; 32]));
    let answer = serde_json::to_vec(&decision).unwrap();
    let asker = "spiffe://example.org/enforcement/edge-1".parse().unwrap();
    LogEntry::new(&decision, &answer, &Question::check(ask).unwrap(), &Seen::Nothing, Some(asker)).unwrap()
}

fn entry(number: u32) -> LogEntry {
    entry_of(number, good_ask(1))
}

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    fails: AtomicBool,
}

/// A disk whose waiting ends when it is let, and which can be made to fail.
impl Disk for Gate {
    fn sync(&self, _: &File) -> io::Result<()> {
        let opened = self.opened.wait_while(self.is_open.lock().unwrap(), |is_open| !*is_open).unwrap();
        drop(opened);
        if self.fails.load(Ordering::SeqCst) { Err(io::Error::other("bad block")) } else { Ok(()) }
    }
}

impl Gate {
    fn set(&self, is_open: bool) {
        *self.is_open.lock().unwrap() = is_open;
        self.opened.notify_all();
    }
}

fn gate() -> (Arc<Gate>, Kept) {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    (gate.clone(), Kept::on(gate))
}

#[tokio::test]
async fn nobody_is_told_before_it_is_kept() {
    let (gate, kept) = gate();
    let log = kept.log();
    gate.set(false);
    let appends: Vec<_> = (0..20)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(entry(number)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(appends.iter().all(|append| !append.is_finished()));
    gate.set(true);
    for append in appends {
        append.await.unwrap().unwrap();
    }
    assert_eq!(kept.journal.view().entries(), 0..20);
    let found = kept.journal.view().find(entry(7).id()).unwrap().unwrap();
    assert_eq!(found.body().unwrap().as_bytes(), entry(7).json().unwrap());
}

#[tokio::test]
async fn nobody_waits_longer_than_the_bound() {
    let (gate, kept) = gate();
    let log = JournalLog::new(kept.journal.clone(), Duration::from_millis(300));
    gate.set(false);
    let started = Instant::now();
    let appends: Vec<_> = (0..20)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(entry(number)).await })
        })
        .collect();
    for append in appends {
        let outcome = append.await.unwrap();
        assert!(matches!(outcome, Err(LogError::TimedOut { .. })), "{outcome:?}");
    }
    assert!((300..MAX_WAIT.as_millis()).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    gate.set(true);
}

#[tokio::test]
async fn a_disk_that_fails_denies_and_the_log_goes_on_when_it_can() {
    let (gate, kept) = gate();
    let log = kept.log();
    gate.fails.store(true, Ordering::SeqCst);
    let error = log.append(entry(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the decision log did not keep the decision");
    assert_eq!(error.source().unwrap().to_string(), "the log cannot be written");
    assert!(kept.journal.check().is_err());
    gate.fails.store(false, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(20);
    while log.append(entry(2)).await.is_err() {
        assert!(Instant::now() < deadline, "it does not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    kept.journal.check().unwrap();
    assert_eq!(kept.journal.view().entries(), 0..1);
}

#[tokio::test]
async fn a_closed_log_denies() {
    let mut kept = Kept::new();
    let log = kept.log();
    let writing = kept.writing.take().unwrap();
    tokio::task::spawn_blocking(move || writing.finish()).await.unwrap();
    assert!(matches!(log.append(entry(1)).await, Err(LogError::Closed)));
}

#[test]
fn a_decision_is_taken_at_its_longest_and_refused_one_byte_later() {
    let of = |len: usize| {
        let entry = entry(1);
        let view = entry.view().unwrap();
        let ruling = Ruling::deny(Vec::new());
        let decision = Decision::new(view.id, view.decided_at, ruling, None, None, view.policy);
        let question = Question::check(good_ask(1)).unwrap();
        LogEntry::new(&decision, &vec![b'x'; len], &question, &Seen::Nothing, None)
    };
    assert!(of(MAX_DECISION_LEN).is_ok());
    let refused = of(MAX_DECISION_LEN + 1);
    assert!(matches!(refused, Err(LogError::TooLarge { decision, .. }) if decision == MAX_DECISION_LEN + 1));
    const { assert!(MAX_DECISION_LEN + MAX_REQUEST_LEN <= MAX_BODY_LEN, "what is logged fits the journal") };
}

#[test]
fn the_longest_answer_fits_the_log() {
    // Every character costs two in JSON.
    let reason = json!({"code": "c", "message": "\"".repeat(MAX_REASONS_LEN / MAX_REASONS - 1)});
    let text = "\\".repeat(MAX_OBLIGATIONS_LEN / MAX_OBLIGATIONS / MAX_PARAMETERS - 3);
    let parameters: BTreeMap<_, _> = (10..10 + MAX_PARAMETERS).map(|name| (name.to_string(), &text)).collect();
    let obligation = json!({"code": "o", "parameters": parameters});
    let answer = json!({
        "allow": true, "needs": {"score": 59.999_999_999},
        "reasons": vec![reason; MAX_REASONS], "obligations": vec![obligation; MAX_OBLIGATIONS]
    });
    let ruling = ruling::read(Ok(Document::of(&answer)));
    assert_eq!(ruling.obligations().len(), MAX_OBLIGATIONS);
    let missed = ruling::for_asker(ruling.clone(), &[]);
    assert_eq!(missed.reasons().len(), MAX_REASONS + MAX_OBLIGATIONS);
    let known = decide(&default_engine(), good_ask(1));
    for ruling in [ruling, missed] {
        let decision = Decision::new(known.id(), NOW, ruling, known.device(), known.score().cloned(), known.policy());
        let length = serde_json::to_vec(&decision.over_revision(u64::MAX).crossing_at(Some(NOW))).unwrap().len();
        // The rest is for the notes of the door.
        assert!(length > MAX_DECISION_LEN * 3 / 4 && length < MAX_DECISION_LEN - 4096, "{length}");
    }
}

#[test]
fn the_longest_question_fits_the_log() {
    let mut ask = good_ask(1);
    // Every character costs two in JSON.
    let roles = vec!["\"".repeat(8); User::MAX_ROLES];
    let texts = "read".len() + "alice".len() + "know".len() + "have".len() + "psql".len() + "16.3".len();
    ask.request.resource = "\\".repeat(4096);
    let room = MAX_TEXT_LEN - texts - 4096 - 8 * roles.len();
    let user = ask.user.as_mut().unwrap();
    user.roles = roles;
    let long = user.roles.iter_mut().take(room / 240);
    long.for_each(|role| role.push_str(&"\"".repeat(240)));
    ask.request.http = Some(HttpRequest {
        method: "GET".to_owned(),
        path: "/".to_owned(),
        raw_path: "/".to_owned(),
        headers: [("h".to_owned(), vec!["\"".repeat(MAX_HTTP_LEN - 6)])].into(),
        body: Some("a secret".repeat(1024)),
        ..HttpRequest::default()
    });
    ask.request.access = Some(longest_access());
    let question = Question::check(ask.clone()).unwrap();
    let asker = format!("spiffe://{}/enforcement/{}", "d".repeat(255), "n".repeat(64)).parse().unwrap();
    let decision = decide(&default_engine(), ask);
    let answer = serde_json::to_vec(&decision).unwrap();
    let entry = LogEntry::new(&decision, &answer, &question, &Seen::NoDevice, Some(asker)).unwrap();
    let json = std::str::from_utf8(entry.json().unwrap()).unwrap();
    let request = json.len() - answer.len();
    // The rest is for what the Data API is asked besides.
    let most = MAX_REQUEST_LEN - DATA_BODY;
    assert!(request > most * 9 / 10 && request <= most, "{request}");
    assert!(!json.contains("a secret"), "a body is on record");
}

/// As much in the terms of AuthZEN as may be asked.
fn longest_access() -> Access {
    let entity = |kind: &str| Entity { r#type: kind.to_owned(), id: "x".to_owned(), ..Entity::default() };
    let action = Action { name: "read".to_owned(), ..Action::default() };
    let (subject, resource) = (entity("user"), entity("db"));
    let mut access = Access { subject, action, resource, context: serde_json::Map::new() };
    access.context.insert("c".to_owned(), "".into());
    let room = Access::MAX_LEN - serde_json::to_string(&access).unwrap().len();
    access.context.insert("c".to_owned(), "\0".repeat(room / 6).into());
    access
}
