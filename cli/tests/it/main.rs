//! The binary, as people and scripts call it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop, and one that is skipped should say so"
)]

mod api;
mod appraise_ima;
mod appraise_image;
mod build;
mod capture;
mod engine;
mod eventlog;
mod help;
mod image_files;
mod init;
mod known_answers;
mod log;
mod point;
mod policy;
mod policy_bundle;
mod policy_check;
mod policy_eval;
mod produce;
mod quote;
mod result;
mod serve_activate;
mod serve_bundle;
mod serve_policy;
mod serve_replay;
mod server;
mod support;
mod usage;
