//! What PCRs come to when a log is replayed (TPM 2.0 Part 1, 17.2; PFP, 3.3.2).

use std::collections::BTreeMap;

use aws_lc_rs::digest::digest as hash;
use vouchsafe_model::pcr::{PcrSet, PcrValue, PcrValues};
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex};

use super::event::{Event, EventType};
use super::{EventLog, firmware_pcrs};
use crate::digest;

/// How the information begins that says from which locality the TPM was started.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";
/// The locality of an H-CRTM, which measures before the TPM is started.
const HCRTM_LOCALITY: u8 = 4;
/// The PCR of IMA, which goes on extending it as long as the host runs.
const IMA_PCR: u8 = 10;

/// PCRs as a log replays to them, for every bank of the log that a digest was extended in and whose hash can be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    locality: u8,
    banks: Vec<PcrBank>,
    /// For each bank the PCRs that an event extends without a digest of the bank, with the first such event.
    lacking: Vec<Lacking>,
}

/// Replays every bank.
pub(super) fn replay(log: &EventLog<'_>) -> Replay {
    let locality = startup_locality(log).unwrap_or(0);
    let mut replay = Replay { locality, banks: Vec::new(), lacking: Vec::new() };
    for bank in log.banks() {
        if let Some((values, lacking)) = replay_bank(log, *bank, locality) {
            replay.banks.push(PcrBank { bank: *bank, values });
            replay.lacking.push(lacking);
        }
    }
    replay
}

/// Where PCR 0 starts from: the locality of `TPM2_Startup`, which is 4 when an H-CRTM measured before it.
///
/// An H-CRTM's own event comes first in its PCR; the `StartupLocality` beside it may be missing or name locality 3, from
/// which the firmware then started a TPM that was running. The first `StartupLocality` counts; any value but the three
/// that exist is left to [`super::deviations`].
fn startup_locality(log: &EventLog<'_>) -> Option<u8> {
    let first = PcrIndex::new(0).and_then(|pcr| log.extending(pcr).next());
    if first.is_some_and(|event| event.kind == EventType::EFI_HCRTM_EVENT) {
        return Some(HCRTM_LOCALITY);
    }
    log.events.iter().find_map(locality_of).filter(|locality| matches!(locality, 0 | 3 | 4))
}

/// The locality that an event tells, if it is one that does.
pub(super) fn locality_of(event: &Event<'_>) -> Option<u8> {
    let is_one = event.kind == EventType::NO_ACTION && event.pcr.is_some_and(|pcr| pcr.get() == 0);
    match event.data.strip_prefix(STARTUP_LOCALITY) {
        Some([locality]) if is_one => Some(*locality),
        _ => None,
    }
}

type Lacking = BTreeMap<PcrIndex, u64>;

/// The values of the PCRs that are extended; `None` when no event has a digest of the bank, or nothing can compute it.
fn replay_bank(log: &EventLog<'_>, bank: HashAlgorithm, locality: u8) -> Option<(PcrValues, Lacking)> {
    let algorithm = digest::algorithm(bank)?;
    let len = bank.digest_len();
    let mut values = [[0u8; PcrValue::MAX_LEN]; PcrIndex::COUNT as usize];
    let start = initial_value(bank, 0, locality);
    values.first_mut().and_then(|first| first.get_mut(..len))?.copy_from_slice(&start);
    let mut extended = PcrSet::EMPTY;
    let mut lacking = Lacking::new();
    let mut buffer = [0u8; 2 * PcrValue::MAX_LEN];
    for event in &log.events {
        let Some(pcr) = event.extends() else { continue };
        let Some(digest) = event.digest(bank) else {
            lacking.entry(pcr).or_insert(event.number);
            continue;
        };
        let value = values.get_mut(usize::from(pcr.get())).and_then(|value| value.get_mut(..len))?;
        let both = buffer.get_mut(..len.saturating_mul(2))?;
        let (left, right) = both.split_at_mut_checked(len)?;
        left.copy_from_slice(value);
        right.copy_from_slice(digest);
        value.copy_from_slice(hash(algorithm, both).as_ref());
        extended.insert(pcr);
    }
    if extended.is_empty() {
        return None;
    }
    let value = |pcr: PcrIndex| PcrValue::new(values.get(usize::from(pcr.get()))?.get(..len)?.to_vec());
    Some((extended.iter().filter_map(|pcr| Some((pcr, value(pcr)?))).collect(), lacking))
}

