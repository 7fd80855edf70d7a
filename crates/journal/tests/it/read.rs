//! Looking entries up while they are written: newest first, oldest first, by times, in parts.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vouchsafe_journal::{Journal, JournalSettings, Scan};

use crate::fixtures::{Place, at, entry, finish, id, number_of, numbers_in};

async fn filled(count: u32) -> (Place, Journal, vouchsafe_journal::Writing) {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    let (journal, writing) = place.open().unwrap();
    for number in 0..count {
        journal.append(entry(number)).await.unwrap();
    }
    (place, journal, writing)
}

fn newest_first(journal: &Journal, scan: &Scan, most: usize) -> (Vec<u32>, Option<u64>) {
    let mut numbers = Vec::new();
    let next = journal.view().newest_first(scan, |record| {
        numbers.push(number_of(&record));
        if numbers.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (numbers, next.unwrap())
}

#[tokio::test]
async fn pages_in_both_directions_show_everything_once() {
    let (_place, journal, writing) = filled(200).await;
    for most in [1, 7, 50, 199, 200, 201] {
        let (mut scan, mut all) = (Scan::all(u64::MAX), Vec::new());
        loop {
            let (page, next) = newest_first(&journal, &scan, most);
            all.extend(page);
            if next.is_none() {
                break;
            }
            scan.cursor = next;
        }
        assert_eq!(all, (0..200).rev().collect::<Vec<_>>(), "pages of {most}");
    }
    let (mut scan, mut all) = (Scan::all(1), Vec::new());
    while all.len() < 200 {
        let next = journal.view().oldest_first(&scan, |record| {
            all.push(number_of(&record));
            ControlFlow::Continue(())
        });
        scan.cursor = Some(next.unwrap());
    }
    assert_eq!(all, (0..200).collect::<Vec<_>>(), "one at a time by what may be read");
    assert_eq!(scan.cursor, Some(200));
    finish(writing).await;
}

#[tokio::test]
async fn every_entry_is_a_place_to_begin() {
    let (_place, journal, writing) = filled(120).await;
    for cursor in 0..=121_u64 {
        let scan = Scan { cursor: Some(cursor), ..Scan::all(u64::MAX) };
        let before = u32::try_from(cursor.min(120)).unwrap();
        assert_eq!(newest_first(&journal, &scan, usize::MAX).0, (0..before).rev().collect::<Vec<_>>(), "{cursor}");
        let mut numbers = Vec::new();
        let next = journal.view().oldest_first(&scan, |record| {
            numbers.push(number_of(&record));
            ControlFlow::Continue(())
        });
        assert_eq!((numbers, next.unwrap()), ((before..120).collect(), cursor.max(120)));
    }
    finish(writing).await;
}

#[tokio::test]
async fn times_are_from_and_until_and_segments_of_others_are_passed_over() {
    let (_place, journal, writing) = filled(150).await;
    let between =
        |since: u32, until: u32| Scan { since: Some(at(since)), until: Some(at(until)), ..Scan::all(u64::MAX) };
    assert_eq!(newest_first(&journal, &between(40, 60), usize::MAX), ((40..60).rev().collect(), None));
    assert!(newest_first(&journal, &between(0, 0), usize::MAX).0.is_empty());
    assert!(newest_first(&journal, &between(1_000, 2_000), usize::MAX).0.is_empty());
    let mut numbers = Vec::new();
    let scanned = journal.view().oldest_first(&between(40, 60), |record| {
        numbers.push(number_of(&record));
        ControlFlow::Continue(())
    });
    assert_eq!((numbers, scanned.unwrap()), ((40..60).collect::<Vec<_>>(), 150));
    finish(writing).await;
}

#[tokio::test]
async fn a_scan_pauses_when_enough_was_read() {
    let (_place, journal, writing) = filled(100).await;
    let (page, next) = newest_first(&journal, &Scan::all(1_000), usize::MAX);
    assert!((2..20).contains(&page.len()), "{page:?}");
    assert_eq!(next, Some(u64::from(*page.last().unwrap())));
    // Also when nothing of it was shown.
    let never = Scan { since: Some(at(0)), until: Some(at(1)), ..Scan::all(1) };
    let (page, next) = newest_first(&journal, &never, usize::MAX);
    assert!(page.is_empty() && next.is_some());
    finish(writing).await;
}

#[tokio::test]
async fn every_entry_is_found_by_its_name() {
    let (place, journal, writing) = filled(80).await;
    for number in 0..80 {
        let record = journal.view().find(id(number)).unwrap().unwrap();
        assert_eq!((number_of(&record), record.number), (number, u64::from(number)));
    }
    assert!(journal.view().find(id(80)).unwrap().is_none());
    finish(writing).await;
    let (journal, writing) = place.open().unwrap();
    assert_eq!(numbers_in(&journal).len(), 80);
    assert!(journal.view().find(id(3)).unwrap().is_some(), "after it was opened again, too");
    finish(writing).await;
}

#[tokio::test]
async fn readers_see_whole_entries_alone_while_others_write() {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    let (journal, writing) = place.open().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (journal, stop) = (journal.clone(), stop.clone());
        tokio::task::spawn_blocking(move || {
            let mut rounds = 0;
            while !stop.load(Ordering::SeqCst) {
                let before = *journal.watch().borrow();
                let numbers = numbers_in(&journal);
                assert!(u64::try_from(numbers.len()).unwrap() >= before);
                let (back, _) = newest_first(&journal, &Scan::all(u64::MAX), 30);
                assert!(back.iter().zip(back.iter().skip(1)).all(|(one, next)| *one == next + 1));
                rounds += 1;
            }
            rounds
        })
    };
    for number in 0..500 {
        journal.append(entry(number)).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    assert!(reader.await.unwrap() > 0);
    finish(writing).await;
}
