//! Taking in a list as it grows.

use vouchsafe_model::hash::to_hex;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrIndex};

use super::boot_aggregate::BootAggregates;
use super::entry::{Entry, IMA_PCR};
use super::error::{ImaError, ImaProblem};
use super::fields::Fields;
use super::judge::{self, Judgement};
use super::key::FileKey;
use super::list::Entries;
use super::path::printable;
use super::policy::{Listing, RuntimePolicy};
use super::replay::Replay;
use super::rule::MAX_INITRAMFS_ENTRIES;
use super::state::{ImaState, MAX_BOOT_AGGREGATES, ToldAggregate};
use super::table::Hashed;
use super::{buffer, digest};

const BOOT_AGGREGATE: &[u8] = b"boot_aggregate";
/// How many entries are read before the first of them is judged.
const MAX_AHEAD: usize = 32;
/// The most entries that are named when a list does not replay.
const MAX_SUSPECTS: usize = 100;

/// What a list is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImaContext<'a> {
    /// What may run; without it, nothing is said of files, and what is taken in counts as not judged.
    pub policy: Option<&'a RuntimePolicy>,
    /// What the boot aggregate may be; without it, nothing is said of it.
    pub boot_aggregate: Option<&'a BootAggregates>,
}

/// What came of a part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Where the list is now. After a mismatch: where it was.
    pub state: ImaState,
    /// How many bytes of the part were taken in. The rest belongs to the next quote.
    pub consumed_bytes: usize,
    /// How many entries of the part were taken in.
    pub consumed_entries: u64,
    /// Whether the quoted value was reached; never when none was given.
    pub is_quoted: bool,
    /// All that is wrong with the list since boot, told before or not.
    pub findings: Vec<Finding>,
}

impl ImaState {
    /// Takes in the next part of the list.
    ///
    /// Without a quoted value, for parts that are sent ahead of their quote, all whole entries are taken in; that they were
    /// measured is not known before a later part reaches a quoted value, so keep the state of the last one that did. With
    /// a quoted value, entries are taken in until PCR 10 has it, and not one more: the list grows while it is quoted
    /// (threat 19). When it never has, the finding is [`FindingCode::ImaMismatch`], and the state stays.
    ///
    /// What a policy found stays with the state until the boot ends. When a policy is exchanged, entries that were taken in
    /// before are not judged again: begin anew with the whole list for that.
    ///
    /// # Errors
    /// When the part, as far as it is taken in, is no list, or the bank's hash is not supported.
    pub fn advance(
        &self,
        part: &[u8],
        quoted: Option<&PcrValue>,
        context: ImaContext<'_>,
    ) -> Result<Advance, ImaError> {
        let mut appraiser = Appraiser::new(self.clone(), context)?;
        let mut entries = Entries::resume(part, self.entries, self.bytes);
        let mut ahead = Ahead::new();
        let mut is_quoted = appraiser.is_at(quoted);
        let mut consumed_bytes = 0;
        while !is_quoted {
            ahead.read(&mut entries, context.policy);
            for (entry, (name, end)) in ahead.entries.iter().zip(ahead.names.iter().zip(&ahead.ends)) {
                appraiser.take_named(entry, *name);
                consumed_bytes = *end;
                is_quoted = appraiser.is_at(quoted);
                if is_quoted {
                    break;
                }
            }
            if is_quoted {
                break;
            }
            if let Some(error) = ahead.error {
                return Err(error);
            }
            if ahead.names.is_empty() {
                break;
            }
        }
        if let Some(quoted) = quoted.filter(|_| !is_quoted) {
            return Ok(self.mismatch(part, quoted, &appraiser, context));
        }
        let state = appraiser.finish(consumed_bytes);
        let consumed_entries = state.entries.saturating_sub(self.entries);
        let findings = state.findings_in(context);
        Ok(Advance { state, consumed_bytes, consumed_entries, is_quoted, findings })
    }

    /// All that is wrong with what was taken in so far.
    pub fn findings_in(&self, context: ImaContext<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(expected) = context.boot_aggregate {
            let told = self.boot_aggregates.iter();
            findings.extend(told.filter_map(|told| expected.judge(told.entry, &told.digest)));
        }
        if context.policy.is_some() && self.has_unjudged() {
            let found = format!("{} entries were taken in without a policy", self.counts.unjudged);
            findings.push(Finding { found: Some(found), ..Finding::new(FindingCode::ImaUnjudged) });
        }
        findings.extend(self.findings.list());
        findings
    }

