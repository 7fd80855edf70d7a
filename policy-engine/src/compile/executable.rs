//! What becomes of a bundle: something that one of the two evaluators runs.

use regorus::Engine;
use serde::{Deserialize, Serialize};

use super::{Compiled, Inexact};
use crate::wanted::Wanted;

/// Which evaluator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluatorKind {
    /// The bytecode machine.
    Fast,
    /// The interpreter, of policies that the fast one would not do as they are written.
    Reference,
}

impl EvaluatorKind {
    /// Its name: `fast`, `reference`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Reference => "reference",
        }
    }
}

/// Which evaluator shall decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choose {
    /// The fast one, if nothing is known that it would not do as it is written.
    #[default]
    ByThePolicy,
    /// The reference one: a test has shown a difference.
    Reference,
}

/// A policy that can be run.
pub(crate) struct Runnable {
    pub(crate) program: Executable,
    /// What of the input the policy may look at.
    pub(crate) wanted: Wanted,
    /// Whether the same input always has the same value.
    pub(crate) is_repeatable: bool,
    /// Why the fast evaluator does not decide; empty when it does, or when it was not asked for.
    pub(crate) because: Vec<Inexact>,
}

/// What an evaluator runs.
pub(crate) enum Executable {
    /// One policy, compiled over and over for evaluators that share nothing: shared reference counts cost a third of the
    /// throughput of two threads.
    Fast {
        /// One for whoever comes unexpected.
        spare: Compiled,
        /// One for each thread.
        own: Vec<Compiled>,
    },
    /// Policies and data, parsed.
    Reference(Box<Engine>),
}

impl Executable {
    pub(crate) fn kind(&self) -> EvaluatorKind {
        match self {
            Self::Fast { .. } => EvaluatorKind::Fast,
            Self::Reference(_) => EvaluatorKind::Reference,
        }
    }
}
