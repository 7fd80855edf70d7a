//! Keys that sign: which may be believed, for what, and whether a signature is theirs.
//!
//! [`VerifyingKey`] checks signatures. [`AttestationKey`] and [`DeviceKey`] are witnesses besides: there is no way to
//! have one whose attributes were not checked, so that what asks for one cannot be called without.

mod attestation;
mod device;
mod offline;
mod verify;

pub use attestation::{AkRejected, AttestationKey};
pub use device::{DeviceKey, DeviceKeyRejected};
pub use offline::OfflineKey;
pub use verify::{KeyRejected, SignatureRejected, VerifyingKey};
