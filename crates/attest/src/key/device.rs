//! The device key: the TLS key that never leaves its TPM.

use vouchsafe_model::HashAlgorithm;

use super::{KeyRejected, VerifyingKey};
use crate::tpm::public::{Curve, Name, ObjectAttributes};
use crate::tpm::{PublicArea, PublicKey};

/// A TLS key whose attributes say that its TPM made it and keeps it.
///
/// That this is so, its certification by the attestation key proves: see [`crate::certify`].
#[derive(Clone, Debug)]
pub struct DeviceKey {
    public: PublicArea,
    key: VerifyingKey,
}

/// Why a key is not accepted as a device key: the first of its faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceKeyRejected {
    /// It cannot sign.
    #[error("the device key may not sign")]
    NotSigning,
    /// It may decrypt as well.
    #[error("the device key may decrypt")]
    MayDecrypt,
    /// It signs only what the TPM itself says, and so no TLS handshake.
    #[error("the device key is restricted: it cannot sign a TLS handshake")]
    Restricted,
    /// It may be moved to another TPM along with its parent.
    #[error("the device key is not fixedTPM: it may leave this TPM")]
    NotFixedTpm,
    /// It may be moved to another parent.
    #[error("the device key is not fixedParent: it may be duplicated")]
    NotFixedParent,
    /// Its private part was brought from outside, where others may have it.
    #[error("the device key is not sensitiveDataOrigin: its private part was imported")]
    Imported,
    /// Its name is a digest for which collisions can be made, and the certification vouches for the name alone.
    #[error("the device key is named with {0}: SHA-256 or better is needed")]
    WeakNameAlg(HashAlgorithm),
    /// It is on another curve than certificates are issued for.
    #[error("the device key is on {0}: P-256, or RSA of 2048 bits or more, is needed")]
    WrongCurve(Curve),
    /// It is no key that signatures are accepted from.
    #[error("the device key cannot be used: {0}")]
    Key(#[from] KeyRejected),
}

impl DeviceKey {
    /// Accepts a P-256 or RSA key that signs only, was made in this TPM, and cannot be moved.
    ///
    /// # Errors
    /// The first fault, in the order of [`DeviceKeyRejected`].
    pub fn from_public(public: PublicArea) -> Result<Self, DeviceKeyRejected> {
        let attributes = public.object_attributes();
        let has = |attribute| attributes.contains(attribute);
        if !has(ObjectAttributes::SIGN) {
            return Err(DeviceKeyRejected::NotSigning);
        }
        if has(ObjectAttributes::DECRYPT) {
            return Err(DeviceKeyRejected::MayDecrypt);
        }
        if has(ObjectAttributes::RESTRICTED) {
            return Err(DeviceKeyRejected::Restricted);
        }
        if !has(ObjectAttributes::FIXED_TPM) {
            return Err(DeviceKeyRejected::NotFixedTpm);
        }
        if !has(ObjectAttributes::FIXED_PARENT) {
            return Err(DeviceKeyRejected::NotFixedParent);
        }
        if !has(ObjectAttributes::SENSITIVE_DATA_ORIGIN) {
            return Err(DeviceKeyRejected::Imported);
        }
        if public.name_alg() == HashAlgorithm::Sha1 {
            return Err(DeviceKeyRejected::WeakNameAlg(public.name_alg()));
        }
        if let PublicKey::Ecc(ecc) = public.key()
            && ecc.curve() != Curve::P256
        {
            return Err(DeviceKeyRejected::WrongCurve(ecc.curve()));
        }
        let key = VerifyingKey::from_public(&public)?;
        Ok(Self { public, key })
    }

    /// Its public area.
    pub fn public(&self) -> &PublicArea {
        &self.public
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        self.public.name()
    }

    /// The key as DER `SubjectPublicKeyInfo`, as its certificate and its signing request hold it.
    pub fn to_spki_der(&self) -> Vec<u8> {
        self.public.to_spki_der()
    }

    /// What checks its signatures.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl DeviceKeyRejected {
    /// A code that programs can match, stable across versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotSigning => "device_key.not_signing",
            Self::MayDecrypt => "device_key.may_decrypt",
            Self::Restricted => "device_key.restricted",
            Self::NotFixedTpm => "device_key.not_fixed_tpm",
            Self::NotFixedParent => "device_key.not_fixed_parent",
            Self::Imported => "device_key.imported",
            Self::WeakNameAlg(_) => "device_key.weak_name_alg",
            Self::WrongCurve(_) => "device_key.wrong_curve",
            Self::Key(_) => "device_key.unusable",
        }
    }
}
