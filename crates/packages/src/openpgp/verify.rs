//! Whether a signature counts.

use std::fmt;
use std::io::Cursor;
use std::time::Duration;

use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};
use pgp::types::{KeyDetails as _, PublicParams};
use vouchsafe_model::Timestamp;

use super::keyring::{Key, Keyring, SigningKey};
use crate::limits::{MAX_SIGNATURE_LEN, MAX_SIGNATURES};

/// How far a signer's clock may be ahead of ours.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);
/// The shortest RSA modulus that counts, in bits (NIST SP 800-131A).
const MIN_RSA_BITS: usize = 2048;

/// When the key of a signature must have been valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At this instant, which is now: for an index, which is signed again and again.
    Now(Timestamp),
    /// When it signed: for a package, which is signed once and outlives its key. The instant is now; it bounds what a
    /// signature may say of itself.
    WhenSigned(Timestamp),
}

impl Standing {
    fn now(self) -> Timestamp {
        match self {
            Self::Now(now) | Self::WhenSigned(now) => now,
        }
    }
}

/// The key whose signature counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    fingerprint: String,
    signed_at: Timestamp,
}

impl Signer {
    /// Its fingerprint, in upper-case hexadecimal as `OpenPGP` tools show it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// When it signed, by its own clock.
    pub fn signed_at(&self) -> Timestamp {
        self.signed_at
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint)
    }
}

/// Why no signature counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefused {
    /// It is longer than signatures are.
    #[error("{0} bytes are more than a signature takes")]
    TooLong(usize),
    /// It is no signature.
    #[error("it is no OpenPGP signature: {0}")]
    Malformed(String),
    /// There are more than anyone makes.
    #[error("there are more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// None was made by a key of the keyring.
    #[error("it is signed by {0}, and no such key is in the keyring")]
    UnknownKey(String),
    /// One that names a key of the keyring is not over these bytes.
    #[error("the signature of key {0} is not over this")]
    Bad(String),
    /// The hash is broken or unknown.
    #[error("the signature of key {key} uses {hash}, which does not count any more")]
    WeakHash {
        /// The key.
        key: String,
        /// The hash.
        hash: String,
    },
    /// The key is too weak.
    #[error("key {0} is too weak: RSA of at least {MIN_RSA_BITS} bits, ECDSA and EdDSA count")]
    WeakKey(String),
    /// It signs something else than data.
    #[error("the signature of key {0} is not one over data")]
    Purpose(String),
    /// It says that it was made later than now.
    #[error("the signature of key {key} was made at {signed_at}, which is in the future")]
    Future {
        /// The key.
        key: String,
        /// When it was made.
        signed_at: Timestamp,
    },
    /// It has ended.
    #[error("the signature of key {key} ended at {ended_at}")]
    Expired {
        /// The key.
        key: String,
        /// When it ended.
        ended_at: Timestamp,
    },
    /// Its key has ended, or had not begun.
    #[error("key {key} was not valid at {at}")]
    KeyExpired {
        /// The key.
        key: String,
        /// When it had to be valid.
        at: Timestamp,
    },
}

impl Keyring {
    /// The first signer that counts, of signatures in binary or armoured form over these bytes.
    ///
    /// As with apt(8), one that counts is enough, and keys that are not in the keyring do not matter; but a signature that
    /// names a key of the keyring and is not over these bytes refuses them, whatever else they bear.
    ///
    /// # Errors
    /// When none counts.
    pub fn verify_any(
        &self,
        data: &[u8],
        signatures: &[Vec<u8>],
        standing: Standing,
    ) -> Result<Signer, SignatureRefused> {
        let mut packets = Vec::new();
        for signature in signatures {
            packets.extend(parse(signature)?);
        }
        self.verify_packets(data, &packets, standing)
    }

