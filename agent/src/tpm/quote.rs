//! Quotes (`TPM2_Quote`, TPM 2.0 Part 3, 18.4) with the PCR values that they are about.
//!
//! A quote carries a digest over the values, not the values; those are read beside it. A PCR that is extended in between
//! would make an honest host look like a liar, so the values are compared with the quote here, and quoted anew where they
//! do not agree. They are read before the quote, since a TPM takes the digest first and then signs for long, and once more
//! after it where that was too early: a host that measures all the time, as one does whose packages are updated, has to be
//! able to vouch for itself meanwhile.

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};
use tss_esapi::constants::CapabilityType;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{AttestInfo, CapabilityData, Data, PcrSelectionList, PcrSlot, SignatureScheme};
use tss_esapi::traits::Marshall;
use vouchsafe_model::pcr::{PcrSet, PcrValue, PcrValues};
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex, PcrSelection};

use super::key::{DeviceKeys, load};
use super::{Tpm, TpmError};

/// A quote as the TPM made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawQuote {
    /// `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The values that the quote is about.
    pub pcrs: PcrBank,
}

/// How often PCRs that keep changing are quoted. During a boot and an update they change often, else hardly ever.
const MAX_ATTEMPTS: u32 = 5;
const QUOTING: &str = "quoting PCRs";
const READING: &str = "reading PCRs";

/// Quotes PCRs with the AK.
///
/// # Errors
/// When a PCR of the selection does not exist, when the PCRs keep changing, when the TPM refuses, or cannot be asked.
pub fn quote(tpm: &Tpm, keys: &DeviceKeys, selection: &PcrSelection, qualifying: &[u8]) -> Result<RawQuote, TpmError> {
    let ak = load(tpm, &keys.parent, &keys.ak)?;
    let qualifying = Data::try_from(qualifying.to_vec()).map_err(|error| TpmError::of(QUOTING, error))?;
    let wanted = list(selection)?;
    let groups = groups(selection.pcrs);
    for _ in 0..MAX_ATTEMPTS {
        let before = read(tpm, selection, groups.iter())?;
        let (message, signature) = tpm.call_authorised(QUOTING, |context| {
            context.quote(ak.key(), qualifying.clone(), SignatureScheme::Null, wanted.clone())
        })?;
        let AttestInfo::Quote { info } = message.attested() else {
            return Err(TpmError::unexpected(QUOTING, "the TPM answered another attestation"));
        };
        let quoted = selected(info.pcr_selection(), selection.bank);
        if quoted != selection.pcrs {
            let quoted = PcrSelection { bank: selection.bank, pcrs: quoted };
            return Err(TpmError::PcrsMissing { wanted: selection.to_string(), quoted: quoted.to_string() });
        }
        let are_quoted = |values: &PcrValues| digest_of(values) == info.pcr_digest().value();
        let values = if are_quoted(&before) { before } else { read(tpm, selection, groups.iter().rev())? };
        if are_quoted(&values) {
            return Ok(RawQuote {
                message: message.marshall().map_err(|error| TpmError::of(QUOTING, error))?,
                signature: signature.marshall().map_err(|error| TpmError::of(QUOTING, error))?,
                pcrs: PcrBank { bank: selection.bank, values },
            });
        }
    }
    Err(TpmError::PcrsUnsettled { attempts: MAX_ATTEMPTS })
}