    /// The quoted value was never reached. Nothing is taken in; entries whose logged hash is not that of their data are
    /// named, as they are where a forger was at work.
    fn mismatch(&self, part: &[u8], quoted: &PcrValue, appraiser: &Appraiser<'_>, context: ImaContext<'_>) -> Advance {
        let mut mismatch = Finding::new(FindingCode::ImaMismatch).with(quoted, appraiser.replay.value());
        if let Some(pcr) = PcrIndex::new(10) {
            mismatch = mismatch.at_pcr(self.bank, pcr);
        }
        let mut findings = vec![mismatch.at_entry(appraiser.state.entries)];
        let entries = Entries::resume(part, self.entries, self.bytes).map_while(Result::ok);
        findings.extend(entries.filter(|entry| !entry.recomputes()).take(MAX_SUSPECTS).map(|entry| forged(&entry)));
        findings.extend(self.findings_in(context));
        Advance { state: self.clone(), consumed_bytes: 0, consumed_entries: 0, is_quoted: false, findings }
    }
}

/// Some entries that were read before the first of them is judged, so that the policy's memory is at hand for them.
struct Ahead<'a> {
    /// As many of these as there are names were read.
    entries: Vec<Entry<'a>>,
    /// The name of each; an empty one if it is not at hand.
    names: Vec<Hashed<'a>>,
    /// Where each ends.
    ends: Vec<usize>,
    /// What is wrong with the entry behind them. It counts when its turn comes: it may lie behind the quoted value.
    error: Option<ImaError>,
}

impl<'a> Ahead<'a> {
    fn new() -> Self {
        let entries = (0..MAX_AHEAD).map(|_| Entry::blank()).collect();
        Self { entries, names: Vec::with_capacity(MAX_AHEAD), ends: Vec::with_capacity(MAX_AHEAD), error: None }
    }

    fn read(&mut self, list: &mut Entries<'a>, policy: Option<&RuntimePolicy>) {
        self.names.clear();
        self.ends.clear();
        for entry in &mut self.entries {
            match list.read_into(entry) {
                Some(Ok(())) => {
                    self.names.push(Hashed::of(entry.name().unwrap_or_default()));
                    self.ends.push(list.consumed());
                }
                Some(Err(error)) => {
                    self.error = Some(error);
                    break;
                }
                None => break,
            }
        }
        if let Some(policy) = policy {
            policy.warm(&self.names);
        }
    }
}

/// Takes entries in, one by one.
pub(super) struct Appraiser<'p> {
    pub(super) state: ImaState,
    pub(super) replay: Replay,
    policy: Option<&'p RuntimePolicy>,
    learned: Vec<FileKey>,
}

impl<'p> Appraiser<'p> {
    pub(super) fn new(state: ImaState, context: ImaContext<'p>) -> Result<Self, ImaError> {
        let replay = Replay::from(state.bank, &state.pcr10).ok_or(ImaError {
            entry: state.entries.saturating_add(1),
            offset: state.bytes,
            problem: ImaProblem::Bank(state.bank),
        })?;
        let learned = state.learned(context.policy);
        Ok(Self { state, replay, policy: context.policy, learned })
    }

    /// The keys that were learned and that the policy allows.
    pub(super) fn learned(&self) -> &[FileKey] {
        &self.learned
    }

    fn is_at(&self, quoted: Option<&PcrValue>) -> bool {
        quoted.is_some_and(|quoted| quoted.as_bytes() == self.replay.as_bytes())
    }

    fn finish(mut self, bytes: usize) -> ImaState {
        self.state.pcr10 = self.replay.value();
        self.state.bytes = self.state.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.state
    }

    /// Takes in an entry: extends, and judges what it tells.
    pub(super) fn take(&mut self, entry: &Entry<'_>) {
        self.take_named(entry, Hashed::of(&[]));
    }

    /// The same, with the name that was hashed beforehand; an empty one is none.
    fn take_named(&mut self, entry: &Entry<'_>, name: Hashed<'_>) {
        self.state.entries = self.state.entries.saturating_add(1);
        let is_replayed = entry.pcr() == IMA_PCR;
        if is_replayed {
            self.replay.extend(entry);
        } else {
            let found = format!("PCR {}", entry.pcr());
            self.find(entry, FindingCode::ImaOtherPcr, Some("PCR 10".to_owned()), found);
        }
        let read = if entry.fields_at_hand().is_some() { None } else { entry.fields() };
        let fields = entry.fields_at_hand().or(read.as_ref());
        let is_boot_aggregate = is_replayed && fields.is_some_and(|fields| fields.name == BOOT_AGGREGATE);
        if entry.number() == 1 && !is_boot_aggregate {
            self.find(entry, FindingCode::ImaBootAggregateMissing, None, "another entry comes first");
        }
        if entry.is_violation() {
            return self.take_violation(entry);
        }
        if !entry.recomputes() {
            self.state.findings.push(forged(entry));
            // The SHA-1 bank holds what was logged, and not what this entry tells. In every other one the data is what was
            // measured, and is judged; that no kernel writes such a list is a failure all the same.
            if self.state.bank == HashAlgorithm::Sha1 {
                return;
            }
        }
        match fields {
            None => {
                let found = format!("an entry of the template {}, which is not known", entry.template());
                self.find(entry, FindingCode::FileUnlisted, None, found);
            }
            Some(fields) if is_boot_aggregate => self.take_boot_aggregate(entry, fields),
            Some(fields) => self.take_measured(entry, fields, name, is_replayed),
        }
    }

