//! Which segments are removed: the oldest, by the size of all and by age, never the one that is written.

use vouchsafe_model::Timestamp;

use crate::segment::SegmentInfo;
use crate::settings::JournalSettings;

/// How many of the segments, which are in their order, are to be removed.
///
/// A clock that runs ahead makes all segments old. Nothing here can know: the size of the log is the surer bound.
pub(crate) fn outlived(
    sealed: &[SegmentInfo],
    active: &SegmentInfo,
    settings: &JournalSettings,
    now: Timestamp,
) -> usize {
    let mut total = sealed.iter().map(|segment| segment.bytes).sum::<u64>().saturating_add(active.bytes);
    let is_outlived = |segment: &&SegmentInfo| {
        let is_too_much = settings.max_total_bytes.is_some_and(|max| total > max);
        let newest = segment.extent.map_or(segment.begun_at, |extent| extent.latest);
        let is_too_old = settings.max_age.is_some_and(|max| now.since(newest) > max);
        total -= segment.bytes;
        is_too_much || is_too_old
    };
    sealed.iter().take_while(is_outlived).count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::segment::Extent;
    use vouchsafe_model::DecisionId;

    fn segment(first: u64, bytes: u64, newest_secs: i64) -> SegmentInfo {
        let at = Timestamp::from_unix_secs(newest_secs);
        let id = DecisionId::new(at, &[0; 10]);
        let extent = Extent { earliest: at, latest: at, lowest: id, highest: id };
        SegmentInfo { extent: Some(extent), next: first + 10, ..SegmentInfo::begun(first, bytes, at) }
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits_and_is_young_enough() {
        let sealed = [segment(0, 100, 10), segment(10, 100, 20), segment(20, 100, 30)];
        let active = segment(30, 50, 40);
        let outlived = |bytes: Option<u64>, secs: Option<u64>| {
            let max_age = secs.map(Duration::from_secs);
            let settings = JournalSettings { max_total_bytes: bytes, max_age, ..JournalSettings::default() };
            outlived(&sealed, &active, &settings, Timestamp::from_unix_secs(100))
        };
        assert_eq!(outlived(None, None), 0);
        assert_eq!(outlived(Some(350), None), 0);
        assert_eq!(outlived(Some(349), None), 1);
        assert_eq!(outlived(Some(250), None), 1);
        assert_eq!(outlived(Some(249), None), 2);
        assert_eq!(outlived(Some(0), None), 3, "the one that is written stays");
        assert_eq!(outlived(None, Some(90)), 0);
        assert_eq!(outlived(None, Some(89)), 1);
        assert_eq!(outlived(None, Some(0)), 3);
        assert_eq!(outlived(Some(249), Some(89)), 2);
    }

    #[test]
    fn a_clock_that_goes_back_removes_nothing() {
        let sealed = [segment(0, 100, 1_000)];
        let settings = JournalSettings { max_age: Some(Duration::from_secs(1)), ..JournalSettings::default() };
        assert_eq!(outlived(&sealed, &segment(10, 10, 1_000), &settings, Timestamp::from_unix_secs(5)), 0);
    }
}
