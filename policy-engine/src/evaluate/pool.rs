//! Evaluators for as many threads as there are.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};

use vouchsafe_policies::{Bundle, ENTRY_POINT};

use super::{Document, Evaluate, EvaluationError, EvaluationLimits, FastEvaluator, ReferenceEvaluator};
use crate::compile::{self, Choose, CompileError, EvaluatorKind, Executable, Inexact};
use crate::wanted::Wanted;

/// Evaluators of one policy. Each is used by one thread at a time and shares nothing with the others, as long as no more
/// threads decide at once than there are evaluators.
///
/// A thread comes back to the evaluator that it used last: the reference counts of its program, of its last input and of
/// what it last answered are then counted on one processor, and not fought over by two.
pub(crate) struct Pool {
    own: Vec<Mutex<Either>>,
    /// Never used itself; what more threads than expected get is made after it.
    spare: Either,
    wanted: Wanted,
    is_repeatable: bool,
    because: Vec<Inexact>,
}

thread_local! {
    /// Which evaluator of a pool this thread tries first. Threads begin with one each.
    static PREFERRED: Cell<usize> = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        Cell::new(THREADS.fetch_add(1, Ordering::Relaxed))
    };
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
        let (own, spare) = match runnable.program {
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
        let own = own.into_iter().map(Mutex::new).collect();
        Ok(Self { own, spare, wanted, is_repeatable, because })
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
        match self.take() {
            Some(mut evaluator) => evaluator.evaluate(input),
            None => self.spare.sharing().evaluate(input),
        }
    }

    /// An evaluator that nobody uses, the one that this thread used last if it can be.
    fn take(&self) -> Option<MutexGuard<'_, Either>> {
        let preferred = PREFERRED.get() % self.own.len().max(1);
        let (before, from) = self.own.split_at_checked(preferred)?;
        let mut places = (preferred..).zip(from).chain((0..).zip(before));
        places.find_map(|(place, evaluator)| {
            let evaluator = match evaluator.try_lock() {
                Ok(evaluator) => evaluator,
                // Evaluators catch panics, and begin anew after one.
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return None,
            };
            PREFERRED.set(place);
            Some(evaluator)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn pool(threads: usize) -> Pool {
        let policy = b"package vouchsafe\n\ndecision := {\"allow\": input.x == 1}\n".to_vec();
        let bundle = Bundle::from_files([("policy.rego".to_owned(), policy)]).unwrap();
        Pool::compile(&bundle, EvaluationLimits::default(), threads, Choose::ByThePolicy).unwrap()
    }

    /// Which evaluator this thread gets.
    fn place(pool: &Pool) -> usize {
        assert!(pool.take().is_some());
        PREFERRED.get()
    }

    #[test]
    fn a_thread_comes_back_to_the_evaluator_that_it_used_last() {
        let pool = pool(3);
        let first = place(&pool);
        assert_eq!(place(&pool), first);
        let other = {
            let _in_use = pool.own[first].lock().unwrap();
            place(&pool)
        };
        assert_ne!(other, first);
        assert_eq!(place(&pool), other, "whoever took the first one stays there");
    }

    #[test]
    fn more_threads_than_evaluators_are_answered() {
        let input = Document::from_json(r#"{"x": 1}"#).unwrap();
        let allow = serde_json::json!({"allow": true});
        for pool in [pool(0), pool(1), pool(2)] {
            let in_use: Vec<_> = pool.own.iter().map(|own| own.lock().unwrap()).collect();
            assert!(pool.take().is_none());
            assert_eq!(pool.evaluate(&input).unwrap().to_json(), allow);
            drop(in_use);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..50).for_each(|_| assert_eq!(pool.evaluate(&input).unwrap().to_json(), allow)));
                }
            });
        }
    }
}
