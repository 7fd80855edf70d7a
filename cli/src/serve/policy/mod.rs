//! The policy of this server: where it comes from, how it comes into charge, and what happens when there is another one.
//!
//! Whatever the source, a policy goes through the gate in a child before it decides anything. One that does not pass keeps
//! the server from starting, and leaves the one before in charge when the server runs.

mod reload;
mod source;

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context as _;
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_policy_engine::{ActivateError, DataApi, EngineSettings, EvaluatorKind, Gate, PolicyEngine, RecordTable};

use super::config::{Layout, ServerConfig};
use crate::confined;
pub(super) use reload::Reload;
use source::Source;

/// The engine with the policy in charge that the settings name, and what exchanges it.
pub(super) fn start(
    layout: &Layout,
    config: &ServerConfig,
    records: Arc<RecordTable>,
) -> anyhow::Result<(Arc<PolicyEngine>, Reload)> {
    let source = Source::of(layout, config);
    let bundle = source.read()?;
    let engine = engine(&source, &bundle, config, records)?;
    announce(&engine, &source);
    if let Some(one_in) = NonZeroU32::new(config.policy.compare_one_in) {
        engine.compare_one_in(one_in).context("no thread could be made to compare the evaluators")?;
    }
    let reload = Reload::new(engine.clone(), source, bundle)?;
    Ok((engine, reload))
}

fn engine(
    source: &Source,
    bundle: &Bundle,
    config: &ServerConfig,
    records: Arc<RecordTable>,
) -> anyhow::Result<Arc<PolicyEngine>> {
    let data_api = DataApi {
        entry_points: config.policy.entry_points.clone(),
        danger_writable: config.policy.danger_writable_data.clone(),
    };
    let gate = Gate::Confined(confined::child());
    let engine = PolicyEngine::gated(gate, bundle, records, EngineSettings::default(), data_api);
    engine.map(Arc::new).with_context(|| format!("the policy cannot be used ({source})"))
}

/// Says which policy is in charge, and on which evaluator.
fn announce(engine: &PolicyEngine, source: &Source) {
    let (evaluator, because) = engine.evaluator();
    let policy = engine.policy();
    tracing::info!(%policy, policy.source = %source, policy.evaluator = evaluator.name(), "policy in charge");
    if evaluator == EvaluatorKind::Reference {
        for because in because {
            tracing::warn!(%policy, %because, "the fast evaluator does not decide");
        }
    }
}

/// What the gate said of a policy that a server does not start with.
pub(super) fn refusal(error: &anyhow::Error) -> Option<&GateReport> {
    match error.downcast_ref() {
        Some(ActivateError::Refused(report)) => Some(report),
        _ => None,
    }
}
