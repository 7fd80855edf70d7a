//! What every store has to do (`contract`), what this one does besides (`sqlite`), and what survives when it is killed
//! (`crash`).

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod contract;
mod crash;
mod fixtures;
mod sqlite;
