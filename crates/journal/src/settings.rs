//! How a log is kept.

use std::time::Duration;

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// A segment that would be longer than this is ended before, in bytes.
    pub max_segment_bytes: u64,
    /// A segment that was begun so long ago is ended.
    pub max_segment_age: Duration,
    /// The oldest segments are removed while all together are longer than this, in bytes; `None` never.
    pub max_total_bytes: Option<u64>,
    /// A segment is removed when its newest entry is older than this; `None` never.
    pub max_age: Option<Duration>,
    /// A checkpoint is signed when so many entries were appended since the last one.
    pub checkpoint_entries: u64,
    /// A checkpoint is signed so long after the first entry that none covers.
    pub checkpoint_interval: Duration,
}

/// Settings by which no log can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// The size of segments.
    #[error(
        "segments of a log are {} to {} bytes long",
        JournalSettings::MIN_SEGMENT_BYTES,
        JournalSettings::MAX_SEGMENT_BYTES
    )]
    SegmentBytes,
    /// The age of segments.
    #[error("a segment of a log spans at least a second")]
    SegmentAge,
    /// The size of all.
    #[error("a log may take at least the bytes of two segments")]
    TotalBytes,
    /// How often checkpoints are signed.
    #[error("a checkpoint is signed after at least one entry, and 10 ms to an hour after it")]
    Checkpoints,
}

impl JournalSettings {
    /// The least length of segments, in bytes.
    pub const MIN_SEGMENT_BYTES: u64 = 4 * 1024;
    /// The largest length of segments, in bytes: one is read in full when a log is opened.
    pub const MAX_SEGMENT_BYTES: u64 = 4 * 1024 * 1024 * 1024;
    const CHECKPOINT_INTERVALS: std::ops::RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(3600);

    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        if !(Self::MIN_SEGMENT_BYTES..=Self::MAX_SEGMENT_BYTES).contains(&self.max_segment_bytes) {
            return Err(InvalidSettings::SegmentBytes);
        }
        if self.max_segment_age < Duration::from_secs(1) {
            return Err(InvalidSettings::SegmentAge);
        }
        if self.max_total_bytes.is_some_and(|total| total < 2 * self.max_segment_bytes) {
            return Err(InvalidSettings::TotalBytes);
        }
        let is_signed = self.checkpoint_entries > 0 && Self::CHECKPOINT_INTERVALS.contains(&self.checkpoint_interval);
        if is_signed { Ok(()) } else { Err(InvalidSettings::Checkpoints) }
    }
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            max_segment_bytes: 64 * 1024 * 1024,
            max_segment_age: Duration::from_secs(86_400),
            max_total_bytes: Some(16 * 1024 * 1024 * 1024),
            max_age: Some(Duration::from_secs(90 * 86_400)),
            checkpoint_entries: 4096,
            checkpoint_interval: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_at_their_bounds_and_refused_beyond() {
        let of = |change: fn(&mut JournalSettings)| {
            let mut settings = JournalSettings::default();
            change(&mut settings);
            settings.check()
        };
        assert_eq!(of(|_| {}), Ok(()));
        assert_eq!(of(|s| s.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES), Ok(()));
        assert_eq!(
            of(|s| s.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES - 1),
            Err(InvalidSettings::SegmentBytes)
        );
        assert_eq!(of(|s| s.max_segment_bytes = JournalSettings::MAX_SEGMENT_BYTES), Ok(()));
        assert_eq!(
            of(|s| s.max_segment_bytes = JournalSettings::MAX_SEGMENT_BYTES + 1),
            Err(InvalidSettings::SegmentBytes)
        );
        assert_eq!(of(|s| s.max_segment_age = Duration::from_millis(999)), Err(InvalidSettings::SegmentAge));
        assert_eq!(of(|s| s.max_total_bytes = Some(2 * s.max_segment_bytes)), Ok(()));
        assert_eq!(of(|s| s.max_total_bytes = Some(2 * s.max_segment_bytes - 1)), Err(InvalidSettings::TotalBytes));
        assert_eq!(of(|s| s.max_total_bytes = None), Ok(()));
        assert_eq!(of(|s| s.checkpoint_entries = 0), Err(InvalidSettings::Checkpoints));
        assert_eq!(of(|s| s.checkpoint_interval = Duration::from_millis(10)), Ok(()));
        assert_eq!(of(|s| s.checkpoint_interval = Duration::from_millis(9)), Err(InvalidSettings::Checkpoints));
        assert_eq!(of(|s| s.checkpoint_interval = Duration::from_secs(3600)), Ok(()));
        assert_eq!(of(|s| s.checkpoint_interval = Duration::from_secs(3601)), Err(InvalidSettings::Checkpoints));
    }
}
