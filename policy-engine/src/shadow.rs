//! A policy on trial beside the one in charge: it makes every decision once more, and nobody is told of it but operators.
//!
//! It works after the answer, on a thread of its own; when that thread lags, decisions are not tried, and counted.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use vouchsafe_model::{Decision, Outcome};

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
    queue: SyncSender<Case>,
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
        let (queue, cases) = sync_channel(MAX_QUEUE);
        let thread = thread::Builder::new().name("policy-shadow".to_owned()).stack_size(STACK);
        thread.spawn(move || work(&candidate, &cases))?;
        Ok(Self { queue })
    }

    /// Hands a decision in. One that the policy was not asked for says nothing of it.
    pub(crate) fn offer(&self, decision: &Decision, question: &Question, seen: &Seen) {
        if matches!(seen, Seen::Nothing) {
            return;
        }
        let case = Case { decision: decision.clone(), question: question.clone(), seen: seen.clone() };
        if self.queue.try_send(case).is_err() {
            metrics::shadow_dropped();
        }
    }
}

/// Tries until nobody can hand anything in.
fn work(candidate: &Candidate, cases: &Receiver<Case>) {
    while let Ok(Case { decision, question, seen }) = cases.recv() {
        let (id, outcome) = (decision.id(), decision.outcome());
        let record = seen.device().map(KnownDevice::record);
        let input = assemble(&question, record, decision.decided_at(), &Wanted::All).input;
        let understands = question.ask().understands.clone();
        let ruling = candidate.rule(&Replay { id, outcome, policy: decision.policy(), input, understands });
        metrics::shadow_decided(change(outcome, ruling.outcome()));
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

fn change(outcome: Outcome, shadow: Outcome) -> &'static str {
    match (outcome, shadow) {
        (Outcome::Allow, Outcome::Deny) => "allow_to_deny",
        (Outcome::Deny, Outcome::Allow) => "deny_to_allow",
        (Outcome::Allow, Outcome::Allow) | (Outcome::Deny, Outcome::Deny) => "same",
    }
}
