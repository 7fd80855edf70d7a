//! Damage: what a crash left half-written is cut off; all else is refused, and named.

use std::fs::{self, OpenOptions};
use std::path::Path;

use vouchsafe_journal::{JournalSettings, OpenError, VerifyError};

use crate::fixtures::{Place, entry, finish};

/// A log that was left without a checkpoint at its end, as by a kill, and what its last lines are.
struct Left {
    place: Place,
    /// The offsets at which its lines begin, and its length.
    lines: Vec<usize>,
    bytes: Vec<u8>,
}

/// Two entries in two writes, after a clean start.
async fn left() -> Left {
    let place = Place::new();
    let (journal, writing) = place.open().unwrap();
    for number in 0..3 {
        journal.append(entry(number)).await.unwrap();
    }
    let bytes = fs::read(place.last_segment()).unwrap();
    finish(writing).await;
    let mut lines = vec![0];
    lines.extend(bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    let left = Left { place, lines, bytes };
    left.put(&left.bytes);
    left
}

impl Left {
    fn put(&self, bytes: &[u8]) {
        fs::write(self.place.last_segment(), bytes).unwrap();
        let _ = fs::remove_file(self.place.folder.join("checkpoint"));
    }

    fn is_refused(&self) -> bool {
        match self.place.open() {
            Err(OpenError::Damaged { .. }) => true,
            Err(other) => panic!("{other}"),
            Ok((_, writing)) => {
                writing.finish();
                false
            }
        }
    }
}

#[tokio::test]
async fn a_last_line_cut_anywhere_is_cut_off() {
    let left = left().await;
    let [.., start, end] = left.lines[..] else { panic!() };
    for length in start..end {
        left.put(&left.bytes[..length]);
        let found = left.place.verify().unwrap();
        assert_eq!((found.entries, found.unfinished_bytes), (2, u64::try_from(length - start).unwrap()));
        assert_eq!(left.place.numbers(), [0, 1], "cut at {length}");
        assert_eq!(left.place.verify().unwrap().unfinished_bytes, 0);
        left.place.fill(9..10).await;
        assert_eq!(left.place.numbers(), [0, 1, 9]);
        assert_eq!(left.place.verify().unwrap().entries, 3);
    }
}

#[tokio::test]
async fn blocks_of_the_last_write_that_are_zeros_are_cut_off() {
    let left = left().await;
    let [.., start, end] = left.lines[..] else { panic!() };
    for (from, to) in [(start, end), (start, start + 10), (end - 1, end), (start + 20, start + 60)] {
        let mut holed = left.bytes.clone();
        holed[from..to].fill(0);
        left.put(&holed);
        assert_eq!(left.place.numbers(), [0, 1], "{from}..{to}");
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_refused_and_named() {
    let left = left().await;
    for byte in 0..left.bytes.len() {
        for bit in [0, 3, 5] {
            let mut flipped = left.bytes.clone();
            flipped[byte] ^= 1 << bit;
            left.put(&flipped);
            assert!(left.is_refused(), "bit {bit} of byte {byte}");
            let line = left.lines.iter().filter(|start| **start <= byte).count();
            let fault = left.place.fault();
            let place = format!("00000000000000000000.vjl, line {line}, byte {}: ", left.lines[line - 1]);
            assert!(fault.starts_with(&place), "{fault} instead of {place}");
        }
    }
}

#[tokio::test]
async fn zeros_in_the_midst_are_damage_and_not_a_crash() {
    let left = left().await;
    let [.., before, start, _] = left.lines[..] else { panic!() };
    let mut holed = left.bytes.clone();
    holed[before..start].fill(0);
    left.put(&holed);
    assert!(left.is_refused(), "the write after it began when it was on the disk");
    assert!(left.place.verify().is_err());
}

/// A log of several segments.
async fn several() -> Place {
    let mut place = Place::new();
    place.settings.max_segment_bytes = JournalSettings::MIN_SEGMENT_BYTES;
    place.fill(0..100).await;
    assert!(place.segments().len() >= 4);
    place
}

fn copy_of(place: &Place) -> Place {
    let mut copy = Place::new();
    copy.settings = place.settings;
    fs::create_dir(&copy.folder).unwrap();
    for entry in fs::read_dir(&place.folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.folder.join(entry.file_name())).unwrap();
    }
    copy
}

#[tokio::test]
async fn segments_that_are_missing_are_named() {
    let whole = several().await;
    let count = whole.segments().len();
    for missing in 0..count {
        let place = copy_of(&whole);
        fs::remove_file(&place.segments()[missing]).unwrap();
        let fault = place.fault();
        let expected = match missing {
            0 => "are missing, and retention has removed those before 0 alone",
            _ if missing == count - 1 => "the last ones are missing",
            _ => "are missing: the segment before this one ends there, or was taken away",
        };
        assert!(fault.contains(expected), "{missing}: {fault}");
        // To write on is refused as well, but for a missing beginning, which is what retention leaves.
        assert_eq!(place.open().is_err(), missing > 0, "{missing}");
    }
}

#[tokio::test]
async fn the_last_segment_is_missed_only_while_its_checkpoint_is_there() {
    let place = several().await;
    fs::remove_file(place.last_segment()).unwrap();
    fs::remove_file(place.folder.join("checkpoint")).unwrap();
    place.verify().expect("nothing in the folder tells of it: that is what checkpoints kept elsewhere are for");
}

#[tokio::test]
async fn segments_under_each_others_names_are_named() {
    let place = several().await;
    let segments = place.segments();
    let aside = place.folder.join("aside");
    fs::rename(&segments[1], &aside).unwrap();
    fs::rename(&segments[2], &segments[1]).unwrap();
    fs::rename(&aside, &segments[2]).unwrap();
    let fault = place.fault();
    assert!(fault.contains("the header is that of the segment which begins with entry"), "{fault}");
}

#[tokio::test]
async fn a_segment_of_another_log_is_named() {
    // Two logs that are alike but for what is in them.
    let (place, other) = (several().await, several().await);
    let segments = place.segments();
    let text = fs::read(&other.segments()[1]).unwrap();
    fs::write(&segments[1], &text).unwrap();
    place.verify().expect("the same entries make the same log");

    let mut foreign = Place::new();
    foreign.settings = place.settings;
    foreign.fill(7..107).await;
    let same_name = foreign.segments().into_iter().find(|path| path.file_name() == segments[1].file_name());
    if let Some(path) = same_name {
        fs::copy(path, &segments[1]).unwrap();
        assert!(place.fault().contains("does not go on where the one before it ends"), "{}", place.fault());
    }
}

#[tokio::test]
async fn a_truncated_segment_in_the_midst_is_named() {
    let whole = several().await;
    let length = fs::metadata(&whole.segments()[1]).unwrap().len();
    for cut in [1, 2, 400, length / 2, length] {
        let place = copy_of(&whole);
        let path = &place.segments()[1];
        OpenOptions::new().write(true).open(path).unwrap().set_len(length - cut).unwrap();
        assert!(place.verify().is_err(), "less {cut}");
        assert!(matches!(place.open(), Err(OpenError::Damaged { .. })), "less {cut}");
    }
}

#[tokio::test]
async fn a_line_that_was_taken_out_or_exchanged_is_noticed() {
    let whole = several().await;
    let text = fs::read_to_string(&whole.segments()[0]).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let changed = |lines: Vec<&str>| {
        let place = copy_of(&whole);
        fs::write(&place.segments()[0], lines.concat()).unwrap();
        place.fault()
    };
    let mut without = lines.clone();
    without.remove(3);
    assert!(changed(without).contains("entry 3 stands where entry 2 is due"));
    let mut exchanged = lines.clone();
    exchanged.swap(3, 4);
    assert!(changed(exchanged).contains("entry 3 stands where entry 2 is due"));
    let mut twice = lines.clone();
    twice.insert(3, lines[3]);
    assert!(changed(twice).contains("entry 2 stands where entry 3 is due"));
    let mut behind = lines.clone();
    behind.push(lines[3]);
    assert!(changed(behind).contains("there is a line behind the end of the segment"));
    let mut endless = lines.clone();
    endless.pop();
    assert!(changed(endless).contains("the segment has no end"));
    let mut headless = lines;
    headless.remove(0);
    assert!(changed(headless).contains("the segment does not begin with a header"));
}

#[tokio::test]
async fn one_id_for_two_entries_is_named() {
    let place = Place::new();
    place.fill(0..5).await;
    place.fill(2..3).await;
    let fault = place.fault();
    assert!(fault.contains("entries 2 and 5 have one id"), "{fault}");
}

#[test]
fn a_folder_without_a_log_is_no_log_that_verifies() {
    let place = Place::new();
    assert!(matches!(place.verify(), Err(VerifyError::Io { .. })));
    fs::create_dir(&place.folder).unwrap();
    assert!(matches!(place.verify(), Err(VerifyError::NoLog { .. })));
    assert!(Path::new(&place.folder).exists());
}

#[tokio::test]
async fn unfinished_files_of_a_crash_are_removed() {
    let place = Place::new();
    place.fill(0..2).await;
    let unfinished = place.folder.join("00000000000000000002.tmp");
    fs::write(&unfinished, "header").unwrap();
    assert_eq!(place.numbers(), [0, 1]);
    assert!(!unfinished.exists());
}
