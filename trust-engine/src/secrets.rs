//! The engine's own secret, and the keys that are derived from it.

use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

/// 32 bytes that never leave the engine. All engines of one trust domain share them.
///
/// What the engine hands out and takes back unread (nonces and tickets) is sealed under keys derived from it, so that
/// nothing has to be stored when it is handed out, and a restarted engine still knows its own.
pub struct EngineSecret(Zeroizing<[u8; EngineSecret::LEN]>);

impl EngineSecret {
    /// Its length in bytes.
    pub const LEN: usize = 32;

    /// Names 32 bytes of entropy as the secret.
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key for nonces.
    pub(crate) fn nonce_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(b"vouchsafe nonce v1").as_slice())
    }

    /// The key for enrolment tickets.
    pub(crate) fn ticket_key(&self) -> Zeroizing<[u8; Self::LEN]> {
        self.derive(b"vouchsafe enrolment ticket v1")
    }

    /// The key for the pages of searches, which the policy engine's doors hand out in parts.
    pub fn page_key(&self) -> Zeroizing<[u8; Self::LEN]> {
        self.derive(b"vouchsafe search page v1")
    }

    /// HKDF-SHA256 (RFC 5869) with a label for each use.
    fn derive(&self, label: &[u8]) -> Zeroizing<[u8; Self::LEN]> {
        let mut key = Zeroizing::new([0; Self::LEN]);
        let filled = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vouchsafe engine")
            .extract(self.0.as_slice())
            .expand(&[label], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(key.as_mut_slice()));
        debug_assert!(filled.is_ok(), "32 bytes are within what HKDF-SHA256 can give");
        key
    }
}

impl std::fmt::Debug for EngineSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_a_key_of_its_own_and_none_is_empty() {
        let secret = EngineSecret::new([7; 32]);
        let (one, two) = (secret.derive(b"one"), secret.derive(b"two"));
        assert_ne!(*one, *two);
        assert_ne!(*one, [0; 32]);
        assert_ne!(*one, *EngineSecret::new([8; 32]).derive(b"one"));
    }

    #[test]
    fn is_never_shown() {
        assert_eq!(format!("{:?}", EngineSecret::new([7; 32])), "EngineSecret(…)");
    }
}
