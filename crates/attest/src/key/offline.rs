//! A key from a file, for checks by people.

use super::{KeyRejected, VerifyingKey};
use crate::tpm::PublicArea;
use crate::tpm::public::ObjectAttributes;

/// A key from a file in whichever form it came, with what the form says about it.
#[derive(Clone, Debug)]
pub struct OfflineKey {
    key: VerifyingKey,
    public: Option<PublicArea>,
}

impl OfflineKey {
    /// Reads a `TPM2B_PUBLIC`, a `TPMT_PUBLIC`, a PEM PUBLIC KEY or a DER `SubjectPublicKeyInfo`.
    ///
    /// Their first bytes tell them apart: PEM begins with a dash or white space, DER with 0x30, and as a size that
    /// would be longer than any public area.
    ///
    /// # Errors
    /// As the form that it is, and when its key cannot be used to check signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyRejected> {
        match bytes.first() {
            Some(0x30) => Ok(Self { key: VerifyingKey::from_spki_der(bytes)?, public: None }),
            Some(first) if *first == b'-' || first.is_ascii_whitespace() => {
                Ok(Self { key: VerifyingKey::from_pem(bytes)?, public: None })
            }
            _ => {
                let public = PublicArea::parse_either(bytes)?;
                Ok(Self { key: VerifyingKey::from_public(&public)?, public: Some(public) })
            }
        }
    }

    /// What checks its signatures.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }

    /// Its public area, if it came with one.
    pub fn public_area(&self) -> Option<&PublicArea> {
        self.public.as_ref()
    }

    /// Whether it signs nothing but what its TPM says; `None` when the form does not tell. A key that is not restricted
    /// can be made to sign a quote that anyone has written.
    pub fn is_restricted(&self) -> Option<bool> {
        self.public.as_ref().map(|public| public.object_attributes().contains(ObjectAttributes::RESTRICTED))
    }
}
