//! What a quote, and the log beside it, prove.

use std::collections::BTreeMap;

use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex, PcrSelection};

use super::super::pcrs::not_quoted;
use crate::eventlog::ReplayedLog;

/// The quoted PCRs, and of which of them the log tells all that was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    bank: HashAlgorithm,
    proven: PcrSet,
    /// Quoted, and not what the log comes to.
    unproven: BTreeMap<PcrIndex, Unproven>,
}

/// A quoted value that the log does not explain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unproven {
    quoted: PcrValue,
    /// What the log comes to; nothing when it does not extend the PCR.
    replayed: Option<PcrValue>,
}

impl From<PcrSelection> for Proof {
    /// Takes these PCRs for proven, and no others for quoted.
    fn from(PcrSelection { bank, pcrs }: PcrSelection) -> Self {
        Self { bank, proven: pcrs, unproven: BTreeMap::new() }
    }
}

impl Proof {
    /// What a log proves that replays to these values: its covered PCRs, and those that it never extends and that still have
    /// the value zero.
    pub(in super::super) fn of(log: &ReplayedLog<'_>, quoted: &PcrBank) -> Self {
        let PcrBank { bank, values } = quoted;
        let replayed = |pcr: PcrIndex| log.replay().bank(*bank).and_then(|bank| bank.values.get(&pcr));
        let is_zero = |value: &PcrValue| value.as_bytes().iter().all(|byte| *byte == 0);
        let mut proof = Self { bank: *bank, proven: PcrSet::EMPTY, unproven: BTreeMap::new() };
        for (pcr, quoted) in values {
            let replayed = replayed(*pcr);
            if log.covered().contains(*pcr) || (replayed.is_none() && is_zero(quoted)) {
                proof.proven.insert(*pcr);
            } else {
                proof.unproven.insert(*pcr, Unproven { quoted: quoted.clone(), replayed: replayed.cloned() });
            }
        }
        proof
    }

    /// The bank in which digests count.
    pub(super) fn bank(&self) -> HashAlgorithm {
        self.bank
    }

    /// Why facts of a PCR prove nothing; `None` when they do.
    pub(super) fn lacks(&self, pcr: PcrIndex) -> Option<Finding> {
        if self.proven.contains(pcr) {
            return None;
        }
        let Some(Unproven { quoted, replayed }) = self.unproven.get(&pcr) else {
            return Some(not_quoted(self.bank, pcr));
        };
        let found = match replayed {
            None => "no event of this PCR".to_owned(),
            Some(replayed) if replayed == quoted => "an event that has no digest of this bank".to_owned(),
            Some(replayed) => format!("events that come to {replayed}"),
        };
        let finding = Finding::new(FindingCode::PcrNotReplayed).at_pcr(self.bank, pcr);
        Some(finding.with(format_args!("events that come to {quoted}"), found))
    }
}
