//! The policy in charge, and how another one takes its place.
//!
//! A policy decides when it has passed the gate and is compiled, and not before; until then, and when it does not come to
//! that, the one before stays. Decisions never wait for any of it.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use vouchsafe_model::{Reason, Sha256Digest};
use vouchsafe_policies::Bundle;

use crate::compile::{Choose, CompileError};
use crate::confined::{ChildLimits, Confined, ConfinedError};
use crate::decide::EngineSettings;
use crate::entry_points::EntryPoints;
use crate::evaluate::{EvaluationLimits, Pool};
use crate::gate::{self, GateReport};
use crate::log::mask::Mask;
use crate::metrics;
use crate::query::{DataApi, EntryPoint};
use crate::written::{DataChange, DataPath, WriteError, Written};

/// Where policies go through the gate before they are put in charge.
#[derive(Clone, Debug)]
pub enum Gate {
    /// In a child, whose death is a refusal.
    Confined(Confined),
    /// In this process, which a policy of a new kind of harm may end.
    DangerInProcess,
}

/// Why a policy was not put in charge.
#[derive(Debug, thiserror::Error)]
pub enum ActivateError {
    /// It does not pass the gate.
    #[error("the policy is refused: {}", first_error(.0))]
    Refused(Box<GateReport>),
    /// There is no gate that it could pass.
    #[error("the policy could not be put through the gate")]
    Gate(#[from] ConfinedError),
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// Why a policy did not take the place of the one that it was held against.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// Another one came into charge meanwhile.
    #[error("policy {in_charge} is in charge by now, and not the one that the new one was held against")]
    Changed {
        /// The one in charge.
        in_charge: Sha256Digest,
    },
    /// It cannot be put in charge.
    #[error(transparent)]
    Activate(#[from] ActivateError),
    /// It could not be kept for the next start.
    #[error("the policy could not be kept for the next start")]
    Keep(#[source] Box<dyn Error + Send + Sync>),
}

fn first_error(report: &GateReport) -> String {
    let mut errors = report.errors();
    let first = errors.next().map(ToString::to_string).unwrap_or_default();
    match errors.count() {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

/// The policy in charge.
pub(crate) struct Active {
    /// Which of the bundles that were put in charge it is. Data that is written over it does not change that.
    number: u64,
    hash: Sha256Digest,
    bundle: Arc<Bundle>,
    pub(crate) pool: Pool,
    /// What it leaves out of the decision log, if it says anything of that.
    pub(crate) mask: Option<Mask>,
    pub(crate) entry_points: EntryPoints,
}

impl Active {
    pub(crate) fn hash(&self) -> Sha256Digest {
        self.hash
    }

    pub(crate) fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }
}

/// What the policy in charge was made from.
#[derive(Clone)]
struct Origin {
    number: u64,
    written: Written,
    /// On which evaluator the bundle was put in charge.
    choose: Choose,
}

/// The policy in charge, and what stands guard over it.
pub(crate) struct Charge {
    active: ArcSwap<Active>,
    /// Why nobody is allowed anything, whatever the policy says.
    withheld: ArcSwapOption<Reason>,
    settings: EngineSettings,
    entry_points: Vec<EntryPoint>,
    gate: Option<Gate>,
    /// Held while another policy goes through the gate: one at a time, so that many who change something at once do not
    /// have as many children, and none is made over what is no longer there.
    changing: Mutex<()>,
    /// Held for moments.
    origin: Mutex<Origin>,
}

impl Charge {
    pub(crate) fn ungated(bundle: &Bundle, settings: EngineSettings, data_api: DataApi) -> Result<Self, CompileError> {
        Self::with_choice(bundle, Choose::ByThePolicy, None, settings, data_api)
    }

    pub(crate) fn gated(
        gate: Gate,
        bundle: &Bundle,
        settings: EngineSettings,
        data_api: DataApi,
    ) -> Result<Self, ActivateError> {
        let choose = gate.examine(bundle, settings.limits)?;
        Self::with_choice(bundle, choose, Some(gate), settings, data_api).map_err(refusal)
    }

    fn with_choice(
        bundle: &Bundle,
        choose: Choose,
        gate: Option<Gate>,
        settings: EngineSettings,
        data_api: DataApi,
    ) -> Result<Self, CompileError> {
        let DataApi { entry_points, danger_writable } = data_api.checked()?;
        let origin = Origin { number: 0, written: Written::nothing_over(bundle.clone(), danger_writable), choose };
        let active = compile(&origin, settings, &entry_points)?;
        metrics::evaluator_decides(active.pool.kind());
        Ok(Self {
            active: ArcSwap::from_pointee(active),
            withheld: ArcSwapOption::empty(),
            settings,
            entry_points,
            gate,
            changing: Mutex::new(()),
            origin: Mutex::new(origin),
        })
    }

    /// The policy in charge, for the time of one decision.
    pub(crate) fn active(&self) -> Guard<Arc<Active>> {
        self.active.load()
    }

    /// The same, for as long as it is needed.
    pub(crate) fn active_for_long(&self) -> Arc<Active> {
        self.active.load_full()
    }

    pub(crate) fn entry_points(&self) -> &[EntryPoint] {
        &self.entry_points
    }

    pub(crate) fn limits(&self) -> EvaluationLimits {
        self.settings.limits
    }

    pub(crate) fn withheld(&self) -> Guard<Option<Arc<Reason>>> {
        self.withheld.load()
    }

    pub(crate) fn withhold(&self, reason: Option<Reason>) {
        self.withheld.store(reason.map(Arc::new));
    }

    pub(crate) fn activate(&self, bundle: &Bundle) -> Result<Sha256Digest, ActivateError> {
        let _one_at_a_time = lock(&self.changing);
        let (origin, active) = self.prepare(bundle)?;
        Ok(self.put_in_charge(origin, active))
    }

    pub(crate) fn replace(
        &self,
        expected: Sha256Digest,
        bundle: &Bundle,
        keep: impl FnOnce() -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<Sha256Digest, ReplaceError> {
        let _one_at_a_time = lock(&self.changing);
        let in_charge = self.active().hash();
        if in_charge != expected {
            return Err(ReplaceError::Changed { in_charge });
        }
        let (origin, active) = self.prepare(bundle)?;
        keep().map_err(ReplaceError::Keep)?;
        Ok(self.put_in_charge(origin, active))
    }

    /// Has a bundle pass the gate and compiles it, with what was written over the old one.
    fn prepare(&self, bundle: &Bundle) -> Result<(Origin, Active), ActivateError> {
        let before = lock(&self.origin).clone();
        let written = before.written.over(bundle.clone());
        let choose = match &self.gate {
            Some(gate) => gate.examine(&written.bundle(), self.settings.limits)?,
            None => Choose::ByThePolicy,
        };
        let origin = Origin { number: before.number.wrapping_add(1), written, choose };
        match compile(&origin, self.settings, &self.entry_points) {
            Ok(active) => Ok((origin, active)),
            Err(error) if self.gate.is_some() => Err(refusal(error)),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn write_data(&self, path: &DataPath, change: DataChange) -> Result<Sha256Digest, WriteError> {
        let _one_at_a_time = lock(&self.changing);
        let before = lock(&self.origin).clone();
        let written = before.written.changed(path, change)?;
        let choose = match &self.gate {
            Some(gate) => gate.examine_data(&written.bundle(), self.settings.limits).map_err(WriteError::Refused)?,
            None => Choose::ByThePolicy,
        };
        let choose = if before.choose == Choose::Reference { Choose::Reference } else { choose };
        let stored = self.store_data(Origin { written, ..before }, choose);
        stored.map_err(|error| WriteError::Refused(if self.gate.is_some() { refusal(error) } else { error.into() }))
    }

    /// Leaves a policy to the reference evaluator. False when it is already, or when another one is in charge.
    pub(crate) fn distrust_fast(&self, caught: &Active) -> bool {
        let mut origin = lock(&self.origin);
        if origin.number != caught.number || origin.choose == Choose::Reference {
            return false;
        }
        origin.choose = Choose::Reference;
        match compile(&origin, self.settings, &self.entry_points) {
            Ok(active) => self.take_over(active),
            Err(error) => {
                // It was parsed when it was put in charge, so that this does not come to pass; if it does, nobody decides.
                tracing::error!(error = &error as &dyn std::error::Error, "the reference evaluator cannot be made");
                self.withhold(Some(untrusted()));
            }
        }
        true
    }

    /// Puts what is prepared in charge.
    fn put_in_charge(&self, origin: Origin, active: Active) -> Sha256Digest {
        let hash = active.hash;
        let mut place = lock(&self.origin);
        self.take_over(active);
        *place = origin;
        hash
    }

    /// Puts data in charge that was written over the bundle in charge.
    fn store_data(&self, origin: Origin, choose: Choose) -> Result<Sha256Digest, CompileError> {
        let mut active = compile(&Origin { choose, ..origin.clone() }, self.settings, &self.entry_points)?;
        let mut place = lock(&self.origin);
        if place.choose != origin.choose {
            // The fast evaluator was caught meanwhile.
            active = compile(&Origin { choose: place.choose, ..origin.clone() }, self.settings, &self.entry_points)?;
        }
        let hash = active.hash;
        self.take_over(active);
        place.written = origin.written;
        Ok(hash)
    }

    fn take_over(&self, active: Active) {
        metrics::evaluator_decides(active.pool.kind());
        self.active.store(Arc::new(active));
    }
}

#[cfg(test)]
impl Charge {
    /// Has the fast evaluator decide by another bundle than the one in charge.
    pub(crate) fn mislead(&self, bundle: &Bundle) {
        let place = lock(&self.origin);
        let active = compile(&place, self.settings, &self.entry_points).expect("it was compiled before");
        let pool = Pool::compile(bundle, self.settings.limits, 1, Choose::ByThePolicy).expect("it can be compiled");
        self.take_over(Active { pool, ..active });
    }
}

impl Gate {
    /// Examines a policy, and says on which evaluator it may be put in charge.
    ///
    /// # Errors
    /// When it is refused, or there is no gate that it could pass.
    pub fn examine(&self, bundle: &Bundle, limits: EvaluationLimits) -> Result<Choose, ActivateError> {
        let report = match self {
            Self::Confined(confined) => confined.examine(bundle, limits)?,
            Self::DangerInProcess => gate::examine(bundle, limits),
        };
        if report.passed { Ok(report.choose()) } else { Err(ActivateError::Refused(Box::new(report))) }
    }

    /// Examines a policy that has passed, with other data. Its tests are of the data that it came with, and are not run.
    fn examine_data(&self, bundle: &Bundle, limits: EvaluationLimits) -> Result<Choose, ActivateError> {
        let gate = match self {
            Self::Confined(confined) => Self::Confined(Confined { limits: ChildLimits::FOR_DATA, ..confined.clone() }),
            Self::DangerInProcess => Self::DangerInProcess,
        };
        gate.examine(&bundle.without_tests(), limits)
    }
}

/// What has passed the gate and cannot be compiled is refused as if the gate had found it.
fn refusal(error: CompileError) -> ActivateError {
    match error {
        CompileError::Thread(_) => error.into(),
        _ => ActivateError::Refused(Box::new(GateReport::refusal(gate::refused(&error)))),
    }
}

/// No evaluator is trusted with the policy.
fn untrusted() -> Reason {
    Reason {
        code: "policy.untrusted".to_owned(),
        message: "The evaluators of the policy disagree.".to_owned(),
        fix: None,
    }
}

fn compile(origin: &Origin, settings: EngineSettings, rules: &[EntryPoint]) -> Result<Active, CompileError> {
    let bundle = origin.written.bundle();
    let threads = settings.threads.clamp(1, EngineSettings::MAX_THREADS);
    let pool = Pool::compile(&bundle, settings.limits, threads, origin.choose)?;
    let entry_points = EntryPoints::compile(&bundle, rules, settings.limits, threads)?;
    let mask = Mask::compile(&bundle, settings.limits)?;
    Ok(Active { number: origin.number, hash: bundle.hash(), bundle: Arc::new(bundle), pool, mask, entry_points })
}

/// A panic under any of these locks leaves what it guards as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
