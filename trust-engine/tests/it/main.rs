//! The trust engine over a real store, with TPMs that are forged (`vouchsafe_attest::forge`): honest when they should be,
//! and not when they should not. Software TPMs that speak TPM 2.0 are in swtpm-tests.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on should stop"
)]
#![expect(clippy::float_cmp, reason = "a ceiling of zero is zero, not nearly")]

mod attest;
mod enrol;
mod measured;
mod measured_boot;
mod measured_dbx;
mod measured_documents;
mod measured_dry_run;
mod measured_kept;
mod measured_moves;
mod measured_parts;
mod measured_runtime;
mod measured_update;
mod operate;
mod results;
mod world;
