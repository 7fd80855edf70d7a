//! DSSE, the Dead Simple Signing Envelope (protocol and envelope version 1.0.2 of secure-systems-lab/dsse).
//!
//! A signature covers the payload and the name of its type, in an encoding that cannot be read in two ways
//! ([`pre_authentication`]), so that a text that was signed as one thing is never taken for another. Nothing of the
//! payload is looked at before a signature over it has verified: [`Envelope::verify`] is the only way to a [`Verified`].
//!
//! This crate draws no randomness; who signs gives [`Envelope::sign`] a closure.

mod key;

use std::fmt;

use data_encoding::{BASE64, BASE64URL};
use serde::{Deserialize, Deserializer, Serialize};

pub use key::{DsseKey, DsseKeyRejected};

/// The longest payload, in bytes: that of the longest image.
pub const MAX_PAYLOAD_LEN: usize = crate::image::MAX_TEXT_LEN;
/// The longest envelope that is read, in bytes: the longest payload in base64, and the signatures.
pub const MAX_ENVELOPE_LEN: usize = MAX_PAYLOAD_LEN / 3 * 4 + 128 * 1024;
/// How many signatures an envelope may hold.
pub const MAX_SIGNATURES: usize = 16;
/// The longest signature, in bytes: that of RSA-8192.
pub const MAX_SIGNATURE_LEN: usize = 1024;
/// The longest name of a type or key, in bytes.
pub const MAX_NAME_LEN: usize = 256;
/// How many keys an envelope is tried with.
pub const MAX_KEYS: usize = 64;

/// An envelope that was read. What it says of itself is not to be believed before [`Self::verify`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    payload_type: String,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    /// A hint by which key, which no signature covers; not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    sig: Vec<u8>,
}

/// A payload that one of the given keys signed as what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    payload: Vec<u8>,
    signer: String,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is too long to be worth reading.
    #[error("{len} bytes; an envelope of at most {MAX_ENVELOPE_LEN} is read")]
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// It is no JSON, or a field is missing, occurs twice or is not of its form.
    #[error("no DSSE envelope: {0}")]
    Malformed(String),
    /// The payload is too long.
    #[error("a payload of {len} bytes; at most {MAX_PAYLOAD_LEN} are read")]
    PayloadTooLong {
        /// Its length, in bytes.
        len: usize,
    },
    /// There is no signature.
    #[error("the envelope holds no signature")]
    NoSignature,
    /// There are too many signatures.
    #[error("{0} signatures; at most {MAX_SIGNATURES} are read")]
    TooManySignatures(usize),
    /// A signature is empty or longer than any.
    #[error("signature {index} is of {len} bytes; 1 to {MAX_SIGNATURE_LEN} are possible")]
    SignatureLength {
        /// Which; the first is 1.
        index: usize,
        /// Its length, in bytes.
        len: usize,
    },
    /// The name of the type or of a key is too long.
    #[error("a {what} of {len} bytes; at most {MAX_NAME_LEN} are read")]
    NameTooLong {
        /// `payloadType` or `keyid`.
        what: &'static str,
        /// Its length, in bytes.
        len: usize,
    },
}

/// Why an envelope is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DsseRejected {
    /// It holds something else.
    #[error("the envelope holds {found}, and not {expected}")]
    OtherType {
        /// What was asked for.
        expected: &'static str,
        /// What it says that it holds.
        found: String,
    },
    /// There is no key to verify it with.
    #[error("no key was given")]
    NoKey,
    /// There are too many keys.
    #[error("{0} keys; at most {MAX_KEYS} are tried")]
    TooManyKeys(usize),
    /// None of the keys made any of the signatures.
    #[error("no signature verifies by any of the keys that were given")]
    DoesNotVerify,
}

