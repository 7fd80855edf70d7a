//! Identifiers. Each is its own type, checked once when it is read.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::hash::Sha256Digest;
use crate::time::Timestamp;

/// Reads a value from its text, for types whose serialised form is that text.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// Declares that a type is a string in JSON Schema and OpenAPI.
macro_rules! text_schema {
    ($type:ident, $description:literal, $format:literal) => {
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": $format, "description": $description })
            }
        }

        impl utoipa::ToSchema for $type {}

        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .format(Some(utoipa::openapi::SchemaFormat::Custom($format.to_owned())))
                    .description(Some($description))
                    .into()
            }
        }
    };
}
pub(crate) use text_schema;

/// Serialises a type by its `Display` and reads it by its `FromStr`.
macro_rules! text_serde {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::id::from_text(deserializer)
            }
        }
    };
}
pub(crate) use text_serde;

/// A text that is no identifier of the kind that was asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is no {kind}: {expected}")]
pub struct InvalidId {
    kind: &'static str,
    expected: &'static str,
    text: String,
}

impl InvalidId {
    pub(crate) fn new(kind: &'static str, expected: &'static str, text: &str) -> Self {
        Self { kind, expected, text: text.chars().take(80).collect() }
    }
}

/// A device, named by its endorsement key: the first 160 bits of the SHA-256 of the EK's SubjectPublicKeyInfo, in
/// lower-case base32 (RFC 4648, 32 characters).
///
/// Another TPM has another EK and so another name; nobody can enrol under a name that is not theirs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId([u8; DeviceId::BYTES]);

impl DeviceId {
    const BYTES: usize = 20;
    const EXPECTED: &str = "32 characters of a-z and 2-7";

    /// The name of the device whose EK has this digest (SHA-256 over the DER SubjectPublicKeyInfo).
    pub fn from_ek_digest(digest: &Sha256Digest) -> Self {
        let mut id = [0; Self::BYTES];
        id.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

/// Base32 (RFC 4648, 6) in lower case, without padding.
static BASE32_LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().unwrap_or(BASE32_NOPAD)
});

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE32_LOWER.encode(&self.0))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

impl FromStr for DeviceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidId::new("device id", Self::EXPECTED, text);
        let bytes = BASE32_LOWER.decode(text.as_bytes()).map_err(|_| invalid())?;
        bytes.try_into().map(Self).map_err(|_| invalid())
    }
}

text_serde!(DeviceId);
text_schema!(DeviceId, "A device, named by its endorsement key: 32 characters of base32.", "device-id");

/// Declares an identifier that is a version 7 UUID (RFC 9562): unique, and ordered by the time it was made.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Uuid);

        impl $type {
            /// Makes one from the present instant and eighty bits of entropy (of which 74 are used).
            pub fn new(now: Timestamp, entropy: &[u8; 10]) -> Self {
                let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, entropy).into_uuid())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl FromStr for $type {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId::new($kind, "a UUID", text))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }

        text_schema!($type, $kind, "uuid");
    };
}

uuid_id! {
    /// One join token.
    TokenId, "token id"
}
uuid_id! {
    /// One enrolment, from its first message to its last.
    EnrolmentId, "enrolment id"
}
uuid_id! {
    /// One appraised piece of evidence.
    AttestationId, "attestation id"
}
uuid_id! {
    /// One decision.
    DecisionId, "decision id"
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_device_is_named_by_its_ek_alone() {
        let id = DeviceId::from_ek_digest(&Sha256Digest::new([0xA5; 32]));
        assert_eq!(id.to_string(), "uws2ljnfuws2ljnfuws2ljnfuws2ljnf");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn refuses_what_is_no_device_id() {
        for text in
            ["", "uws2", "UWS2LJNFUWS2LJNFUWS2LJNFUWS2LJNF", "uws2ljnfuws2ljnfuws2ljnfuws2ljn1", "../../../etc/passwd"]
        {
            assert!(text.parse::<DeviceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_of_one_kind_sort_by_the_time_they_were_made() {
        let early = DecisionId::new(Timestamp::from_unix_secs(1), &[0xFF; 10]);
        let late = DecisionId::new(Timestamp::from_unix_secs(2), &[0; 10]);
        assert!(early < late);
    }

    proptest! {
        #[test]
        fn device_ids_survive_being_written_and_read(bytes: [u8; 32]) {
            let id = DeviceId::from_ek_digest(&Sha256Digest::new(bytes));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
