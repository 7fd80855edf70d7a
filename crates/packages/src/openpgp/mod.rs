//! `OpenPGP` signatures (RFC 9580) over what a distribution ships, verified against keyrings that the operator chose.
//!
//! The library (rPGP) decodes packets and verifies single signatures. What makes a signature *count* is decided here, and
//! is what gpgv(1) decides: the key is in the keyring, bound to its primary key by that key's own signature, meant for
//! signing, neither expired nor revoked, not weak; the signature is over data, neither expired nor from the future, and
//! its hash is one whose collisions nobody can make.
//!
//! A keyring is trusted as it is: who is in it was decided by whoever made the file. Names in it mean nothing.

mod cleartext;
mod keyring;
mod verify;

pub use cleartext::{CleartextRefused, SignedText};
pub use keyring::{Keyring, KeyringError};
pub use verify::{SignatureRefused, Signer, Standing};
