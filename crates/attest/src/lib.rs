//! The pure verifier of TPM evidence: keys, credentials, quotes and reference values.
//!
//! Bytes that an attacker may have written go in; typed results come out, each with one way to make it, so that a check
//! that was skipped does not compile: [`key::AttestationKey`] (its attributes were checked), [`certify::CertifiedKey`]
//! (it is in the same TPM), [`quote::AuthenticQuote`] (the TPM made it for this occasion).
//!
//! Nothing here waits, opens a file or a socket, reads a clock or draws randomness. Nothing here decides: what findings
//! come to is for the verdict to say.

pub mod certify;
pub mod clock;
pub mod credential;
pub mod dsse;
pub mod endorsement;
pub mod eventlog;
#[cfg(feature = "forge")]
pub mod forge;
pub mod ima;
pub mod image;
pub mod key;
pub mod quote;
pub mod reference;
pub mod secure_boot;
pub mod tpm;

mod der;
mod digest;
