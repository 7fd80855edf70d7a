//! Follows a source of bundles: puts what is new in charge, and denies everything when the source is away for too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use vouchsafe_model::{Reason, Timestamp};
use vouchsafe_policies::PackedBundle;
use vouchsafe_policy_engine::PolicyEngine;

use super::super::in_charge::{InCharge, Provenance};
use super::super::reload::{count, tell};
use super::{Believed, BundleSource, First};

/// How often it is seen whether the policy still counts.
const AGE_INTERVAL: Duration = Duration::from_secs(1);
/// A request that is answered sooner, and with nothing new, did not wait.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Why everything is denied while the policy is too old.
pub(in super::super) const STALE: &str = "policy.stale";
/// Whether the policy is too old to decide by: 1 or 0.
const POLICY_STALE: &str = "policy_stale";
/// When the source last had nothing newer than the policy in charge, in seconds since 1970.
const CHECKED_AT: &str = "policy_checked_timestamp_seconds";

/// Follows a source.
pub(in crate::serve) struct Follow {
    in_charge: Arc<InCharge>,
    source: BundleSource,
    packed: Arc<PackedBundle>,
    hangups: Signal,
    /// Until when the policy in charge counts, in milliseconds since 1970.
    until: Arc<AtomicI64>,
    /// Whether the source was good when it was last looked at, and waited if it was asked to.
    is_well: bool,
}

impl Follow {
    /// Goes on from the bundle that the server started with.
    pub(in super::super) fn new(
        in_charge: Arc<InCharge>,
        mut source: BundleSource,
        first: First,
    ) -> anyhow::Result<Self> {
        let hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let is_fresh = matches!(first, First::Fresh(_));
        let packed = match first {
            First::Kept(packed) => {
                source.memory.resume();
                packed
            }
            First::Fresh(Believed { packed, bytes, etag }) => {
                source
                    .memory
                    .keep(&packed, &bytes, etag, in_charge.clock.now())
                    .context("the policy cannot be kept")?;
                packed
            }
        };
        let until = Arc::new(AtomicI64::new(i64::MAX));
        let follow = Self { in_charge, source, packed, hangups, until, is_well: is_fresh };
        follow.note_age();
        Ok(follow)
    }

    /// Follows until the server stops.
    pub(in crate::serve) async fn run(mut self, shutdown: CancellationToken) {
        let watch = watch_age(self.in_charge.clone(), self.until.clone(), shutdown.clone());
        let watching = tokio::spawn(watch);
        while let Some(()) = shutdown.run_until_cancelled(self.once()).await {}
        drop(watching.await);
    }

    /// Waits until it is time, or somebody asks for it, and looks.
    async fn once(&mut self) {
        let waits = self.is_well && self.source.fetch.waits();
        let pause = if waits { Duration::ZERO } else { self.source.poll };
        let is_asked = tokio::time::timeout(pause, self.hangups.recv()).await.is_ok();
        let (now, started) = (self.in_charge.clock.now(), Instant::now());
        // A request that waits is given up when somebody asks for the policy to be read.
        let looked = tokio::select! {
            looked = self.source.look(now, !is_asked) => Some(looked),
            _ = self.hangups.recv() => None,
        };
        let looked = match looked {
            Some(looked) => looked,
            None => self.source.look(now, false).await,
        };
        let is_new = matches!(looked, Ok(Some(_)));
        self.take(looked).await;
        // A server that says it can wait, and does not, is asked no more often than others.
        self.is_well &= is_new || started.elapsed() >= SHORTEST_WAIT;
        self.note_age();
    }

    /// Takes what came.
    async fn take(&mut self, looked: anyhow::Result<Option<Believed>>) {
        let outcome = match looked {
            Ok(None) => self.source.memory.checked(self.in_charge.clock.now()).map(|()| "unchanged"),
            Ok(Some(believed)) => self.exchange(believed).await,
            Err(error) => Err(error),
        };
        self.is_well = outcome.is_ok();
        match outcome {
            Ok(outcome) => count(outcome, false),
            Err(error) => {
                tell(&error, &self.in_charge.engine, &self.source.told());
                count("refused", true);
            }
        }
    }

    /// Puts a bundle in charge, if it passes the gate and is another one.
    async fn exchange(&mut self, believed: Believed) -> anyhow::Result<&'static str> {
        let Believed { packed, bytes, etag } = believed;
        let (is_same, now) = (*packed == *self.packed, self.in_charge.clock.now());
        if !is_same {
            let (engine, next) = (self.in_charge.engine.clone(), packed.clone());
            let activated = tokio::task::spawn_blocking(move || engine.activate(next.bundle())).await;
            activated.context("the gate failed")??;
            self.in_charge.came_from(Provenance::packed(self.source.told(), &packed, now));
        }
        self.packed = packed;
        let kept = self.source.memory.keep(&self.packed, &bytes, etag, now);
        kept.context("the policy is in charge and cannot be kept for a restart")?;
        Ok(if is_same { "unchanged" } else { "activated" })
    }

    /// Says until when the policy in charge counts.
    fn note_age(&self) {
        let checked_at = self.source.memory.checked_at();
        metrics::gauge!(CHECKED_AT).set(checked_at.since(Timestamp::UNIX_EPOCH).as_secs_f64());
        let until = self.source.good_until(&self.packed);
        self.until.store(until.map_or(i64::MAX, Timestamp::unix_millis), Ordering::SeqCst);
        judge_age(&self.in_charge.engine, &self.until, self.in_charge.clock.now());
    }
}

/// Sees again and again whether the policy still counts, whatever its source does meanwhile.
async fn watch_age(in_charge: Arc<InCharge>, until: Arc<AtomicI64>, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(AGE_INTERVAL)).await.is_some() {
        judge_age(&in_charge.engine, &until, in_charge.clock.now());
    }
}

/// Denies everything from the end of the policy on.
fn judge_age(engine: &PolicyEngine, until: &AtomicI64, now: Timestamp) {
    let is_stale = now.unix_millis() >= until.load(Ordering::SeqCst);
    let withheld = engine.withheld().map(|reason| reason.code);
    metrics::gauge!(POLICY_STALE).set(if is_stale { 1.0 } else { 0.0 });
    match withheld.as_deref() {
        None if is_stale => {
            engine.withhold(Reason {
                code: STALE.to_owned(),
                message: "The policy is too old to decide by, and its source gives no newer one.".to_owned(),
                fix: None,
            });
            tracing::error!(policy = %engine.policy(), "the policy is too old: everything is denied");
        }
        Some(STALE) if !is_stale => {
            engine.resume();
            tracing::info!(policy = %engine.policy(), "the policy counts again");
        }
        _ => {}
    }
}
