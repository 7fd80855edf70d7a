//! A disk that is full or fails: nobody is told that something was kept which was not, and the log goes on when it can.

use std::fs;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vouchsafe_journal::{Journal, JournalSettings};

use crate::fixtures::{FaultyDisk, KEY, Place, SIGNER, entry, finish, is_refused, number_of, numbers_in};

/// Appends until the log takes entries again.
async fn until_it_goes_on(journal: &Journal, number: u32) {
    for _ in 0..100 {
        if journal.append(entry(number)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the log does not go on: {:?}", journal.check());
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_log_goes_on_without_holes_when_there_is_room() {
    let disk = FaultyDisk::with_room(5_000);
    let mut place = Place::new();
    place.disk = disk.clone();
    let (journal, writing) = place.open().unwrap();
    let mut kept = Vec::new();
    for number in 0..200 {
        let outcome = journal.append(entry(number)).await;
        if outcome.is_ok() {
            kept.push(number);
        } else {
            assert!(is_refused(&outcome), "{outcome:?}");
            let told = journal.check().unwrap_err();
            assert_eq!(told.to_string(), "the log cannot be written");
            assert!(std::error::Error::source(&told).unwrap().to_string().starts_with("cannot write "));
        }
    }
    assert!((5..100).contains(&kept.len()), "{}", kept.len());
    assert_eq!(numbers_in(&journal), kept, "readers never see what was not kept");

    disk.room.store(1_000_000, Ordering::SeqCst);
    until_it_goes_on(&journal, 1_000).await;
    kept.push(1_000);
    journal.check().unwrap();
    for number in 1_001..1_010 {
        journal.append(entry(number)).await.unwrap();
        kept.push(number);
    }
    assert_eq!(numbers_in(&journal), kept);
    finish(writing).await;
    assert_eq!(place.verify().unwrap().entries, u64::try_from(kept.len()).unwrap());
    assert_eq!(place.numbers(), kept);
}

#[tokio::test]
async fn a_disk_that_does_not_sync_keeps_nothing() {
    let disk = FaultyDisk::with_room(1_000_000);
    let mut place = Place::new();
    place.disk = disk.clone();
    let (journal, writing) = place.open().unwrap();
    journal.append(entry(0)).await.unwrap();
    disk.fails_to_sync.store(true, Ordering::SeqCst);
    assert!(is_refused(&journal.append(entry(1)).await));
    disk.fails_to_cut.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(700)).await;
    disk.fails_to_sync.store(false, Ordering::SeqCst);
    assert!(is_refused(&journal.append(entry(2)).await), "what may be half-written is not written on");
    disk.fails_to_cut.store(false, Ordering::SeqCst);
    until_it_goes_on(&journal, 3).await;
    assert_eq!(numbers_in(&journal), [0, 3]);
    finish(writing).await;
    place.verify().unwrap();
}

#[tokio::test]
async fn whichever_step_fails_what_was_acknowledged_is_there_once() {
    let settings = |place: &mut Place| {
        place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
        place.settings.max_total_bytes = Some(3 * JournalSettings::MIN_SEGMENT_BYTES);
        place.settings.checkpoint_interval = Duration::from_millis(10);
    };
    // How many steps it takes when none fails.
    let steps = {
        let disk = FaultyDisk::with_room(u64::MAX / 2);
        let mut place = Place::new();
        settings(&mut place);
        place.disk = disk.clone();
        place.fill(0..60).await;
        disk.steps.load(Ordering::SeqCst)
    };
    // Each of the first steps, and then some: what comes is always the same few things.
    for failing in (3..steps).step_by(3) {
        let disk = FaultyDisk::with_room(u64::MAX / 2);
        let mut place = Place::new();
        settings(&mut place);
        place.disk = disk.clone();
        let (journal, writing) = place.open().unwrap();
        disk.steps_left.store(failing, Ordering::SeqCst);
        let mut kept = Vec::new();
        for number in 0..60 {
            if journal.append(entry(number)).await.is_ok() {
                kept.push(number);
            }
        }
        // It ends while the disk is gone.
        finish(writing).await;
        drop(journal);
        disk.steps_left.store(0, Ordering::SeqCst);
        let found = place.verify().unwrap();
        let there = place.numbers();
        // What was refused last may be there, if not even cutting it off was possible; all else is as it was told.
        let acknowledged = kept.iter().skip(usize::try_from(found.first).unwrap());
        let refused: Vec<_> = there.iter().filter(|number| !kept.contains(number)).collect();
        assert!(acknowledged.into_iter().all(|number| there.contains(number)), "{failing}: {kept:?} {there:?}");
        assert!(there.is_sorted_by(|one, other| one < other) && refused.len() <= 1, "{failing}: {there:?}");
        place.fill(100..130).await;
        let more = place.verify().unwrap();
        assert_eq!(more.first + more.entries, found.first + found.entries + 30, "{failing} of {steps}");
    }
}

#[tokio::test]
async fn a_log_that_others_changed_meanwhile_is_not_written_on() {
    let disk = FaultyDisk::with_room(3_000);
    let mut place = Place::new();
    place.disk = disk.clone();
    let (journal, writing) = place.open().unwrap();
    let mut number = 0;
    while journal.append(entry(number)).await.is_ok() {
        number += 1;
    }
    // Somebody "repairs" it while it cannot be written.
    let text = fs::read_to_string(place.last_segment()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    fs::write(place.last_segment(), lines[..3].concat()).unwrap();
    let _ = fs::remove_file(place.folder.join("checkpoint"));
    disk.room.store(1_000_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(is_refused(&journal.append(entry(99)).await));
    finish(writing).await;
}

const FOLDER: &str = "VOUCHSAFE_JOURNAL_TEST_LIMITED_FOLDER";

#[tokio::test]
#[ignore = "this is the child of the test below, which starts it under a limit"]
async fn child_whose_files_have_a_limit() {
    let folder = std::env::var_os(FOLDER).expect("the parent names the folder");
    let place = Place::at(folder.as_ref());
    let (journal, writing) = place.open().unwrap();
    let mut kept = 0;
    loop {
        match journal.append(entry(kept)).await {
            Ok(()) => kept += 1,
            refused => {
                assert!(is_refused(&refused), "{refused:?}");
                break;
            }
        }
    }
    println!("kept {kept}");
    drop(journal);
    finish(writing).await;
}

#[tokio::test]
async fn the_systems_own_limit_on_files_is_met_and_survived() {
    let place = Place::new();
    // Blocks of 1024 bytes; without the signal, a write beyond the limit is an error.
    let script = "trap '' XFSZ; ulimit -f 20; exec \"$0\" \"$@\"";
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "trouble::child_whose_files_have_a_limit", "--ignored", "--nocapture"])
        .env(FOLDER, &place.folder)
        .env(KEY, SIGNER.pem())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let kept: u32 = told.split("kept ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert!(kept > 20, "{told}");
    assert_eq!(place.numbers(), (0..kept).collect::<Vec<_>>());
    place.verify().unwrap();
    let (journal, writing) = place.open().unwrap();
    let newest = journal.view().newest_first(&vouchsafe_journal::Scan::all(1), |record| {
        assert_eq!(number_of(&record), kept - 1);
        std::ops::ControlFlow::Break(())
    });
    newest.unwrap();
    finish(writing).await;
}
