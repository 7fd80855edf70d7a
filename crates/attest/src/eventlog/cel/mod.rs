//! Canonical event logs (TCG Canonical Event Log Format 1.0): what userspace says it measured, systemd's log among them.
//!
//! They go on where the boot event log ends: their records extend PCRs from the values that boot left. As with any log,
//! what is said is a claim until it is replayed onto those values and the result is one that a TPM signed.

mod content;
mod json;
mod tlv;

use std::collections::BTreeMap;

use aws_lc_rs::digest::digest as hash;
use serde::Serialize;
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex};

pub use content::{Content, SystemdEvent};

use super::check::{self, Subject};
use super::event::Digests;
use crate::digest;

/// The longest log that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;
/// The most records that are read.
pub const MAX_RECORDS: usize = 10_000;
/// The most digests that a record may have.
pub const MAX_DIGESTS: usize = 16;

/// Where a log stopped being one, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record} at byte {offset}: {problem}")]
pub struct CelError {
    /// The record; the first is 1.
    pub record: u64,
    /// Where the record or its field begins, in bytes from the start of the log.
    pub offset: usize,
    /// What is wrong with it.
    pub problem: CelProblem,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CelProblem {
    /// There is nothing at all.
    #[error("the log is empty")]
    Empty,
    /// The log is longer than any that is read.
    #[error("{len} bytes are more than the {MAX_LEN} allowed")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// There are more records than are read.
    #[error("more than the {MAX_RECORDS} records allowed")]
    TooManyRecords,
    /// It is neither JSON nor begins as TLV does.
    #[error("neither JSON nor TLV")]
    UnknownEncoding,
    /// It is not the JSON of a record.
    #[error("{0}")]
    Json(String),
    /// The bytes end before the field does.
    #[error("{field}: truncated: {needed} bytes needed, {left} left")]
    Truncated {
        /// The field.
        field: &'static str,
        /// Bytes that the field takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// A field of another type than the one that belongs there.
    #[error("a field of type {found} where {expected} belongs")]
    UnexpectedField {
        /// The field that belongs there.
        expected: &'static str,
        /// The type that was found.
        found: u8,
    },
    /// A number that is too long, or out of range.
    #[error("{0} is out of range")]
    BadNumber(&'static str),
    /// A PCR that no TPM has.
    #[error("{0} is no PCR")]
    NoSuchPcr(u64),
    /// Neither a PCR nor an NV index, or both.
    #[error("not one of pcr and nv_index")]
    NoIndex,
    /// A record without digests, or with more than are read.
    #[error("{0} digests are not from 1 to {MAX_DIGESTS}")]
    BadDigestCount(usize),
    /// A digest that is not as long as those of its algorithm.
    #[error("a digest of {algorithm} has {len} bytes")]
    BadDigestLen {
        /// The algorithm.
        algorithm: HashAlgorithm,
        /// Its length, in bytes.
        len: usize,
    },
    /// An algorithm that is there twice.
    #[error("{0} is there twice")]
    DuplicateAlgorithm(HashAlgorithm),
}

/// What a record extends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// A PCR.
    Pcr(PcrIndex),
    /// An NV index, or what systemd calls one by name.
    Nv(u64),
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the log; the first is 1.
    pub number: u64,
    /// The number that it gives itself, if it does.
    pub recnum: Option<u64>,
    /// What it extends.
    pub index: Index,
    /// What was extended, by bank. Those of algorithms that the model does not name are not kept.
    pub digests: BTreeMap<HashAlgorithm, PcrValue>,
    /// What it says about what was measured.
    pub content: Content,
}

/// A log whose form is good. Who wrote it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalLog {
    records: Vec<Record>,
}

/// A fact of userspace: what was measured, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserspaceEvent {
    /// The record; the first is 1.
    pub record: u64,
    /// What it extends.
    pub index: Index,
    /// What kind of event it is: `phase`, `machine-id`, `volume-key` ..., if the record says.
    pub event_type: Option<String>,
    /// What was measured, as text.
    pub text: String,
}

/// A record lacks the digest of the bank that it is replayed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {record} has no digest of {bank}")]
pub struct LacksDigest {
    /// The record; the first is 1.
    pub record: u64,
    /// The bank.
    pub bank: HashAlgorithm,
}

/// Reads a log in either encoding: CEL-JSON (a JSON text sequence as RFC 7464 has it, lines, or an array) or CEL-TLV.
///
/// # Errors
/// At the first record whose form is not good.
pub fn parse(bytes: &[u8]) -> Result<CanonicalLog, CelError> {
    let error = |problem| CelError { record: 1, offset: 0, problem };
    if bytes.len() > MAX_LEN {
        return Err(error(CelProblem::TooLong { len: bytes.len() }));
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).ok_or_else(|| error(CelProblem::Empty))?;
    let records = match first {
        &json::RECORD_SEPARATOR | b'{' | b'[' => json::parse(bytes)?,
        _ if bytes.first() == Some(&tlv::RECNUM) => tlv::parse(bytes)?,
        _ => return Err(error(CelProblem::UnknownEncoding)),
    };
    Ok(CanonicalLog { records })
}

