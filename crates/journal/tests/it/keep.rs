//! Appending, ending segments, removing them, and going on where a log was left.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vouchsafe_journal::{Entry, JournalSettings, MAX_BODY_LEN, OpenError};

use crate::fixtures::{Place, at, entry, finish, id, numbers_in};

#[tokio::test]
async fn a_log_goes_on_where_it_was_left() {
    let place = Place::new();
    for round in 0..4 {
        place.fill(round * 5..round * 5 + 5).await;
        let found = place.verify().unwrap();
        assert_eq!((found.first, found.entries, found.unsigned), (0, u64::from(round) * 5 + 5, 0));
        assert!(found.signatures_verified && found.checkpoints > u64::from(round));
        assert_eq!((found.origin.as_str(), found.segments), ("example.org/decisions/test", 1));
        assert_eq!(found.times, Some((at(0), at(round * 5 + 4))));
    }
    assert_eq!(place.numbers(), (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn all_that_is_appended_at_once_is_there_once() {
    let place = Place::new();
    let (journal, writing) = place.open().unwrap();
    let appends: Vec<_> = (0..2_000)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(entry(number)).await })
        })
        .collect();
    for append in appends {
        append.await.unwrap().unwrap();
    }
    assert_eq!(*journal.watch().borrow(), 2_000);
    let mut numbers = numbers_in(&journal);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
    finish(writing).await;
    assert_eq!(place.verify().unwrap().entries, 2_000);
}

