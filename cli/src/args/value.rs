//! Values of the command line that are more than a text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{DeviceId, Timestamp, TrustScore};

/// A device, by its id or the beginning of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DevicePrefix(String);

impl DevicePrefix {
    /// The least of an id that names a device.
    const MIN_LEN: usize = 4;
    /// A whole id.
    const MAX_LEN: usize = 32;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The device, when the whole id was given.
    pub(crate) fn whole(&self) -> Option<DeviceId> {
        self.0.parse().ok()
    }
}

impl FromStr for DevicePrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (Self::MIN_LEN..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err("a device id, or its first 4 or more of a-z and 2-7".to_owned())
        }
    }
}

impl fmt::Display for DevicePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An instant, named by itself or by how far it is from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    At(Timestamp),
    Ahead(Duration),
    Ago(Duration),
}

impl Instant {
    pub(crate) fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ahead(span) => now.plus(span),
            Self::Ago(span) => now.minus(span),
        }
    }
}

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(ahead) = text.strip_prefix('+') {
            return span(ahead).map(Self::Ahead);
        }
        if let Some(ago) = text.strip_prefix('-') {
            return span(ago).map(Self::Ago);
        }
        text.parse()
            .map(Self::At)
            .map_err(|_| "a time such as 2026-01-31T12:00:00Z, or +2h or -30m from now".to_owned())
    }
}

/// Reads a span such as `90s`, `1h 30m` or `7days`; at least a second, in whole seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|_| "a span such as 90s, 1h30m or 7days".to_owned())?;
    if span.as_secs() == 0 || span.subsec_nanos() != 0 {
        return Err("a span of whole seconds, at least one".to_owned());
    }
    Ok(span)
}

/// Reads a threshold: 0 to 100 points.
pub(crate) fn threshold(text: &str) -> Result<TrustScore, String> {
    let points: f64 = text.parse().map_err(|_| "a number of points, 0 to 100".to_owned())?;
    if (0.0..=100.0).contains(&points) { Ok(TrustScore::new(points)) } else { Err("0 to 100 points".to_owned()) }
}

/// Reads PCRs such as `1,5` or `0-7`.
pub(crate) fn pcrs(text: &str) -> Result<PcrSet, String> {
    text.parse().map_err(|_| "PCRs from 0 to 23, such as 1,5 or 8-9".to_owned())
}

/// Bytes in hexadecimal, such as a nonce: at least one, and at most what a TPM takes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HexBytes(pub(crate) Vec<u8>);

impl HexBytes {
    /// The longest qualifying data: an algorithm and a SHA-512 digest (TPM 2.0 Part 2, 10.4.3 `TPM2B_DATA`).
    const MAX_LEN: usize = 66;
}

impl FromStr for HexBytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = vouchsafe_model::hash::from_hex(text).ok_or("hexadecimal digits, two for each byte")?;
        if (1..=Self::MAX_LEN).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(format!("1 to {} bytes in hexadecimal", Self::MAX_LEN))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_absolute_or_relative() {
        let now = Timestamp::from_unix_secs(100_000);
        let at = |text: &str| text.parse::<Instant>().map(|instant| instant.resolve(now));
        assert_eq!(at("+2h"), Ok(Timestamp::from_unix_secs(107_200)));
        assert_eq!(at("-30m"), Ok(Timestamp::from_unix_secs(98_200)));
        assert_eq!(at("1970-01-01T00:00:01Z"), Ok(Timestamp::from_unix_secs(1)));
        for text in ["", "+", "2h", "yesterday", "+-2h", "--2h", "+0s"] {
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_whole_seconds() {
        assert_eq!(span("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["", "0s", "1500ms", "-1h", "1", "h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_device_is_named_by_four_characters_or_more() {
        assert!("uws2".parse::<DevicePrefix>().is_ok_and(|device| device.whole().is_none()));
        assert!(
            "uws2ljnfuws2ljnfuws2ljnfuws2ljnf".parse::<DevicePrefix>().is_ok_and(|device| device.whole().is_some())
        );
        for text in ["uws", "UWS2", "uws1", "../x", "uws2ljnfuws2ljnfuws2ljnfuws2ljnfa"] {
            assert!(text.parse::<DevicePrefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn thresholds_and_nonces_are_held_to_their_range() {
        assert_eq!(threshold("62.5"), Ok(TrustScore::new(62.5)));
        for text in ["-1", "101", "NaN", "many"] {
            assert!(threshold(text).is_err(), "{text}");
        }
        assert!("90 09".parse::<HexBytes>().is_err());
        assert_eq!("9009".parse(), Ok(HexBytes(vec![0x90, 0x09])));
        assert!("ab".repeat(67).parse::<HexBytes>().is_err());
        assert!("".parse::<HexBytes>().is_err());
    }
}
