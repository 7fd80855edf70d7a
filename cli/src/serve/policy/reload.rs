//! SIGHUP: the policy is read again, and takes the place of the one in charge if it passes the gate.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::{ActivateError, PolicyEngine};
use vouchsafe_wire::v1::policy::{Activation, PolicySource};

use super::in_charge::{InCharge, Provenance};
use super::source::Source;

/// Policies that were looked for again, by their `outcome`: `activated`, `unchanged` or `refused`.
const RELOADS_TOTAL: &str = "policy_reloads_total";
/// Whether the last policy that was read again was refused, so that an older one is in charge: 1 or 0.
const REFUSED: &str = "policy_refused";

/// Reads the policy again when it is told to.
pub(in crate::serve) struct Reload {
    in_charge: Arc<InCharge>,
    hangups: Signal,
}

impl Reload {
    /// From now on, SIGHUP no longer ends the process.
    pub(super) fn new(in_charge: Arc<InCharge>) -> anyhow::Result<Self> {
        let hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        metrics::gauge!(REFUSED).set(0.0);
        Ok(Self { in_charge, hangups })
    }

    /// Reloads whenever it is asked for, until the server stops.
    pub(in crate::serve) async fn run(mut self, shutdown: CancellationToken) {
        while let Some(Some(())) = shutdown.run_until_cancelled(self.hangups.recv()).await {
            self.reload().await;
        }
    }

    async fn reload(&self) {
        let Some(replaceable) = &self.in_charge.replaceable else { return };
        let _turn = self.in_charge.turn().await;
        let before = self.in_charge.provenance();
        if let PolicySource::Activated(Activation { by, in_place_of, .. }) = &before.source {
            tracing::warn!(
                policy = %self.in_charge.engine.policy(), activation.by = by, activation.in_place_of = in_place_of,
                "the policy was not read again: an operator activated another one, which decides until they activate this one"
            );
            return count("unchanged", false);
        }
        let (engine, reading) = (self.in_charge.engine.clone(), replaceable.clone());
        let outcome = tokio::task::spawn_blocking(move || exchange(&engine, &reading.source, &before.bundle)).await;
        match outcome.context("the reload failed").flatten() {
            Ok(Some(bundle)) => {
                let (source, since) = (replaceable.source.told(), self.in_charge.clock.now());
                self.in_charge.came_from(Provenance { source, bundle: Arc::new(bundle), revision: None, since });
                count("activated", false);
            }
            Ok(None) => {
                tracing::info!(policy = %self.in_charge.engine.policy(), "the policy was read again and is the same");
                count("unchanged", false);
            }
            Err(error) => {
                tell(&error, &self.in_charge.engine, &replaceable.source.told());
                count("refused", true);
            }
        }
    }
}

/// Puts what the source has now in charge; none if that is what is in charge.
fn exchange(engine: &PolicyEngine, source: &Source, before: &Bundle) -> anyhow::Result<Option<Bundle>> {
    let bundle = source.read()?;
    if bundle == *before {
        return Ok(None);
    }
    engine.activate(&bundle)?;
    Ok(Some(bundle))
}

/// Says why the policy before is still in charge: each finding by itself.
pub(super) fn tell(error: &anyhow::Error, engine: &PolicyEngine, source: &PolicySource) {
    if let Some(ActivateError::Refused(report)) = error.downcast_ref() {
        for finding in report.errors() {
            tracing::error!(policy.source = %source, finding.code = finding.code.name(), %finding, "policy refused");
        }
    }
    let policy = engine.policy();
    tracing::error!(error = format!("{error:#}"), policy.source = %source, %policy, "the policy before stays in charge");
}

/// Counts what was read, and shows whether it was refused.
pub(super) fn count(outcome: &'static str, is_refused: bool) {
    metrics::counter!(RELOADS_TOTAL, "outcome" => outcome).increment(1);
    metrics::gauge!(REFUSED).set(if is_refused { 1.0 } else { 0.0 });
}
