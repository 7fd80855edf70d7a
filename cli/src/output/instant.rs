//! Instants and spans for people.

use std::time::Duration;

use vouchsafe_model::Timestamp;

/// Seconds of the units that spans are written in, the longest first.
const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];

/// An instant to the second: `2026-01-31T12:00:00Z`.
pub(crate) fn plain(at: Timestamp) -> String {
    let whole = Timestamp::from_unix_secs(at.unix_secs()).to_string();
    whole.replace(".000Z", "Z")
}

/// An instant, and how far it is from now: `2026-01-31T12:00:00Z (in 2h 13m)`.
pub(crate) fn with_distance(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", plain(at), distance(at, now))
}

/// How far an instant is from now: `in 2h 13m`, `5m ago`, `now`.
pub(crate) fn distance(at: Timestamp, now: Timestamp) -> String {
    // To the nearest second: what was made this instant to last an hour ends in 1h, not in 59m 59s.
    let half = Duration::from_millis(500);
    let (ahead, ago) = (at.plus(half).since(now), now.plus(half).since(at));
    if ahead.as_secs() > 0 {
        format!("in {}", span(ahead))
    } else if ago.as_secs() > 0 {
        format!("{} ago", span(ago))
    } else {
        "now".to_owned()
    }
}

/// A span in its two greatest units: `2h 13m`, `45s`.
pub(crate) fn span(span: Duration) -> String {
    let mut left = span.as_secs();
    let mut parts = Vec::new();
    for (secs, unit) in UNITS {
        let count = left / secs;
        left %= secs;
        if count > 0 || !parts.is_empty() {
            parts.push((count, unit));
        }
    }
    let words: Vec<String> = parts
        .into_iter()
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units() {
        let told = |secs| span(Duration::from_secs(secs));
        assert_eq!(told(0), "0s");
        assert_eq!(told(59), "59s");
        assert_eq!(told(3600), "1h");
        assert_eq!(told(3605), "1h");
        assert_eq!(told(7_980), "2h 13m");
        assert_eq!(told(90_061), "1d 1h");
    }

    #[test]
    fn distances_know_past_and_future() {
        let now = Timestamp::from_unix_secs(1000);
        assert_eq!(distance(Timestamp::from_unix_secs(1090), now), "in 1m 30s");
        assert_eq!(distance(Timestamp::from_unix_secs(940), now), "1m ago");
        assert_eq!(distance(Timestamp::from_unix_millis(1_000_400), now), "now");
        assert_eq!(distance(Timestamp::from_unix_millis(4_599_700), now), "in 1h");
        assert_eq!(plain(Timestamp::from_unix_millis(1_769_860_800_999)), "2026-01-31T12:00:00Z");
    }
}