/// What is signed: `DSSEv1`, and type and payload, each after its length (protocol, PAE).
pub fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Reads an envelope. Fields that are not known are ignored, as the specification demands; base64 may use either
    /// alphabet, and must be padded and without stray bits.
    ///
    /// # Errors
    /// When it is no envelope, or anything in it is beyond its bound.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_LEN {
            return Err(EnvelopeError::TooLong { len: bytes.len() });
        }
        let envelope: Self =
            serde_json::from_slice(bytes).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
        envelope.check()?;
        Ok(envelope)
    }

    /// Signs a payload. `sign` gets the bytes to be signed; `key_id` is the hint that goes along.
    ///
    /// # Errors
    /// That of `sign`.
    pub fn sign<E>(
        payload_type: &str,
        payload: &[u8],
        key_id: &str,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let sig = sign(&pre_authentication(payload_type, payload))?;
        let signatures = vec![EnvelopeSignature { keyid: Some(key_id.to_owned()), sig }];
        Ok(Self { payload_type: payload_type.to_owned(), payload: payload.to_vec(), signatures })
    }

    /// Gives the payload, if one of the keys signed it as this type.
    ///
    /// # Errors
    /// When it is of another type, there are no keys or too many, or no signature verifies.
    pub fn verify(self, payload_type: &'static str, keys: &[DsseKey]) -> Result<Verified, DsseRejected> {
        if self.payload_type != payload_type {
            return Err(DsseRejected::OtherType { expected: payload_type, found: self.payload_type });
        }
        match keys.len() {
            0 => return Err(DsseRejected::NoKey),
            1..=MAX_KEYS => {}
            more => return Err(DsseRejected::TooManyKeys(more)),
        }
        let message = pre_authentication(payload_type, &self.payload);
        let made_one = |key: &&DsseKey| self.signatures.iter().any(|signature| key.verifies(&message, &signature.sig));
        let key = keys.iter().find(made_one).ok_or(DsseRejected::DoesNotVerify)?;
        Ok(Verified { signer: key.id().to_owned(), payload: self.payload })
    }

    /// The envelope as JSON.
    pub fn to_json(&self) -> String {
        // Strings and byte vectors alone: there is nothing that JSON could not say.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What it says that it holds.
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    fn check(&self) -> Result<(), EnvelopeError> {
        if self.payload.len() > MAX_PAYLOAD_LEN {
            return Err(EnvelopeError::PayloadTooLong { len: self.payload.len() });
        }
        check_name("payloadType", &self.payload_type)?;
        match self.signatures.len() {
            0 => return Err(EnvelopeError::NoSignature),
            1..=MAX_SIGNATURES => {}
            more => return Err(EnvelopeError::TooManySignatures(more)),
        }
        for (position, signature) in self.signatures.iter().enumerate() {
            signature.keyid.iter().try_for_each(|id| check_name("keyid", id))?;
            if !(1..=MAX_SIGNATURE_LEN).contains(&signature.sig.len()) {
                let (index, len) = (position.saturating_add(1), signature.sig.len());
                return Err(EnvelopeError::SignatureLength { index, len });
            }
        }
        Ok(())
    }
}

impl Verified {
    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The id of the key that signed: SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The payload, taken out.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), EnvelopeError> {
    let len = name.len();
    if len > MAX_NAME_LEN { Err(EnvelopeError::NameTooLong { what, len }) } else { Ok(()) }
}

fn to_base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    let alphabet = if text.contains(['-', '_']) { BASE64URL } else { BASE64 };
    // The library would go on after padding, as if two texts had been joined.
    if text.trim_end_matches('=').contains('=') {
        return Err(serde::de::Error::custom("no base64: padding before its end"));
    }
    alphabet.decode(text.as_bytes()).map_err(|error| {
        serde::de::Error::custom(format_args!("no base64 with padding: {} at character {}", error.kind, error.position))
    })
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payload_type, payload, signatures } = self;
        write!(f, "Envelope({payload_type:?}, {} bytes, {} signatures)", payload.len(), signatures.len())
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} bytes, by {})", self.payload.len(), self.signer)
    }
}
