//! Verdict → trust score: what happened to a device, and what that makes it worth.
//!
//! A [`TrustModel`](model_file::TrustModel) says how much evidence counts; [`TrustEvent`](event::TrustEvent)s are what
//! happened; a [`TrustState`](state::TrustState) is what they come to, and gives the
//! [`TrustCurve`](vouchsafe_model::trust::TrustCurve) from which a score follows at any instant. Beta reputation with
//! forgetting (Jøsang & Ismail, "The Beta Reputation System", 2002); docs/trust-model.md tells operators the same.
//!
//! Nothing here reads a clock, draws randomness, opens a file or fails on an event: instants and entropy are arguments,
//! and whatever is recorded can be counted. What is doubtful counts against the device.

pub mod event;
pub mod model_file;
pub mod schedule;
pub mod state;

mod allowance;
mod per_factor;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod testing;
