//! The decision log of a server that is killed under load: whatever was answered is in it, once, and it verifies (threat 28).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Client, Identity};
use serde_json::Value;
use vouchsafe_swtpm_tests::engine::{Engine, eventually};

/// Connections at once, each with one request at a time.
const CONNECTIONS: usize = 32;
/// How often the server is killed.
const ROUNDS: u32 = 4;

#[test]
fn every_answered_decision_is_in_the_log_once_after_kills_under_load() -> Result<()> {
    // Files of the log end all the time, so that kills fall there, too.
    let settings = [("DECISION_LOG__SEGMENT_MIB", "1"), ("DECISION_LOG__KEEP_MIB", "0")];
    let mut engine = Engine::start_new(&[], &settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let load = Load::start(&runtime, &engine)?;
        // Somewhere else each time.
        std::thread::sleep(Duration::from_millis(900 + u64::from(round) * 137));
        engine.kill();
        let ids = load.stop();
        ensure!(!ids.is_empty(), "nothing was answered in round {round}");
        answered.extend(ids);
        assert_verifies(&engine)?;
        engine.start()?;
    }
    assert_logged_once(&engine, &answered)?;
    // A server that goes on has cut off what was half-written, and still verifies.
    let report = assert_verifies(&engine)?;
    ensure!(report["log"]["unfinished_bytes"] == 0, "{report}");
    let last = answered.last().context("something was answered")?;
    let shown: Value = serde_json::from_slice(&engine.operator(&["log", "show", last])?.stdout)?;
    ensure!(shown["id"] == last.as_str(), "{shown}");
    assert_proven(&engine, last)
}

/// Verifies the log offline, whether or not a server writes it.
fn assert_verifies(engine: &Engine) -> Result<Value> {
    let (log, key) = (engine.folder().join("decisions"), engine.folder().join("log.pub"));
    let (log, key) = (log.to_str().context("a path")?, key.to_str().context("a path")?);
    let output = engine.operator(&["log", "verify", log, "--key", key, "--format", "json"])?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&told).with_context(|| told.into_owned())
}

/// Fetches the proof of a decision and verifies it without the server.
fn assert_proven(engine: &Engine, id: &str) -> Result<()> {
    // A decision of just before the kill is covered by the first checkpoint after it.
    let proof = eventually("a checkpoint covers the decision", || {
        let proof = engine.operator(&["log", "prove", id])?;
        ensure!(proof.status.success(), "{}", String::from_utf8_lossy(&proof.stderr));
        Ok(proof)
    })?;
    let file = engine.scratch().join("decision.tlog-proof");
    std::fs::write(&file, &proof.stdout)?;
    let key = engine.folder().join("log.pub");
    let (file, key) = (file.to_str().context("a path")?, key.to_str().context("a path")?);
    let report = engine.ask(&["log", "verify", "--proof", file, "--key", key])?;
    ensure!(report["verified"] == true && report["decision"]["id"] == id, "{report}");
    Ok(())
}

/// Looks for every answered decision in the files themselves.
fn assert_logged_once(engine: &Engine, answered: &[String]) -> Result<()> {
    let mut logged: BTreeMap<String, u32> = BTreeMap::new();
    for file in std::fs::read_dir(engine.folder().join("decisions"))? {
        let path = file?.path();
        if path.extension().is_none_or(|ending| ending != "vjl") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let entries = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
        for id in entries.filter_map(|line| line.split('\t').nth(1)) {
            *logged.entry(id.to_owned()).or_default() += 1;
        }
    }
    ensure!(logged.values().all(|count| *count == 1), "a decision is there twice");
    for id in answered {
        ensure!(logged.contains_key(id), "decision {id} was answered and is not in the log");
    }
    Ok(())
}

/// Questions, without a pause.
struct Load {
    answered: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    fn start(runtime: &tokio::runtime::Runtime, engine: &Engine) -> Result<Self> {
        let load = Self { answered: Arc::default(), stop: Arc::default() };
        let url = format!("https://localhost:{}/v1/decision", engine.api_port());
        for connection in 0..CONNECTIONS {
            let client = client(&engine.folder())?;
            let (url, answered, stop) = (url.clone(), load.answered.clone(), load.stop.clone());
            let question = serde_json::json!({
                "user": { "id": format!("user-{connection}"), "roles": ["engineer"] },
                "request": { "action": "read", "resource": "db:orders" },
            });
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // The server dies in the midst of it; what it did not answer in full was not answered.
                    let Ok(answer) = client.post(&url).json(&question).send().await else { continue };
                    if !answer.status().is_success() {
                        continue;
                    }
                    let Ok(decision) = answer.json::<Value>().await else { continue };
                    if let (Some(id), Ok(mut answered)) = (decision["id"].as_str(), answered.lock()) {
                        answered.push(id.to_owned());
                    }
                }
            });
        }
        Ok(load)
    }

    /// What was answered.
    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        // Answers that had left the server before it died are still read.
        std::thread::sleep(Duration::from_millis(300));
        self.answered.lock().map(|mut ids| std::mem::take(&mut *ids)).unwrap_or_default()
    }
}

fn client(folder: &Path) -> Result<Client> {
    let read = |name: &str| std::fs::read(folder.join(name)).with_context(|| format!("reading {name}"));
    let identity = [read("operator.key")?, read("operator.crt")?].concat();
    // Whoever made one before has said the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(Client::builder()
        .tls_certs_only([Certificate::from_pem(&read("trust-bundle.pem")?)?])
        .identity(Identity::from_pem(&identity)?)
        .timeout(Duration::from_secs(10))
        .http1_only()
        .build()?)
}