    pub(super) fn verify_packets(
        &self,
        data: &[u8],
        signatures: &[Signature],
        standing: Standing,
    ) -> Result<Signer, SignatureRefused> {
        if signatures.len() > MAX_SIGNATURES {
            return Err(SignatureRefused::TooMany);
        }
        let (mut good, mut refused) = (None, None);
        for signature in signatures {
            for key in self.keys.iter().filter(|key| key.key.is_issuer_of(signature)) {
                match verify(key, signature, data, standing) {
                    Ok(signer) => good = good.or(Some(signer)),
                    Err(error @ SignatureRefused::Bad(_)) => return Err(error),
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
        }
        good.ok_or_else(|| refused.unwrap_or_else(|| SignatureRefused::UnknownKey(issuers(signatures))))
    }
}

/// Reads signatures that stand one behind the other.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Signature>, SignatureRefused> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_SIGNATURE_LEN {
        return Err(SignatureRefused::TooLong(bytes.len()));
    }
    let malformed = |error: pgp::errors::Error| SignatureRefused::Malformed(error.to_string());
    let mut signatures = Vec::new();
    let mut take = |packet: Result<Packet, pgp::errors::Error>| match packet.map_err(malformed)? {
        Packet::Signature(_) if signatures.len() >= MAX_SIGNATURES => Err(SignatureRefused::TooMany),
        Packet::Signature(signature) => {
            signatures.push(signature);
            Ok(())
        }
        _ => Err(SignatureRefused::Malformed("there is something else than signatures".to_owned())),
    };
    // The first bit of a packet is set (RFC 9580, 4.2); text has it clear.
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        PacketParser::new(Cursor::new(bytes)).try_for_each(&mut take)?;
    } else {
        let mut armour = pgp::armor::Dearmor::new(Cursor::new(bytes));
        armour.read_header().map_err(malformed)?;
        if armour.typ != Some(pgp::armor::BlockType::Signature) {
            return Err(SignatureRefused::Malformed("it is armoured as something else".to_owned()));
        }
        PacketParser::new(std::io::BufReader::new(armour)).try_for_each(&mut take)?;
    }
    if signatures.is_empty() {
        return Err(SignatureRefused::Malformed("there is none".to_owned()));
    }
    Ok(signatures)
}

fn verify(
    key: &SigningKey,
    signature: &Signature,
    data: &[u8],
    standing: Standing,
) -> Result<Signer, SignatureRefused> {
    let name = format!("{:X}", key.key.fingerprint());
    let fits = matches!(signature.typ(), Some(SignatureType::Binary | SignatureType::Text));
    if !fits {
        return Err(SignatureRefused::Purpose(name));
    }
    check_hash(signature, &name)?;
    if !is_strong(&key.key) {
        return Err(SignatureRefused::WeakKey(name));
    }
    if !key.key.verify(signature, data) {
        return Err(SignatureRefused::Bad(name));
    }
    let signed_at = signature.created().map(|at| Timestamp::from_unix_secs(at.as_secs().into()));
    let signed_at = signed_at.ok_or_else(|| SignatureRefused::Purpose(name.clone()))?;
    let now = standing.now();
    if signed_at > now.plus(MAX_CLOCK_SKEW) {
        return Err(SignatureRefused::Future { key: name, signed_at });
    }
    let span = signature.signature_expiration_time().map(|span| u64::from(span.as_secs())).filter(|secs| *secs > 0);
    if let Some(ended_at) = span.map(|secs| signed_at.plus(Duration::from_secs(secs))).filter(|ended| *ended <= now) {
        return Err(SignatureRefused::Expired { key: name, ended_at });
    }
    let (from, until) = key.valid;
    let at = if let Standing::Now(now) = standing { now } else { signed_at };
    if signed_at < from || until.is_some_and(|until| at >= until) {
        return Err(SignatureRefused::KeyExpired { key: name, at });
    }
    Ok(Signer { fingerprint: name, signed_at })
}

/// MD5, SHA-1 and RIPEMD-160 have collisions, or soon will: who signs one file could have signed another.
fn check_hash(signature: &Signature, key: &str) -> Result<(), SignatureRefused> {
    match signature.hash_alg() {
        Some(
            HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512,
        ) => Ok(()),
        other => {
            let hash = other.map_or_else(|| "no hash".to_owned(), |hash| hash.to_string());
            Err(SignatureRefused::WeakHash { key: key.to_owned(), hash })
        }
    }
}

fn is_strong(key: &Key) -> bool {
    let (algorithm, parameters) = match key {
        Key::Primary(key) => (key.algorithm(), key.public_params()),
        Key::Subkey(key) => (key.algorithm(), key.public_params()),
    };
    match algorithm {
        PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign => rsa_bits(parameters) >= MIN_RSA_BITS,
        PublicKeyAlgorithm::ECDSA
        | PublicKeyAlgorithm::EdDSALegacy
        | PublicKeyAlgorithm::Ed25519
        | PublicKeyAlgorithm::Ed448 => true,
        _ => false,
    }
}

fn rsa_bits(parameters: &PublicParams) -> usize {
    use pgp::ser::Serialize as _;
    // The modulus comes first, as a number whose bits are counted in front of it (RFC 9580, 3.2).
    let bytes = parameters.to_bytes().unwrap_or_default();
    match bytes.as_slice() {
        [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}

/// The keys that signatures name.
fn issuers(signatures: &[Signature]) -> String {
    let name = |signature: &Signature| {
        let by_print = signature.issuer_fingerprint().first().map(|print| format!("{print:X}"));
        by_print.or_else(|| signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase()))
    };
    let names: Vec<_> = signatures.iter().filter_map(name).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}
