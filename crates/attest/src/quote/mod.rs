//! Quotes: PCR values that a TPM vouches for (`TPM2_Quote`, TPM 2.0 Part 3, 18.4).
//!
//! [`QuoteCheck::verify`] is the only way to an [`AuthenticQuote`]. It goes from the form to the meaning, and stops at
//! the first fault: form, magic and type; the signature over the very bytes that were parsed; the qualifying data; the
//! *signed* selection against the agreed one, exactly; the set and lengths of the values; the digest over them; the
//! bank. PCR numbers come from the signed selection alone: what the sender calls the values counts for nothing.

mod offline;
pub mod pcr_file;
mod rejected;
mod statement;

use vouchsafe_model::{HashAlgorithm, PcrBank, PcrSelection};

pub use offline::{OfflineCheck, SignedQuote};
pub use rejected::QuoteRejected;

use crate::clock::ClockReading;
use crate::key::AttestationKey;
use statement::Statement;

/// A quote, and what it must agree with.
#[derive(Clone, Copy, Debug)]
pub struct QuoteCheck<'a> {
    /// The device's attestation key.
    pub ak: &'a AttestationKey,
    /// The `TPMS_ATTEST`, as the TPM signed it.
    pub message: &'a [u8],
    /// The `TPMT_SIGNATURE` over it.
    pub signature: &'a [u8],
    /// What the quote must be bound to: the nonce, or a digest over it and what else it covers.
    pub qualifying_data: &'a [u8],
    /// The PCRs that were asked for.
    pub selection: &'a PcrSelection,
    /// The values that the sender claims.
    pub pcrs: &'a PcrBank,
    /// Whether the SHA-1 bank will do.
    pub sha1: Sha1Bank,
}

/// Whether PCRs of the SHA-1 bank are accepted from this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sha1Bank {
    /// No: collisions can be made.
    Refused,
    /// Yes: an operator consented when the device was enrolled, since its TPM has no other.
    Consented,
}

/// A quote that this device's TPM made for this occasion, with the PCR values that it vouches for.
///
/// Authentic says nothing about whether the values are good ones: for that see [`crate::reference`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticQuote {
    pcrs: PcrBank,
    clock: ClockReading,
    qualified_signer: Vec<u8>,
    digest: Vec<u8>,
}

impl QuoteCheck<'_> {
    /// Checks the quote.
    ///
    /// # Errors
    /// The first reason for which it is refused.
    pub fn verify(&self) -> Result<AuthenticQuote, QuoteRejected> {
        if self.qualifying_data.is_empty() {
            return Err(QuoteRejected::NothingExpected);
        }
        if self.selection.pcrs.is_empty() {
            return Err(QuoteRejected::EmptySelection);
        }
        let statement = Statement::authenticate(self.ak.verifying_key(), self.message, self.signature)?;
        statement.check_qualifying_data(self.qualifying_data)?;
        statement.check_selection(std::slice::from_ref(self.selection))?;
        statement.check_pcrs(std::slice::from_ref(self.pcrs))?;
        match (self.selection.bank, self.sha1) {
            (HashAlgorithm::Sha1, Sha1Bank::Refused) => return Err(QuoteRejected::Sha1Refused),
            (bank @ HashAlgorithm::Sm3, _) => return Err(QuoteRejected::UnsupportedBank(bank)),
            _ => {}
        }
        Ok(AuthenticQuote {
            pcrs: self.pcrs.clone(),
            clock: statement.clock,
            qualified_signer: statement.qualified_signer.to_vec(),
            digest: statement.digest.to_vec(),
        })
    }
}

impl AuthenticQuote {
    /// The PCR values.
    pub fn pcrs(&self) -> &PcrBank {
        &self.pcrs
    }

    /// The TPM's clock, counters and firmware when it was made.
    pub fn clock(&self) -> &ClockReading {
        &self.clock
    }

    /// The version of the TPM's firmware, as this key is told it: good for comparing with its other quotes.
    pub fn firmware_version(&self) -> u64 {
        self.clock.firmware_version
    }

    /// The qualified name of the key that signed.
    pub fn qualified_signer(&self) -> &[u8] {
        &self.qualified_signer
    }

    /// The digest over the values, made with the hash of the signature.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}
