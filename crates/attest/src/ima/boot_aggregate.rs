//! The boot aggregate: what ties a list to the boot that its host made.
//!
//! The first entry of a list is a digest over the PCRs that the firmware and the boot loader filled
//! (`ima_calc_boot_aggregate_tfm`), in the bank of IMA's own hash if the TPM has it, otherwise in SHA-256 or SHA-1.

use std::collections::BTreeMap;

use vouchsafe_model::hash::to_hex;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex};

use crate::digest;

/// What the boot aggregate may be, from the PCRs that were quoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootAggregates {
    expected: BTreeMap<HashAlgorithm, Vec<String>>,
}

impl BootAggregates {
    /// From quoted banks: over PCRs 0 to 9, which kernels from 5.9 on take, and over PCRs 0 to 7, which older ones take,
    /// and all of them for SHA-1. A bank without these PCRs gives none.
    pub fn of(banks: &[PcrBank]) -> Self {
        let mut expected = BTreeMap::new();
        for bank in banks {
            let spans: &[u8] = if bank.bank == HashAlgorithm::Sha1 { &[8] } else { &[10, 8] };
            let over: Vec<String> = spans.iter().filter_map(|end| aggregate(bank, *end)).collect();
            if !over.is_empty() {
                expected.insert(bank.bank, over);
            }
        }
        Self { expected }
    }

    /// What is wrong with a boot aggregate, as an entry tells it: `sha256:…`.
    pub(super) fn judge(&self, entry: u64, told: &str) -> Option<Finding> {
        let about = |code| Finding::new(code).at_entry(entry).about("boot_aggregate");
        let algorithm = told.split_once(':').and_then(|(algorithm, _)| super::digest::hash_named(algorithm));
        let Some(expected) = algorithm.and_then(|algorithm| self.expected.get(&algorithm)) else {
            let quoted: Vec<_> = self.expected.keys().map(|bank| bank.name()).collect();
            let quoted = format!("one of PCRs 0 to 9 in a bank that is quoted ({})", quoted.join(", "));
            return Some(about(FindingCode::ImaBootAggregateUnchecked).with(quoted, told));
        };
        let is_expected = expected.iter().any(|expected| expected == told);
        (!is_expected).then(|| about(FindingCode::ImaBootAggregateMismatch).with(expected.join(" or "), told))
    }
}

/// The digest over PCRs 0 to `end`, without that; `None` when not all of them are there.
fn aggregate(bank: &PcrBank, end: u8) -> Option<String> {
    let algorithm = digest::algorithm(bank.bank)?;
    let values: Option<Vec<&[u8]>> =
        (0..end).map(|pcr| Some(bank.values.get(&PcrIndex::new(pcr)?)?.as_bytes())).collect();
    let digest = digest::digest_of(algorithm, values?);
    Some(format!("{}:{}", bank.bank, to_hex(digest.as_ref())))
}
