//! A log of files: nothing that was acknowledged is lost, and nothing that was changed goes unseen.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod crash;
mod damage;
mod fixtures;
mod keep;
mod prove;
mod read;
mod trouble;
