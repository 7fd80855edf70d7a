//! Evaluators for as many threads as there are.

use std::sync::{Mutex, PoisonError};

use vouchsafe_policies::Bundle;

use super::{Document, Evaluate, EvaluationError, EvaluationLimits, FastEvaluator};
use crate::compile::{self, CompileError};
use crate::input::InputUse;

/// Evaluators of one policy. Each is used by one thread at a time and shares nothing with the others, as long as no more
/// threads decide at once than there are evaluators.
pub(crate) struct Pool {
    idle: Mutex<Vec<FastEvaluator>>,
    /// Never used itself; what more threads than expected get is made after it.
    spare: FastEvaluator,
    size: usize,
    uses: InputUse,
}

impl Pool {
    /// Compiles a bundle for so many threads.
    pub(crate) fn compile(bundle: &Bundle, limits: EvaluationLimits, threads: usize) -> Result<Self, CompileError> {
        let compiled = compile::compile(bundle, threads)?;
        let evaluator = |compiled| FastEvaluator::new(compiled, limits);
        let idle: Vec<_> = compiled.own.into_iter().map(evaluator).collect();
        Ok(Self { size: idle.len(), idle: Mutex::new(idle), spare: evaluator(compiled.spare), uses: compiled.uses })
    }

    /// What of the input its policy may look at.
    pub(crate) fn uses(&self) -> InputUse {
        self.uses
    }

    pub(crate) fn evaluate(&self, input: &Document) -> Result<Document, EvaluationError> {
        let mut evaluator = self.take().unwrap_or_else(|| self.spare.sharing());
        let outcome = evaluator.evaluate(input);
        self.put_back(evaluator);
        outcome
    }

    fn take(&self) -> Option<FastEvaluator> {
        // Nothing that can panic runs under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, evaluator: FastEvaluator) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.size {
            idle.push(evaluator);
        }
    }
}
