//! Killed at any instant under load, the log has all that it acknowledged, nothing twice, and verifies (threat 28).
//!
//! The child is this same test binary. Several tasks append in it without a pause, and each says so after each
//! acknowledgement; the parent kills it at an instant that the child does not know, verifies the log, and starts it again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vouchsafe_journal::JournalSettings;

use crate::fixtures::{KEY, Place, SIGNER, entry};

const FOLDER: &str = "VOUCHSAFE_JOURNAL_TEST_CRASH_FOLDER";
const FIRST: &str = "VOUCHSAFE_JOURNAL_TEST_CRASH_FIRST";
const ROUNDS: u32 = 25;
const TASKS: u32 = 16;
/// The numbers of one round.
const ROUND: u32 = 1_000_000;

fn place(folder: &Path) -> Place {
    let mut place = Place::at(folder);
    // Segments end and checkpoints are signed all the time, so that kills fall there, too.
    place.settings.max_segment_bytes = 4 * JournalSettings::MIN_SEGMENT_BYTES;
    place.settings.checkpoint_interval = Duration::from_millis(10);
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "this is the child of the test below, which starts it"]
async fn child_that_appends_until_it_is_killed() {
    let folder = std::env::var_os(FOLDER).expect("the parent names the folder");
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let (journal, _writing) = place(folder.as_ref()).open().unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                for number in (first + task..).step_by(usize::try_from(TASKS).unwrap()) {
                    journal.append(entry(number)).await.unwrap();
                    // In one piece, so that no two tasks' lines are mixed.
                    let _ = std::io::stdout().write_all(format!("kept {number}\n").as_bytes());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Runs the child until it acknowledged so much, lets it go on for a moment, and kills it. What it acknowledged.
fn run_and_kill(folder: &Path, first: u32, acknowledgements: usize, moment: Duration) -> Vec<u32> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_appends_until_it_is_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(KEY, SIGNER.pem())
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut kept = Vec::new();
    let mut line = String::new();
    while kept.len() < acknowledgements && output.read_line(&mut line).unwrap() > 0 {
        kept.extend(acknowledged(&line));
        line.clear();
    }
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(kept.len() == acknowledgements, "the child died by itself");
    // What it said between then and its death counts as well.
    while output.read_line(&mut line).unwrap() > 0 {
        kept.extend(acknowledged(&line));
        line.clear();
    }
    kept
}

/// The number that a line acknowledges; a line that the child did not finish is no acknowledgement.
fn acknowledged(line: &str) -> Option<u32> {
    Some(line.strip_suffix('\n')?.strip_prefix("kept ")?.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_instant_and_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("decisions");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let moment = Duration::from_micros(u64::from(round) * 737 % 10_000);
        let kept = run_and_kill(&folder, round * ROUND, 60 + usize::try_from(round * 40).unwrap(), moment);
        acknowledged.extend(kept);

        let place = place(&folder);
        place.verify().unwrap_or_else(|error| panic!("round {round}: {error}"));
        // It verifies when it is opened again, too: what was half-written is gone.
        let mut there = place.numbers();
        let found = place.verify().unwrap();
        assert_eq!((found.unfinished_bytes, found.entries), (0, u64::try_from(there.len()).unwrap()));
        there.sort_unstable();
        let count = there.len();
        there.dedup();
        assert_eq!(there.len(), count, "an entry is there twice");
        for number in &acknowledged {
            assert!(there.binary_search(number).is_ok(), "entry {number} was acknowledged and is lost");
        }
    }
    assert!(place(&folder).segments().len() > 10);
}