    /// A violation's path is told by the list alone: the PCR is extended with the same value for each.
    fn take_violation(&mut self, entry: &Entry<'_>) {
        self.state.counts.violations = self.state.counts.violations.saturating_add(1);
        let name = entry.fields().unwrap_or_default().name.to_vec();
        let path = super::pattern::components(&name);
        let exclusion = self.policy.zip(path).and_then(|(policy, path)| policy.exclusion(&path));
        match exclusion {
            Some(exclusion) => self.state.findings.pass(exclusion, entry.number()),
            None => self.find(entry, FindingCode::ImaViolation, None, "the file was written while it was read"),
        }
    }

    fn take_boot_aggregate(&mut self, entry: &Entry<'_>, fields: &Fields<'_>) {
        let Some(digest) = fields.digest else { return };
        let told = digest.to_string();
        if let Some(policy) = self.policy
            && let Listing::Other(expected) = policy.listing(Hashed::of(BOOT_AGGREGATE), &digest)
        {
            self.find(entry, FindingCode::ImaBootAggregateMismatch, Some(expected), told.clone());
        }
        let known = &mut self.state.boot_aggregates;
        if known.iter().any(|known| known.digest == told) {
            return;
        }
        if known.len() < MAX_BOOT_AGGREGATES {
            known.push(ToldAggregate { entry: entry.number(), digest: told });
        } else {
            self.find(entry, FindingCode::ImaBootAggregateMismatch, None, told);
        }
    }

    fn take_measured(&mut self, entry: &Entry<'_>, fields: &Fields<'_>, name: Hashed<'_>, is_replayed: bool) {
        let is_forged_buffer = fields.buffer.is_some_and(|buffer| !buffer::is_consistent(fields, buffer));
        if is_forged_buffer {
            let found = fields.digest.as_ref().map(digest::FileDigest::to_string).unwrap_or_default();
            self.find(entry, FindingCode::ImaTemplateMismatch, Some("the digest of the buffer".to_owned()), found);
        }
        let Some(policy) = self.policy else {
            self.state.counts.unjudged = self.state.counts.unjudged.saturating_add(1);
            self.state.in_initramfs = false;
            return;
        };
        self.leave_initramfs(entry, fields, policy);
        let judgement = match fields.buffer {
            Some(buffer) => buffer::judge(policy, fields, buffer),
            None => judge::file(policy, &self.learned, fields, name.or(fields.name), self.state.in_initramfs),
        };
        if let Some(certificate) = fields.buffer
            && is_replayed
            && !is_forged_buffer
            && buffer::signs_files(fields)
            && matches!(judgement, Judgement::Listed)
        {
            self.state.learn(fields.name, certificate);
            self.learned = self.state.learned(Some(policy));
        }
        let counts = &mut self.state.counts;
        let count = |count: &mut u64| *count = count.saturating_add(1);
        match judgement {
            Judgement::Listed => count(&mut counts.listed),
            Judgement::Signed => count(&mut counts.signed),
            Judgement::Passed(rule) => {
                count(&mut counts.passed);
                self.state.findings.pass(rule, entry.number());
            }
            Judgement::Found { code, expected, found } => self.find(entry, code, expected, found),
        }
    }

    fn leave_initramfs(&mut self, entry: &Entry<'_>, fields: &Fields<'_>, policy: &RuntimePolicy) {
        if !self.state.in_initramfs {
            return;
        }
        let mut has_rule = false;
        let mut is_marker = false;
        for marker in policy.markers() {
            has_rule = true;
            is_marker |= marker == fields.name;
        }
        self.state.in_initramfs = has_rule && !is_marker && entry.number() <= MAX_INITRAMFS_ENTRIES;
    }

    fn find(&mut self, entry: &Entry<'_>, code: FindingCode, expected: Option<String>, found: impl ToString) {
        let told = about(entry, code);
        let finding = match expected {
            Some(expected) => told.with(expected, found),
            None => Finding { expected: None, ..told.with("", found) },
        };
        self.state.findings.push(finding);
    }
}

fn about(entry: &Entry<'_>, code: FindingCode) -> Finding {
    let finding = Finding::new(code).at_entry(entry.number());
    match entry.fields() {
        Some(fields) => finding.about(printable(fields.name)),
        None => finding,
    }
}

fn forged(entry: &Entry<'_>) -> Finding {
    let recomputed = entry.template_hash(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
    about(entry, FindingCode::ImaTemplateMismatch).with(to_hex(recomputed.as_ref()), to_hex(entry.logged_hash()))
}