/// The banks in which the TPM keeps PCRs, weakest first.
///
/// # Errors
/// When the TPM cannot be asked.
pub fn pcr_banks(tpm: &Tpm) -> Result<Vec<HashAlgorithm>, TpmError> {
    const DOING: &str = "listing PCR banks";
    let answer = tpm.call(DOING, |context| context.get_capability(CapabilityType::AssignedPcr, 0, 16));
    match answer {
        Ok((CapabilityData::AssignedPcr(list), _)) => {
            Ok(HashAlgorithm::ALL.into_iter().filter(|bank| !selected(&list, *bank).is_empty()).collect())
        }
        // A bank that the stack has no word for hides the others. None named means SHA-256.
        Ok(_) | Err(TpmError::Unexpected { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A selection in parts of eight, as many as the TPM hands out at once (TPM 2.0 Part 3, 22.4). Those of the firmware come
/// first and those of the running system last.
fn groups(pcrs: PcrSet) -> Vec<PcrSet> {
    let group =
        |range: Range<u8>| -> PcrSet { range.filter_map(PcrIndex::new).filter(|pcr| pcrs.contains(*pcr)).collect() };
    [0..8, 8..16, 16..24].map(group).into_iter().filter(|group| !group.is_empty()).collect()
}

/// The values of the PCRs of these groups. They need not be of one instant: that they are those of a quote is for the quote
/// to say. The group beside the quote is the last before it, or the first behind.
fn read<'a>(
    tpm: &Tpm,
    selection: &PcrSelection,
    groups: impl Iterator<Item = &'a PcrSet>,
) -> Result<PcrValues, TpmError> {
    let mut values = PcrValues::new();
    for group in groups {
        let mut remaining = *group;
        while !remaining.is_empty() {
            let wanted = list(&PcrSelection { bank: selection.bank, pcrs: remaining })?;
            let (_, read, digests) = tpm.call(READING, |context| context.pcr_read(wanted.clone()))?;
            let read = selected(&read, selection.bank);
            if read.is_empty() || read.len() != digests.len() {
                let quoted = PcrSelection { bank: selection.bank, pcrs: values.keys().copied().collect() };
                return Err(TpmError::PcrsMissing { wanted: selection.to_string(), quoted: quoted.to_string() });
            }
            for (pcr, digest) in read.iter().zip(digests.value()) {
                let value = PcrValue::new(digest.value().to_vec())
                    .ok_or_else(|| TpmError::unexpected(READING, "a value is longer than any digest"))?;
                values.insert(pcr, value);
            }
            remaining = remaining.without(read);
        }
    }
    Ok(values)
}

/// SHA-256 (the hash of every AK made here) over the values, ascending (TPM 2.0 Part 1, 17.5).
fn digest_of(values: &PcrValues) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    values.values().for_each(|value| context.update(value.as_bytes()));
    context.finish().as_ref().to_vec()
}

fn list(selection: &PcrSelection) -> Result<PcrSelectionList, TpmError> {
    let slots: Vec<PcrSlot> =
        selection.pcrs.iter().filter_map(|pcr| PcrSlot::try_from(1u32 << pcr.get()).ok()).collect();
    PcrSelectionList::builder()
        .with_selection(in_the_stack(selection.bank), &slots)
        .build()
        .map_err(|error| TpmError::of(QUOTING, error))
}

fn selected(list: &PcrSelectionList, bank: HashAlgorithm) -> PcrSet {
    list.get_selections()
        .iter()
        .filter(|selection| selection.hashing_algorithm() == in_the_stack(bank))
        .flat_map(|selection| {
            PcrIndex::all()
                .filter(|pcr| PcrSlot::try_from(1u32 << pcr.get()).is_ok_and(|slot| selection.is_selected(slot)))
        })
        .collect()
}

fn in_the_stack(bank: HashAlgorithm) -> HashingAlgorithm {
    match bank {
        HashAlgorithm::Sha1 => HashingAlgorithm::Sha1,
        HashAlgorithm::Sha256 => HashingAlgorithm::Sha256,
        HashAlgorithm::Sha384 => HashingAlgorithm::Sha384,
        HashAlgorithm::Sha512 => HashingAlgorithm::Sha512,
        HashAlgorithm::Sm3 => HashingAlgorithm::Sm3_256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_the_same_for_the_stack() {
        for text in ["sha256:0-7", "sha1:0,23", "sha384:10", "sha512:0-23"] {
            let selection: PcrSelection = text.parse().unwrap();
            let list = list(&selection).unwrap();
            assert_eq!(selected(&list, selection.bank), selection.pcrs, "{text}");
            assert!(selected(&list, HashAlgorithm::Sm3).is_empty());
        }
    }
}
