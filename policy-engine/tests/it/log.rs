//! Group commit: nobody is told before it is kept, and nobody waits for ever.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use vouchsafe_policy_engine::Question;
use vouchsafe_policy_engine::log::{
    DecisionLog, DecisionSink, GroupCommit, GroupCommitSettings, LogEntry, LogError, MAX_REQUEST_LEN,
};
use vouchsafe_policy_engine::question::{MAX_HTTP_LEN, MAX_TEXT_LEN};
use vouchsafe_wire::v1::agent::{Access, Action, Entity, HttpRequest, User};

use crate::fixtures::{decide, default_engine, good_ask};

/// Keeps the sizes of batches; writes when it is let.
struct GatedSink {
    gate: Semaphore,
    batches: Mutex<Vec<usize>>,
}

impl GatedSink {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self { gate: Semaphore::new(open), batches: Mutex::default() })
    }

    fn batches(&self) -> Vec<usize> {
        self.batches.lock().unwrap().clone()
    }
}

#[async_trait]
impl DecisionSink for GatedSink {
    async fn write(&self, batch: Vec<LogEntry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.gate.acquire().await?.forget();
        self.batches.lock().unwrap().push(batch.len());
        Ok(())
    }
}

fn entry() -> LogEntry {
    let ask = good_ask(1);
    let decision = decide(&default_engine(), ask.clone());
    LogEntry::new(decision, &Question::check(ask).unwrap(), None).unwrap()
}

fn settings() -> GroupCommitSettings {
    GroupCommitSettings { max_batch: 4, max_queue: 8, max_wait: Duration::from_secs(5) }
}

/// Appends so many at once and gives their outcomes.
fn append_many(
    log: &GroupCommit,
    entry: &LogEntry,
    count: usize,
) -> Vec<tokio::task::JoinHandle<Result<(), LogError>>> {
    let one = |_| {
        let (log, entry) = (log.clone(), entry.clone());
        tokio::spawn(async move { log.append(entry).await })
    };
    (0..count).map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn what_arrives_while_a_batch_is_written_is_the_next_batch() {
    let sink = GatedSink::new(0);
    let (log, task) = GroupCommit::start(sink.clone(), settings());
    let entry = entry();
    let first = append_many(&log, &entry, 1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let rest = append_many(&log, &entry, 6);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(first.iter().chain(&rest).all(|append| !append.is_finished()), "nobody is told before it is kept");
    sink.gate.add_permits(10);
    for append in first.into_iter().chain(rest) {
        append.await.unwrap().unwrap();
    }
    assert_eq!(sink.batches(), [1, 4, 2]);
    drop(log);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_is_written_before_the_log_ends() {
    let sink = GatedSink::new(0);
    let (log, task) = GroupCommit::start(sink.clone(), settings());
    let appends = append_many(&log, &entry(), 3);
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(log);
    sink.gate.add_permits(10);
    task.await.unwrap();
    assert_eq!(sink.batches().iter().sum::<usize>(), 3);
    for append in appends {
        append.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_bound_in_the_queue_or_before_it() {
    let sink = GatedSink::new(0);
    let (log, _task) = GroupCommit::start(sink, settings());
    // One batch being written, a full queue, and more outside.
    let appends = append_many(&log, &entry(), 4 + 8 + 5);
    let started = tokio::time::Instant::now();
    for append in appends {
        let outcome = append.await.unwrap();
        assert!(matches!(outcome, Err(LogError::TimedOut { .. })), "{outcome:?}");
    }
    assert_eq!(started.elapsed().as_secs(), 5);
}

/// Fails, panics, then writes.
#[derive(Default)]
struct FaultySink {
    calls: AtomicUsize,
}

#[async_trait]
impl DecisionSink for FaultySink {
    async fn write(&self, _: Vec<LogEntry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self.calls.fetch_add(1, Ordering::SeqCst) {
            0 => Err("disk full".into()),
            1 => panic!("out of range"),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_sink_that_fails_or_panics_denies_and_the_log_goes_on() {
    let (log, _task) = GroupCommit::start(Arc::new(FaultySink::default()), settings());
    for message in ["disk full", "out of range"] {
        let error = log.append(entry()).await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), message);
    }
    log.append(entry()).await.unwrap();
}

#[tokio::test]
async fn a_log_whose_task_is_gone_is_closed() {
    let (log, task) = GroupCommit::start(GatedSink::new(0), settings());
    task.abort();
    let _ = task.await;
    assert!(matches!(log.append(entry()).await, Err(LogError::Closed)));
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
    let entry = LogEntry::new(decide(&default_engine(), ask), &question, Some(asker)).unwrap();
    assert!(entry.request.len() > MAX_REQUEST_LEN * 9 / 10 && entry.request.len() <= MAX_REQUEST_LEN);
    assert!(!entry.request.contains("a secret"), "a body is on record");
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
