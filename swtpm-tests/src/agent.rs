//! An agent of ours, in a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::binaries::binary;
use crate::engine::PATIENCE;

/// An agent, with a state folder of its own. Its process is killed when it is dropped.
#[derive(Debug)]
pub struct Agent {
    dir: TempDir,
    tcti: String,
    options: Vec<String>,
    process: Option<Child>,
}

impl Agent {
    /// An agent of the TPM behind this TCTI, with these further options.
    ///
    /// # Errors
    /// No folder can be made.
    pub fn new(tcti: &str, options: &[&str]) -> Result<Self> {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Ok(Self { dir: TempDir::new().context("making a folder")?, tcti: tcti.to_owned(), options, process: None })
    }

    /// Its state folder.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("agent.log")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Starts `vouchsafe-agent run`, with a join file if it is to enrol first.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&mut self, join: Option<&Path>) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path()).context("opening the log")?;
        let mut command = self.command("run")?;
        if let Some(join) = join {
            command.arg("--join").arg(join);
        }
        self.process = Some(command.stdout(Stdio::null()).stderr(log).spawn().context("starting vouchsafe-agent")?);
        Ok(())
    }

    /// A command of the agent: `enrol`, `status`, `quote`.
    ///
    /// # Errors
    /// The agent is not built.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(binary("vouchsafe-agent")?);
        command.arg("--state-dir").arg(self.state()).arg("--tcti").arg(&self.tcti).args(&self.options).arg(name);
        Ok(command)
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        let process = self.process.as_mut().context("it does not run")?;
        loop {
            if let Some(status) = process.try_wait()? {
                self.process = None;
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the agent goes on: {}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- vouchsafe-agent\n{}", self.log());
        }
    }
}
