//! Whether this process lives, and whether it can do its work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use futures_util::future::{BoxFuture, join_all};

use crate::problem::{self, HttpProblem};

/// The longest time that one check may take; one that takes longer has failed.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The checks that decide whether this process is ready.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

impl Health {
    /// No checks: always ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It must be cheap: whoever reaches the door can have it run. What it answers goes to the log only.
    #[must_use]
    pub fn with_check<F, T, E>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + 'static,
    {
        let check: Check = Arc::new(move || {
            let outcome = check();
            Box::pin(async move { outcome.await.map_err(|error| problem::chain(&error)) })
        });
        self.checks.push((name, check));
        self
    }

    /// Adds a flag, which others set and clear.
    #[must_use]
    pub fn with_flag(mut self, name: &'static str, flag: Arc<AtomicBool>) -> Self {
        let check: Check = Arc::new(move || {
            let is_set = flag.load(Ordering::SeqCst);
            Box::pin(async move { if is_set { Ok(()) } else { Err("the flag is not set".to_owned()) } })
        });
        self.checks.push((name, check));
        self
    }

    /// The names of the checks that fail now, in their order.
    pub async fn failing(&self) -> Vec<&'static str> {
        let outcomes = join_all(self.checks.iter().map(|(name, check)| async move {
            match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some((*name, error)),
                Err(_) => Some((*name, "the check took too long".to_owned())),
            }
        }))
        .await;
        outcomes
            .into_iter()
            .flatten()
            .map(|(name, error)| {
                tracing::warn!(check.name = name, error, "not ready");
                name
            })
            .collect()
    }

    /// `/health/live` and `/health/ready`.
    pub fn routes(self) -> Router {
        Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).with_state(Arc::new(self))
    }
}

async fn live() -> &'static str {
    "live\n"
}

async fn ready(State(health): State<Arc<Health>>) -> Result<&'static str, HttpProblem> {
    match health.failing().await.as_slice() {
        [] => Ok("ready\n"),
        failing => Err(HttpProblem::unavailable("engine.not_ready", format!("Failing: {}.", failing.join(", ")))),
    }
}
