//! Evaluation that cannot hurt: a document in, a document or an error out, within limits.
//!
//! Two evaluators stand behind one trait. The fast one decides; the reference one runs tests and checks the fast one.
//! Whatever a policy does, neither panics and neither is used again in a state that an error left behind.

mod document;
mod fast;
mod pool;
mod reference;
mod serialize;
mod shapes;

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use serde::{Deserialize, Serialize};

pub use document::{Document, DocumentError};
pub use fast::FastEvaluator;
pub(crate) use pool::Pool;
pub use reference::ReferenceEvaluator;
pub(crate) use reference::add_data;

/// Evaluates the rule that decides.
pub trait Evaluate: Send {
    /// The value of the rule for this input; a document that [is undefined](Document::is_undefined) when it has none.
    ///
    /// # Errors
    /// When a limit was reached or the policy failed. The next evaluation is not affected.
    fn evaluate(&mut self, input: &Document) -> Result<Document, EvaluationError>;
}

/// The most that one evaluation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationLimits {
    /// Time, by the clock on the wall. A builtin is not interrupted, but its result is not used either.
    pub time: Duration,
    /// Instructions of the fast evaluator.
    pub instructions: usize,
    /// Memory beyond what was in use before, in bytes, in the fast evaluator.
    pub memory: NonZeroU64,
}

impl Default for EvaluationLimits {
    /// The default policy takes some 20 µs, 300 instructions and 10 KiB.
    fn default() -> Self {
        const MEMORY: NonZeroU64 = NonZeroU64::new(32 * 1024 * 1024).unwrap();
        Self { time: Duration::from_millis(250), instructions: 100_000, memory: MEMORY }
    }
}

impl EvaluationLimits {
    /// The time limit in regorus' words. The clock is read every so many instructions, which together take some 10 µs.
    pub(crate) fn timer(self) -> ExecutionTimerConfig {
        const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(128).unwrap();
        ExecutionTimerConfig { limit: self.time, check_interval: CHECK_INTERVAL }
    }
}

/// Why a policy has no value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EvaluationError {
    /// It took too long.
    #[error("the policy took longer than {limit:?}")]
    TimeLimit {
        /// How long it may take.
        limit: Duration,
    },
    /// It went on and on.
    #[error("the policy took more than {limit} instructions")]
    InstructionLimit {
        /// How many it may take.
        limit: usize,
    },
    /// It took too much memory.
    #[error("the policy took more than {limit} bytes of memory")]
    MemoryLimit {
        /// How many it may take.
        limit: u64,
    },
    /// It failed.
    #[error("the policy failed: {message}")]
    Failed {
        /// What the evaluator says.
        message: String,
    },
    /// A builtin panicked.
    #[error("the policy made a builtin panic: {message}")]
    Panicked {
        /// Its last words.
        message: String,
    },
}
