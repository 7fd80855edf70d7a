//! The attester: owns the host's TPM and vouches for it.
//!
//! [`machine`] decides what to do and when, without doing anything; [`run`] does it; [`tpm`] is the only part that knows
//! of TPMs, and [`client`] the only one that knows of HTTP.

pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod facts;
pub mod logging;
pub mod machine;
pub mod run;
pub mod state;
pub mod state_directory;
pub mod tls;
pub mod tpm;
