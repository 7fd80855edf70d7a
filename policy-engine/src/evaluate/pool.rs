//! Evaluators for as many threads as there are.

use std::sync::{Mutex, PoisonError};

use vouchsafe_policies::{Bundle, ENTRY_POINT};

use super::{Document, Evaluate, EvaluationError, EvaluationLimits, FastEvaluator, ReferenceEvaluator};
use crate::compile::{self, Choose, CompileError, EvaluatorKind, Executable, Inexact};
use crate::wanted::Wanted;

/// Evaluators of one policy. Each is used by one thread at a time and shares nothing with the others, as long as no more
/// threads decide at once than there are evaluators.
pub(crate) struct Pool {
    idle: Mutex<Vec<Either>>,
    /// Never used itself; what more threads than expected get is made after it.
    spare: Either,
    size: usize,
    wanted: Wanted,
    is_repeatable: bool,
    because: Vec<Inexact>,
}

/// The evaluator that does the policy as it is written.
enum Either {
    Fast(Box<FastEvaluator>),
    Reference(Box<ReferenceEvaluator>),
}

impl Either {
    /// Another one of the same policy, which it shares.
    fn sharing(&self) -> Self {
        match self {
            Self::Fast(fast) => Self::Fast(Box::new(fast.sharing())),
            Self::Reference(reference) => Self::Reference(Box::new(reference.sharing())),
        }
    }

    fn evaluate(&mut self, input: &Document) -> Result<Document, EvaluationError> {
        match self {
            Self::Fast(fast) => fast.evaluate(input),
            Self::Reference(reference) => reference.evaluate(input),
        }
    }
}

impl Pool {
    /// Compiles a bundle for so many threads.
    pub(crate) fn compile(
        bundle: &Bundle,
        limits: EvaluationLimits,
        threads: usize,
        choose: Choose,
    ) -> Result<Self, CompileError> {
        let runnable = compile::compile(bundle, threads, choose)?;
        let (idle, spare) = match runnable.program {
            Executable::Fast { spare, own } => {
                let evaluator = |compiled| Either::Fast(Box::new(FastEvaluator::new(compiled, limits)));
                (own.into_iter().map(evaluator).collect::<Vec<_>>(), evaluator(spare))
            }
            Executable::Reference(engine) => {
                let spare = Either::Reference(Box::new(ReferenceEvaluator::of_rule(*engine, ENTRY_POINT, limits)));
                ((0..threads).map(|_| spare.sharing()).collect(), spare)
            }
        };
        let (wanted, is_repeatable, because) = (runnable.wanted, runnable.is_repeatable, runnable.because);
        Ok(Self { size: idle.len(), idle: Mutex::new(idle), spare, wanted, is_repeatable, because })
    }

    /// Which evaluator decides.
    pub(crate) fn kind(&self) -> EvaluatorKind {
        match self.spare {
            Either::Fast(_) => EvaluatorKind::Fast,
            Either::Reference(_) => EvaluatorKind::Reference,
        }
    }

    /// Whether what it decides can be held against what the reference evaluator would.
    pub(crate) fn is_comparable(&self) -> bool {
        self.is_repeatable && self.kind() == EvaluatorKind::Fast
    }

    /// Why the fast one does not.
    pub(crate) fn because(&self) -> &[Inexact] {
        &self.because
    }

    /// What of the input its policy may look at.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    pub(crate) fn evaluate(&self, input: &Document) -> Result<Document, EvaluationError> {
        let mut evaluator = self.take().unwrap_or_else(|| self.spare.sharing());
        let outcome = evaluator.evaluate(input);
        self.put_back(evaluator);
        outcome
    }

    fn take(&self) -> Option<Either> {
        // Nothing that can panic runs under the lock.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, evaluator: Either) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.size {
            idle.push(evaluator);
        }
    }
}
