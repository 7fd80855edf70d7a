//! Instants, to the millisecond.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in UTC: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
///
/// Written as RFC 3339 with milliseconds. Arithmetic saturates, so that no clock, however wrong, can overflow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is no RFC 3339 instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{text}' is no RFC 3339 time such as 2026-01-31T12:00:00Z")]
pub struct InvalidTimestamp {
    text: String,
}

/// The first and the last millisecond that RFC 3339 can write: the years 0000 to 9999.
const RFC3339_RANGE_MS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The instant so many milliseconds after the epoch, held to the years that RFC 3339 can write.
    pub const fn from_unix_millis(millis: i64) -> Self {
        let (first, last) = RFC3339_RANGE_MS;
        Self(if millis < first {
            first
        } else if millis > last {
            last
        } else {
            millis
        })
    }

    /// The instant so many seconds after the epoch.
    pub const fn from_unix_secs(secs: i64) -> Self {
        Self::from_unix_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant and `span` more.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_add(saturating_millis(span)))
    }

    /// This instant less `span`.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_sub(saturating_millis(span)))
    }

    /// The same instant for libraries that speak `time`.
    pub fn to_offset_date_time(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

fn saturating_millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl From<OffsetDateTime> for Timestamp {
    fn from(instant: OffsetDateTime) -> Self {
        let millis = instant.unix_timestamp_nanos().div_euclid(1_000_000);
        Self::from_unix_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = self.to_offset_date_time();
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0, 4, instant.year().unsigned_abs()),
            (5, 2, u8::from(instant.month()).into()),
            (8, 2, instant.day().into()),
            (11, 2, instant.hour().into()),
            (14, 2, instant.minute().into()),
            (17, 2, instant.second().into()),
            (20, 3, instant.millisecond().into()),
        ];
        // Digit by digit: the formatting machinery would take twenty times as long, and every decision writes several.
        for (at, count, value) in parts {
            let mut rest = value;
            for place in text.iter_mut().skip(at).take(count).rev() {
                *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
                rest /= 10;
            }
        }
        f.pad(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(Self::from)
            .map_err(|_| InvalidTimestamp { text: text.chars().take(64).collect() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::id::from_text(deserializer)
    }
}

crate::id::text_schema!(Timestamp, "An instant in UTC, RFC 3339 with milliseconds.", "date-time");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_written_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_unix_millis(1_769_860_800_001).to_string(), "2026-01-31T12:00:00.001Z");
        assert_eq!(Timestamp::from_unix_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn reads_other_offsets_as_the_same_instant() {
        let utc: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!("2026-01-31T14:00:00+02:00".parse(), Ok(utc));
    }

    #[test]
    fn names_the_text_that_is_no_time() {
        let error = "yesterday".parse::<Timestamp>().unwrap_err();
        assert_eq!(error.to_string(), "'yesterday' is no RFC 3339 time such as 2026-01-31T12:00:00Z");
    }

    #[test]
    fn saturates_at_the_years_that_can_be_written() {
        assert_eq!(Timestamp::from_unix_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_unix_millis(i64::MIN).to_string(), "0000-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::UNIX_EPOCH.plus(Duration::MAX), Timestamp::from_unix_millis(i64::MAX));
    }

    proptest! {
        #[test]
        fn survives_being_written_and_read(millis in -62_167_219_200_000i64..=253_402_300_799_999) {
            let instant = Timestamp::from_unix_millis(millis);
            prop_assert_eq!(instant.to_string().parse(), Ok(instant));
        }
    }
}
