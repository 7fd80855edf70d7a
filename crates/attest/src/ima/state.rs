//! How far a list is known.

use serde::{Deserialize, Serialize};
use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::{from_hex, to_hex};
use vouchsafe_model::pcr::PcrValue;

use super::findings::Findings;
use super::key::FileKey;
use super::policy::RuntimePolicy;
use super::{buffer, replay};

/// The most keys that are learned in one boot. Signatures of further ones are of unknown keys.
pub const MAX_LEARNED_KEYS: usize = 32;
/// The most boot aggregates of one list: one for each kernel that was started by the one before (kexec).
pub const MAX_BOOT_AGGREGATES: usize = 8;

/// Where an engine is within the list of one boot: small, and all that it needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImaState {
    pub(super) bank: HashAlgorithm,
    pub(super) pcr10: PcrValue,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) counts: ImaCounts,
    pub(super) keys: Vec<LearnedKey>,
    pub(super) boot_aggregates: Vec<ToldAggregate>,
    /// Whether all entries so far may be the initramfs's: each was judged by a policy with that rule, and no marker came.
    pub(super) in_initramfs: bool,
    pub(super) findings: Findings,
}

/// How many entries were what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImaCounts {
    /// Files that changed while they were measured.
    pub violations: u64,
    /// Accepted by their digest or key.
    pub listed: u64,
    /// Accepted by their signature.
    pub signed: u64,
    /// Accepted by a rule or an exclusion.
    pub passed: u64,
    /// Taken in without a policy.
    pub unjudged: u64,
}

/// A key that was loaded on the keyring that files are checked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LearnedKey {
    pub(super) keyring: String,
    /// Its certificate in DER, in hexadecimal.
    pub(super) certificate: String,
}

/// A boot aggregate that the list tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ToldAggregate {
    pub(super) entry: u64,
    pub(super) digest: String,
}

impl ImaState {
    /// At boot, before the first entry. `bank` is the one that is quoted.
    pub fn new(bank: HashAlgorithm) -> Self {
        Self {
            bank,
            pcr10: replay::boot_value(bank),
            entries: 0,
            bytes: 0,
            counts: ImaCounts::default(),
            keys: Vec::new(),
            boot_aggregates: Vec::new(),
            in_initramfs: true,
            findings: Findings::default(),
        }
    }

    /// The bank that it is replayed in.
    pub fn bank(&self) -> HashAlgorithm {
        self.bank
    }

    /// The value of PCR 10 behind the last entry that was taken in.
    pub fn pcr10(&self) -> &PcrValue {
        &self.pcr10
    }

    /// How many entries were taken in.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many bytes of the list they take: where the next part begins.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many entries were what.
    pub fn counts(&self) -> ImaCounts {
        self.counts
    }

    /// Whether the list told a boot aggregate.
    pub fn saw_boot_aggregate(&self) -> bool {
        !self.boot_aggregates.is_empty()
    }

    /// How many findings stay with it.
    pub fn unresolved(&self) -> u64 {
        self.findings.count()
    }

    /// Whether entries were taken in that no policy judged: with a policy, the list must be taken in from its begin.
    pub fn has_unjudged(&self) -> bool {
        self.counts.unjudged > 0
    }

    /// Learns a key, once.
    pub(super) fn learn(&mut self, keyring: &[u8], certificate: &[u8]) {
        let key = LearnedKey { keyring: super::printable(keyring).into_owned(), certificate: to_hex(certificate) };
        if self.keys.len() < MAX_LEARNED_KEYS && !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// The keys of those that were learned that this policy allows.
    pub(super) fn learned(&self, policy: Option<&RuntimePolicy>) -> Vec<FileKey> {
        let Some(policy) = policy else { return Vec::new() };
        let allowed = |learned: &LearnedKey| {
            let der = from_hex(&learned.certificate)?;
            let key = FileKey::from_certificate(&der)?.ok()?;
            buffer::is_allowed(policy, learned.keyring.as_bytes(), &key, &der).then_some(key)
        };
        self.keys.iter().filter_map(allowed).collect()
    }
}
