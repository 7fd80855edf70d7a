//! From the policy engine to the store: decisions, in batches, durable before they are answered.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use vouchsafe_policy_engine::log::{DecisionSink, LogEntry};
use vouchsafe_store::{LoggedDecision, Store};

/// Writes decisions into the store.
pub(super) struct Plug(pub(super) Arc<dyn Store>);

#[async_trait]
impl DecisionSink for Plug {
    async fn write(&self, batch: Vec<LogEntry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let logged = |LogEntry { decision, request }| LoggedDecision { decision, request };
        let batch: Vec<LoggedDecision> = batch.into_iter().map(logged).collect();
        Ok(self.0.append_decisions(&batch).await?)
    }
}
