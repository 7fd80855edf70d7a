//! The agent without a TPM: its way to the engine, and its command line.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod client;
mod command_line;
mod device;
mod engine;
mod logs;
mod memory;
mod server;
mod trouble;
