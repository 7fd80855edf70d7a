//! Nonces: single use, short-lived, of one device, and stored only when spent.
//!
//! A nonce is `random (16) ‖ issued at (8, milliseconds, big endian) ‖ HMAC-SHA256 (32)`, the MAC over the device id and the
//! rest. The engine can tell its own without having written anything down, also after a restart. That each works once is
//! the store's part: a nonce is spent in the same transaction in which its evidence is accepted.

use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use vouchsafe_model::{DeviceId, Sha256Digest, Timestamp};

/// Makes and recognises nonces.
pub struct NonceMint {
    key: hmac::Key,
    ttl: Duration,
}

/// A nonce of ours, of this device, and not yet expired. Whether it was spent, the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveNonce {
    bytes: Vec<u8>,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

/// Why evidence with this nonce is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NonceRejected {
    /// It was not made here, or not for this device.
    #[error("the nonce is not one that this engine gave to this device")]
    Unknown,
    /// It is too old.
    #[error("the nonce expired at {expired_at}")]
    Expired {
        /// When.
        expired_at: Timestamp,
    },
}

/// Entropy of one nonce, in bytes.
pub const NONCE_ENTROPY: usize = 16;
const ISSUED_AT_LEN: usize = 8;
const MAC_LEN: usize = 32;
const BODY_LEN: usize = NONCE_ENTROPY + ISSUED_AT_LEN;
/// A nonce from so far ahead was made by an engine whose clock was right, before ours was set back.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

impl NonceMint {
    /// A mint whose nonces are good for `ttl`.
    pub fn new(key: hmac::Key, ttl: Duration) -> Self {
        Self { key, ttl }
    }

    /// Makes a nonce for a device.
    pub fn issue(&self, device: &DeviceId, now: Timestamp, entropy: &[u8; NONCE_ENTROPY]) -> Vec<u8> {
        let mut nonce = Vec::with_capacity(BODY_LEN + MAC_LEN);
        nonce.extend_from_slice(entropy);
        nonce.extend_from_slice(&now.unix_millis().to_be_bytes());
        let tag = self.mac(device, &nonce);
        nonce.extend_from_slice(tag.as_ref());
        nonce
    }

    /// When a nonce that is issued now ends.
    pub fn expiry(&self, now: Timestamp) -> Timestamp {
        now.plus(self.ttl)
    }

    /// Recognises a nonce as ours, this device's, and alive.
    ///
    /// # Errors
    /// It is none of ours, another device's, expired, or from a future that no clock skew explains.
    pub fn recognise(&self, device: &DeviceId, nonce: &[u8], now: Timestamp) -> Result<LiveNonce, NonceRejected> {
        let (body, tag) = nonce.split_at_checked(BODY_LEN).ok_or(NonceRejected::Unknown)?;
        hmac::verify(&self.key, &signed(device, body), tag).map_err(|_| NonceRejected::Unknown)?;
        let issued_at = body
            .last_chunk::<ISSUED_AT_LEN>()
            .map(|millis| Timestamp::from_unix_millis(i64::from_be_bytes(*millis)))
            .ok_or(NonceRejected::Unknown)?;
        let expires_at = issued_at.plus(self.ttl);
        if now >= expires_at {
            return Err(NonceRejected::Expired { expired_at: expires_at });
        }
        if issued_at > now.plus(CLOCK_SKEW) {
            return Err(NonceRejected::Unknown);
        }
        Ok(LiveNonce { bytes: nonce.to_vec(), issued_at, expires_at })
    }

    fn mac(&self, device: &DeviceId, body: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, &signed(device, body))
    }
}

/// What the MAC covers. The device id has one length, so nothing can move between it and the rest.
fn signed(device: &DeviceId, body: &[u8]) -> Vec<u8> {
    [device.to_string().as_bytes(), body].concat()
}

impl LiveNonce {
    /// The nonce itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Under what it is remembered once it is spent.
    pub fn digest(&self) -> Sha256Digest {
        sha256(&self.bytes)
    }

    /// When it was made: evidence that answers it is no older.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Until when it must be remembered as spent.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    let digest = digest::digest(&digest::SHA256, bytes);
    Sha256Digest::new(digest.as_ref().try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::EngineSecret;
    use proptest::prelude::*;

    const TTL: Duration = Duration::from_secs(300);

    fn mint() -> NonceMint {
        NonceMint::new(EngineSecret::new([1; 32]).nonce_key(), TTL)
    }

    fn device(byte: u8) -> DeviceId {
        DeviceId::from_ek_digest(&Sha256Digest::new([byte; 32]))
    }

    #[test]
    fn is_known_again_by_an_engine_that_restarted() {
        let now = Timestamp::from_unix_secs(1000);
        let nonce = mint().issue(&device(1), now, &[9; 16]);
        let live = mint().recognise(&device(1), &nonce, now).unwrap();
        assert_eq!((live.issued_at(), live.expires_at()), (now, now.plus(TTL)));
    }

    #[test]
    fn belongs_to_one_device() {
        let now = Timestamp::from_unix_secs(1000);
        let nonce = mint().issue(&device(1), now, &[9; 16]);
        assert_eq!(mint().recognise(&device(2), &nonce, now), Err(NonceRejected::Unknown));
    }

    #[test]
    fn ends_at_its_ttl_to_the_millisecond() {
        let now = Timestamp::from_unix_secs(1000);
        let nonce = mint().issue(&device(1), now, &[9; 16]);
        let last = now.plus(TTL).minus(Duration::from_millis(1));
        assert!(mint().recognise(&device(1), &nonce, last).is_ok());
        let expired = NonceRejected::Expired { expired_at: now.plus(TTL) };
        assert_eq!(mint().recognise(&device(1), &nonce, now.plus(TTL)), Err(expired));
    }

    #[test]
    fn from_the_future_is_unknown() {
        let now = Timestamp::from_unix_secs(1000);
        let nonce = mint().issue(&device(1), now.plus(Duration::from_secs(3600)), &[9; 16]);
        assert_eq!(mint().recognise(&device(1), &nonce, now), Err(NonceRejected::Unknown));
    }

    #[test]
    fn of_another_engine_is_unknown() {
        let now = Timestamp::from_unix_secs(1000);
        let other = NonceMint::new(EngineSecret::new([2; 32]).nonce_key(), TTL);
        let nonce = other.issue(&device(1), now, &[9; 16]);
        assert_eq!(mint().recognise(&device(1), &nonce, now), Err(NonceRejected::Unknown));
    }

    proptest! {
        #[test]
        fn one_flipped_bit_makes_it_unknown(bit in 0usize..(BODY_LEN + MAC_LEN) * 8) {
            let now = Timestamp::from_unix_secs(1000);
            let mut nonce = mint().issue(&device(1), now, &[9; 16]);
            nonce[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(mint().recognise(&device(1), &nonce, now), Err(NonceRejected::Unknown));
        }

        #[test]
        fn no_bytes_are_taken_for_one(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let now = Timestamp::from_unix_secs(1000);
            prop_assert_eq!(mint().recognise(&device(1), &bytes, now), Err(NonceRejected::Unknown));
        }
    }
}
