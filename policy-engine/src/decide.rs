//! One decision, made anew.

use std::error::Error;
use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use vouchsafe_model::decision::Ruling;
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::{Decision, DecisionId, Outcome, Reason, Sha256Digest, Timestamp};
use vouchsafe_policies::Bundle;
use vouchsafe_wire::v1::agent::PolicyInput;
use vouchsafe_wire::v1::authzen::SearchRequest;

use crate::candidates::{Candidates, SearchInput};
use crate::charge::{ActivateError, Active, Charge, Gate, ReplaceError};
use crate::comparison::Comparison;
use crate::compile::{CompileError, EvaluatorKind, Inexact};
use crate::evaluate::{Document, EvaluationError, EvaluationLimits};
use crate::input::assemble;
use crate::known::{KnownDevice, Seen};
use crate::log::LogEntry;
use crate::log::mask::MaskError;
use crate::query::{DataApi, EntryPoint, Query};
use crate::question::Question;
use crate::records::RecordTable;
use crate::replay::Candidate;
use crate::shadow::{Shadow, ShadowResults};
use crate::wanted::Wanted;
use crate::written::{DataChange, DataPath, WriteError};
use crate::{metrics, ruling};

/// The records are not loaded yet, so nothing is known of any device.
pub const NOT_READY: &str = "records.not_ready";

/// Decides by the policy in charge, over the records in memory. No decision is ever kept and used again.
pub struct PolicyEngine {
    records: Arc<RecordTable>,
    pub(crate) charge: Charge,
    comparison: OnceLock<Comparison>,
    shadow: OnceLock<Shadow>,
}

