//! The digests of every file that a host may run, from what its distribution ships.
//!
//! A golden image says which files may run, by digest. For a host that is made of packages nobody has to trust a
//! reference host for that: the distribution signs what it ships. This crate walks the chain from that signature to the
//! bytes of each file and lets nothing in that is not on it:
//!
//! - a Debian repository ([`debian`]): keyring → `InRelease` → `Packages` by SHA-256 → each `.deb` by SHA-256 and size →
//!   the content of each file in it;
//! - a folder ([`folder`]): keyring → the signature of each `.rpm`, or a signed `SHA256SUMS` → the content of each file.
//!
//! [`build`] then turns a [`Plan`] into an [`Inventory`]: it fetches and hashes in parallel, remembers the digests of
//! each package in a [`Cache`], and so goes on where an earlier run was stopped.
//!
//! What this crate must never do: run anything out of a package (maintainer scripts included), write a file out of a
//! package to a disk, follow a link out of a package, or take a digest that a package says of itself for the digest of
//! its content. It reads no clock: `now` is an argument.
//!
//! What no package says: files that are made when packages are installed (`ld.so.cache`, an initramfs, byte code),
//! files that an administrator changes below `/etc`, and files that `dpkg-divert` or alternatives put elsewhere. A golden
//! image names these by its own rules.
//!
//! # Why these libraries
//!
//! `OpenPGP` is read and verified by [rPGP](pgp) (MIT or Apache-2.0, audited, in Rust without C). Sequoia's backends without C
//! are marked experimental by their authors, and the others want Nettle, OpenSSL or Botan. rPGP brings cryptography of its
//! own beside the aws-lc-rs of the house; it therefore stays inside [`openpgp`], where it verifies signatures over public
//! data with public keys, and nothing else: no secret ever meets it. All other hashing is done by aws-lc-rs.
//!
//! Decompression is in Rust as well (flate2, lzma-rust2, ruzstd, bzip2), each with a bound on its memory.

pub mod archive;
mod build;
mod cache;
mod cancel;
mod contents;
mod control;
pub mod debian;
mod digest;
mod fetch;
pub mod folder;
mod inventory;
pub mod limits;
pub mod openpgp;
mod package;
mod path;
mod plan;
mod progress;
pub mod rpm;
mod spool;

pub use build::{BuildError, Settings, build};
pub use cache::{Cache, CacheError};
pub use cancel::{Cancel, Cancelled};
pub use contents::{Contents, ContentsRejected, FileKind, ShippedFile};
pub use control::{ControlError, Stanza, stanzas};
pub use digest::{Algorithms, FileDigest, InvalidFileDigest, UnsupportedAlgorithm};
pub use fetch::{FetchError, Mirror};
pub use inventory::{FileRecord, Inventory, Keep, PackageRecord, Statistics, UsrMerge};
pub use limits::Limits;
pub use package::{Format, InvalidPackageId, PackageId};
pub use path::PathRefused;
pub use plan::{Origin, Plan, PlannedPackage};
pub use progress::{Progress, Silent};
pub use spool::SpoolError;
