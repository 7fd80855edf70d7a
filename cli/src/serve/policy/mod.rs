//! The policy of this server: where it comes from, how it comes into charge, and what happens when there is another one.
//!
//! Whatever the source, a policy goes through the gate in a child before it decides anything. One that does not pass keeps
//! the server from starting, and leaves the one before in charge when the server runs.

mod activate;
mod activated;
mod bundle;
pub(super) mod door;
mod in_charge;
mod reload;
mod shadow;
mod source;

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tokio_util::sync::CancellationToken;
use vouchsafe_http::Clock;
use vouchsafe_policies::{Bundle, PackedBundle};
use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_policy_engine::{ActivateError, DataApi, EngineSettings, EvaluatorKind, Gate, PolicyEngine, RecordTable};
use vouchsafe_wire::v1::policy::{Activation, PolicySource};

use super::config::{Layout, ServerConfig};
use crate::confined;
use activated::Kept;
use bundle::{BundleSource, Follow};
pub(super) use in_charge::InCharge;
use in_charge::{Provenance, Replaceable};
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

/// The policy in charge that the settings name, or that was activated in place of it, and what exchanges it.
pub(super) async fn start(
    layout: &Layout,
    config: &ServerConfig,
    records: Arc<RecordTable>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(Arc<InCharge>, Keeper)> {
    let (in_charge, keeper) = match &config.policy.bundle {
        None => {
            let in_charge = start_replaceable(layout, config, records, clock)?;
            let reload = Reload::new(in_charge.clone())?;
            (in_charge, Keeper::Reload(Box::new(reload)))
        }
        Some(bundle) => {
            ensure!(config.policy.dir.is_none(), "[policy] has both dir and bundle");
            let mut source = BundleSource::open(bundle, layout)?;
            let first = source.first(clock.now()).await.with_context(|| format!("no policy from {source}"))?;
            let engine = engine(&source.told().to_string(), first.packed().bundle(), config, records)?;
            let provenance = Provenance::packed(source.told(), first.packed(), clock.now());
            let in_charge = Arc::new(InCharge::new(engine, clock, provenance, None));
            let follow = Follow::new(in_charge.clone(), source, first)?;
            let kept = Kept::of(layout);
            forget_activated(&kept, kept.read()?)?;
            (in_charge, Keeper::Follow(Box::new(follow)))
        }
    };
    let engine = in_charge.engine();
    announce(engine, &in_charge.provenance().source);
    if let Some(one_in) = NonZeroU32::new(config.policy.compare_one_in) {
        engine.compare_one_in(one_in).context("no thread could be made to compare the evaluators")?;
    }
    if let Some(dir) = &config.policy.shadow {
        shadow::start(engine, &layout.resolve(dir))?;
    }
    Ok((in_charge, keeper))
}

/// What an operator activated in place of what the settings name, or else that.
fn start_replaceable(
    layout: &Layout,
    config: &ServerConfig,
    records: Arc<RecordTable>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Arc<InCharge>> {
    let (source, kept) = (Source::of(layout, config), Kept::of(layout));
    let (activated, outdated) = match kept.read()? {
        Some(found) if found.0.in_place_of == source.setting() => (Some(found), None),
        outdated => (None, outdated),
    };
    let (name, provenance) = if let Some((activation, packed)) = activated {
        let path = kept.path().display();
        let name = format!("activated by {}; remove {path} to start by the policy of the settings", activation.by);
        let since = activation.at;
        (name, Provenance::packed(PolicySource::Activated(activation), &packed, since))
    } else {
        let bundle = Arc::new(source.read()?);
        let told = source.told();
        (told.to_string(), Provenance { source: told, bundle, revision: None, since: clock.now() })
    };
    let engine = engine(&name, &provenance.bundle, config, records)?;
    forget_activated(&kept, outdated)?;
    let replaceable = Arc::new(Replaceable { source, kept });
    Ok(Arc::new(InCharge::new(engine, clock, provenance, Some(replaceable))))
}

/// Ends an activation that was in place of what the settings no longer name, so that it does not come back with them.
fn forget_activated(kept: &Kept, outdated: Option<(Activation, PackedBundle)>) -> anyhow::Result<()> {
    if let Some((activation, packed)) = outdated {
        kept.forget()?;
        tracing::warn!(
            policy = %packed.bundle().hash(), activation.by, activation.in_place_of,
            "the settings name another policy than the one that this was activated in place of: it counts no more"
        );
    }
    Ok(())
}

fn engine(
    source: &str,
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
    Ok(Arc::new(engine))
}

/// Says which policy is in charge, and on which evaluator.
fn announce(engine: &PolicyEngine, source: &PolicySource) {
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
