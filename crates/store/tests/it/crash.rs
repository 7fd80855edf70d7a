//! Killed at any instant, the store has all that it acknowledged, no nonce works twice, and no attestation is without
//! its boot record or the image that it moved its device to (threat 28).
//!
//! The child is this same test binary. Several devices attest in it without a pause, and each says so after each
//! acknowledgement; the parent kills it at an instant that the child does not know, looks at the file, and starts it
//! again on what is there.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use vouchsafe_model::AttestationId;
use vouchsafe_store::{
    Acceptance, AcceptedAttestation, AheadOutcome, AttestationRecord, Attestations, BootUpdate, ImaListChange,
    ImaListPart, Images, Logs, NonceSpending, Page, PageLimit, SqliteOptions, SqliteStore, TrustHistory,
};

use crate::fixtures::{
    accepted_and_moved, accepted_with_boot, ahead, ahead_part, at, attestation_id, create_token, device_id, enrol,
    event_log, event_log_digest, ima_state, image, image_id, nonce, part, standing,
};
use crate::sqlite::schema::assert_sound;

const STORE: &str = "VOUCHSAFE_STORE_TEST_CRASH_FILE";
const ROUNDS: u32 = 20;
const DEVICES: u32 = 4;
const IMAGES: u32 = 3;

/// The image that a device has after its attestation of this number.
fn image_of(number: u32) -> u32 {
    number / 2 % IMAGES + 1
}

/// Each device numbers its attestations from here on, so that no two share a number.
fn base(device: u32) -> u32 {
    device * 1_000_000
}

/// The part of the IMA list that comes with this attestation. Every few of them the list begins anew.
fn part_of(number: u32) -> ImaListPart {
    part(number, u64::from((number - 1) % 4) * 100, 100)
}

/// The number of the last attestation of a device that is in the store.
async fn last_number(store: &SqliteStore, device: u32) -> u32 {
    let latest = store.latest_attestation(device_id(device)).await.unwrap();
    latest.map_or(base(device), |latest| u32::try_from(latest.received_at.since(at(0)).as_secs()).unwrap())
}

#[tokio::test]
#[ignore = "this is the child of the test below, which starts it"]
async fn child_that_attests_until_it_is_killed() {
    let path = std::env::var_os(STORE).expect("the parent names the file");
    let store = SqliteStore::open(Path::new(&path), SqliteOptions::default()).await.unwrap();
    let devices: Vec<_> = (1..=DEVICES).map(|device| tokio::spawn(attest(store.clone(), device))).collect();
    for device in devices {
        device.await.unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads the acknowledgements")]
async fn attest(store: SqliteStore, device: u32) {
    for number in last_number(&store, device).await + 1.. {
        let mut follows = store.boot(device_id(device)).await.unwrap().map(|record| record.version);
        let mut list = ImaListChange::From { offset: part_of(number).offset, part: Some(part_of(number)) };
        if number % 3 == 0 {
            let part = ahead_part(true, part_of(number));
            let outcome = store.put_ima_ahead(device_id(device), follows, &ahead(number), &part).await.unwrap();
            list = ImaListChange::TakesAhead { part: None };
            let AheadOutcome::Stored(version) = outcome else { panic!("{outcome:?}") };
            follows = Some(version);
        }
        // Every few attestations the host boots anew, with another event log.
        let log = number / 4;
        store.put_event_log(event_log_digest(log), &event_log(log), at(0)).await.unwrap();
        let present = standing(&store, device).await;
        let mut evidence = accepted_with_boot(&present, follows, number, |boot| {
            *boot = BootUpdate { event_log: Some(event_log_digest(log)), list, ..boot.clone() };
        });
        // With every other one it moves to another image.
        if number % 2 == 0 {
            let moved = accepted_and_moved(&present, number, image_of(number));
            evidence = AcceptedAttestation { verdict: moved.verdict, moves: moved.moves, ..evidence };
        }
        let acceptance = store.accept_attestation(&evidence).await.unwrap();
        assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
        println!("accepted {device} {number}");
    }
}

/// What a child acknowledged before it died: the numbers of attestations, by device.
#[derive(Default)]
struct Acknowledged {
    accepted: BTreeMap<u32, Vec<u32>>,
}

impl Acknowledged {
    /// Notes a line of the child's, if it is an acknowledgement.
    fn note(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        if words.next() != Some("accepted") {
            return false;
        }
        let mut number = || words.next().unwrap().parse().unwrap();
        self.accepted.entry(number()).or_default().push(number());
        true
    }
}

/// Runs the child until it acknowledged so much, lets it go on for a moment, and kills it.
fn run_and_kill(path: &Path, acknowledgements: usize, moment: Duration) -> Acknowledged {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_attests_until_it_is_killed", "--ignored", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Acknowledged::default();
    let mut line = String::new();
    let mut noted = 0;
    while noted < acknowledgements && output.read_line(&mut line).unwrap() > 0 {
        noted += usize::from(acknowledged.note(&line));
        line.clear();
    }
    std::thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(noted == acknowledgements, "the child died by itself");
    // What it said between then and its death counts as well; a line that it did not finish does not.
    while output.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            acknowledged.note(&line);
        }
        line.clear();
    }
    acknowledged
}

