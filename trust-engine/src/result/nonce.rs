//! What a relying party puts into a result so that it knows the token for a fresh one.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use vouchsafe_model::hash::from_hex;

/// A relying party's nonce: 8 to 64 bytes (RFC 9711, 4.1).
///
/// It is asked for in hexadecimal, as everywhere here, and stands in the token in base64url without padding, as EAT has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultNonce(Vec<u8>);

/// A text that is no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a nonce is 8 to 64 bytes in hexadecimal, two digits for each")]
pub struct InvalidNonce;

impl ResultNonce {
    /// The shortest, in bytes.
    pub const MIN_LEN: usize = 8;
    /// The longest, in bytes.
    pub const MAX_LEN: usize = 64;

    /// As it stands in a token.
    pub fn claim(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

impl FromStr for ResultNonce {
    type Err = InvalidNonce;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = from_hex(text).ok_or(InvalidNonce)?;
        if (Self::MIN_LEN..=Self::MAX_LEN).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidNonce) }
    }
}

/// In hexadecimal.
impl fmt::Display for ResultNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&vouchsafe_model::hash::to_hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_8_to_64_bytes_and_not_one_more_or_less() {
        for (len, valid) in [(0, false), (7, false), (8, true), (64, true), (65, false)] {
            assert_eq!("fb".repeat(len).parse::<ResultNonce>().is_ok(), valid, "{len}");
        }
        let nonce: ResultNonce = "fbeffffbefff0001".parse().unwrap();
        assert_eq!((nonce.claim().as_str(), nonce.to_string().as_str()), ("--__--__AAE", "fbeffffbefff0001"));
        for text in ["no hexadecimal!!", "fbfbfbfbfbfbfbfbf", " fbfbfbfbfbfbfbfb"] {
            assert_eq!(text.parse::<ResultNonce>(), Err(InvalidNonce), "{text}");
        }
    }
}
