//! TPM 2.0 structures as they cross the wire (TPM 2.0 Library, Part 2: Structures).
//!
//! Every decoder here takes bytes that an attacker may have written. Each reads to the last byte or fails with a
//! [`DecodeError`] that names the structure, the field and the offset; none allocates by a length that it has not
//! compared with the bytes that are there; none panics. What they return is parsed, and nothing more: whether it is
//! authentic is for [`crate::key`] and [`crate::quote`] to say.

pub mod algorithm;
pub mod attest;
pub mod pcr_selection;
pub mod public;
pub mod reader;
pub mod signature;

pub use algorithm::AlgorithmId;
pub use attest::Attest;
pub use public::{PublicArea, PublicKey};
pub use reader::{DecodeError, DecodeProblem, Reader};
pub use signature::Signature;
