//! One decision, made anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use vouchsafe_model::decision::Ruling;
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::{Decision, DecisionId, Outcome, Reason, Sha256Digest, Timestamp};
use vouchsafe_policies::Bundle;
use vouchsafe_wire::v1::agent::PolicyInput;
use vouchsafe_wire::v1::authzen::SearchRequest;

use crate::candidates::{Candidates, SearchInput};
use crate::compile::{Choose, CompileError, EvaluatorKind, Inexact};
use crate::entry_points::EntryPoints;
use crate::evaluate::{Document, EvaluationError, EvaluationLimits, Pool};
use crate::input::assemble;
use crate::known::{KnownDevice, Seen};
use crate::log::LogEntry;
use crate::log::mask::{Mask, MaskError};
use crate::query::{DataApi, EntryPoint, Query};
use crate::question::Question;
use crate::records::RecordTable;
use crate::wanted::Wanted;
use crate::written::{DataChange, DataPath, WriteError, Written};
use crate::{metrics, ruling};

/// The records are not loaded yet, so nothing is known of any device.
pub const NOT_READY: &str = "records.not_ready";

/// Decides by the policy in charge, over the records in memory. No decision is ever kept and used again.
pub struct PolicyEngine {
    records: Arc<RecordTable>,
    active: ArcSwap<Active>,
    settings: EngineSettings,
    entry_points: Vec<EntryPoint>,
    /// Held while another policy is made and put in charge, so that none is made over what is no longer there.
    written: Mutex<Written>,
}

/// The policy in charge.
struct Active {
    hash: Sha256Digest,
    bundle: Arc<Bundle>,
    /// Which evaluator it was put in charge on. Data that is written over it does not change that.
    choose: Choose,
    pool: Pool,
    /// What it leaves out of the decision log, if it says anything of that.
    mask: Option<Mask>,
    entry_points: EntryPoints,
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

    /// An engine with this policy in charge, of which also other rules may be asked about.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge, or lacks one of the rules.
    pub fn with_data_api(
        bundle: &Bundle,
        records: Arc<RecordTable>,
        settings: EngineSettings,
        data_api: DataApi,
    ) -> Result<Self, CompileError> {
        Self::with_choice(bundle, Choose::ByThePolicy, records, settings, data_api)
    }

    /// The same, on an evaluator that was chosen beforehand.
    ///
    /// # Errors
    /// When the bundle cannot be put in charge, or lacks one of the rules.
    pub fn with_choice(
        bundle: &Bundle,
        choose: Choose,
        records: Arc<RecordTable>,
        settings: EngineSettings,
        data_api: DataApi,
    ) -> Result<Self, CompileError> {
        let DataApi { entry_points, danger_writable } = data_api.checked()?;
        let active = Active::compile(bundle, choose, settings, &entry_points)?;
        let written = Mutex::new(Written::nothing_over(bundle.clone(), danger_writable));
        Ok(Self { records, active: ArcSwap::from_pointee(active), settings, entry_points, written })
    }

