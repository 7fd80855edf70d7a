//! One decision, made anew.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::{Decision, DecisionId, Outcome, Reason, Sha256Digest, Timestamp};
use vouchsafe_policies::Bundle;

use crate::compile::CompileError;
use crate::evaluate::{Document, EvaluationLimits, Pool};
use crate::input::assemble;
use crate::question::Question;
use crate::records::RecordTable;
use crate::{metrics, ruling};

/// The records are not loaded yet, so nothing is known of any device.
pub const NOT_READY: &str = "records.not_ready";

/// Decides by the policy in charge, over the records in memory. No decision is ever kept and used again.
pub struct PolicyEngine {
    records: Arc<RecordTable>,
    active: ArcSwap<Active>,
    settings: EngineSettings,
}

/// The policy in charge.
struct Active {
    hash: Sha256Digest,
    pool: Pool,
}

/// How an engine is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// The most that one evaluation may use.
    pub limits: EvaluationLimits,
    /// How many threads decide at once: so many evaluators are kept.
    pub threads: usize,
}

impl EngineSettings {
    /// The most evaluators that are kept.
    pub const MAX_THREADS: usize = 64;
}

impl Default for EngineSettings {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { limits: EvaluationLimits::default(), threads: threads.min(Self::MAX_THREADS) }
    }
}

impl PolicyEngine {
    /// An engine with this policy in charge.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge.
    pub fn new(bundle: &Bundle, records: Arc<RecordTable>, settings: EngineSettings) -> Result<Self, CompileError> {
        let active = Active::compile(bundle, settings)?;
        Ok(Self { records, active: ArcSwap::from_pointee(active), settings })
    }

    /// Puts another policy in charge. Decisions that are under way end by the old one; all that begin later are by the new.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge. The old policy then stays.
    pub fn activate(&self, bundle: &Bundle) -> Result<Sha256Digest, CompileError> {
        let active = Active::compile(bundle, self.settings)?;
        let hash = active.hash;
        self.active.store(Arc::new(active));
        self.records.changes().tell_all();
        Ok(hash)
    }

    /// The hash of the policy in charge.
    pub fn policy(&self) -> Sha256Digest {
        self.active.load().hash
    }

    /// The records that decisions are made over.
    pub fn records(&self) -> &RecordTable {
        &self.records
    }

    /// Whether it can do anything but deny.
    pub fn is_ready(&self) -> bool {
        self.records.is_ready()
    }

    /// Decides a question at an instant. Takes some 25 µs and waits for nothing.
    ///
    /// The decision may be acted upon when it is logged, and not before.
    pub fn decide(&self, question: &Question, now: Timestamp, entropy: &[u8; 10]) -> Decision {
        self.decide_noting(question, Vec::new(), now, entropy)
    }

    /// The same, with what the asker's door has to say besides: the notes follow the reasons of the policy and decide
    /// nothing.
    pub fn decide_noting(
        &self,
        question: &Question,
        notes: Vec<Reason>,
        now: Timestamp,
        entropy: &[u8; 10],
    ) -> Decision {
        let started = Instant::now();
        let active = self.active.load();
        let (ruling, score) = self.rule(&active, question, now);
        let id = DecisionId::new(now, entropy);
        let decision = Decision::new(id, now, ruling.noting(notes), question.ask().device, score, active.hash);
        metrics::decided(decision.outcome(), started.elapsed());
        decision
    }

    /// Denies without asking the policy: what is asked is not known well enough to be decided over.
    pub fn deny(&self, question: &Question, reason: Reason, now: Timestamp, entropy: &[u8; 10]) -> Decision {
        let started = Instant::now();
        let (ruling, id) = (Ruling::deny(vec![reason]), DecisionId::new(now, entropy));
        let decision = Decision::new(id, now, ruling, question.ask().device, None, self.policy());
        metrics::decided(decision.outcome(), started.elapsed());
        decision
    }

    /// What the answer to a question would be at an instant, if nothing came between. It is nobody's answer.
    pub fn foresee(&self, question: &Question, at: Timestamp) -> Outcome {
        self.rule(&self.active.load(), question, at).0.outcome()
    }

    fn rule(&self, active: &Active, question: &Question, now: Timestamp) -> (Ruling, Option<ScoreExplanation>) {
        if !self.records.is_ready() {
            let not_ready = "The engine does not know its devices yet. Ask again in a moment.";
            return (Ruling::deny_because(NOT_READY, not_ready), None);
        }
        let record = question.ask().device.and_then(|id| self.records.get(&id));
        let assembled = assemble(question, record.as_deref(), now, active.pool.uses());
        let outcome = active.pool.evaluate(&Document::of(&assembled.input));
        (ruling::read(outcome), assembled.score)
    }
}

impl Active {
    fn compile(bundle: &Bundle, settings: EngineSettings) -> Result<Self, CompileError> {
        let threads = settings.threads.clamp(1, EngineSettings::MAX_THREADS);
        Ok(Self { hash: bundle.hash(), pool: Pool::compile(bundle, settings.limits, threads)? })
    }
}
