//! What is done now and then so that the store stays small.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use vouchsafe_http::Clock;
use vouchsafe_store::{RetentionPolicy, Store};

use super::config::StoreConfig;

/// How often things are forgotten.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);
/// How often what was measured is summed up.
const SUMMING_INTERVAL: Duration = Duration::from_secs(5);
/// The pause between two parts of one purge, in which others write.
const PURGE_PAUSE: Duration = Duration::from_millis(200);

/// For how long things are kept, by the settings.
pub(super) fn retention(config: &StoreConfig) -> RetentionPolicy {
    let days = |days: u32| (days > 0).then(|| Duration::from_secs(u64::from(days) * 86_400));
    RetentionPolicy {
        attestations: days(config.attestation_days),
        trust: days(config.attestation_days),
        certificates: days(config.attestation_days),
        ..RetentionPolicy::FOR_EVER
    }
}

/// Sums up what was measured. Until then each measurement is kept by itself, and nobody may ever ask for the metrics.
pub(super) async fn sum_up(metrics: PrometheusHandle, shutdown: CancellationToken) {
    while shutdown.run_until_cancelled(tokio::time::sleep(SUMMING_INTERVAL)).await.is_some() {
        metrics.run_upkeep();
    }
}

/// Forgets what need not be remembered, again and again, in small parts.
pub(super) async fn purge(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    policy: RetentionPolicy,
    shutdown: CancellationToken,
) {
    let mut pause = PURGE_INTERVAL;
    while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = match store.purge(clock.now(), &policy).await {
            Ok(purged) if purged.more => PURGE_PAUSE,
            Ok(_) => PURGE_INTERVAL,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store could not be purged");
                PURGE_INTERVAL
            }
        };
    }
}
