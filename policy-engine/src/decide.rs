//! One decision, made anew.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::{Decision, DecisionId, Sha256Digest, Timestamp};
use vouchsafe_policies::Bundle;

use crate::compile::{Choose, CompileError, EvaluatorKind, Inexact};
use crate::evaluate::{Document, EvaluationLimits, Pool};
use crate::input::assemble;
use crate::log::LogEntry;
use crate::log::mask::{Mask, MaskError};
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
    /// What it leaves out of the decision log, if it says anything of that.
    mask: Option<Mask>,
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
        Self::with_choice(bundle, Choose::ByThePolicy, records, settings)
    }

    /// An engine with this policy in charge, on an evaluator that was chosen beforehand.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge.
    pub fn with_choice(
        bundle: &Bundle,
        choose: Choose,
        records: Arc<RecordTable>,
        settings: EngineSettings,
    ) -> Result<Self, CompileError> {
        let active = Active::compile(bundle, choose, settings)?;
        Ok(Self { records, active: ArcSwap::from_pointee(active), settings })
    }

    /// Puts another policy in charge. Decisions that are under way end by the old one; all that begin later are by the new.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge. The old policy then stays.
    pub fn activate(&self, bundle: &Bundle) -> Result<Sha256Digest, CompileError> {
        self.activate_with_choice(bundle, Choose::ByThePolicy)
    }

    /// Puts another policy in charge, on an evaluator that was chosen beforehand.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge. The old policy then stays.
    pub fn activate_with_choice(&self, bundle: &Bundle, choose: Choose) -> Result<Sha256Digest, CompileError> {
        let active = Active::compile(bundle, choose, self.settings)?;
        let hash = active.hash;
        self.active.store(Arc::new(active));
        Ok(hash)
    }

    /// The hash of the policy in charge.
    pub fn policy(&self) -> Sha256Digest {
        self.active.load().hash
    }

    /// Which evaluator decides, and why it is not the fast one if it is not.
    pub fn evaluator(&self) -> (EvaluatorKind, Vec<Inexact>) {
        let active = self.active.load();
        (active.pool.kind(), active.pool.because().to_vec())
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
        let started = Instant::now();
        let active = self.active.load();
        let (ruling, score) = self.rule(&active, question, now);
        let id = DecisionId::new(now, entropy);
        let decision = Decision::new(id, now, ruling, question.ask().device, score, active.hash);
        metrics::decided(decision.outcome(), started.elapsed());
        decision
    }

    /// What of an entry is logged, by the policy in charge. Without rules for that, all of it, at no cost.
    ///
    /// # Errors
    /// When the policy says what cannot be followed: the entry must then not be logged, and the decision not answered.
    pub fn mask(&self, entry: LogEntry) -> Result<LogEntry, MaskError> {
        match &self.active.load().mask {
            Some(mask) => mask.apply(entry),
            None => Ok(entry),
        }
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
    fn compile(bundle: &Bundle, choose: Choose, settings: EngineSettings) -> Result<Self, CompileError> {
        let threads = settings.threads.clamp(1, EngineSettings::MAX_THREADS);
        let mask = Mask::compile(bundle, settings.limits)?;
        Ok(Self { hash: bundle.hash(), pool: Pool::compile(bundle, settings.limits, threads, choose)?, mask })
    }
}
