//! `TPM2_Certify`: the attestation key vouches that another key is in the same TPM (TPM 2.0 Part 3, 18.2).
//!
//! Without it a host could present an attestation key of its TPM and a TLS key of its disk.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::key::{AttestationKey, DeviceKey, SignatureRejected};
use crate::tpm::attest::{AttestError, AttestType, Attested};
use crate::tpm::{Attest, DecodeError, Signature};

/// A device key of which an attestation key has said that it is in its TPM.
#[derive(Clone, Debug)]
pub struct CertifiedKey {
    key: DeviceKey,
}

/// Why a certification is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertifyRejected {
    /// There is no qualifying data to expect, and so nothing that would bind the certification to this enrolment.
    #[error("no qualifying data was expected, so that any certification of any time would do")]
    NothingExpected,
    /// It is no attestation.
    #[error("the certification is no attestation: {0}")]
    Attest(#[from] AttestError),
    /// It is an attestation of something else.
    #[error("the certification is {0} instead of TPM_ST_ATTEST_CERTIFY")]
    WrongType(AttestType),
    /// The signature has no form.
    #[error("the certification's signature is malformed: {0}")]
    MalformedSignature(DecodeError),
    /// The signature is not the attestation key's.
    #[error("the certification's signature is refused: {0}")]
    Signature(#[from] SignatureRejected),
    /// It was made for another occasion.
    #[error("the certification holds other qualifying data than was asked for")]
    WrongQualifyingData,
    /// It certifies another key.
    #[error("the certification is of another key than the device key")]
    WrongName,
}

/// Checks that `ak` certified `device_key` over `qualifying_data`.
///
/// # Errors
/// See [`CertifyRejected`].
pub fn verify(
    ak: &AttestationKey,
    attest: &[u8],
    signature: &[u8],
    device_key: &DeviceKey,
    qualifying_data: &[u8],
) -> Result<CertifiedKey, CertifyRejected> {
    if qualifying_data.is_empty() {
        return Err(CertifyRejected::NothingExpected);
    }
    let statement = Attest::parse(attest)?;
    let Attested::Certify(certified) = &statement.attested else {
        return Err(CertifyRejected::WrongType(statement.attested.kind()));
    };
    let signature = Signature::parse(signature).map_err(CertifyRejected::MalformedSignature)?;
    ak.verifying_key().verify(attest, &signature)?;
    verify_slices_are_equal(statement.extra_data, qualifying_data).map_err(|_| CertifyRejected::WrongQualifyingData)?;
    if certified.name != device_key.name().as_bytes() {
        return Err(CertifyRejected::WrongName);
    }
    Ok(CertifiedKey { key: device_key.clone() })
}

impl CertifiedKey {
    /// The key.
    pub fn device_key(&self) -> &DeviceKey {
        &self.key
    }

    /// Lets go of the witness and keeps the key.
    pub fn into_device_key(self) -> DeviceKey {
        self.key
    }
}

impl CertifyRejected {
    /// A code that programs can match, stable across versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NothingExpected => "certify.nothing_expected",
            Self::Attest(AttestError::NotTpmGenerated(_)) => "certify.not_tpm_generated",
            Self::Attest(AttestError::UnknownType(_)) | Self::WrongType(_) => "certify.wrong_type",
            Self::Attest(AttestError::Malformed(_)) => "certify.malformed",
            Self::MalformedSignature(_) => "certify.malformed_signature",
            Self::Signature(SignatureRejected::DoesNotVerify) => "certify.bad_signature",
            Self::Signature(SignatureRejected::WrongAlgorithm { .. }) => "certify.wrong_algorithm",
            Self::Signature(SignatureRejected::UnsupportedHash { .. }) => "certify.unsupported_hash",
            Self::WrongQualifyingData => "certify.wrong_qualifying_data",
            Self::WrongName => "certify.wrong_name",
        }
    }
}