impl CanonicalLog {
    /// Its records, in their order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What PCRs come to from these values when its records are extended. A PCR that has no value starts from zeros.
    ///
    /// # Errors
    /// When a record of a PCR lacks the digest of the bank: it would be in the log and not in the value.
    pub fn replay(&self, start: &PcrBank) -> Result<PcrBank, LacksDigest> {
        let mut replayed = start.clone();
        let bank = start.bank;
        for record in &self.records {
            let Index::Pcr(pcr) = record.index else { continue };
            let lacks = LacksDigest { record: record.number, bank };
            let algorithm = digest::algorithm(bank).ok_or(lacks)?;
            let found = record.digests.get(&bank).ok_or(lacks)?;
            let zeros = vec![0; bank.digest_len()];
            let before = replayed.values.get(&pcr).map_or(zeros.as_slice(), PcrValue::as_bytes);
            let after = hash(algorithm, &[before, found.as_bytes()].concat());
            replayed.values.insert(pcr, PcrValue::new(after.as_ref().to_vec()).ok_or(lacks)?);
        }
        Ok(replayed)
    }

    /// What it says was measured, as far as it is text.
    pub fn facts(&self) -> Vec<UserspaceEvent> {
        let fact = |record: &Record| {
            let (event_type, text) = record.content.text()?;
            Some(UserspaceEvent { record: record.number, index: record.index, event_type, text })
        };
        self.records.iter().filter_map(fact).collect()
    }

    /// Records whose digest is not that of their content, where the content says that it must be; numbers that do not go
    /// up. The record's number is told as that of an event.
    pub fn deviations(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut last = None;
        for record in &self.records {
            let from = findings.len();
            record.check(&mut findings);
            if record.recnum.is_some() && last >= record.recnum {
                let found = record.recnum.unwrap_or(0);
                let expected = format!("a number above {}", last.unwrap_or(0));
                findings.push(Finding::new(FindingCode::EventDataMalformed).with(expected, found));
            }
            last = record.recnum.or(last);
            for finding in findings.iter_mut().skip(from) {
                finding.event = Some(record.number);
            }
            if findings.len() > super::MAX_DEVIATIONS {
                findings.truncate(super::MAX_DEVIATIONS);
                findings.push(Finding::new(FindingCode::EventLogMore));
                break;
            }
        }
        findings
    }
}

impl Record {
    fn check(&self, findings: &mut Vec<Finding>) {
        match (&self.content, self.index) {
            (Content::PcClient { event_type, data }, Index::Pcr(pcr)) => {
                let mut digests = Digests::default();
                for (bank, value) in &self.digests {
                    let _ = digests.insert(*bank, value.as_bytes());
                }
                check::check(Subject { kind: *event_type, pcr, data, is_first: false }, &digests, findings);
            }
            (content, _) => {
                let Some(measured) = content.measured() else { return };
                for (bank, found) in &self.digests {
                    let Some(algorithm) = digest::algorithm(*bank) else { continue };
                    let expected = hash(algorithm, measured);
                    if expected.as_ref() != found.as_bytes() {
                        let pcr = if let Index::Pcr(pcr) = self.index { Some(pcr) } else { None };
                        let finding =
                            Finding { bank: Some(*bank), pcr, ..Finding::new(FindingCode::EventDigestMismatch) };
                        let about = content.text().map(|(_, text)| text).unwrap_or_default();
                        findings.push(finding.about(about).with(to_hex(expected.as_ref()), found));
                    }
                }
            }
        }
    }
}

/// Puts the digests of a record together, each algorithm once.
fn collect_digests(
    digests: impl Iterator<Item = (Option<HashAlgorithm>, Vec<u8>)>,
) -> Result<BTreeMap<HashAlgorithm, PcrValue>, CelProblem> {
    let mut kept = BTreeMap::new();
    let mut count = 0usize;
    for (algorithm, digest) in digests {
        count = count.saturating_add(1);
        // Others are nothing that could be compared.
        let Some(algorithm) = algorithm else { continue };
        let bad_len = CelProblem::BadDigestLen { algorithm, len: digest.len() };
        let value =
            PcrValue::new(digest).filter(|value| value.as_bytes().len() == algorithm.digest_len()).ok_or(bad_len)?;
        if kept.insert(algorithm, value).is_some() {
            return Err(CelProblem::DuplicateAlgorithm(algorithm));
        }
    }
    if (1..=MAX_DIGESTS).contains(&count) { Ok(kept) } else { Err(CelProblem::BadDigestCount(count)) }
}

fn pcr(number: u64) -> Result<PcrIndex, CelProblem> {
    u8::try_from(number).ok().and_then(PcrIndex::new).ok_or(CelProblem::NoSuchPcr(number))
}
