//! Enrols devices, appraises their evidence and keeps their trust: evidence → verdict → trust score.
//!
//! [`engine::TrustEngine`] puts the parts together; each operation has a module of its own, and [`http`] is the door. What
//! is decided from evidence is decided by pure functions (`vouchsafe_attest`, `appraise`, [`score`]); what is here
//! reads the clock once per request, draws randomness, and stores every outcome in one transaction.

mod appraise;
pub mod attest;
pub mod config;
pub mod engine;
pub mod enrol;
pub mod golden;
pub mod http;
pub mod measured;
pub mod nonce;
pub mod operate;
pub mod renew;
pub mod result;
mod revocations;
pub mod score;
pub mod secrets;

pub use config::TrustEngineConfig;
pub use engine::{Parts, PublicUrls, RecordSink, StartError, TrustEngine};
pub use result::ResultKeys;
pub use secrets::EngineSecret;
