//! PCR 10 as the kernel extends it.

use aws_lc_rs::digest::{Algorithm, digest};
use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::pcr::PcrValue;

use super::entry::Entry;
use crate::digest::algorithm;

/// The running value of PCR 10 in one bank.
#[derive(Clone)]
pub(super) struct Replay {
    bank: HashAlgorithm,
    algorithm: &'static Algorithm,
    len: usize,
    /// The value, and room for what it is extended with.
    value: [u8; 2 * PcrValue::MAX_LEN],
}

impl Replay {
    /// Goes on from a value; `None` when the bank's hash is not supported or the value is none of the bank.
    pub(super) fn from(bank: HashAlgorithm, value: &PcrValue) -> Option<Self> {
        let algorithm = algorithm(bank)?;
        let mut replay = Self { bank, algorithm, len: bank.digest_len(), value: [0; 2 * PcrValue::MAX_LEN] };
        if value.as_bytes().len() != replay.len {
            return None;
        }
        replay.value.get_mut(..replay.len)?.copy_from_slice(value.as_bytes());
        Some(replay)
    }

    /// Begins at boot.
    pub(super) fn at_boot(bank: HashAlgorithm) -> Option<Self> {
        Self::from(bank, &boot_value(bank))
    }

    /// Extends with an entry.
    ///
    /// A violation extends ones. The SHA-1 bank is extended with what the list tells, every other one with the digest of
    /// the data: kernels from 5.8 on do so. Older ones filled the SHA-1 digest up with zeros; such a list does not replay,
    /// as a bank of SHA-256 that is no better than SHA-1 should not.
    pub(super) fn extend(&mut self, entry: &Entry<'_>) {
        if entry.is_violation() {
            self.extend_with(&[0xFF; PcrValue::MAX_LEN]);
        } else if self.bank == HashAlgorithm::Sha1 {
            self.extend_with(entry.logged_hash());
        } else {
            self.extend_with(entry.template_hash(self.algorithm).as_ref());
        }
    }

    /// Takes as many bytes as the bank's digests have.
    fn extend_with(&mut self, measured: &[u8]) {
        let Some((value, _)) = self.value.split_at_mut_checked(self.len.saturating_mul(2)) else { return };
        let Some((_, new)) = value.split_at_mut_checked(self.len) else { return };
        new.iter_mut().zip(measured).for_each(|(new, measured)| *new = *measured);
        let extended = digest(self.algorithm, value);
        if let Some(old) = value.get_mut(..self.len) {
            old.copy_from_slice(extended.as_ref());
        }
    }

    /// The value.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.value.get(..self.len).unwrap_or_default()
    }

    /// The value.
    pub(super) fn value(&self) -> PcrValue {
        PcrValue::new(self.as_bytes().to_vec()).unwrap_or_else(|| boot_value(self.bank))
    }
}

/// PCR 10 is zero at boot (PC Client Platform TPM Profile, PCR attributes).
pub(super) fn boot_value(bank: HashAlgorithm) -> PcrValue {
    PcrValue::new(vec![0; bank.digest_len()]).unwrap_or_else(|| unreachable!("no digest is longer than the longest"))
}
