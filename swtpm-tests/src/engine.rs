//! A server of ours, in a folder and a process of its own.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::binary;
use crate::quick_model;

/// How long a server may take to become ready, or anything else that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed when it is dropped.
#[derive(Debug)]
pub struct Engine {
    dir: TempDir,
    enrol: u16,
    api: u16,
    ops: u16,
    settings: Vec<(String, String)>,
    process: Option<Child>,
}

impl Engine {
    /// Makes a server's folder, with these vendor certificates (PEM) trusted, and settings given as
    /// `VOUCHSAFE_SERVER_…` variables without that prefix. Attestation is quick: every second.
    ///
    /// # Errors
    /// `vouchsafe init` fails.
    pub fn init(ek_roots: &[PathBuf], settings: &[(&str, &str)]) -> Result<Self> {
        let dir = TempDir::new().context("making a folder")?;
        let [enrol, api, ops] = [free_port()?, free_port()?, free_port()?];
        let ports = [("--enrol-port", enrol), ("--api-port", api), ("--ops-port", ops)];
        let mut init = Command::new(binary("vouchsafe")?);
        init.arg("init").arg("--dir").arg(dir.path().join("engine"));
        init.args([
            "--trust-domain",
            "test.example",
            "--host",
            "localhost",
            "--ip",
            "127.0.0.1",
            "--listen",
            "127.0.0.1",
        ]);
        for (flag, port) in ports {
            init.arg(flag).arg(port.to_string());
        }
        let made = init.output().context("running vouchsafe init")?;
        ensure!(made.status.success(), "vouchsafe init: {}", String::from_utf8_lossy(&made.stderr));
        for (number, root) in ek_roots.iter().enumerate() {
            let to = dir.path().join(format!("engine/ek-roots/{number}.pem"));
            std::fs::copy(root, &to).with_context(|| format!("copying {}", root.display()))?;
        }
        let quick = [("TRUST__ATTEST__MIN_INTERVAL_SECS", "1"), ("TRUST__ATTEST__MAX_INTERVAL_SECS", "1")];
        let settings = quick.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(Self { dir, enrol, api, ops, settings: settings.collect(), process: None })
    }

