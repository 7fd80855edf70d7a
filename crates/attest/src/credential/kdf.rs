//! The key derivation functions of a TPM (TPM 2.0 Part 1, 11.4.10).

use aws_lc_rs::hmac;
use vouchsafe_model::HashAlgorithm;
use zeroize::Zeroizing;

use crate::digest;

/// A hash that credentials may be made with. SHA-1 is too weak for a new secret, and the library has no SM3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The hash of this name, if it is good enough.
    pub(super) fn of(algorithm: HashAlgorithm) -> Option<Self> {
        match algorithm {
            HashAlgorithm::Sha256 => Some(Self::Sha256),
            HashAlgorithm::Sha384 => Some(Self::Sha384),
            HashAlgorithm::Sha512 => Some(Self::Sha512),
            HashAlgorithm::Sha1 | HashAlgorithm::Sm3 => None,
        }
    }

    pub(super) const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    pub(super) const fn digest_bits(self) -> u16 {
        match self {
            Self::Sha256 => 256,
            Self::Sha384 => 384,
            Self::Sha512 => 512,
        }
    }

    pub(super) fn hmac_key(self, key: &[u8]) -> hmac::Key {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, key)
    }

    const fn digest_algorithm(self) -> &'static aws_lc_rs::digest::Algorithm {
        match self {
            Self::Sha256 => &aws_lc_rs::digest::SHA256,
            Self::Sha384 => &aws_lc_rs::digest::SHA384,
            Self::Sha512 => &aws_lc_rs::digest::SHA512,
        }
    }
}

/// `KDFa` (11.4.10.2, after SP 800-108 in counter mode) for at most one credential's worth of key: `bits` is a multiple
/// of eight, the label gets its terminating zero, contextV is empty in all that credentials use.
pub(super) fn kdfa(hash: Hash, key: &[u8], label: &str, context_u: &[u8], bits: u16) -> Zeroizing<Vec<u8>> {
    let key = hash.hmac_key(key);
    expand(hash, bits, |counter| {
        let mut mac = hmac::Context::with_key(&key);
        mac.update(&counter.to_be_bytes());
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(context_u);
        mac.update(&u32::from(bits).to_be_bytes());
        mac.sign().as_ref().to_vec()
    })
}

/// `KDFe` (11.4.10.3, after SP 800-56A) over the shared point's x coordinate and those of both parties.
pub(super) fn kdfe(hash: Hash, z: &[u8], label: &str, party_u: &[u8], party_v: &[u8], bits: u16) -> Zeroizing<Vec<u8>> {
    expand(hash, bits, |counter| {
        let parts = [&counter.to_be_bytes(), z, label.as_bytes(), &[0], party_u, party_v];
        digest::digest_of(hash.digest_algorithm(), parts).as_ref().to_vec()
    })
}

/// Blocks 1, 2 ... of a derivation, as far as they are needed.
fn expand(hash: Hash, bits: u16, block: impl Fn(u32) -> Vec<u8>) -> Zeroizing<Vec<u8>> {
    let len = usize::from(bits / 8);
    // The capacity is that of the whole blocks, so that the vector never moves and leaves a copy behind.
    let mut key = Zeroizing::new(Vec::with_capacity(len.saturating_add(hash.digest_len())));
    let mut counter = 1u32;
    while key.len() < len {
        key.extend_from_slice(&Zeroizing::new(block(counter)));
        counter = counter.saturating_add(1);
    }
    key.truncate(len);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::hash::to_hex;

    // The expected keys were computed with Python's hmac and hashlib from the formulas of Part 1.
    #[test]
    fn kdfa_agrees_with_an_independent_computation() {
        let key = kdfa(Hash::Sha256, &[0x12; 32], "STORAGE", &[0xAB; 34], 128);
        assert_eq!(to_hex(&key), KDFA_128);
        let key = kdfa(Hash::Sha256, &[0x12; 32], "INTEGRITY", &[], 384);
        assert_eq!(to_hex(&key), KDFA_384);
    }

    #[test]
    fn kdfe_agrees_with_an_independent_computation() {
        let key = kdfe(Hash::Sha384, &[1; 48], "IDENTITY", &[2; 48], &[3; 48], 384);
        assert_eq!(to_hex(&key), KDFE_384);
    }

    const KDFA_128: &str = "4b74a432f5b431740d616e13d4ce9712";
    const KDFA_384: &str =
        "2abf544cf7a0f63782aad18d3067a8da21add798c751cb5805cdaaeba84ae492331fe1c1b09e151801238cbecac5fec8";
    const KDFE_384: &str =
        "10946a465edaff6eda9436dcf859018c43d565b01f5250109de29d5b9a856e2b279a5578a1dfab18767276f8d123c785";
}
