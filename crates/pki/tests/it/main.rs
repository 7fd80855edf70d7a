//! The authority as its users see it: folders, requests, chains and their refusal.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod authority;
mod csr;
mod files;
mod issue;
mod peer;
mod support;