    /// Makes a server's folder and starts it.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn start_new(ek_roots: &[PathBuf], settings: &[(&str, &str)]) -> Result<Self> {
        let mut engine = Self::init(ek_roots, settings)?;
        engine.start()?;
        Ok(engine)
    }

    /// The same, with a trust model in which trust takes seconds to grow.
    ///
    /// # Errors
    /// It does not become ready in time.
    pub fn start_quick(ek_roots: &[PathBuf]) -> Result<Self> {
        let mut engine = Self::init(ek_roots, &[("MODEL__FILE", "model.toml")])?;
        std::fs::write(engine.folder().join("model.toml"), quick_model::text()?)?;
        engine.start()?;
        Ok(engine)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or does not become ready in time.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path()).context("opening the log")?;
        let mut serve = Command::new(binary("vouchsafe")?);
        serve.arg("serve").arg("--dir").arg(self.folder());
        for (name, value) in &self.settings {
            serve.env(format!("VOUCHSAFE_SERVER_{name}"), value);
        }
        serve.stdout(Stdio::null()).stderr(log);
        let mut process = serve.spawn().context("starting vouchsafe serve")?;
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready() {
            if let Some(status) = process.try_wait()? {
                bail!("vouchsafe serve ended with {status}: {}", self.log());
            }
            ensure!(Instant::now() < deadline, "vouchsafe serve is not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        self.process = Some(process);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let answer = Command::new("curl")
            .args(["-fsS", "--max-time", "2", &format!("http://127.0.0.1:{}/health/ready", self.ops)])
            .output();
        answer.is_ok_and(|answer| answer.status.success())
    }

    /// Kills it with SIGKILL, as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Kills it and starts it again.
    ///
    /// # Errors
    /// It does not become ready.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.start()
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("engine")
    }

    /// Where its temporary files may be.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The port of the API door.
    pub fn api_port(&self) -> u16 {
        self.api
    }

    /// The port of the enrolment door.
    pub fn enrol_port(&self) -> u16 {
        self.enrol
    }

    /// The port of the operations door.
    pub fn ops_port(&self) -> u16 {
        self.ops
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("serve.log")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Runs an operator command against it.
    ///
    /// # Errors
    /// The command cannot be run.
    pub fn operator(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary("vouchsafe")?);
        command.args(arguments).env("VOUCHSAFE_PROFILE", self.folder().join("operator.toml"));
        command.output().with_context(|| format!("running vouchsafe {}", arguments.join(" ")))
    }

    /// Runs an operator command that must succeed, and reads its JSON.
    ///
    /// # Errors
    /// The command fails, or prints no JSON.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [arguments, &["--format", "json"]].concat();
        let output = self.operator(&arguments)?;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "vouchsafe {}: {stdout}{stderr}", arguments.join(" "));
        serde_json::from_str(&stdout).with_context(|| format!("vouchsafe {} printed {stdout}", arguments.join(" ")))
    }

    /// Makes a join token and returns the path of its file.
    ///
    /// # Errors
    /// The command fails.
    pub fn join_file(&self, name: &str, arguments: &[&str]) -> Result<PathBuf> {
        let path = self.dir.path().join(format!("{name}.json"));
        let file = path.to_str().context("the path is text")?;
        let output = self.operator(&[&["token", "create", "--out", file], arguments].concat())?;
        ensure!(output.status.success(), "token create: {}", String::from_utf8_lossy(&output.stderr));
        Ok(path)
    }

    /// Asks for a decision about a device: the outcome, and the whole answer.
    ///
    /// # Errors
    /// There is no answer.
    pub fn decide(&self, device: &str) -> Result<(String, Value)> {
        let output = self.operator(&[
            "decision",
            "ask",
            "--device",
            device,
            "--user",
            "ada",
            "--role",
            "engineer",
            "--flow",
            "authenticated,encrypted",
            "--action",
            "read",
            "--resource",
            "db:orders",
            "--format",
            "json",
        ])?;
        let answer: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("decision ask: {}", String::from_utf8_lossy(&output.stderr)))?;
        let outcome = answer["outcome"].as_str().context("a decision has an outcome")?.to_owned();
        Ok((outcome, answer))
    }

    /// How many pieces of evidence came to a verdict of this status since the server started.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn appraised(&self, status: &str) -> Result<u64> {
        let address = format!("http://127.0.0.1:{}/metrics", self.ops);
        let answer = Command::new("curl").args(["-fsS", "--max-time", "10", &address]).output()?;
        ensure!(answer.status.success(), "no metrics: {}", String::from_utf8_lossy(&answer.stderr));
        let counter = format!("attestations_total{{verdict=\"{status}\"}} ");
        let metrics = String::from_utf8_lossy(&answer.stdout);
        let count = metrics.lines().find_map(|line| line.strip_prefix(&counter));
        // A counter that never counted is not told.
        count.map_or(Ok(0), |count| count.trim().parse().context("a counter is a number"))
    }

    /// What is known of a device.
    ///
    /// # Errors
    /// It is not known.
    pub fn device(&self, device: &str) -> Result<Value> {
        self.ask(&["device", "show", device])
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- vouchsafe serve\n{}", self.log());
        }
    }
}

/// A port of the loopback that nobody uses, and that no connection takes meanwhile: those come from 32768 on. Tests of other
/// processes begin elsewhere.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = std::iter::repeat_with(|| std::process::id().wrapping_mul(97) + NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = ports.take(1000).filter_map(|number| u16::try_from(12_000 + number % 20_000).ok());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).context("finding a free port")
}

/// Waits until something holds.
///
/// # Errors
/// It does not hold within [`PATIENCE`]; the last reason why not.
pub fn eventually<T>(what: &str, attempt: impl FnMut() -> Result<T>) -> Result<T> {
    eventually_within(PATIENCE, Duration::from_millis(100), what, attempt)
}

/// Waits until something holds, trying again at this pace.
///
/// # Errors
/// It does not hold within the limit; the last reason why not.
pub fn eventually_within<T>(
    limit: Duration,
    pace: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => return Err(error.context(format!("waiting until {what}"))),
            Err(_) => std::thread::sleep(pace),
        }
    }
}
