//! Work on policies in a child process with limits.
//!
//! A policy may overflow the stack of whatever evaluates it, which ends the process and cannot be caught, or take memory
//! faster than anybody can look. So a program runs itself once more, tells that child what to do, and waits no longer than
//! it may. The death of the child is an answer, and harms nobody.

mod child;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vouchsafe_policies::Bundle;

use crate::compile::{Finding, FindingKind, Location};
use crate::evaluate::EvaluationLimits;
use crate::gate::GateReport;
use crate::trial::{Trial, TrialAnswer};

pub use child::{ChildError, answer};
use child::{Examination, Task, Work};

/// The longest answer that is read, in bytes.
const MAX_ANSWER_LEN: u64 = 64 * 1024 * 1024;
/// How often the child is looked after.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The most that a child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildLimits {
    /// Address space, in bytes. Half a gibibyte of it is the stack that policies are compiled on, and one is the
    /// allocator's reserve: both are hardly ever used.
    pub address_space: u64,
    /// Memory that policies may use, in bytes.
    pub memory: u64,
    /// Time of the processor.
    pub cpu: Duration,
    /// Time by the clock on the wall.
    pub wall: Duration,
}

impl ChildLimits {
    /// For a policy that has passed with its tests, and goes through once more without them.
    pub const FOR_DATA: Self =
        Self { address_space: 4 << 30, memory: 512 << 20, cpu: Duration::from_secs(10), wall: Duration::from_secs(20) };
}

impl Default for ChildLimits {
    fn default() -> Self {
        Self { address_space: 4 << 30, memory: 1 << 30, cpu: Duration::from_secs(60), wall: Duration::from_secs(120) }
    }
}

/// How work is done in a child.
#[derive(Clone, Debug)]
pub struct Confined {
    /// The program that [answers](answer).
    pub program: PathBuf,
    /// The arguments with which it does.
    pub arguments: Vec<String>,
    /// The most that a child may use.
    pub limits: ChildLimits,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConfinedError {
    /// The child could not be started or looked after.
    #[error("the process that works on policies cannot be run ({})", program.display())]
    Process {
        /// What was to be run.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the child was to be told has no JSON form.
    #[error("the policy cannot be handed to the process that works on it")]
    Task(#[source] serde_json::Error),
    /// The child ended well and said nothing that can be understood.
    #[error("the process that works on policies said nothing that can be understood")]
    Unintelligible(#[source] serde_json::Error),
}

/// What became of a question.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// It was answered.
    Answered(TrialAnswer),
    /// It was not.
    Failed {
        /// A stable name of what is wrong.
        code: String,
        /// In words.
        message: String,
        /// Where.
        location: Option<Location>,
    },
}

/// What a child said before it ended, and how it ended if not well.
struct Ended {
    said: Vec<u8>,
    died: Option<String>,
}

impl Confined {
    /// Puts a policy through the gate. Blocks until the child has ended.
    ///
    /// # Errors
    /// When no child could be run. Whatever becomes of a child that did run is a report.
    pub fn examine(&self, bundle: &Bundle, limits: EvaluationLimits) -> Result<GateReport, ConfinedError> {
        let ended = self.run(Work::Examine(Examination::of(bundle)), limits)?;
        let Some(how) = ended.died else { return understood(&ended.said) };
        let message = format!("the process that examined the policy died of it: {how}");
        let instead = "look for what goes on without end, in depth, in time or in size";
        Ok(GateReport::refusal(Finding::error(FindingKind::GateDied, None, message, instead)))
    }

    /// Answers a question. Blocks until the child has ended.
    ///
    /// # Errors
    /// When no child could be run. Whatever becomes of a child that did run is an outcome.
    pub fn evaluate(&self, trial: Trial, limits: EvaluationLimits) -> Result<TrialOutcome, ConfinedError> {
        let ended = self.run(Work::Evaluate(trial), limits)?;
        let Some(how) = ended.died else { return understood(&ended.said) };
        // What the policies were known to be capable of was said before they were evaluated.
        let warning: Option<String> = serde_json::from_slice(&ended.said).ok();
        let message = warning.unwrap_or_else(|| format!("the evaluation ended its process: {how}"));
        Ok(TrialOutcome::Failed { code: "evaluation.died".to_owned(), message, location: None })
    }

    fn run(&self, work: Work, evaluation: EvaluationLimits) -> Result<Ended, ConfinedError> {
        let process = |source| ConfinedError::Process { program: self.program.clone(), source };
        let task = serde_json::to_vec(&Task::new(work, evaluation, self.limits)).map_err(ConfinedError::Task)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Reaped(command.spawn().map_err(process)?);
        let said = child.talk(task);
        let status = child.wait(self.limits.wall).map_err(process)?;
        drop(child);
        let died = match status {
            None => Some(format!("it took longer than {:?}", self.limits.wall)),
            Some(status) if status.success() => None,
            Some(status) => Some(last_words(status, self.limits)),
        };
        Ok(Ended { said: said.recv().unwrap_or_default(), died })
    }
}

fn understood<T: DeserializeOwned>(said: &[u8]) -> Result<T, ConfinedError> {
    // The last line counts; those before it are for the case of a death.
    let line = said.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).map_err(ConfinedError::Unintelligible)
}

/// A child that is gone when this is.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Reaped {
    /// Tells the child its task and collects what it says, each on a thread of its own: neither waits for the other.
    fn talk(&mut self, task: Vec<u8>) -> mpsc::Receiver<Vec<u8>> {
        if let Some(mut stdin) = self.0.stdin.take() {
            // A child that dies early does not hear it to its end.
            thread::spawn(move || drop(stdin.write_all(&task)));
        }
        let (told, said) = mpsc::channel();
        if let Some(stdout) = self.0.stdout.take() {
            thread::spawn(move || {
                let mut text = Vec::new();
                let _ = stdout.take(MAX_ANSWER_LEN).read_to_end(&mut text);
                let _ = told.send(text);
            });
        }
        said
    }

    /// Waits for its end; `None` when that did not come in time.
    fn wait(&mut self, most: Duration) -> io::Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if started.elapsed() >= most {
                return Ok(None);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// What a child died of, as far as its signal tells.
fn last_words(status: ExitStatus, limits: ChildLimits) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    const ABORT: i32 = 6;
    const KILLED: i32 = 9;
    const SEGMENTATION: i32 = 11;
    const CPU: i32 = 24;
    match status.signal() {
        Some(ABORT | SEGMENTATION) => {
            format!("it overflowed the stack, or took more than {} MiB of memory", limits.address_space >> 20)
        }
        Some(CPU) => format!("it took more than {:?} of the processor's time", limits.cpu),
        // The system also does so when the limit of the processor's time is reached.
        Some(KILLED) => "it took more of the processor's time or of memory than it may".to_owned(),
        Some(signal) => format!("it was ended by signal {signal}"),
        None => format!("it ended with {status}"),
    }
}
