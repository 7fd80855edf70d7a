//! The policy of this server: where it comes from, how it comes into charge, and what happens when there is another one.
//!
//! Whatever the source, a policy goes through the gate in a child before it decides anything. One that does not pass keeps
//! the server from starting, and leaves the one before in charge when the server runs.

mod bundle;
mod reload;
mod shadow;
mod source;

use std::fmt::Display;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio_util::sync::CancellationToken;
use vouchsafe_http::Clock;
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_policy_engine::{ActivateError, DataApi, EngineSettings, EvaluatorKind, Gate, PolicyEngine, RecordTable};

use super::config::{Layout, ServerConfig};
use crate::confined;
use bundle::{BundleSource, Follow};
use reload::Reload;
use source::Source;

/// What exchanges the policy in charge while the server runs.
pub(super) enum Keeper {
    /// When it is told to.
    Reload(Box<Reload>),
    /// When its source has another.
    Follow(Box<Follow>),
}

impl Keeper {
    /// Works until the server stops.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        match self {
            Self::Reload(reload) => reload.run(shutdown).await,
            Self::Follow(follow) => follow.run(shutdown).await,
        }
    }
}

/// The engine with the policy in charge that the settings name, and what exchanges it.
pub(super) async fn start(
    layout: &Layout,
    config: &ServerConfig,
    records: Arc<RecordTable>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(Arc<PolicyEngine>, Keeper)> {
    let (engine, keeper) = match &config.policy.bundle {
        None => {
            let source = Source::of(layout, config);
            let bundle = source.read()?;
            let engine = engine(&source, &bundle, config, records)?;
            let reload = Reload::new(engine.clone(), source, bundle)?;
            (engine, Keeper::Reload(Box::new(reload)))
        }
        Some(bundle) => {
            ensure!(config.policy.dir.is_none(), "[policy] has both dir and bundle");
            let mut source = BundleSource::open(bundle, layout)?;
            let first = source.first(clock.now()).await.with_context(|| format!("no policy from {source}"))?;
            let engine = engine(&source, first.packed().bundle(), config, records)?;
            let follow = Follow::new(engine.clone(), source, first, clock)?;
            (engine, Keeper::Follow(Box::new(follow)))
        }
    };
    if let Some(one_in) = NonZeroU32::new(config.policy.compare_one_in) {
        engine.compare_one_in(one_in).context("no thread could be made to compare the evaluators")?;
    }
    if let Some(dir) = &config.policy.shadow {
        shadow::start(&engine, layout.resolve(dir))?;
    }
    Ok((engine, keeper))
}

fn engine(
    source: &impl Display,
    bundle: &Bundle,
    config: &ServerConfig,
    records: Arc<RecordTable>,
) -> anyhow::Result<Arc<PolicyEngine>> {
    let data_api = DataApi {
        entry_points: config.policy.entry_points.clone(),
        danger_writable: config.policy.danger_writable_data.clone(),
    };
    let gate = Gate::Confined(confined::child());
    let engine = PolicyEngine::gated(gate, bundle, records, EngineSettings::default(), data_api)
        .with_context(|| format!("the policy cannot be used ({source})"))?;
    announce(&engine, source);
    Ok(Arc::new(engine))
}

/// Says which policy is in charge, and on which evaluator.
fn announce(engine: &PolicyEngine, source: &impl Display) {
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
