//! The policy engine from the outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod callers;
mod default_policy;
mod doors;
mod engine;
mod fixtures;
mod log;
mod log_mask;
mod log_query;
mod native_door;
mod opa;
mod points;
mod policy_tests;
mod schema;
mod threats;