fn initial_value(bank: HashAlgorithm, pcr: u8, locality: u8) -> Vec<u8> {
    let mut value = vec![0; bank.digest_len()];
    if let Some(last) = value.last_mut().filter(|_| pcr == 0) {
        *last = locality;
    }
    value
}

impl Replay {
    /// The PCRs that the log extends, by bank. Banks that no event has a digest for are not there.
    pub fn banks(&self) -> &[PcrBank] {
        &self.banks
    }

    /// The PCRs of one bank.
    pub fn bank(&self, bank: HashAlgorithm) -> Option<&PcrBank> {
        self.banks.iter().find(|replayed| replayed.bank == bank)
    }

    /// The locality from which the TPM was started: 0, 3, or 4 with an H-CRTM.
    pub fn startup_locality(&self) -> u8 {
        self.locality
    }

    /// Where the log does not come to these values. Nothing is known of who vouches for them.
    ///
    /// Every PCR that the log extends must have its value, and one of the firmware (0 to 7) that the log never extends the
    /// value that it starts from. PCR 10 belongs to IMA and is not looked at.
    pub fn differences(&self, pcrs: &PcrBank) -> Vec<Finding> {
        self.differences_but(pcrs, PcrSet::EMPTY)
    }

    /// The same without the PCRs that may differ.
    pub(crate) fn differences_but(&self, pcrs: &PcrBank, ignored: PcrSet) -> Vec<Finding> {
        let Some(lacking) = self.lacking(pcrs.bank) else {
            let banks: Vec<_> = self.banks.iter().map(|replayed| replayed.bank.name()).collect();
            let finding = Finding { bank: Some(pcrs.bank), ..Finding::new(FindingCode::EventLogMismatch) };
            return vec![finding.with("digests of this bank", format!("a log of {}", banks.join(" and ")))];
        };
        let mut findings = Vec::new();
        for (pcr, quoted) in pcrs.values.iter().filter(|(pcr, _)| is_compared(**pcr, ignored)) {
            if let Some(replayed) = self.value(pcrs.bank, *pcr).filter(|replayed| replayed != quoted) {
                let finding = Finding::new(FindingCode::EventLogMismatch).at_pcr(pcrs.bank, *pcr);
                findings.push(finding.with(quoted, replayed));
            }
        }
        // What lacks the digest of a bank is not in its PCR, and could claim anything.
        let is_quoted = |pcr: &PcrIndex| pcrs.values.contains_key(pcr) && is_compared(*pcr, ignored);
        for (pcr, event) in lacking.iter().filter(|(pcr, _)| is_quoted(pcr)) {
            let finding = Finding::new(FindingCode::EventLogMismatch).at_pcr(pcrs.bank, *pcr).at_event(*event);
            findings.push(finding.with("a digest of this bank", "none"));
        }
        findings
    }

    /// The PCRs whose values of this bank do not hold all events that name them, each with the first that is missing.
    /// `None` when the bank was not replayed.
    pub(super) fn lacking(&self, bank: HashAlgorithm) -> Option<&Lacking> {
        self.banks.iter().zip(&self.lacking).find(|(replayed, _)| replayed.bank == bank).map(|(_, lacking)| lacking)
    }

    /// The values of a bank as a quote would have them right after the boot: PCRs that the log leaves alone are what they
    /// start from. PCR 10, which belongs to IMA, and those above 15 are not among them, unless they are extended. `None`
    /// when the bank was not replayed.
    pub fn as_quoted(&self, bank: HashAlgorithm) -> Option<PcrBank> {
        let replayed = &self.bank(bank)?.values;
        let of_the_boot = PcrIndex::all().take_while(|pcr| pcr.get() <= 15).filter(|pcr| pcr.get() != IMA_PCR);
        let start =
            of_the_boot.filter_map(|pcr| Some((pcr, PcrValue::new(initial_value(bank, pcr.get(), self.locality))?)));
        let values = start.chain(replayed.iter().map(|(pcr, value)| (*pcr, value.clone()))).collect();
        Some(PcrBank { bank, values })
    }

    /// What a PCR must be; `None` when the log does not say.
    fn value(&self, bank: HashAlgorithm, pcr: PcrIndex) -> Option<PcrValue> {
        let extended = self.bank(bank).and_then(|replayed| replayed.values.get(&pcr));
        let untouched = || PcrValue::new(initial_value(bank, pcr.get(), self.locality));
        extended.cloned().or_else(|| firmware_pcrs().any(|firmware| firmware == pcr).then(untouched).flatten())
    }
}

fn is_compared(pcr: PcrIndex, ignored: PcrSet) -> bool {
    pcr.get() != IMA_PCR && !ignored.contains(pcr)
}
