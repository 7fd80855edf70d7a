//! Spans of time as people write them: `90d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A span of whole seconds: `90d`, `12h`, `2w`, at least a second and at most ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    secs: u64,
}

/// A text that is no such span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no span of time such as 7d, 12h or 90d, of at most {days} days", days = Period::MAX_SECS / DAY)]
pub struct PeriodError {
    text: String,
}

const DAY: u64 = 24 * 60 * 60;
/// The units, the largest first.
const UNITS: [(char, u64); 5] = [('w', 7 * DAY), ('d', DAY), ('h', 60 * 60), ('m', 60), ('s', 1)];

impl Period {
    /// The longest span, in seconds.
    pub const MAX_SECS: u64 = 3650 * DAY;

    /// So many days; `None` for zero and above the limit.
    pub fn from_days(days: u64) -> Option<Self> {
        days.checked_mul(DAY).and_then(Self::from_secs)
    }

    /// So many seconds; `None` for zero and above the limit.
    pub fn from_secs(secs: u64) -> Option<Self> {
        (1..=Self::MAX_SECS).contains(&secs).then_some(Self { secs })
    }

    /// Its length.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.secs)
    }
}

impl fmt::Display for Period {
    /// In the largest unit of which it is a whole number, weeks aside: `90d` is read more easily than `12w` and six days.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, unit): &&(char, u64)| *unit <= DAY && self.secs.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(('s', 1));
        f.pad(&format!("{}{name}", self.secs / unit))
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (unit, digits) = UNITS.iter().find_map(|(name, unit)| Some((*unit, text.strip_suffix(*name)?)))?;
            let is_plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
            is_plain.then_some(())?;
            digits.parse::<u64>().ok()?.checked_mul(unit).and_then(Self::from_secs)
        };
        read().ok_or_else(|| PeriodError { text: text.chars().take(64).collect() })
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::read::from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_in_their_largest_unit() {
        for (text, secs, written) in [
            ("7d", 604_800, "7d"),
            ("2w", 1_209_600, "14d"),
            ("24h", DAY, "1d"),
            ("90m", 5400, "90m"),
            ("61s", 61, "61s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.duration().as_secs(), period.to_string().as_str()), (secs, written));
            assert_eq!(period.to_string().parse(), Ok(period));
        }
        assert_eq!(Period::from_days(1), "1d".parse().ok());
    }

    #[test]
    fn nothing_endless_and_nothing_empty_is_a_span() {
        assert!("3650d".parse::<Period>().is_ok());
        for text in
            ["", "d", "0d", "07d", "+7d", "-7d", "7", "7 d", "7D", "1.5d", "3651d", "99999999999999999999w", "é"]
        {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
        assert_eq!((Period::from_days(0), Period::from_days(u64::MAX)), (None, None));
    }
}
