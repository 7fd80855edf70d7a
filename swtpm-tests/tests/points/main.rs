//! Real enforcement points in front of a service: a device with its key in the TPM is let through, until its PCRs change.
//!
//! Envoy and nginx are the real ones. A test says so when it cannot have its point, and is then no test; with
//! `VOUCHSAFE_POINTS_REQUIRED=1` it fails instead.
#![expect(clippy::print_stderr, reason = "why a test is skipped, and what it measured, is for whoever reads it")]

mod device;
mod envoy;
mod nginx;
mod websocket;
mod world;
