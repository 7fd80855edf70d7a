//! Doors over real TCP and TLS, and what surrounds their routes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on should stop"
)]

mod api;
mod connections;
mod extract;
mod health;
mod keys;
mod limits;
mod shutdown;
mod support;
mod tls;
