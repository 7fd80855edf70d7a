//! A policy on trial beside the one in charge: it makes every decision once more, and nobody is told of it but operators.
//!
//! It works after the answer, on a thread of its own; when that thread lags, decisions are not tried, and counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use vouchsafe_model::{Decision, Outcome, Sha256Digest};

use crate::compile::EvaluatorKind;
use crate::entry_points::STACK;
use crate::input::assemble;
use crate::known::{KnownDevice, Seen};
use crate::log::Replay;
use crate::metrics;
use crate::question::Question;
use crate::replay::Candidate;
use crate::wanted::Wanted;

/// The most decisions that wait to be tried. Each holds its question, some kilobytes.
const MAX_QUEUE: usize = 1024;

/// Where decisions are handed in to be tried. The thread ends when this is dropped.
pub(crate) struct Shadow {
    policy: Sha256Digest,
    evaluator: EvaluatorKind,
    counts: Arc<Counts>,
    queue: SyncSender<Case>,
}

/// What a policy on trial has come to since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowResults {
    /// Its hash.
    pub policy: Sha256Digest,
    /// The evaluator that it runs on.
    pub evaluator: EvaluatorKind,
    /// How many decisions it makes the same.
    pub same: u64,
    /// How many it denies that were allowed.
    pub allow_to_deny: u64,
    /// How many it allows that were denied.
    pub deny_to_allow: u64,
    /// How many it was too slow for.
    pub dropped: u64,
}

#[derive(Default)]
struct Counts {
    same: AtomicU64,
    allow_to_deny: AtomicU64,
    deny_to_allow: AtomicU64,
    dropped: AtomicU64,
}

/// A decision, and what it was made over.
struct Case {
    decision: Decision,
    question: Question,
    seen: Seen,
}

impl Shadow {
    /// Starts the thread of a candidate.
    pub(crate) fn start(candidate: Candidate) -> io::Result<Self> {
        let (policy, evaluator, counts) = (candidate.hash(), candidate.evaluator(), Arc::<Counts>::default());
        let (queue, cases) = sync_channel(MAX_QUEUE);
        let thread = thread::Builder::new().name("policy-shadow".to_owned()).stack_size(STACK);
        let counting = counts.clone();
        thread.spawn(move || work(&candidate, &cases, &counting))?;
        Ok(Self { policy, evaluator, counts, queue })
    }

    /// What it has come to so far.
    pub(crate) fn results(&self) -> ShadowResults {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ShadowResults {
            policy: self.policy,
            evaluator: self.evaluator,
            same: count(&self.counts.same),
            allow_to_deny: count(&self.counts.allow_to_deny),
            deny_to_allow: count(&self.counts.deny_to_allow),
            dropped: count(&self.counts.dropped),
        }
    }

    /// Hands a decision in. One that the policy was not asked for says nothing of it.
    pub(crate) fn offer(&self, decision: &Decision, question: &Question, seen: &Seen) {
        if matches!(seen, Seen::Nothing) {
            return;
        }
        let case = Case { decision: decision.clone(), question: question.clone(), seen: seen.clone() };
        if self.queue.try_send(case).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::shadow_dropped();
        }
    }
}

/// Tries until nobody can hand anything in.
fn work(candidate: &Candidate, cases: &Receiver<Case>, counts: &Counts) {
    while let Ok(Case { decision, question, seen }) = cases.recv() {
        let (id, outcome) = (decision.id(), decision.outcome());
        let record = seen.device().map(KnownDevice::record);
        let input = assemble(&question, record, decision.decided_at(), &Wanted::All).input;
        let understands = question.ask().understands.clone();
        let ruling = candidate.rule(&Replay { id, outcome, policy: decision.policy(), input, understands });
        counts.count(outcome, ruling.outcome());
        if ruling.outcome() != outcome {
            let reasons = if ruling.outcome() == Outcome::Deny { ruling.reasons() } else { decision.reasons() };
            let reasons: Vec<_> = reasons.iter().map(|reason| reason.code.as_str()).collect();
            tracing::info!(
                decision.id = %id, %outcome, shadow.outcome = %ruling.outcome(), shadow.policy = %candidate.hash(),
                reasons = reasons.join(","), "the shadow policy decides otherwise"
            );
        }
    }
}

impl Counts {
    /// Counts a decision by how its outcome changes.
    fn count(&self, outcome: Outcome, shadow: Outcome) {
        let (change, counter) = match (outcome, shadow) {
            (Outcome::Allow, Outcome::Deny) => ("allow_to_deny", &self.allow_to_deny),
            (Outcome::Deny, Outcome::Allow) => ("deny_to_allow", &self.deny_to_allow),
            (Outcome::Allow, Outcome::Allow) | (Outcome::Deny, Outcome::Deny) => ("same", &self.same),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        metrics::shadow_decided(change);
    }
}
