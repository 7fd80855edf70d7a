//! A policy on trial beside the one in charge.

use std::path::Path;

use anyhow::Context as _;
use vouchsafe_policy_engine::evaluate::EvaluationLimits;
use vouchsafe_policy_engine::replay::Candidate;
use vouchsafe_policy_engine::{Gate, PolicyEngine};

use super::source;
use crate::confined;

/// Puts the policy of a folder beside the one in charge, when it has passed the same gate.
pub(super) fn start(engine: &PolicyEngine, dir: &Path) -> anyhow::Result<()> {
    let bundle = source::read_folder(dir)?;
    let unusable = || format!("the shadow policy cannot be used ({})", dir.display());
    let limits = EvaluationLimits::default();
    let choose = Gate::Confined(confined::child()).examine(&bundle, limits).with_context(unusable)?;
    let candidate = Candidate::compile(&bundle, choose, limits, 1).with_context(unusable)?;
    let (policy, evaluator) = (candidate.hash(), candidate.evaluator());
    engine.shadow(candidate).context("no thread could be made for the shadow policy")?;
    tracing::info!(%policy, policy.source = %dir.display(), policy.evaluator = evaluator.name(), "shadow policy beside it");
    Ok(())
}
