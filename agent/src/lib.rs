//! The attester: owns the host's TPM and vouches for it.
//!
//! [`machine`] decides what to do and when, without doing anything; [`run`] does it, and [`evidence`] the heart of it; [`tpm`]
//! is the only part that knows of TPMs, [`client`] the only one that knows of HTTP, and [`logs`] the only one that reads the
//! measurement logs.

pub mod cli;
pub mod client;
pub mod clock;
pub mod commands;
pub mod config;
pub mod evidence;
pub mod facts;
pub mod logging;
pub mod logs;
pub mod machine;
pub mod run;
pub mod state;
pub mod state_directory;
pub mod tls;
pub mod tpm;
