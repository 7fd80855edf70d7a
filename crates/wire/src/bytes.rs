//! Bytes in JSON.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of at most `MAX`, written as standard base64 with padding (RFC 4648, 4).
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes<const MAX: usize>(Vec<u8>);

/// A text that is no base64, or more bytes than there may be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidBase64 {
    /// It has a character, a length or a padding that base64 does not have.
    #[error("not standard base64 with padding")]
    Encoding,
    /// It holds too much.
    #[error("{len} bytes, at most {max} are allowed")]
    TooLong {
        /// How many bytes there are.
        len: usize,
        /// How many there may be.
        max: usize,
    },
}

impl<const MAX: usize> Bytes<MAX> {
    /// Names bytes as fit to travel.
    ///
    /// # Errors
    /// More than `MAX` bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidBase64> {
        let bytes = bytes.into();
        if bytes.len() > MAX { Err(InvalidBase64::TooLong { len: bytes.len(), max: MAX }) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, given away.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> AsRef<[u8]> for Bytes<MAX> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> fmt::Display for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl<const MAX: usize> FromStr for Bytes<MAX> {
    type Err = InvalidBase64;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Refused before decoding, so that a long text costs nothing.
        let longest = MAX.div_ceil(3) * 4;
        if text.len() > longest {
            return Err(InvalidBase64::TooLong { len: text.len() / 4 * 3, max: MAX });
        }
        Self::new(STANDARD.decode(text).map_err(|_| InvalidBase64::Encoding)?)
    }
}

impl<const MAX: usize> Serialize for Bytes<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Bytes<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<const MAX: usize> utoipa::ToSchema for Bytes<MAX> {}

impl<const MAX: usize> utoipa::PartialSchema for Bytes<MAX> {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .content_encoding("base64")
            .max_length(Some(MAX.div_ceil(3) * 4))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn holds_its_maximum_and_not_one_byte_more() {
        assert!(Bytes::<4>::new([0; 4]).is_ok());
        assert_eq!(Bytes::<4>::new([0; 5]), Err(InvalidBase64::TooLong { len: 5, max: 4 }));
        assert_eq!("AAAAAAA=".parse::<Bytes<4>>(), Err(InvalidBase64::TooLong { len: 5, max: 4 }));
        assert!("A".repeat(1 << 20).parse::<Bytes<4>>().is_err());
    }

    #[test]
    fn refuses_what_is_not_standard_base64() {
        for text in ["AA", "AA=", "A-__", "AA==\n", " AAA"] {
            assert_eq!(text.parse::<Bytes<64>>(), Err(InvalidBase64::Encoding), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn survives_being_written_and_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::<64>::new(bytes).unwrap();
            let json = serde_json::to_string(&bytes).unwrap();
            prop_assert_eq!(serde_json::from_str::<Bytes<64>>(&json).unwrap(), bytes);
        }
    }
}