    /// Puts another policy in charge, with what was written over the old one. Decisions that are under way end by the old
    /// one; all that begin later are by the new.
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
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let over = written.over(bundle.clone());
        let hash = self.put_in_charge(&over, choose)?;
        *written = over;
        Ok(hash)
    }

    /// Writes data over that of the bundle, where the settings allow it. It decides from the next question on. Waits while
    /// the policy is compiled with it.
    ///
    /// # Errors
    /// When it may not be written there, or the policy does not go together with it. Nothing is changed then.
    pub fn write_data(&self, path: &DataPath, change: DataChange) -> Result<Sha256Digest, WriteError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = written.changed(path, change)?;
        let hash = self.put_in_charge(&changed, self.active.load().choose).map_err(WriteError::Refused)?;
        *written = changed;
        Ok(hash)
    }

    fn put_in_charge(&self, written: &Written, choose: Choose) -> Result<Sha256Digest, CompileError> {
        let active = Active::compile(&written.bundle(), choose, self.settings, &self.entry_points)?;
        let hash = active.hash;
        self.active.store(Arc::new(active));
        self.records.changes().tell_all();
        Ok(hash)
    }

    /// The hash of the policy in charge.
    pub fn policy(&self) -> Sha256Digest {
        self.active.load().hash
    }

    /// The bundle in charge.
    pub fn bundle(&self) -> Arc<Bundle> {
        self.active.load().bundle.clone()
    }

    /// The rules that may be asked about besides the one that decides.
    pub fn entry_points(&self) -> &[EntryPoint] {
        &self.entry_points
    }

    /// What the policy decides over, for a question at an instant: all of it, whatever of it the policy looks at.
    pub fn input(&self, question: &Question, now: Timestamp) -> PolicyInput {
        let known = self.known(question);
        assemble(question, known.as_deref().map(KnownDevice::record), now, &Wanted::All).input
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
        let active = self.active.load();
        let Ruled { ruling, score, seen } = self.rule(&active, question, now);
        let id = DecisionId::new(now, entropy);
        let decision = Decision::new(id, now, ruling.noting(notes), question.ask().device, score, active.hash);
        let decision = of_revision(decision, seen.device());
        metrics::decided(decision.outcome(), started.elapsed());
        (decision, seen)
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
        self.rule(&self.active.load(), question, at).ruling
    }

    /// Whom or what a search looks among, as the policy says at an instant.
    ///
    /// # Errors
    /// When the rule that says so fails.
    pub async fn candidates(&self, search: &SearchRequest, now: Timestamp) -> Result<Candidates, EvaluationError> {
        let active = self.active.load_full();
        let Some(rule) = active.entry_points.search() else {
            return Ok(Candidates::in_data(active.bundle.data(), search));
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
        let active = self.active.load_full();
        let (device, known) = (query.question().ask().device, self.known(query.question()));
        let record = known.as_deref().map(KnownDevice::record);
        let score = record.map(|record| record.curve.explain_at(now));
        let (ruling, outcome) = if self.records.is_ready() {
            let joined = || assemble(query.question(), record, now, &Wanted::All).input;
            let outcome = active.entry_points.evaluate(query.entry_point(), query.input(joined)).await;
            (ruling::of_value(&query.asked().rule, &outcome), outcome)
        } else {
            // Whatever the rule would make of devices that are not known yet, nobody should act upon it.
            (not_ready(), Err(EvaluationError::Failed { message: NOT_READY.to_owned() }))
        };
        let decision = Decision::new(DecisionId::new(now, entropy), now, ruling, device, score, active.hash);
        let decision = of_revision(decision, known.as_deref());
        metrics::decided(decision.outcome(), started.elapsed());
        (decision, outcome)
    }

    /// What is known of the device that a question names.
    fn known(&self, question: &Question) -> Option<Arc<KnownDevice>> {
        self.records.get(&question.ask().device?)
    }

    fn rule(&self, active: &Active, question: &Question, now: Timestamp) -> Ruled {
        if !self.records.is_ready() {
            return Ruled { ruling: not_ready(), score: None, seen: Seen::Nothing };
        }
        let known = self.known(question);
        let wanted = active.pool.wanted();
        let assembled = assemble(question, known.as_deref().map(KnownDevice::record), now, wanted);
        let outcome = active.pool.evaluate(&Document::of_wanted(&assembled.input, wanted));
        let ruling = ruling::for_asker(ruling::read(outcome), &question.ask().understands);
        Ruled { ruling, score: assembled.score, seen: known.into() }
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

impl Active {
    fn compile(
        bundle: &Bundle,
        choose: Choose,
        settings: EngineSettings,
        entry_points: &[EntryPoint],
    ) -> Result<Self, CompileError> {
        let threads = settings.threads.clamp(1, EngineSettings::MAX_THREADS);
        let pool = Pool::compile(bundle, settings.limits, threads, choose)?;
        let entry_points = EntryPoints::compile(bundle, entry_points, settings.limits, threads)?;
        let mask = Mask::compile(bundle, settings.limits)?;
        Ok(Self { hash: bundle.hash(), bundle: Arc::new(bundle.clone()), choose, pool, mask, entry_points })
    }
}
