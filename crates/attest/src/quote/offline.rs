//! Quotes from files, for people: what did this key sign?
//!
//! Here nobody has agreed on a nonce or on PCRs beforehand, so each is checked only when it is given. The key may have
//! come as PEM, which says nothing about its attributes: that it is an attestation key is for the caller to know.
//! Evidence that decides anything goes through [`super::QuoteCheck`] instead.

use vouchsafe_model::{HashAlgorithm, PcrBank, PcrSelection};

use super::QuoteRejected;
use super::statement::{Statement, check_pcrs};
use crate::clock::ClockReading;
use crate::key::VerifyingKey;

/// A quote from a file.
#[derive(Clone, Copy, Debug)]
pub struct OfflineCheck<'a> {
    /// The key that is said to have signed it.
    pub key: &'a VerifyingKey,
    /// The `TPMS_ATTEST`.
    pub message: &'a [u8],
    /// The `TPMT_SIGNATURE`.
    pub signature: &'a [u8],
    /// The nonce, if one is known.
    pub qualifying_data: Option<&'a [u8]>,
}

/// What the key signed: a TPM-generated quote, of any time and any PCRs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedQuote {
    qualified_signer: Vec<u8>,
    qualifying_data: Vec<u8>,
    clock: ClockReading,
    selections: Vec<PcrSelection>,
    digest: Vec<u8>,
    hash: HashAlgorithm,
}

impl OfflineCheck<'_> {
    /// Checks form, magic, type and signature, and the qualifying data if it is known.
    ///
    /// # Errors
    /// The first reason for which it is refused.
    pub fn verify(&self) -> Result<SignedQuote, QuoteRejected> {
        let statement = Statement::authenticate(self.key, self.message, self.signature)?;
        if let Some(expected) = self.qualifying_data {
            statement.check_qualifying_data(expected)?;
        }
        Ok(SignedQuote {
            qualified_signer: statement.qualified_signer.to_vec(),
            qualifying_data: statement.extra_data.to_vec(),
            clock: statement.clock,
            selections: statement.selections,
            digest: statement.digest.to_vec(),
            hash: statement.hash,
        })
    }
}

impl SignedQuote {
    /// Checks that these are the values, all of them and no others, that the quote vouches for.
    ///
    /// # Errors
    /// When a bank or a PCR is missing, extra or double, a value is of the wrong length, or the digest is another one.
    pub fn check_pcrs(&self, pcrs: &[PcrBank]) -> Result<(), QuoteRejected> {
        check_pcrs(&self.selections, self.hash, &self.digest, pcrs)
    }

    /// The PCRs that it covers, in the order of the digest.
    pub fn selections(&self) -> &[PcrSelection] {
        &self.selections
    }

    /// The nonce that it was made for.
    pub fn qualifying_data(&self) -> &[u8] {
        &self.qualifying_data
    }

    /// The TPM's clock, counters and firmware when it was made.
    pub fn clock(&self) -> &ClockReading {
        &self.clock
    }

    /// The qualified name of the key that signed.
    pub fn qualified_signer(&self) -> &[u8] {
        &self.qualified_signer
    }

    /// The digest over the PCR values.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// The hash of the signature, and of the digest.
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }
}
