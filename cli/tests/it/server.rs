//! A server of its own folder and ports, as a process.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::command;

/// How long anything may take that is waited for: machines that run tests may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    api: u16,
    ops: u16,
    process: Option<Child>,
}

impl Server {
    /// The folder of a new server, with these lines in `[policy]`.
    pub(crate) fn init(policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [enrol, api, ops] = [free_port(), free_port(), free_port()];
        let ports = [("--enrol-port", enrol), ("--api-port", api), ("--ops-port", ops)];
        let mut init = command();
        init.current_dir(dir.path()).args(["init", "--dir", "engine", "--trust-domain", "test.example"]);
        init.args(["--host", "localhost", "--ip", "127.0.0.1", "--listen", "127.0.0.1"]);
        init.args(ports.iter().flat_map(|(flag, port)| [(*flag).to_owned(), port.to_string()]));
        assert!(init.output().unwrap().status.success());
        let server = Self { dir, api, ops, process: None };
        let settings = server.path("vouchsafe.toml");
        let text = fs::read_to_string(&settings).unwrap();
        assert!(text.contains("[policy]\n"));
        fs::write(&settings, text.replace("[policy]\n", &format!("[policy]\n{policy}\n"))).unwrap();
        server
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("engine").join(name)
    }

    /// Writes a policy that decides so to the folder `policies`, with these tests.
    pub(crate) fn write_policy(&self, decision: &str, test: &str) {
        let dir = self.path("policies");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("policy.rego"), format!("package vouchsafe\n\n{decision}\n")).unwrap();
        fs::write(dir.join("policy_test.rego"), format!("package vouchsafe_test\n\n{test}\n")).unwrap();
    }

    fn serve(&self) -> Command {
        let mut serve = command();
        serve.current_dir(self.dir.path()).args(["serve", "--dir", "engine"]);
        let log = fs::File::options().create(true).append(true).open(self.path("serve.log")).unwrap();
        serve.stdout(Stdio::null()).stderr(log);
        serve
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let mut process = self.serve().spawn().unwrap();
        let ready = until(|| self.get("/health/ready").0 == 200 || process.try_wait().unwrap().is_some());
        self.process = Some(process);
        assert!(ready && self.is_alive(), "{}", self.log());
    }

    /// Starts it although it will not serve, and returns its exit code.
    pub(crate) fn start_in_vain(&self) -> Option<i32> {
        let mut process = self.serve().spawn().unwrap();
        let ended = until(|| process.try_wait().unwrap().is_some());
        if !ended {
            process.kill().unwrap();
        }
        process.wait().unwrap().code()
    }

    /// Whether the process runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Has it read its policy again.
    pub(crate) fn hang_up(&self) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    /// Waits until it has logged this so often.
    pub(crate) fn until_logged(&self, text: &str, times: usize) {
        let found = || self.log().matches(text).count() >= times;
        assert!(until(found), "'{text}' is not logged {times} times:\n{}", self.log());
    }

    /// Status and body of an answer at the door of operations.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ops)) else { return (0, String::new()) };
        let mut answer = String::new();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        drop(stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer)));
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }

    /// The value of a metric, as it is written.
    pub(crate) fn metric(&self, name: &str) -> Option<String> {
        let metrics = self.get("/metrics").1;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }

    /// Runs an operator command: exit code, standard output and standard error.
    pub(crate) fn operator(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = command();
        command.current_dir(self.dir.path()).args(arguments).env("VOUCHSAFE_PROFILE", self.path("operator.toml"));
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// Sends a policy as the one whose certificate and key have this name, in place of the one that this names: status and body.
    pub(crate) fn put_policy(&self, who: &str, if_match: Option<&str>, body: Vec<u8>) -> (u16, String) {
        // Whoever made one before has said the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let read = |name: String| fs::read(self.path(&name)).unwrap();
        let identity = [read(format!("{who}.key")), read(format!("{who}.crt"))].concat();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&read("trust-bundle.pem".to_owned())).unwrap()])
            .identity(reqwest::Identity::from_pem(&identity).unwrap())
            .build()
            .unwrap();
        let request = client.put(format!("https://localhost:{}/v1/policy", self.api)).body(body);
        let request = if_match.into_iter().fold(request, |request, hash| request.header("if-match", hash));
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    /// Asks for a decision over a resource: the outcome, and the codes of its reasons.
    pub(crate) fn decide(&self, resource: &str) -> (String, Vec<String>) {
        let ask = ["decision", "ask", "--user", "ada", "--action", "read", "--format", "json", "--resource", resource];
        let (_, stdout, stderr) = self.operator(&ask);
        let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
        let codes =
            answer["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap().to_owned());
        (answer["outcome"].as_str().unwrap().to_owned(), codes.collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- vouchsafe serve\n{}", self.log());
        }
    }
}

/// Whether something came to be in time.
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

/// A port that is free, and that no connection takes meanwhile: those come from 32768 on. Tests of other processes begin elsewhere.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = std::iter::repeat_with(|| std::process::id().wrapping_mul(97) + NEXT.fetch_add(1, Ordering::Relaxed));
    let mut ports = ports.take(1000).filter_map(|number| u16::try_from(12_000 + number % 20_000).ok());
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
