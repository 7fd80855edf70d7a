//! PCR values from files: JSON, and the two forms that `tpm2_quote --pcr` writes.
//!
//! A file is a claim. [`super::SignedQuote::check_pcrs`] says whether it is true.

use std::collections::BTreeMap;

use vouchsafe_model::pcr::{PcrSet, PcrValue, PcrValues};
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrIndex, PcrSelection};

use crate::tpm::AlgorithmId;
use crate::tpm::pcr_selection::MAX_BANKS;

/// The longest file that is read, in bytes: every PCR of every bank as JSON takes a quarter.
pub const MAX_LEN: usize = 64 * 1024;

/// Why a file holds no PCR values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PcrFileError {
    /// It is longer than any such file.
    #[error("{0} bytes are more than PCR values take")]
    TooLong(usize),
    /// It begins like JSON and is none of the kind that is expected.
    #[error("no JSON of the form {{\"sha256\":{{\"0\":\"hex\"}}}}: {0}")]
    Json(String),
    /// It is neither JSON, nor as long as the binary form of tpm2-tools, nor as the values of the quote's PCRs.
    #[error("{len} bytes are neither JSON nor a PCR file of tpm2-tools; the values of the quote alone take {values}")]
    UnknownForm {
        /// Its length.
        len: usize,
        /// The length of the values that the quote covers.
        values: usize,
    },
    /// A field of the binary form has a value that it cannot have.
    #[error("{field} at byte {offset} of the PCR file is {value}, and at most {max} is possible")]
    TooMany {
        /// The field.
        field: &'static str,
        /// Where it is.
        offset: usize,
        /// Its value.
        value: usize,
        /// The greatest that is possible.
        max: usize,
    },
    /// The binary form names a bank that is not known.
    #[error("{0} in the PCR file is no bank that is supported")]
    UnknownBank(AlgorithmId),
    /// The binary form selects a PCR above 23.
    #[error("the PCR file selects a PCR above 23")]
    UnknownPcr,
    /// The binary form names a bank twice.
    #[error("the PCR file has the {0} bank twice")]
    DuplicateBank(HashAlgorithm),
    /// The binary form has more or fewer values than PCRs.
    #[error("the PCR file selects {selected} PCRs and has {values} values")]
    WrongCount {
        /// The PCRs.
        selected: usize,
        /// The values.
        values: usize,
    },
    /// A value is not as long as its bank's digests.
    #[error("the value of PCR {pcr} of the {bank} bank has {len} bytes")]
    WrongValueLength {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        pcr: PcrIndex,
        /// How long its value is.
        len: usize,
    },
}

/// Reads PCR values in whichever form they are.
///
/// `signed` is what the quote covers ([`super::SignedQuote::selections`]): the bare form of tpm2-tools (`--pcrs_format
/// values`) has the values one behind the other and nothing else, so that only the quote says whose they are.
///
/// # Errors
/// When it has none of the three forms.
pub fn parse(bytes: &[u8], signed: &[PcrSelection]) -> Result<Vec<PcrBank>, PcrFileError> {
    if bytes.len() > MAX_LEN {
        return Err(PcrFileError::TooLong(bytes.len()));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_start().starts_with('{') => parse_json(text),
        _ if structure::has_its_length(bytes) => structure::parse(bytes),
        _ => parse_values(bytes, signed),
    }
}

/// Reads `{"sha256":{"0":"hex"}}`.
fn parse_json(text: &str) -> Result<Vec<PcrBank>, PcrFileError> {
    let banks: BTreeMap<HashAlgorithm, PcrValues> =
        serde_json::from_str(text).map_err(|error| PcrFileError::Json(error.to_string()))?;
    Ok(banks.into_iter().map(|(bank, values)| PcrBank { bank, values }).collect())
}

/// Reads values that stand one behind the other, in the order of the selections.
fn parse_values(bytes: &[u8], selections: &[PcrSelection]) -> Result<Vec<PcrBank>, PcrFileError> {
    let values =
        selections.iter().map(|selection| selection.pcrs.len().saturating_mul(selection.bank.digest_len())).sum();
    let unknown = || PcrFileError::UnknownForm { len: bytes.len(), values };
    if bytes.is_empty() || bytes.len() != values {
        return Err(unknown());
    }
    let mut rest = bytes;
    let mut digests = Vec::new();
    for selection in selections {
        for _ in selection.pcrs.iter() {
            let (digest, others) = rest.split_at_checked(selection.bank.digest_len()).ok_or_else(unknown)?;
            digests.push(digest);
            rest = others;
        }
    }
    assign(selections, &digests)
}