async fn all_attestations(store: &SqliteStore, device: u32) -> Vec<AttestationId> {
    let mut all = Vec::new();
    let mut page = Page::default();
    loop {
        let records = store.attestation_history(device_id(device), page).await.unwrap();
        all.extend(records.iter().map(AttestationRecord::id));
        let Some(last) = records.last() else { return all };
        page = Page::after(last.id(), PageLimit::default());
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_instant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
    create_token(&store).await;
    for number in 1..=IMAGES {
        store.create_image(&image(number)).await.unwrap();
    }
    for device in 1..=DEVICES {
        enrol(&store, device).await;
    }
    store.close().await;

    for round in 0..ROUNDS {
        // Between two acknowledgements lie some hundred microseconds; the moments fall all over them.
        let moment = Duration::from_micros(u64::from(round) * 137 % 1000);
        let acknowledged = run_and_kill(&path, 20 + usize::try_from(round).unwrap(), moment);

        let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
        for device in 1..=DEVICES {
            let accepted = acknowledged.accepted.get(&device).map_or(&[][..], Vec::as_slice);
            assert_kept(&store, device, accepted).await;
        }
        store.close().await;
        assert_sound(&mut crate::sqlite::connect(&path).await).await;
    }
}

/// The store has what was acknowledged to this device, whole, and at most one piece more: the one under way.
async fn assert_kept(store: &SqliteStore, device: u32, accepted: &[u32]) {
    let last = last_number(store, device).await;
    if let Some(acknowledged) = accepted.last() {
        assert!((*acknowledged..=acknowledged + 1).contains(&last), "{last} is stored, {acknowledged} acknowledged");
    }
    let expected: Vec<_> = (base(device) + 1..=last).rev().map(attestation_id).collect();
    assert_eq!(all_attestations(store, device).await, expected);

    // Each with its trust row, and each nonce spent: all of it or nothing.
    let present = standing(store, device).await;
    assert_eq!(present.trust.sequence.get(), u64::from(last - base(device)) + 1);
    assert_eq!(store.latest_trust(device_id(device)).await.unwrap(), Some(present.trust));
    let moved = (last > base(device) + 1).then(|| image_id(image_of(last)));
    assert_eq!(present.device.image, moved, "it has the image that its last attestation moved it to");
    assert!(present.attestation.is_none_or(|latest| latest.verdict.image() == moved.as_ref()));
    for number in accepted.iter().copied().chain((last > base(device)).then_some(last)) {
        let spending = store.spend_nonce(device_id(device), &nonce(number)).await.unwrap();
        assert_eq!(spending, NonceSpending::AlreadySpent, "nonce {number}");
    }
    assert_boot(store, device, last).await;
}

/// The boot record is that of the last attestation, neither older nor newer; a part that came ahead is of the one after it.
async fn assert_boot(store: &SqliteStore, device: u32, last: u32) {
    let record = store.boot(device_id(device)).await.unwrap();
    let ahead_of = record.as_ref().and_then(|record| record.ahead.clone());
    assert!(ahead_of.is_none_or(|part| part == ahead(last + 1)), "what came ahead of it is done with");
    if last == base(device) {
        assert!(record.is_none_or(|record| record.ima.is_none()), "no attestation was accepted");
        return;
    }
    let record = record.expect("an attestation has its boot record");
    let stored = store.ima_list(device_id(device)).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.lost), (record.version, None));
    let kept: Vec<_> = (last - (last - 1) % 4..=last).map(part_of).collect();
    assert_eq!(stored.parts, kept, "the list is that of the last attestation");
    assert_eq!(stored.ahead, record.ahead.iter().map(|_| part_of(last + 1)).collect::<Vec<_>>());
    assert_eq!((record.restart_count, record.at), (last, at(i64::from(last))));
    assert_eq!(record.ima, Some(ima_state(last)));
    let log = record.event_log.unwrap();
    assert_eq!(log, event_log_digest(last / 4));
    assert_eq!(store.event_log(log).await.unwrap(), Some(event_log(last / 4)), "the log that a boot names is there");
}