/// What the policy said, and what it said it of.
struct Ruled {
    ruling: Ruling,
    score: Option<ScoreExplanation>,
    seen: Seen,
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
        Self::with_data_api(bundle, records, settings, DataApi::default())
    }

    /// An engine with this policy in charge, of which also other rules may be asked about. Neither this policy nor a later
    /// one goes through the gate.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge, or lacks one of the rules.
    pub fn with_data_api(
        bundle: &Bundle,
        records: Arc<RecordTable>,
        settings: EngineSettings,
        data_api: DataApi,
    ) -> Result<Self, CompileError> {
        let charge = Charge::ungated(bundle, settings, data_api)?;
        Ok(Self { records, charge, comparison: OnceLock::new(), shadow: OnceLock::new() })
    }

    /// An engine with this policy in charge, into which this policy and every later one comes through a gate.
    ///
    /// # Errors
    /// When the bundle does not pass the gate, or cannot be put in charge.
    pub fn gated(
        gate: Gate,
        bundle: &Bundle,
        records: Arc<RecordTable>,
        settings: EngineSettings,
        data_api: DataApi,
    ) -> Result<Self, ActivateError> {
        let charge = Charge::gated(gate, bundle, settings, data_api)?;
        Ok(Self { records, charge, comparison: OnceLock::new(), shadow: OnceLock::new() })
    }

    /// Puts another policy in charge, with what was written over the old one. Decisions that are under way end by the old
    /// one; all that begin later are by the new. Waits for the gate.
    ///
    /// # Errors
    /// When the bundle does not pass the gate, or cannot be put in charge. The old policy then stays.
    pub fn activate(&self, bundle: &Bundle) -> Result<Sha256Digest, ActivateError> {
        let hash = self.charge.activate(bundle)?;
        self.records.changes().tell_all();
        Ok(hash)
    }

    /// The same, only while the policy in charge is the expected one, and only when the new one could be kept: `keep` is
    /// called when it has passed the gate, before it decides anything.
    ///
    /// # Errors
    /// When another policy is in charge, the bundle cannot be put in charge, or it could not be kept. Nothing is changed then.
    pub fn replace(
        &self,
        expected: Sha256Digest,
        bundle: &Bundle,
        keep: impl FnOnce() -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<Sha256Digest, ReplaceError> {
        let hash = self.charge.replace(expected, bundle, keep)?;
        self.records.changes().tell_all();
        Ok(hash)
    }

    /// Writes data over that of the bundle, where the settings allow it. It decides from the next question on. Waits while
    /// the policy goes through the gate with it.
    ///
    /// # Errors
    /// When it may not be written there, or the policy does not go together with it. Nothing is changed then.
    pub fn write_data(&self, path: &DataPath, change: DataChange) -> Result<Sha256Digest, WriteError> {
        let hash = self.charge.write_data(path, change)?;
        self.records.changes().tell_all();
        Ok(hash)
    }

    /// From now on, holds one in so many decisions of the fast evaluator against what the reference evaluator makes of the
    /// same input, after the answer. At the first difference the reference evaluator decides.
    ///
    /// # Errors
    /// When no thread could be made.
    pub fn compare_one_in(self: &Arc<Self>, one_in: NonZeroU32) -> io::Result<()> {
        let comparison = Comparison::start(one_in, Arc::downgrade(self))?;
        // Whoever came first is as good.
        let _ = self.comparison.set(comparison);
        Ok(())
    }

    /// From now on, has every decision made once more by another policy, after the answer. It is counted and logged where that
    /// one decides otherwise, and answers nobody.
    ///
    /// # Errors
    /// When no thread could be made.
    pub fn shadow(&self, candidate: Candidate) -> io::Result<()> {
        // Whoever came first is as good.
        let _ = self.shadow.set(Shadow::start(candidate)?);
        Ok(())
    }

    /// What the policy on trial has come to so far, if there is one.
    pub fn shadow_results(&self) -> Option<ShadowResults> {
        self.shadow.get().map(Shadow::results)
    }

    /// Leaves a policy to the reference evaluator, of which the fast one was caught making something else.
    pub(crate) fn distrust_fast(&self, active: &Active) {
        if self.charge.distrust_fast(active) {
            tracing::error!(policy = %active.hash(), evaluator = "reference", "the reference evaluator decides from now on");
            self.records.changes().tell_all();
        }
    }

    /// From now on, denies whatever is asked, for this reason. The policy is not asked.
    pub fn withhold(&self, reason: Reason) {
        self.charge.withhold(Some(reason));
        self.records.changes().tell_all();
    }

    /// Why everything is denied without asking the policy, if it is.
    pub fn withheld(&self) -> Option<Reason> {
        self.charge.withheld().as_deref().cloned()
    }

    /// Decides by the policy again.
    pub fn resume(&self) {
        if self.charge.withheld().is_some() {
            self.charge.withhold(None);
            self.records.changes().tell_all();
        }
    }

    /// The hash of the policy in charge.
    pub fn policy(&self) -> Sha256Digest {
        self.charge.active().hash()
    }

    /// The bundle in charge.
    pub fn bundle(&self) -> Arc<Bundle> {
        self.charge.active().bundle().clone()
    }

    /// The rules that may be asked about besides the one that decides.
    pub fn entry_points(&self) -> &[EntryPoint] {
        self.charge.entry_points()
    }

    /// What the policy decides over, for a question at an instant: all of it, whatever of it the policy looks at.
    pub fn input(&self, question: &Question, now: Timestamp) -> PolicyInput {
        let known = self.known(question);
        assemble(question, known.as_deref().map(KnownDevice::record), now, &Wanted::All).input
    }

    /// Which evaluator decides, and why it is not the fast one if it is not.
    pub fn evaluator(&self) -> (EvaluatorKind, Vec<Inexact>) {
        let active = self.charge.active();
        (active.pool.kind(), active.pool.because().to_vec())
    }

    /// The records that decisions are made over.
    pub fn records(&self) -> &RecordTable {
        &self.records
    }

    /// Whether it can do anything but deny.
    pub fn is_ready(&self) -> bool {
        self.records.is_ready() && self.charge.withheld().is_none()
    }

    /// Decides a question at an instant. Takes some 25 µs and waits for nothing.
    ///
    /// The decision may be acted upon when it is logged, and not before.
    pub fn decide(&self, question: &Question, now: Timestamp, entropy: &[u8; 10]) -> Decision {
        self.decide_noting(question, Vec::new(), now, entropy).0
    }

    /// The same, with what the asker's door has to say besides, and what the policy saw. The notes follow the reasons of the
    /// policy and decide nothing.
    pub fn decide_noting(
        &self,
        question: &Question,
        notes: Vec<Reason>,
        now: Timestamp,
        entropy: &[u8; 10],
    ) -> (Decision, Seen) {
        let started = Instant::now();
        let active = self.charge.active();
        let id = DecisionId::new(now, entropy);
        let Ruled { ruling, score, seen } = self.rule(&active, question, now, |input, outcome| {
            if let Some(comparison) = self.comparison.get() {
                comparison.offer(&active, id, entropy, input, outcome);
            }
        });
        let decision = Decision::new(id, now, ruling.noting(notes), question.ask().device, score, active.hash());
        let decision = of_revision(decision, seen.device());
        if let Some(shadow) = self.shadow.get() {
            shadow.offer(&decision, question, &seen);
        }
        metrics::decided(decision.outcome(), started.elapsed());
        (decision, seen)
    }

    /// What of an entry is logged, by the policy in charge. Without rules for that, all of it, at no cost.
    ///
    /// # Errors
    /// When the policy says what cannot be followed: the entry must then not be logged, and the decision not answered.
    pub fn mask(&self, entry: LogEntry) -> Result<LogEntry, MaskError> {
        match &self.charge.active().mask {
            Some(mask) => mask.apply(entry),
            None => Ok(entry),
        }
    }

    /// Denies without asking the policy: what is asked is not known well enough to be decided over.
    pub fn deny(&self, question: &Question, reason: Reason, now: Timestamp, entropy: &[u8; 10]) -> Decision {
        let started = Instant::now();
        let (ruling, id) = (Ruling::deny(vec![reason]), DecisionId::new(now, entropy));
        let decision = Decision::new(id, now, ruling, question.ask().device, None, self.policy());
        metrics::decided(decision.outcome(), started.elapsed());
        decision
    }

    /// What the ruling on a question would be at an instant, if nothing came between. It is nobody's answer.
    pub fn foresee(&self, question: &Question, at: Timestamp) -> Ruling {
        self.rule(&self.charge.active(), question, at, |_, _| ()).ruling
    }

    /// Whom or what a search looks among, as the policy says at an instant.
    ///
    /// # Errors
    /// When the rule that says so fails.
    pub async fn candidates(&self, search: &SearchRequest, now: Timestamp) -> Result<Candidates, EvaluationError> {
        let active = self.charge.active_for_long();
        let Some(rule) = active.entry_points.search() else {
            return Ok(Candidates::in_data(active.bundle().data(), search));
        };
        let found = active.entry_points.evaluate(Some(rule), Document::of(&SearchInput::of(search, now))).await?;
        Ok(Candidates::listed(Some(&found.to_json()), search))
    }

    /// Answers a question about another rule at an instant. The value may be told when the decision is logged, and not
    /// before; the decision is an allow only if the value is true, or an object whose `allow` is true.
    pub async fn query(
        &self,
        query: &Query,
        now: Timestamp,
        entropy: &[u8; 10],
    ) -> (Decision, Result<Document, EvaluationError>) {
        let started = Instant::now();
        let active = self.charge.active_for_long();
        let (device, known) = (query.question().ask().device, self.known(query.question()));
        let record = known.as_deref().map(KnownDevice::record);
        let score = record.map(|record| record.curve.explain_at(now));
        let (ruling, outcome) = if let Some(denied) = self.denied_unasked() {
            // Whatever the rule would make of what is not known yet, nobody should act upon it.
            let message = denied.reasons().first().map(|reason| reason.code.clone()).unwrap_or_default();
            (denied, Err(EvaluationError::Failed { message }))
        } else {
            let joined = || assemble(query.question(), record, now, &Wanted::All).input;
            let outcome = active.entry_points.evaluate(query.entry_point(), query.input(joined)).await;
            (ruling::of_value(&query.asked().rule, &outcome), outcome)
        };
        let decision = Decision::new(DecisionId::new(now, entropy), now, ruling, device, score, active.hash());
        let decision = of_revision(decision, known.as_deref());
        metrics::decided(decision.outcome(), started.elapsed());
        (decision, outcome)
    }

    /// What is known of the device that a question names.
    fn known(&self, question: &Question) -> Option<Arc<KnownDevice>> {
        self.records.get(&question.ask().device?)
    }

    fn rule(
        &self,
        active: &Active,
        question: &Question,
        now: Timestamp,
        evaluated: impl FnOnce(&Document, &Result<Document, EvaluationError>),
    ) -> Ruled {
        if let Some(ruling) = self.denied_unasked() {
            return Ruled { ruling, score: None, seen: Seen::Nothing };
        }
        let known = self.known(question);
        let wanted = active.pool.wanted();
        let assembled = assemble(question, known.as_deref().map(KnownDevice::record), now, wanted);
        let input = Document::of_wanted(&assembled.input, wanted);
        let outcome = active.pool.evaluate(&input);
        evaluated(&input, &outcome);
        let ruling = ruling::for_asker(ruling::read(outcome), &question.ask().understands);
        Ruled { ruling, score: assembled.score, seen: known.into() }
    }

    /// The ruling while no policy may be asked.
    fn denied_unasked(&self) -> Option<Ruling> {
        if !self.records.is_ready() {
            return Some(not_ready());
        }
        self.charge.withheld().as_deref().map(|reason| Ruling::deny(vec![reason.clone()]))
    }
}

/// The decision with what the record that it was made over tells of it.
fn of_revision(decision: Decision, known: Option<&KnownDevice>) -> Decision {
    let Some(known) = known else { return decision };
    let needed = decision.required_score().filter(|_| decision.outcome() == Outcome::Allow);
    let crosses_at = needed.and_then(|needed| known.crossing(needed, decision.decided_at()));
    decision.over_revision(known.revision()).crossing_at(crosses_at)
}

fn not_ready() -> Ruling {
    Ruling::deny_because(NOT_READY, "The engine does not know its devices yet. Ask again in a moment.")
}
