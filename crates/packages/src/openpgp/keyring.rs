//! Keyrings: which keys may sign.

use std::io::Cursor;

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType};
use pgp::types::{Duration as PgpDuration, Fingerprint, KeyDetails, Tag, Timestamp as PgpTimestamp};
use vouchsafe_model::Timestamp;

use crate::limits::{MAX_KEYRING_LEN, MAX_KEYS};

/// Why a keyring is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It is longer than any keyring.
    #[error("it has {0} bytes, and at most {MAX_KEYRING_LEN} are possible")]
    TooLong(u64),
    /// It holds more keys than any keyring.
    #[error("it has more than {MAX_KEYS} keys")]
    TooManyKeys,
    /// It is no keyring.
    #[error("it is no OpenPGP keyring, binary or armoured: {0}")]
    Malformed(String),
    /// No key in it may sign.
    #[error("no key in it may sign")]
    NoKey,
}

/// Keys that may sign.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    pub(super) keys: Vec<SigningKey>,
}

/// A key that may sign, with what its owner says about it.
#[derive(Clone, Debug)]
pub(super) struct SigningKey {
    pub(super) key: Key,
    /// The first and the last second in which it is valid.
    pub(super) valid: (Timestamp, Option<Timestamp>),
}

#[derive(Clone, Debug)]
pub(super) enum Key {
    Primary(Box<PublicKey>),
    Subkey(Box<PublicSubkey>),
}

impl Key {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Primary(key) => key.fingerprint(),
            Self::Subkey(key) => key.fingerprint(),
        }
    }

    pub(super) fn verify(&self, signature: &Signature, data: &[u8]) -> bool {
        match self {
            Self::Primary(key) => signature.verify(key.as_ref(), data).is_ok(),
            Self::Subkey(key) => signature.verify(key.as_ref(), data).is_ok(),
        }
    }

    /// Whether a signature names this key as its maker, by fingerprint or key id.
    pub(super) fn is_issuer_of(&self, signature: &Signature) -> bool {
        let (fingerprint, id) = match self {
            Self::Primary(key) => (key.fingerprint(), key.legacy_key_id()),
            Self::Subkey(key) => (key.fingerprint(), key.legacy_key_id()),
        };
        signature.issuer_fingerprint().into_iter().any(|issuer| *issuer == fingerprint)
            || signature.issuer_key_id().into_iter().any(|issuer| *issuer == id)
    }
}

impl Keyring {
    /// Reads a keyring: binary as Debian ships them, or armoured.
    ///
    /// Keys that may not sign are left out: those that are revoked, that their owner does not bind, and subkeys for other
    /// purposes.
    ///
    /// # Errors
    /// When it is no keyring, or no key in it may sign.
    pub fn read(bytes: &[u8]) -> Result<Self, KeyringError> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if len > MAX_KEYRING_LEN {
            return Err(KeyringError::TooLong(len));
        }
        let malformed = |error: pgp::errors::Error| KeyringError::Malformed(error.to_string());
        let (certificates, _) =
            pgp::composed::PublicOrSecret::from_reader_many(Cursor::new(bytes)).map_err(malformed)?;
        let mut keys = Vec::new();
        for certificate in certificates {
            // A secret key has no place in a keyring that is read; its public half is not asked for either.
            let pgp::composed::PublicOrSecret::Public(certificate) = certificate.map_err(malformed)? else { continue };
            keys.extend(signing_keys(&certificate));
            if keys.len() > MAX_KEYS {
                return Err(KeyringError::TooManyKeys);
            }
        }
        if keys.is_empty() { Err(KeyringError::NoKey) } else { Ok(Self { keys }) }
    }

    /// The keys of this and of another keyring.
    ///
    /// # Errors
    /// When they are more than a keyring may have.
    pub fn merge(mut self, other: Self) -> Result<Self, KeyringError> {
        self.keys.extend(other.keys);
        if self.keys.len() > MAX_KEYS { Err(KeyringError::TooManyKeys) } else { Ok(self) }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The keys of a certificate that may sign.
fn signing_keys(certificate: &SignedPublicKey) -> Vec<SigningKey> {
    let primary = &certificate.primary_key;
    if certificate.details.revocation_signatures.iter().any(|signature| signature.verify_key(primary).is_ok()) {
        return Vec::new();
    }
    let Some(own) = self_signature(certificate) else { return Vec::new() };
    let valid = validity(primary.created_at(), own.key_expiration_time());
    let mut keys = Vec::new();
    // Without flags a key may do what its algorithm can (RFC 4880, 5.2.3.21); keys of that age have none.
    if own.key_flags().sign() || !has_flags(own) {
        keys.push(SigningKey { key: Key::Primary(Box::new(primary.clone())), valid });
    }
    keys.extend(certificate.public_subkeys.iter().filter_map(|subkey| signing_subkey(primary, subkey, valid)));
    keys
}

/// What the owner last said about the primary key.
fn self_signature(certificate: &SignedPublicKey) -> Option<&Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok());
    let users = certificate.details.users.iter().filter_map(|user| {
        let own = user.signatures.iter().filter(|own| own.verify_certification(primary, Tag::UserId, &user.id).is_ok());
        // A name that was revoked last says nothing any more.
        own.max_by_key(|own| created(own)).filter(|own| own.typ() != Some(SignatureType::CertRevocation))
    });
    direct.chain(users).max_by_key(|own| created(own))
}

/// A subkey that the primary key binds for signing, and that agrees: without its own signature anybody could claim
/// the key of another.
fn signing_subkey(
    primary: &PublicKey,
    subkey: &SignedPublicSubKey,
    primary_valid: (Timestamp, Option<Timestamp>),
) -> Option<SigningKey> {
    let own = subkey.signatures.iter().filter(|own| own.verify_subkey_binding(primary, &subkey.key).is_ok());
    let (revocations, bindings): (Vec<_>, Vec<_>) =
        own.partition(|own| own.typ() == Some(SignatureType::SubkeyRevocation));
    let binding = bindings.into_iter().max_by_key(|own| created(own)).filter(|_| revocations.is_empty())?;
    let agrees = |back: &Signature| back.verify_primary_key_binding(&subkey.key, primary).is_ok();
    if !binding.key_flags().sign() || !binding.embedded_signature().is_some_and(agrees) {
        return None;
    }
    let (from, until) = validity(subkey.key.created_at(), binding.key_expiration_time());
    let until = match (until, primary_valid.1) {
        (Some(own), Some(primary)) => Some(own.min(primary)),
        (own, primary) => own.or(primary),
    };
    Some(SigningKey { key: Key::Subkey(Box::new(subkey.key.clone())), valid: (from.max(primary_valid.0), until) })
}

fn has_flags(signature: &Signature) -> bool {
    signature.config().is_some_and(|config| {
        config.hashed_subpackets().any(|packet| matches!(packet.data, pgp::packet::SubpacketData::KeyFlags(_)))
    })
}

fn created(signature: &Signature) -> u32 {
    signature.created().map_or(0, PgpTimestamp::as_secs)
}

/// An expiration of zero is none (RFC 9580, 5.2.3.13).
fn validity(created: PgpTimestamp, expires: Option<PgpDuration>) -> (Timestamp, Option<Timestamp>) {
    let from = Timestamp::from_unix_secs(created.as_secs().into());
    let secs = expires.map(PgpDuration::as_secs).filter(|secs| *secs > 0);
    (from, secs.map(|secs| from.plus(std::time::Duration::from_secs(secs.into()))))
}
