//! The policy engine from the outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop, and one that is skipped should say so"
)]

mod answer;
mod authzen;
mod callers;
mod charge;
mod default_policy;
mod doors;
mod engine;
mod fixtures;
mod log;
mod log_mask;
mod log_query;
mod log_replay;
mod native_door;
mod opa;
mod points;
mod policy_tests;
mod replay;
mod schema;
mod threats;
