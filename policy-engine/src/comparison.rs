//! Holds decisions of the fast evaluator against the reference evaluator while the engine runs.
//!
//! The gate compares the two over the inputs that tests state; here, one in so many inputs of real life is compared, after
//! its answer. What is compared is chosen by the randomness in the name of its decision, which nobody foresees. The
//! reference evaluator recurses on the native stack, so it has a thread of its own with room for that; and when that thread
//! lags, what is due is dropped and counted, and nobody waits.

use std::io;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;

use vouchsafe_model::{DecisionId, Sha256Digest};

use crate::charge::Active;
use crate::decide::PolicyEngine;
use crate::entry_points::STACK;
use crate::evaluate::{Document, Evaluate as _, EvaluationError, ReferenceEvaluator};
use crate::metrics;

/// The most decisions that wait to be compared. Each holds its input, some kilobytes.
const MAX_QUEUE: usize = 64;

/// Where decisions are handed in to be compared. The thread ends when this is dropped.
pub(crate) struct Comparison {
    one_in: NonZeroU32,
    queue: SyncSender<Sample>,
}

/// A decision of the fast evaluator.
struct Sample {
    id: DecisionId,
    active: Arc<Active>,
    input: Document,
    /// None when it failed.
    fast: Option<Document>,
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Differs,
    /// The reference evaluator reached a limit.
    Unknown,
}

impl Comparison {
    /// Starts the thread that compares one in so many decisions of an engine.
    pub(crate) fn start(one_in: NonZeroU32, engine: Weak<PolicyEngine>) -> io::Result<Self> {
        let (queue, samples) = sync_channel(MAX_QUEUE);
        let thread = thread::Builder::new().name("policy-compare".to_owned()).stack_size(STACK);
        thread.spawn(move || work(&samples, &engine))?;
        Ok(Self { one_in, queue })
    }

    /// Hands a decision in, if it is due.
    pub(crate) fn offer(
        &self,
        active: &Arc<Active>,
        id: DecisionId,
        entropy: &[u8; 10],
        input: &Document,
        outcome: &Result<Document, EvaluationError>,
    ) {
        if !self.is_due(entropy) || !active.pool.is_comparable() {
            return;
        }
        let fast = match outcome {
            Ok(document) => Some(document.clone()),
            Err(EvaluationError::Failed { .. } | EvaluationError::Panicked { .. }) => None,
            // The reference evaluator has other limits; a deny for one of these is as it should be.
            Err(_) => return,
        };
        let sample = Sample { id, active: active.clone(), input: input.clone(), fast };
        if self.queue.try_send(sample).is_err() {
            metrics::comparison_dropped();
        }
    }

    fn is_due(&self, entropy: &[u8; 10]) -> bool {
        let [first, second, third, fourth, ..] = *entropy;
        u32::from_be_bytes([first, second, third, fourth]) % self.one_in == 0
    }
}

/// Compares until nobody can hand anything in.
fn work(samples: &Receiver<Sample>, engine: &Weak<PolicyEngine>) {
    let mut reference = None;
    while let Ok(sample) = samples.recv() {
        let Some(engine) = engine.upgrade() else { return };
        let Some(evaluator) = evaluator_of(&mut reference, &sample, &engine) else { continue };
        let outcome = evaluator.evaluate(&sample.input);
        match judge(sample.fast.as_ref(), &outcome) {
            Verdict::Same => metrics::compared(),
            Verdict::Unknown => metrics::comparison_dropped(),
            Verdict::Differs => {
                metrics::evaluators_differ();
                tracing::error!(
                    decision.id = %sample.id,
                    policy = %sample.active.hash(),
                    fast = ?sample.fast,
                    reference = ?outcome,
                    "the two evaluators differ over a decision"
                );
                engine.distrust_fast(&sample.active);
            }
        }
    }
}

/// The reference evaluator of the policy that a sample was decided by; none when it cannot be made.
fn evaluator_of<'a>(
    reference: &'a mut Option<(Sha256Digest, Option<ReferenceEvaluator>)>,
    sample: &Sample,
    engine: &PolicyEngine,
) -> Option<&'a mut ReferenceEvaluator> {
    let hash = sample.active.hash();
    if reference.as_ref().is_none_or(|(known, _)| *known != hash) {
        let made = ReferenceEvaluator::new(sample.active.bundle(), engine.charge.limits());
        let made = made.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, policy = %hash, "nothing is compared");
        });
        *reference = Some((hash, made.ok()));
    }
    reference.as_mut().and_then(|(_, evaluator)| evaluator.as_mut())
}

fn judge(fast: Option<&Document>, reference: &Result<Document, EvaluationError>) -> Verdict {
    let is_same = match (fast, reference) {
        (_, Err(EvaluationError::Failed { .. } | EvaluationError::Panicked { .. })) => {
            // Two errors are two denies; the machine swallows some errors of rules, whose value is then undefined.
            fast.is_none_or(Document::is_undefined)
        }
        (_, Err(_)) => return Verdict::Unknown,
        (Some(fast), Ok(reference)) => fast == reference,
        (None, Ok(reference)) => reference.is_undefined(),
    };
    if is_same { Verdict::Same } else { Verdict::Differs }
}

#[cfg(test)]
mod tests;