#[tokio::test]
async fn segments_end_at_their_bound_and_not_one_byte_earlier() {
    // So many entries that the last of a segment ends exactly at the bound, or would end one byte beyond it.
    for (beyond, segments) in [(0, 1), (1, 2)] {
        let mut place = Place::new();
        // Once without a bound, to see how long it becomes; no checkpoint comes between.
        place.settings.checkpoint_interval = Duration::from_secs(3600);
        let (journal, writing) = place.open().unwrap();
        for number in 0..60 {
            journal.append(entry(number)).await.unwrap();
        }
        let length = fs::metadata(place.last_segment()).unwrap().len();
        finish(writing).await;
        fs::remove_dir_all(&place.folder).unwrap();

        place.settings.max_segment_bytes = length - beyond;
        let (journal, writing) = place.open().unwrap();
        for number in 0..60 {
            journal.append(entry(number)).await.unwrap();
        }
        assert_eq!(place.segments().len(), segments);
        finish(writing).await;
        assert_eq!(place.verify().unwrap().entries, 60);
        assert_eq!(place.numbers(), (0..60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_entry_longer_than_a_segment_has_one_for_itself() {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    let (journal, writing) = place.open().unwrap();
    for number in 0..3 {
        let body = format!("\"{}\"", "x".repeat(MAX_BODY_LEN - 2));
        journal.append(Entry::new(id(number), at(number), body.into()).unwrap()).await.unwrap();
    }
    finish(writing).await;
    let found = place.verify().unwrap();
    assert_eq!((found.entries, found.segments), (3, 3));
}

#[tokio::test]
async fn segments_end_by_age_and_a_clock_that_goes_back_ends_none() {
    let mut place = Place::new();
    place.settings.max_segment_age = Duration::from_secs(60);
    let (journal, writing) = place.open().unwrap();
    let hours = |hours: i64| hours * 3_600_000;
    for (number, now) in [0, 59_999, 60_000, hours(-50), hours(-49), hours(1), hours(1)].into_iter().enumerate() {
        place.clock.store(now, Ordering::SeqCst);
        journal.append(entry(u32::try_from(number).unwrap())).await.unwrap();
    }
    finish(writing).await;
    let segments = place.segments();
    assert_eq!(segments.len(), 3, "{segments:?}");
    assert_eq!(place.verify().unwrap().entries, 7);
}

#[tokio::test]
async fn a_clock_that_goes_back_changes_nothing_but_instants() {
    let place = Place::new();
    let (journal, writing) = place.open().unwrap();
    for number in [100, 50, 200, 0, 1] {
        place.clock.store(i64::from(number) * 1_000, Ordering::SeqCst);
        journal.append(entry(number)).await.unwrap();
    }
    finish(writing).await;
    assert_eq!(place.verify().unwrap().times, Some((at(0), at(200))));
    assert_eq!(place.numbers(), [100, 50, 200, 0, 1]);
    for number in [100, 50, 200, 0, 1] {
        let (journal, writing) = place.open().unwrap();
        assert!(journal.view().find(id(number)).unwrap().is_some());
        finish(writing).await;
    }
}

#[tokio::test]
async fn retention_removes_the_oldest_and_says_so() {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    place.settings.max_total_bytes = Some(4 * JournalSettings::MIN_SEGMENT_BYTES);
    place.settings.checkpoint_interval = Duration::from_millis(10);
    let (journal, writing) = place.open().unwrap();
    for number in 0..300 {
        journal.append(entry(number)).await.unwrap();
        if number % 25 == 0 {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let kept = journal.view().entries();
    assert!(kept.start > 0 && kept.end == 300, "{kept:?}");
    assert!(journal.view().bytes() <= 4 * JournalSettings::MIN_SEGMENT_BYTES + 2_000);
    assert!(journal.view().find(id(0)).unwrap().is_none());
    finish(writing).await;

    let found = place.verify().unwrap();
    assert_eq!((found.first, found.entries), (kept.start, 300 - kept.start));
    let expected: Vec<u32> = (u32::try_from(kept.start).unwrap()..300).collect();
    assert_eq!(place.numbers(), expected);
    // And a beginning that retention has not removed is missed.
    fs::remove_file(&place.segments()[0]).unwrap();
    let fault = place.fault();
    assert!(fault.contains("are missing, and retention has removed those before"), "{fault}");
}

#[tokio::test]
async fn retention_by_age_leaves_what_is_young() {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    place.settings.max_age = Some(Duration::from_secs(3600));
    place.settings.checkpoint_interval = Duration::from_millis(10);
    let (journal, writing) = place.open().unwrap();
    for number in 0..100 {
        journal.append(entry(number)).await.unwrap();
    }
    assert_eq!(journal.view().entries(), 0..100);
    place.clock.store(3_600_000 + 50, Ordering::SeqCst);
    journal.append(entry(3_600_050)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let kept = journal.view().entries();
    assert!(kept.start > 0 && kept.start < 60, "{kept:?}");
    finish(writing).await;
    place.verify().unwrap();
}

#[tokio::test]
async fn two_writers_of_one_folder_are_refused_and_the_first_goes_on() {
    let place = Place::new();
    let (journal, writing) = place.open().unwrap();
    let error = place.open().unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().ends_with("is being written by another process"), "{error}");
    journal.append(entry(1)).await.unwrap();
    finish(writing).await;
    place.fill(2..3).await;
    assert_eq!(place.numbers(), [1, 2]);
}

#[tokio::test]
async fn nothing_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.fill(0..1).await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.folder), 0o700);
    assert_eq!(mode(&place.last_segment()), 0o600);
}

#[tokio::test]
async fn a_closed_log_takes_nothing() {
    let place = Place::new();
    let (journal, writing) = place.open().unwrap();
    let pending = {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(entry(1)).await })
    };
    pending.await.unwrap().unwrap();
    finish(writing).await;
    assert_eq!(journal.append(entry(2)).await.unwrap_err().to_string(), "the log is closed");
    assert_eq!(place.numbers(), [1]);
}

#[tokio::test]
async fn dropped_entries_leave_their_name_and_their_instant() {
    let place = Place::new();
    let (journal, writing) = place.open().unwrap();
    journal.append(entry(0)).await.unwrap();
    journal.append(Entry::dropped(id(1), at(1))).await.unwrap();
    journal.append(entry(2)).await.unwrap();
    let dropped = journal.view().find(id(1)).unwrap().unwrap();
    assert_eq!((dropped.number, dropped.at, dropped.body()), (1, at(1), None));
    finish(writing).await;
    let found = place.verify().unwrap();
    assert_eq!((found.entries, found.dropped), (3, 1));
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_refused() {
    let mut place = Place::new();
    place.settings.max_segment_bytes = 1;
    assert!(matches!(place.open().unwrap_err(), OpenError::Settings(_)));
    assert!(!place.folder.exists());
}
