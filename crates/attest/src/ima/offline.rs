//! A whole list, looked at once and without a TPM.

use std::collections::BTreeMap;

use serde::Serialize;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, Severity};

use super::advance::{Appraiser, ImaContext};
use super::entry::{Entry, IMA_PCR};
use super::error::{ImaError, ImaProblem};
use super::findings::MAX_FINDINGS;
use super::key::FileKey;
use super::list::Entries;
use super::path::printable;
use super::policy::RuntimePolicy;
use super::replay::Replay;
use super::signature::{Checked, check};
use super::state::ImaState;

/// The most templates that are told apart: more than the kernel has, and a list cannot make a report grow.
const MAX_TEMPLATES: usize = 64;

/// What a list tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListReport {
    /// How many entries it has.
    pub entries: u64,
    /// How many of each template.
    pub templates: BTreeMap<String, u64>,
    /// How many files changed while they were measured.
    pub violations: u64,
    /// The entries whose template hash is not that of their data; the first is 1.
    pub template_hash_mismatches: Vec<u64>,
    /// The files' signatures. Each entry is in one of these.
    pub signatures: SignatureCounts,
    /// PCR 10 behind the last entry, in each bank.
    pub pcr10: BTreeMap<HashAlgorithm, PcrValue>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What came of the signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SignatureCounts {
    /// Valid ones.
    pub valid: u64,
    /// The entries whose signature is not; the first is 1.
    pub invalid: Vec<u64>,
    /// Entries without a signature of the file's content.
    pub unsigned: u64,
    /// Signatures of keys that were not given.
    pub unknown_key: u64,
}

impl ListReport {
    /// Reads a whole list, and checks what can be checked without a TPM: template hashes, signatures by these keys and
    /// those of the policy, and with a policy whether each file is allowed.
    ///
    /// Without a policy, a signature of an unknown key is a warning and no failure: it was asked what is there, and not
    /// whether it may be. So is a list without boot aggregate: it may be a part of one.
    ///
    /// # Errors
    /// When it is no list.
    pub fn of(bytes: &[u8], keys: &[FileKey], policy: Option<&RuntimePolicy>) -> Result<Self, ImaError> {
        let given = RuntimePolicy::trusting(keys.to_vec());
        let policy = policy.map(|policy| RuntimePolicy::merge([policy, &given]));
        let context = ImaContext { policy: policy.as_ref(), boot_aggregate: None };
        let all = policy.as_ref().unwrap_or(&given);
        let mut reader = Reader::new(context, !keys.is_empty())?;
        let mut entries = Entries::new(bytes).whole();
        for entry in &mut entries {
            reader.take(&entry?, all);
        }
        match entries.remaining() {
            0 => Ok(reader.finish(context)),
            left => Err(ImaError {
                entry: reader.report.entries.saturating_add(1),
                offset: u64::try_from(entries.consumed()).unwrap_or(u64::MAX),
                problem: ImaProblem::Truncated { left },
            }),
        }
    }
}

struct Reader<'p> {
    appraiser: Appraiser<'p>,
    sha1: Replay,
    has_keys: bool,
    report: ListReport,
}

impl<'p> Reader<'p> {
    fn new(context: ImaContext<'p>, has_keys: bool) -> Result<Self, ImaError> {
        let no_bank = |bank| ImaError { entry: 1, offset: 0, problem: ImaProblem::Bank(bank) };
        Ok(Self {
            appraiser: Appraiser::new(ImaState::new(HashAlgorithm::Sha256), context)?,
            sha1: Replay::at_boot(HashAlgorithm::Sha1).ok_or_else(|| no_bank(HashAlgorithm::Sha1))?,
            has_keys,
            report: ListReport {
                entries: 0,
                templates: BTreeMap::new(),
                violations: 0,
                template_hash_mismatches: Vec::new(),
                signatures: SignatureCounts::default(),
                pcr10: BTreeMap::new(),
                findings: Vec::new(),
            },
        })
    }

    fn take(&mut self, entry: &Entry<'_>, all: &RuntimePolicy) {
        let found = self.appraiser.state.findings.count();
        self.appraiser.take(entry);
        if entry.pcr() == IMA_PCR {
            self.sha1.extend(entry);
        }
        let count = |count: &mut u64| *count = count.saturating_add(1);
        let report = &mut self.report;
        count(&mut report.entries);
        let is_told = report.templates.len() < MAX_TEMPLATES || report.templates.contains_key(entry.template());
        let template = if is_told { entry.template() } else { "…" };
        count(report.templates.entry(template.to_owned()).or_default());
        if entry.is_violation() {
            count(&mut report.violations);
        }
        if !entry.recomputes() {
            report.template_hash_mismatches.push(entry.number());
        }
        let keys = all.keys().chain(self.appraiser.learned());
        let fields = entry.fields().unwrap_or_default();
        let checked = fields.digest.map_or(Checked::Unsigned, |digest| check(fields.signature, &digest, keys));
        match checked {
            Checked::Unsigned => count(&mut report.signatures.unsigned),
            Checked::Valid => count(&mut report.signatures.valid),
            Checked::Invalid(_) => report.signatures.invalid.push(entry.number()),
            Checked::UnknownKey(_) => count(&mut report.signatures.unknown_key),
        }
        let is_new = self.appraiser.state.findings.count() == found && report.findings.len() < MAX_FINDINGS;
        let finding = |code| Finding::new(code).at_entry(entry.number()).about(printable(fields.name));
        match checked {
            Checked::Invalid(fault) if is_new => {
                report.findings.push(finding(FindingCode::FileSignatureInvalid).with("a valid signature", fault));
            }
            Checked::UnknownKey(id) if is_new && self.has_keys && all.paths() == 0 => {
                let found = format!("a signature of key {}", vouchsafe_model::hash::to_hex(&id));
                let finding =
                    finding(FindingCode::FileSignatureUnknownKey).with("one of the keys that were given", found);
                report.findings.push(Finding { severity: Severity::Warning, ..finding });
            }
            _ => {}
        }
    }

    fn finish(mut self, context: ImaContext<'_>) -> ListReport {
        let replays =
            [(HashAlgorithm::Sha1, self.sha1.value()), (HashAlgorithm::Sha256, self.appraiser.replay.value())];
        self.report.pcr10 = replays.into_iter().collect();
        self.report.findings.extend(self.appraiser.state.findings_in(context));
        self.report.findings.sort_by_key(|finding| finding.entry.unwrap_or(u64::MAX));
        if context.policy.is_none() {
            let missing = |finding: &&mut Finding| finding.code == FindingCode::ImaBootAggregateMissing;
            self.report.findings.iter_mut().filter(missing).for_each(|finding| finding.severity = Severity::Warning);
        }
        self.report
    }
}