/// Gives each selected PCR its value.
fn assign(selections: &[PcrSelection], digests: &[&[u8]]) -> Result<Vec<PcrBank>, PcrFileError> {
    let selected = selections.iter().map(|selection| selection.pcrs.len()).sum::<usize>();
    if selected != digests.len() {
        return Err(PcrFileError::WrongCount { selected, values: digests.len() });
    }
    let mut digests = digests.iter();
    let mut banks: Vec<PcrBank> = Vec::new();
    for PcrSelection { bank, pcrs } in selections.iter().filter(|selection| !selection.pcrs.is_empty()) {
        if banks.iter().any(|earlier| earlier.bank == *bank) {
            return Err(PcrFileError::DuplicateBank(*bank));
        }
        let values = pcrs
            .iter()
            .zip(digests.by_ref())
            .map(|(pcr, digest)| {
                let wrong_length = PcrFileError::WrongValueLength { bank: *bank, pcr, len: digest.len() };
                let value = PcrValue::new(digest.to_vec()).filter(|_| digest.len() == bank.digest_len());
                value.map(|value| (pcr, value)).ok_or(wrong_length)
            })
            .collect::<Result<PcrValues, _>>()?;
        banks.push(PcrBank { bank: *bank, values });
    }
    Ok(banks)
}

/// The `serialized` form: tpm2-tools writes its C structures out as they lie in memory, integers little-endian.
///
/// First a `TPML_PCR_SELECTION` with room for 16 banks: a 32-bit count, then for each bank a 16-bit algorithm, the
/// length of its bitmap, four bytes of bitmap and one of padding. Then a 32-bit count of `TPML_DIGESTs`, each with a
/// 32-bit count and room for eight digests, and each of these a 16-bit size and 64 bytes. Room that is not used may
/// hold anything.
mod structure {
    use super::{AlgorithmId, HashAlgorithm, MAX_BANKS, PcrBank, PcrFileError, PcrSelection, PcrSet, assign};

    const BANK_LEN: usize = 8;
    const DIGESTS_PER_LIST: usize = 8;
    const DIGEST_LEN: usize = 2 + 64;
    const LIST_LEN: usize = 4 + DIGESTS_PER_LIST * DIGEST_LEN;
    const HEADER_LEN: usize = 4 + MAX_BANKS * BANK_LEN + 4;

    /// Whether the file is as long as the form with any number of lists, at least one.
    pub(super) fn has_its_length(bytes: &[u8]) -> bool {
        bytes.len().checked_sub(HEADER_LEN).is_some_and(|lists| lists > 0 && lists.is_multiple_of(LIST_LEN))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Vec<PcrBank>, PcrFileError> {
        let mut cursor = Cursor { bytes, offset: 0 };
        let banks = cursor.count("the number of banks", MAX_BANKS)?;
        let selections =
            (0..MAX_BANKS).map(|_| cursor.take(BANK_LEN)).take(banks).map(selection).collect::<Result<_, _>>();
        let selections: Vec<PcrSelection> = selections?;
        cursor.offset = HEADER_LEN.saturating_sub(4);
        let lists =
            cursor.count("the number of lists of digests", bytes.len().saturating_sub(HEADER_LEN) / LIST_LEN)?;
        let mut digests = Vec::new();
        for list in 0..lists {
            cursor.offset = HEADER_LEN.saturating_add(list.saturating_mul(LIST_LEN));
            let count = cursor.count("the number of digests", DIGESTS_PER_LIST)?;
            for _ in 0..count {
                digests.push(cursor.digest()?);
            }
        }
        assign(&selections, &digests)
    }

    fn selection(bytes: &[u8]) -> Result<PcrSelection, PcrFileError> {
        let &[low, high, len, first, second, third, fourth, _] = bytes else {
            return Err(PcrFileError::UnknownPcr);
        };
        let id = u16::from_le_bytes([low, high]);
        let bank = HashAlgorithm::from_tpm_alg_id(id).ok_or(PcrFileError::UnknownBank(AlgorithmId(id)))?;
        let bitmap = u32::from_le_bytes([first, second, third, fourth]);
        // Bytes of the bitmap beyond its length are room that is not used.
        let used = u32::MAX.checked_shr(32u32.saturating_sub(u32::from(len).saturating_mul(8))).unwrap_or(0);
        let pcrs = PcrSet::from_bits(bitmap & used).ok_or(PcrFileError::UnknownPcr)?;
        Ok(PcrSelection { bank, pcrs })
    }

    struct Cursor<'a> {
        bytes: &'a [u8],
        offset: usize,
    }

    impl<'a> Cursor<'a> {
        /// The next bytes, as far as there are any: the length was checked as a whole.
        fn take(&mut self, len: usize) -> &'a [u8] {
            let start = self.offset;
            self.offset = start.saturating_add(len);
            self.bytes.get(start..self.offset).unwrap_or_default()
        }

        fn count(&mut self, field: &'static str, max: usize) -> Result<usize, PcrFileError> {
            let offset = self.offset;
            let bytes = self.take(4).try_into().unwrap_or([0xFF; 4]);
            let value = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
            if value > max { Err(PcrFileError::TooMany { field, offset, value, max }) } else { Ok(value) }
        }

        fn digest(&mut self) -> Result<&'a [u8], PcrFileError> {
            let offset = self.offset;
            let (size, buffer) = self.take(DIGEST_LEN).split_at_checked(2).unwrap_or_default();
            let len = usize::from(u16::from_le_bytes(size.try_into().unwrap_or([0xFF; 2])));
            let too_many = PcrFileError::TooMany {
                field: "the size of a digest",
                offset,
                value: len,
                max: DIGEST_LEN.saturating_sub(2),
            };
            buffer.get(..len).ok_or(too_many)
        }
    }
}
