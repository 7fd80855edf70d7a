//! What decides now: where it came from and since when, and whose turn it is to exchange it.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use vouchsafe_http::Clock;
use vouchsafe_model::Timestamp;
use vouchsafe_policies::{Bundle, PackedBundle};
use vouchsafe_policy_engine::{EvaluatorKind, PolicyEngine, ShadowResults};
use vouchsafe_wire::v1::policy::{PolicySource, PolicyStatus, ShadowStatus};

use super::activated::Kept;
use super::bundle::STALE;
use super::source::Source;

/// The policy in charge, and what is told of it.
pub(in crate::serve) struct InCharge {
    pub(super) engine: Arc<PolicyEngine>,
    pub(super) clock: Arc<dyn Clock>,
    /// What an operator's policy takes the place of; nothing where the policy comes as a bundle.
    pub(super) replaceable: Option<Arc<Replaceable>>,
    provenance: watch::Sender<Provenance>,
    /// Held by whoever exchanges the policy, until it is known where the one in charge comes from.
    turn: Arc<Mutex<()>>,
}

/// What an operator's policy takes the place of, and where it is kept.
pub(super) struct Replaceable {
    pub(super) source: Source,
    pub(super) kept: Kept,
}

/// Where the policy in charge comes from.
#[derive(Clone)]
pub(super) struct Provenance {
    pub(super) source: PolicySource,
    /// As the source gave it.
    pub(super) bundle: Arc<Bundle>,
    pub(super) revision: Option<String>,
    pub(super) since: Timestamp,
}

impl Provenance {
    /// A policy that somebody packed.
    pub(super) fn packed(source: PolicySource, packed: &PackedBundle, since: Timestamp) -> Self {
        let revision = Some(packed.manifest().revision.clone()).filter(|revision| !revision.is_empty());
        Self { source, bundle: Arc::new(packed.bundle().clone()), revision, since }
    }
}

impl InCharge {
    pub(super) fn new(
        engine: Arc<PolicyEngine>,
        clock: Arc<dyn Clock>,
        provenance: Provenance,
        replaceable: Option<Arc<Replaceable>>,
    ) -> Self {
        let (provenance, turn) = (watch::Sender::new(provenance), Arc::default());
        Self { engine, clock, replaceable, provenance, turn }
    }

    /// What decides.
    pub(in crate::serve) fn engine(&self) -> &Arc<PolicyEngine> {
        &self.engine
    }

    /// Waits until nobody else exchanges the policy.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// Where the policy in charge comes from.
    pub(super) fn provenance(&self) -> Provenance {
        self.provenance.borrow().clone()
    }

    /// Notes where the policy that came into charge comes from, and says which it is.
    pub(super) fn came_from(&self, provenance: Provenance) {
        super::announce(&self.engine, &provenance.source);
        self.provenance.send_replace(provenance);
    }

    /// What operators are told of it.
    pub(super) fn status(&self) -> PolicyStatus {
        let Provenance { source, bundle, revision, since } = self.provenance();
        let (evaluator, because) = self.engine.evaluator();
        let because = if evaluator == EvaluatorKind::Reference { because } else { Vec::new() };
        let withheld = self.engine.withheld();
        PolicyStatus {
            policy: self.engine.policy(),
            bundle: bundle.hash(),
            revision,
            evaluator: evaluator.name().to_owned(),
            because: because.iter().map(ToString::to_string).collect(),
            source,
            since,
            stale: withheld.as_ref().is_some_and(|reason| reason.code == STALE),
            withheld,
            shadow: self.engine.shadow_results().map(shadow_status),
        }
    }
}

fn shadow_status(results: ShadowResults) -> ShadowStatus {
    let ShadowResults { policy, evaluator, same, allow_to_deny, deny_to_allow, dropped } = results;
    ShadowStatus { policy, evaluator: evaluator.name().to_owned(), same, allow_to_deny, deny_to_allow, dropped }
}
