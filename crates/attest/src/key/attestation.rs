//! The attestation key: a key that signs nothing but what its TPM itself says.

use vouchsafe_model::HashAlgorithm;

use super::{KeyRejected, VerifyingKey};
use crate::tpm::PublicArea;
use crate::tpm::public::{Name, ObjectAttributes, Scheme};

/// An attestation key whose attributes leave no way to forge a quote with it.
///
/// That it is in a TPM at all, and in which, only credential activation proves.
#[derive(Clone, Debug)]
pub struct AttestationKey {
    public: PublicArea,
    key: VerifyingKey,
}

/// Why a key is not accepted as an attestation key: the first of its faults.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AkRejected {
    /// It would sign a quote that anyone has written.
    #[error("the attestation key is not restricted: it signs data from outside the TPM")]
    NotRestricted,
    /// It cannot sign.
    #[error("the attestation key may not sign")]
    NotSigning,
    /// It may decrypt as well, so that signing and decrypting could be played against each other.
    #[error("the attestation key may decrypt")]
    MayDecrypt,
    /// It may be moved to another TPM along with its parent.
    #[error("the attestation key is not fixedTPM: it may leave this TPM")]
    NotFixedTpm,
    /// It may be moved to another parent.
    #[error("the attestation key is not fixedParent: it may be duplicated")]
    NotFixedParent,
    /// Its private part was brought from outside, where others may have it.
    #[error("the attestation key is not sensitiveDataOrigin: its private part was imported")]
    Imported,
    /// Every use would choose another algorithm.
    #[error("the attestation key is bound to no signing scheme")]
    NoScheme,
    /// Its name is a digest for which collisions can be made.
    #[error("the attestation key is named with {0}: SHA-256 or better is needed")]
    WeakNameAlg(HashAlgorithm),
    /// It is no key that signatures are accepted from.
    #[error("the attestation key cannot be used: {0}")]
    Key(#[from] KeyRejected),
}

impl AttestationKey {
    /// Accepts a key that is restricted, sign-only, made in this TPM, not to be moved, and bound to a scheme.
    ///
    /// # Errors
    /// The first fault, in the order of [`AkRejected`].
    pub fn from_public(public: PublicArea) -> Result<Self, AkRejected> {
        let attributes = public.object_attributes();
        let has = |attribute| attributes.contains(attribute);
        if !has(ObjectAttributes::RESTRICTED) {
            return Err(AkRejected::NotRestricted);
        }
        if !has(ObjectAttributes::SIGN) {
            return Err(AkRejected::NotSigning);
        }
        if has(ObjectAttributes::DECRYPT) {
            return Err(AkRejected::MayDecrypt);
        }
        if !has(ObjectAttributes::FIXED_TPM) {
            return Err(AkRejected::NotFixedTpm);
        }
        if !has(ObjectAttributes::FIXED_PARENT) {
            return Err(AkRejected::NotFixedParent);
        }
        if !has(ObjectAttributes::SENSITIVE_DATA_ORIGIN) {
            return Err(AkRejected::Imported);
        }
        if public.scheme() == Scheme::Null {
            return Err(AkRejected::NoScheme);
        }
        if public.name_alg() == HashAlgorithm::Sha1 {
            return Err(AkRejected::WeakNameAlg(public.name_alg()));
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

    /// What checks its signatures.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl AkRejected {
    /// A code that programs can match, stable across versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotRestricted => "ak.not_restricted",
            Self::NotSigning => "ak.not_signing",
            Self::MayDecrypt => "ak.may_decrypt",
            Self::NotFixedTpm => "ak.not_fixed_tpm",
            Self::NotFixedParent => "ak.not_fixed_parent",
            Self::Imported => "ak.imported",
            Self::NoScheme => "ak.no_scheme",
            Self::WeakNameAlg(_) => "ak.weak_name_alg",
            Self::Key(_) => "ak.unusable",
        }
    }
}
