//! Why a quote is not authentic.

use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{HashAlgorithm, PcrIndex, PcrSelection};

use crate::key::SignatureRejected;
use crate::tpm::DecodeError;
use crate::tpm::attest::{AttestError, AttestType};

/// The first reason for which a quote was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteRejected {
    /// The caller has no qualifying data to expect, so that any quote of any time would do.
    #[error("no qualifying data was expected, so that any quote of any time would do")]
    NothingExpected,
    /// No PCR was agreed upon or signed, so that nothing would be vouched for.
    #[error("no PCR is selected, so that the quote would vouch for nothing")]
    EmptySelection,
    /// The message is no attestation.
    #[error("the message is no quote: {0}")]
    Attest(#[from] AttestError),
    /// The message is an attestation of something else.
    #[error("the message is {0} instead of TPM_ST_ATTEST_QUOTE")]
    WrongType(AttestType),
    /// The signature has no form.
    #[error("the signature is malformed: {0}")]
    MalformedSignature(DecodeError),
    /// The signature is not the key's, or of an algorithm that is not accepted.
    #[error("the signature is refused: {0}")]
    Signature(#[from] SignatureRejected),
    /// The quote was made for another occasion: a replay, or another device's.
    #[error("the quote holds other qualifying data than was asked for")]
    WrongQualifyingData,
    /// The TPM quoted other PCRs than were agreed upon.
    #[error("the quote covers {signed} and not {agreed}", signed = list(signed), agreed = list(agreed))]
    WrongSelection {
        /// What was agreed upon.
        agreed: Vec<PcrSelection>,
        /// What was signed.
        signed: Vec<PcrSelection>,
    },
    /// A bank that the quote covers came without values.
    #[error("the quote covers PCRs of the {0} bank, and no values of it were given")]
    MissingBank(HashAlgorithm),
    /// Values came of a bank that the quote does not cover.
    #[error("values of the {0} bank were given, which the quote does not cover")]
    ExtraBank(HashAlgorithm),
    /// A bank appears twice.
    #[error("the {0} bank appears twice")]
    DuplicateBank(HashAlgorithm),
    /// The values are not those of the PCRs that the quote covers.
    #[error("the values of the {bank} bank lack PCRs [{missing}] of the quote and have [{extra}] beyond it")]
    WrongPcrs {
        /// The bank.
        bank: HashAlgorithm,
        /// Quoted, and without a value.
        missing: PcrSet,
        /// With a value, and not quoted.
        extra: PcrSet,
    },
    /// A value is not as long as its bank's digests.
    #[error("the value of PCR {pcr} of the {bank} bank has {len} bytes")]
    WrongValueLength {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        pcr: PcrIndex,
        /// How long its value is, in bytes.
        len: usize,
    },
    /// The values are not those that the TPM has.
    #[error("the PCR values are not those that were signed: their digest is another one")]
    WrongDigest,
    /// The PCRs are of the SHA-1 bank, and nobody consented to that.
    #[error("the quote is of the SHA-1 bank, to which nobody consented when the device was enrolled")]
    Sha1Refused,
    /// The PCRs are of a bank that is not supported.
    #[error("the {0} bank is not supported")]
    UnsupportedBank(HashAlgorithm),
}

impl QuoteRejected {
    /// A code that programs can match, stable across versions.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NothingExpected => "quote.nothing_expected",
            Self::EmptySelection => "quote.empty_selection",
            Self::Attest(AttestError::NotTpmGenerated(_)) => "quote.not_tpm_generated",
            Self::Attest(AttestError::UnknownType(_)) | Self::WrongType(_) => "quote.wrong_type",
            Self::Attest(AttestError::Malformed(_)) => "quote.malformed",
            Self::MalformedSignature(_) => "quote.malformed_signature",
            Self::Signature(SignatureRejected::DoesNotVerify) => "quote.bad_signature",
            Self::Signature(SignatureRejected::WrongAlgorithm { .. }) => "quote.wrong_algorithm",
            Self::Signature(SignatureRejected::UnsupportedHash { .. }) => "quote.unsupported_hash",
            Self::WrongQualifyingData => "quote.wrong_qualifying_data",
            Self::WrongSelection { .. } => "quote.wrong_selection",
            Self::MissingBank(_) => "quote.missing_bank",
            Self::ExtraBank(_) => "quote.extra_bank",
            Self::DuplicateBank(_) => "quote.duplicate_bank",
            Self::WrongPcrs { .. } => "quote.wrong_pcrs",
            Self::WrongValueLength { .. } => "quote.wrong_value_length",
            Self::WrongDigest => "quote.wrong_digest",
            Self::Sha1Refused => "quote.sha1_refused",
            Self::UnsupportedBank(_) => "quote.unsupported_bank",
        }
    }
}

/// Selections as people write them: `sha256:0,1+sha1:7`.
fn list(selections: &[PcrSelection]) -> String {
    match selections {
        [] => "no PCR".to_owned(),
        _ => selections.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"),
    }
}
