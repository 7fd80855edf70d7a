//! What the whole system promises: decisions over HTTP against a route that answers a constant, on the same server with the
//! same connections, and what an agent costs its host. One JSON line per figure.
#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Certificate, Client, Identity};
use vouchsafe_swtpm_tests::world::World;

/// Connections at once, each with one request at a time. A decision is answered when it is on the disk, and decisions that
/// come at the same time share that wait: with few connections the ratio would be that of the disk's latency to none, with
/// this many it is that of the work.
const CONNECTIONS: usize = 128;
/// How long each load lasts.
const LOAD: Duration = Duration::from_secs(4);
/// How often constant and decision take turns, so that what else the machine does meets both.
const ROUNDS: usize = 3;
/// How long the agent is watched while it has nothing to do.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let world = World::allowed()?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(decisions(&world))?;
    agent(&world)
}

async fn decisions(world: &World) -> Result<()> {
    let base = format!("https://localhost:{}", world.engine.api_port());
    let (question, stranger) = (question(Some(&world.device)), question(None));
    let folder = world.engine.folder();
    let (mut constant, mut decided, mut denied) = (0.0, 0.0, 0.0);
    for _ in 0..ROUNDS {
        constant += load(&folder, &format!("{base}/health/live"), None).await?;
        decided += load(&folder, &format!("{base}/v1/decision"), Some(question.to_string())).await?;
        denied += load(&folder, &format!("{base}/v1/decision"), Some(stranger.to_string())).await?;
    }
    let rounds = f64::from(u32::try_from(ROUNDS)?);
    figure("http.constant.per_second", constant / rounds, None);
    figure("http.decision.per_second", decided / rounds, None);
    figure("http.decision_to_constant.ratio", decided / constant, Some(">= 0.5"));
    figure("http.deny_to_constant.ratio", denied / constant, None);
    Ok(())
}

/// What is allowed for the device, and denied when none is named.
fn question(device: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "device": device,
        "user": { "id": "ada", "roles": ["engineer"] },
        "network": { "authenticated": true, "encrypted": true },
        "request": { "action": "read", "resource": "db:orders" },
    })
}

/// Requests per second that all connections together get answered.
async fn load(folder: &Path, url: &str, body: Option<String>) -> Result<f64> {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = client(folder)?;
        let (url, body, done, stop) = (url.to_owned(), body.clone(), done.clone(), stop.clone());
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let request = match &body {
                    Some(body) => client.post(&url).header("content-type", "application/json").body(body.clone()),
                    None => client.get(&url),
                };
                let answer = request.send().await?;
                ensure!(answer.status().is_success(), "{url}: {}", answer.status());
                answer.bytes().await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
    }
    // The handshakes do not count.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (before, started) = (done.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(LOAD).await;
    let answered = done.load(Ordering::Relaxed) - before;
    let elapsed = started.elapsed();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "no load comes near 2^52 requests")]
    Ok(answered as f64 / elapsed.as_secs_f64())
}

fn client(folder: &Path) -> Result<Client> {
    let read = |name: &str| std::fs::read(folder.join(name)).with_context(|| format!("reading {name}"));
    let identity = [read("operator.key")?, read("operator.crt")?].concat();
    // Whoever made one before has said the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Ok(Client::builder()
        .tls_certs_only([Certificate::from_pem(&read("trust-bundle.pem")?)?])
        .identity(Identity::from_pem(&identity)?)
        .http1_only()
        .build()?)
}

/// What an agent costs: memory, and processor time while nothing is due.
fn agent(world: &World) -> Result<()> {
    let pid = world.agent.pid().context("the agent runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|kib| kib.split_whitespace().next())
        .context("a process has VmRSS")?
        .parse()?;
    figure("agent.resident_mb", resident / 1024.0, Some("<= 20"));
    let per_attestation = ticks_per_attestation(world, pid)?;
    figure("agent.cpu_ms_per_attestation", per_attestation, None);
    Ok(())
}

/// Processor time of one cycle of attestation and waiting, in milliseconds (a tick of the kernel is 10 ms).
fn ticks_per_attestation(world: &World, pid: u32) -> Result<f64> {
    let used = || -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let after_name = stat.rsplit_once(')').context("stat names the program")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("stat has the field")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) * 10.0)
    };
    let accepted = |log: &str| log.matches("evidence appraised").count();
    let (before, done) = (used()?, accepted(&world.engine.log()));
    std::thread::sleep(IDLE);
    let attestations = accepted(&world.engine.log()) - done;
    ensure!(attestations > 0, "the agent did not attest");
    Ok((used()? - before) / f64::from(u32::try_from(attestations)?))
}

fn figure(name: &str, value: f64, target: Option<&str>) {
    println!("{}", serde_json::json!({ "figure": name, "value": value, "target": target }));
}
