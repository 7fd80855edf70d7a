//! The whole system on software TPMs.
#![expect(clippy::indexing_slicing, reason = "JSON answers are indexed by what they must have")]

mod agent_tpm;
mod decision_log;
mod demo;
mod independent;
mod resilience;
mod story;
