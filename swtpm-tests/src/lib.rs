//! Vouchsafe as a whole: real processes, real sockets, real databases, and TPMs in software (swtpm).
//!
//! Nothing imports this crate. Its library is what its tests stand on.
#![expect(clippy::print_stderr, reason = "the logs of a failed test are for whoever reads it")]
#![expect(clippy::indexing_slicing, reason = "JSON answers are indexed by what they must have")]

pub mod agent;
pub mod binaries;
pub mod engine;
pub mod guest;
pub mod points;
mod quick_model;
pub mod soft_tpm;
pub mod world;
