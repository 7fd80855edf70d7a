//! Packages from the outside: what is made here is read by the crate, and what is broken is refused for the stated reason.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should stop")]

mod build;
mod deb;
mod folder;
mod forge;
mod repository;
mod rpm;
mod signature;
