//! A quote whose signature is good, and what can then be asked of it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::Context;
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrSelection};

use super::QuoteRejected;
use crate::clock::ClockReading;
use crate::digest;
use crate::key::VerifyingKey;
use crate::tpm::attest::Attested;
use crate::tpm::{Attest, Signature};

/// What a key signed about PCRs.
pub(super) struct Statement<'a> {
    pub(super) qualified_signer: &'a [u8],
    pub(super) extra_data: &'a [u8],
    pub(super) clock: ClockReading,
    pub(super) selections: Vec<PcrSelection>,
    pub(super) digest: &'a [u8],
    /// The hash of the signature, with which the TPM also makes the digest over the PCRs (Part 3, 18.4).
    pub(super) hash: HashAlgorithm,
}

impl<'a> Statement<'a> {
    /// Reads a quote and checks its signature.
    pub(super) fn authenticate(key: &VerifyingKey, message: &'a [u8], signature: &[u8]) -> Result<Self, QuoteRejected> {
        let Attest { qualified_signer, extra_data, clock, attested } = Attest::parse(message)?;
        let kind = attested.kind();
        let Attested::Quote(quote) = attested else {
            return Err(QuoteRejected::WrongType(kind));
        };
        let signature = Signature::parse(signature).map_err(QuoteRejected::MalformedSignature)?;
        key.verify(message, &signature)?;
        let hash = signature.hash;
        Ok(Self { qualified_signer, extra_data, clock, selections: quote.selections, digest: quote.digest, hash })
    }

    pub(super) fn check_qualifying_data(&self, expected: &[u8]) -> Result<(), QuoteRejected> {
        verify_slices_are_equal(self.extra_data, expected).map_err(|_| QuoteRejected::WrongQualifyingData)
    }

    pub(super) fn check_selection(&self, agreed: &[PcrSelection]) -> Result<(), QuoteRejected> {
        if self.selections == agreed {
            return Ok(());
        }
        Err(QuoteRejected::WrongSelection { agreed: agreed.to_vec(), signed: self.selections.clone() })
    }

    pub(super) fn check_pcrs(&self, pcrs: &[PcrBank]) -> Result<(), QuoteRejected> {
        check_pcrs(&self.selections, self.hash, self.digest, pcrs)
    }
}

/// Checks that these are the values, all of them and no others, whose digest was signed.
pub(super) fn check_pcrs(
    selections: &[PcrSelection],
    hash: HashAlgorithm,
    digest: &[u8],
    pcrs: &[PcrBank],
) -> Result<(), QuoteRejected> {
    if selections.iter().all(|selection| selection.pcrs.is_empty()) {
        return Err(QuoteRejected::EmptySelection);
    }
    // A TPM answers with a bank for each that was asked for, also when it has none of its PCRs.
    let is_given = |bank: &PcrBank| selections.iter().any(|wanted| wanted.bank == bank.bank && !wanted.pcrs.is_empty());
    if let Some(extra) = pcrs.iter().find(|bank| !is_given(bank)) {
        return Err(QuoteRejected::ExtraBank(extra.bank));
    }
    let algorithm = digest::algorithm(hash).ok_or(QuoteRejected::UnsupportedBank(hash))?;
    let mut context = Context::new(algorithm);
    for (position, selection) in selections.iter().enumerate().filter(|(_, selection)| !selection.pcrs.is_empty()) {
        if selections.iter().take(position).any(|earlier| earlier.bank == selection.bank) {
            return Err(QuoteRejected::DuplicateBank(selection.bank));
        }
        add_values(&mut context, selection, pcrs)?;
    }
    verify_slices_are_equal(context.finish().as_ref(), digest).map_err(|_| QuoteRejected::WrongDigest)
}

/// Adds the values of one selected bank to the digest, in ascending order.
fn add_values(context: &mut Context, selection: &PcrSelection, pcrs: &[PcrBank]) -> Result<(), QuoteRejected> {
    let mut given = pcrs.iter().filter(|bank| bank.bank == selection.bank);
    let bank = given.next().ok_or(QuoteRejected::MissingBank(selection.bank))?;
    if given.next().is_some() {
        return Err(QuoteRejected::DuplicateBank(selection.bank));
    }
    let present = bank.selection().pcrs;
    if present != selection.pcrs {
        let missing = selection.pcrs.without(present);
        return Err(QuoteRejected::WrongPcrs { bank: bank.bank, missing, extra: present.without(selection.pcrs) });
    }
    for (pcr, value) in &bank.values {
        let value = value.as_bytes();
        if value.len() != bank.bank.digest_len() {
            return Err(QuoteRejected::WrongValueLength { bank: bank.bank, pcr: *pcr, len: value.len() });
        }
        context.update(value);
    }
    Ok(())
}
