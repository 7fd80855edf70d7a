//! Measurement logs: a boot record changes with the quote that vouches for it, or not at all (threats 10, 19, 21 and 28).

use std::sync::Arc;

use vouchsafe_model::DeviceId;
use vouchsafe_store::limits::{MAX_BOOT_NAME_BYTES, MAX_EVENT_LOG_BYTES, MAX_IMA_STATE_BYTES};
use vouchsafe_store::{
    Acceptance, AcceptedAttestation, AheadOutcome, BootRecord, BootUpdate, BootVersion, Entity, ImaAhead, NewEnrolment,
    NonceSpending, Store, TrustSequence,
};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{
    NO_PART, accepted, accepted_with_boot, ahead, at, device, device_id, enrol, enrolment, enrolment_id, event_log,
    event_log_digest, first_device, ima_state, nonce, standing, update,
};

on_every_store! {
    an_event_log_is_stored_once_and_read_by_its_digest,
    the_largest_event_log_is_stored_and_one_byte_more_is_not,
    accepted_evidence_replaces_the_boot_record,
    evidence_that_says_nothing_of_the_boot_leaves_its_record,
    evidence_that_follows_another_record_is_not_stored,
    evidence_that_is_not_stored_leaves_the_boot_record,
    a_boot_names_no_event_log_that_is_not_stored,
    a_boot_of_another_enrolment_than_its_evidence_is_a_conflict,
    the_largest_boot_record_is_stored_and_one_byte_more_is_not,
    what_comes_ahead_waits_for_the_evidence_that_ends_it,
    what_comes_ahead_of_any_evidence_begins_a_record,
    what_comes_ahead_and_follows_another_record_is_not_stored,
    what_comes_ahead_is_taken_from_active_devices_alone,
    the_largest_state_ahead_is_stored_and_one_byte_more_is_not,
    a_device_that_enrols_anew_keeps_its_record,
    of_many_parts_that_follow_one_record_one_is_stored,
    evidence_and_parts_of_many_devices_at_once_stand_or_fall_each_by_itself,
}

async fn record(store: &dyn Store, number: u32) -> Option<BootRecord> {
    store.boot(device_id(number)).await.unwrap()
}

/// The record that this update makes.
fn record_of(update: BootUpdate, version: u64) -> BootRecord {
    BootRecord {
        version: BootVersion::new(version),
        enrolment: update.enrolment,
        boot: update.boot,
        reset_count: update.reset_count,
        restart_count: update.restart_count,
        event_log: update.event_log,
        ima: update.ima,
        ahead: None,
        at: update.at,
    }
}

/// Evidence of this number for device 1 as it stands, on top of its present record.
async fn next(store: &dyn Store, number: u32, change: impl FnOnce(&mut BootUpdate)) -> AcceptedAttestation {
    let follows = record(store, 1).await.map(|record| record.version);
    accepted_with_boot(&standing(store, 1).await, follows, number, change)
}

async fn accept(store: &dyn Store, evidence: &AcceptedAttestation) {
    let acceptance = store.accept_attestation(evidence).await.unwrap();
    assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
}

async fn put_ahead(store: &dyn Store, follows: Option<u64>, part: &ImaAhead) -> AheadOutcome {
    store.put_ima_ahead(device_id(1), follows.map(BootVersion::new), part, &NO_PART).await.unwrap()
}

async fn an_event_log_is_stored_once_and_read_by_its_digest(store: Arc<dyn Store>) {
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    store.put_event_log(event_log_digest(2), b"", at(0)).await.unwrap();
    // The caller computed the digest: other bytes under it cannot be, and what is there stays.
    for bytes in [&event_log(1)[..], b"other"] {
        store.put_event_log(event_log_digest(1), bytes, at(1)).await.unwrap();
    }
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), Some(event_log(1)));
    assert_eq!(store.event_log(event_log_digest(2)).await.unwrap(), Some(Vec::new()));
    assert_eq!(store.event_log(event_log_digest(3)).await.unwrap(), None);
}

async fn the_largest_event_log_is_stored_and_one_byte_more_is_not(store: Arc<dyn Store>) {
    let largest = vec![0xA5; MAX_EVENT_LOG_BYTES];
    store.put_event_log(event_log_digest(1), &largest, at(0)).await.unwrap();
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), Some(largest));
    let larger = vec![0xA5; MAX_EVENT_LOG_BYTES + 1];
    assert!(is_too_large(&store.put_event_log(event_log_digest(2), &larger, at(0)).await));
    assert_eq!(store.event_log(event_log_digest(2)).await.unwrap(), None);
}

async fn accepted_evidence_replaces_the_boot_record(store: Arc<dyn Store>) {
    first_device(&*store).await;
    assert_eq!(record(&*store, 1).await, None);
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    let first = next(&*store, 1, |boot| boot.event_log = Some(event_log_digest(1))).await;
    let same_ima = next(&*store, 1, |_| ()).await.boot.unwrap().ima;
    accept(&*store, &first).await;
    assert_eq!(record(&*store, 1).await, Some(record_of(first.boot.unwrap(), 1)));

    // The state of the replay may stay as it was, change, and go.
    let changes = [same_ima, Some(ima_state(7)), None, Some(String::new())];
    for (number, ima) in (2..).zip(changes) {
        let evidence = next(&*store, number, |boot| {
            *boot = BootUpdate { boot: None, reset_count: 0, restart_count: 0, ima, ..boot.clone() };
        })
        .await;
        accept(&*store, &evidence).await;
        assert_eq!(record(&*store, 1).await, Some(record_of(evidence.boot.unwrap(), number.into())));
    }
    assert_eq!(record(&*store, 2).await, None);
}

async fn evidence_that_says_nothing_of_the_boot_leaves_its_record(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    accept(&*store, &accepted(&enrolled, 1)).await;
    assert_eq!(record(&*store, 1).await, None);
    let evidence = next(&*store, 2, |_| ()).await;
    accept(&*store, &evidence).await;
    put_ahead(&*store, Some(1), &ahead(3)).await;
    let before = record(&*store, 1).await;
    accept(&*store, &accepted(&standing(&*store, 1).await, 4)).await;
    assert_eq!(record(&*store, 1).await, before);
}

async fn evidence_that_follows_another_record_is_not_stored(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let first = next(&*store, 1, |boot| boot.follows = Some(BootVersion::FIRST)).await;
    assert_eq!(store.accept_attestation(&first).await.unwrap(), Acceptance::Superseded, "there is none yet");
    assert_eq!(record(&*store, 1).await, None);
    accept(&*store, &next(&*store, 1, |_| ()).await).await;
    accept(&*store, &next(&*store, 2, |_| ()).await).await;

    let before = (standing(&*store, 1).await, record(&*store, 1).await);
    for follows in [None, Some(1), Some(3), Some(u64::MAX)] {
        let late = next(&*store, 3, |boot| boot.follows = follows.map(BootVersion::new)).await;
        assert_eq!(store.accept_attestation(&late).await.unwrap(), Acceptance::Superseded);
        assert_eq!(store.attestation(late.verdict.attestation()).await.unwrap(), None);
    }
    assert_eq!((standing(&*store, 1).await, record(&*store, 1).await), before);
    let spending = store.spend_nonce(device_id(1), &nonce(3)).await.unwrap();
    assert_eq!(spending, NonceSpending::Spent, "the nonce still worked");
}

async fn evidence_that_is_not_stored_leaves_the_boot_record(store: Arc<dyn Store>) {
    first_device(&*store).await;
    accept(&*store, &next(&*store, 1, |_| ()).await).await;
    put_ahead(&*store, Some(1), &ahead(2)).await;
    let before = record(&*store, 1).await;
    let good = next(&*store, 3, |_| ()).await;
    let replay = AcceptedAttestation { nonce: nonce(1), ..good.clone() };
    assert_eq!(store.accept_attestation(&replay).await.unwrap(), Acceptance::NonceSpent);
    let late = AcceptedAttestation { trust: update(TrustSequence::FIRST, 3), ..good.clone() };
    assert_eq!(store.accept_attestation(&late).await.unwrap(), Acceptance::Superseded);
    let taken = AcceptedAttestation { verdict: accepted(&standing(&*store, 1).await, 1).verdict, ..good.clone() };
    assert!(is_conflict(&store.accept_attestation(&taken).await, Entity::Attestation));
    assert_eq!(record(&*store, 1).await, before);
    accept(&*store, &good).await;
}

async fn a_boot_names_no_event_log_that_is_not_stored(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let evidence = next(&*store, 1, |boot| boot.event_log = Some(event_log_digest(1))).await;
    assert!(is_missing(&store.accept_attestation(&evidence).await, Entity::EventLog));
    assert_eq!((standing(&*store, 1).await, record(&*store, 1).await), (enrolled, None));
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    accept(&*store, &evidence).await;
}

async fn a_boot_of_another_enrolment_than_its_evidence_is_a_conflict(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let evidence = next(&*store, 1, |boot| boot.enrolment = enrolment_id(2)).await;
    assert!(is_conflict(&store.accept_attestation(&evidence).await, Entity::Boot));
    assert_eq!((standing(&*store, 1).await, record(&*store, 1).await), (enrolled, None));
}

async fn the_largest_boot_record_is_stored_and_one_byte_more_is_not(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for large in [
        next(&*store, 1, |boot| boot.ima = Some("x".repeat(MAX_IMA_STATE_BYTES + 1))).await,
        next(&*store, 1, |boot| boot.boot = Some("x".repeat(MAX_BOOT_NAME_BYTES + 1))).await,
    ] {
        assert!(is_too_large(&store.accept_attestation(&large).await));
    }
    assert_eq!(record(&*store, 1).await, None);
    let largest = next(&*store, 1, |boot| {
        boot.ima = Some("x".repeat(MAX_IMA_STATE_BYTES));
        boot.boot = Some("x".repeat(MAX_BOOT_NAME_BYTES));
    })
    .await;
    accept(&*store, &largest).await;
    assert!(record(&*store, 1).await == Some(record_of(largest.boot.unwrap(), 1)), "it is another now");
}

async fn what_comes_ahead_waits_for_the_evidence_that_ends_it(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let first = next(&*store, 1, |_| ()).await;
    accept(&*store, &first).await;
    let quoted = record_of(first.boot.unwrap(), 1);
    for number in 2..=3 {
        let outcome = put_ahead(&*store, Some(u64::from(number) - 1), &ahead(number)).await;
        assert_eq!(outcome, AheadOutcome::Stored(BootVersion::new(number.into())));
        let expected =
            BootRecord { version: BootVersion::new(number.into()), ahead: Some(ahead(number)), ..quoted.clone() };
        assert_eq!(record(&*store, 1).await, Some(expected));
    }
    // Evidence that was appraised without the last part is appraised anew.
    let without = next(&*store, 4, |boot| boot.follows = Some(BootVersion::new(2))).await;
    assert_eq!(store.accept_attestation(&without).await.unwrap(), Acceptance::Superseded);
    let with = next(&*store, 4, |_| ()).await;
    accept(&*store, &with).await;
    assert_eq!(record(&*store, 1).await, Some(record_of(with.boot.unwrap(), 4)));
}

async fn what_comes_ahead_of_any_evidence_begins_a_record(store: Arc<dyn Store>) {
    first_device(&*store).await;
    assert_eq!(put_ahead(&*store, None, &ahead(1)).await, AheadOutcome::Stored(BootVersion::FIRST));
    let begun = BootRecord {
        version: BootVersion::FIRST,
        enrolment: enrolment_id(1),
        boot: None,
        reset_count: 0,
        restart_count: 0,
        event_log: None,
        ima: None,
        ahead: Some(ahead(1)),
        at: at(1),
    };
    assert_eq!(record(&*store, 1).await, Some(begun));
    let first = next(&*store, 2, |_| ()).await;
    accept(&*store, &first).await;
    assert_eq!(record(&*store, 1).await, Some(record_of(first.boot.unwrap(), 2)));
}

async fn what_comes_ahead_and_follows_another_record_is_not_stored(store: Arc<dyn Store>) {
    first_device(&*store).await;
    assert_eq!(put_ahead(&*store, Some(1), &ahead(1)).await, AheadOutcome::Superseded);
    assert_eq!(record(&*store, 1).await, None);
    accept(&*store, &next(&*store, 1, |_| ()).await).await;
    assert_eq!(put_ahead(&*store, Some(1), &ahead(2)).await, AheadOutcome::Stored(BootVersion::new(2)));
    let before = record(&*store, 1).await;
    for follows in [None, Some(1), Some(3)] {
        assert_eq!(put_ahead(&*store, follows, &ahead(3)).await, AheadOutcome::Superseded);
    }
    assert_eq!(record(&*store, 1).await, before);
}

async fn what_comes_ahead_is_taken_from_active_devices_alone(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let stranger: DeviceId = device_id(2);
    assert_eq!(store.put_ima_ahead(stranger, None, &ahead(1), &NO_PART).await.unwrap(), AheadOutcome::DeviceUnknown);
    store.revoke_device(device_id(1), "stolen", &update(enrolled.trust.sequence, 1)).await.unwrap();
    // Why it is not taken is said in one order, whatever else is wrong.
    for follows in [None, Some(7)] {
        assert_eq!(put_ahead(&*store, follows, &ahead(1)).await, AheadOutcome::DeviceRevoked);
    }
    assert_eq!((record(&*store, 1).await, record(&*store, 2).await), (None, None));
}

async fn the_largest_state_ahead_is_stored_and_one_byte_more_is_not(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for large in [
        ImaAhead { state: "x".repeat(MAX_IMA_STATE_BYTES + 1), ..ahead(1) },
        ImaAhead { boot: "x".repeat(MAX_BOOT_NAME_BYTES + 1), ..ahead(1) },
    ] {
        assert!(is_too_large(&store.put_ima_ahead(device_id(1), None, &large, &NO_PART).await));
    }
    assert_eq!(record(&*store, 1).await, None);
    let (boot, state) = ("x".repeat(MAX_BOOT_NAME_BYTES), "x".repeat(MAX_IMA_STATE_BYTES));
    let largest = ImaAhead { boot, state, ..ahead(1) };
    put_ahead(&*store, None, &largest).await;
    assert!(record(&*store, 1).await.unwrap().ahead == Some(largest), "it is another now");
}

async fn a_device_that_enrols_anew_keeps_its_record(store: Arc<dyn Store>) {
    first_device(&*store).await;
    accept(&*store, &next(&*store, 1, |_| ()).await).await;
    let before = record(&*store, 1).await;
    let again = NewEnrolment { device: device(1, 2), replaces: Some(enrolment_id(1)), ..enrolment(1) };
    store.complete_enrolment(&again).await.unwrap();
    assert_eq!(record(&*store, 1).await, before);
    let evidence = next(&*store, 2, |_| ()).await;
    accept(&*store, &evidence).await;
    assert_eq!(record(&*store, 1).await.unwrap().enrolment, enrolment_id(2));
}

async fn of_many_parts_that_follow_one_record_one_is_stored(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let tasks: Vec<_> = (1..=16)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { (number, put_ahead(&*store, None, &ahead(number)).await) })
        })
        .collect();
    let mut stored = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (number, AheadOutcome::Stored(BootVersion::FIRST)) => stored.push(ahead(number)),
            (_, other) => assert_eq!(other, AheadOutcome::Superseded),
        }
    }
    assert_eq!(stored.len(), 1);
    assert_eq!(record(&*store, 1).await.unwrap().ahead, stored.pop());
}

async fn evidence_and_parts_of_many_devices_at_once_stand_or_fall_each_by_itself(store: Arc<dyn Store>) {
    const DEVICES: u32 = 100;
    first_device(&*store).await;
    let mut tasks = Vec::new();
    for number in 2..=DEVICES {
        let enrolled = enrol(&*store, number).await;
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let stale = (number % 4 == 0).then_some(BootVersion::FIRST);
            let stored = if number % 2 == 0 {
                let evidence = accepted_with_boot(&enrolled, stale, number, |_| ());
                store.accept_attestation(&evidence).await.unwrap() == Acceptance::Accepted(TrustSequence::new(2))
            } else {
                store.put_ima_ahead(enrolled.device.id, stale, &ahead(number), &NO_PART).await.unwrap()
                    == AheadOutcome::Stored(BootVersion::FIRST)
            };
            (number, stored)
        }));
    }
    for task in tasks {
        let (number, stored) = task.await.unwrap();
        assert_eq!(stored, number % 4 != 0, "device {number}");
        let record = record(&*store, number).await;
        assert_eq!(record.is_some(), stored, "device {number}");
        let attested = standing(&*store, number).await.attestation.is_some();
        assert_eq!(attested, record.is_some_and(|record| record.ima.is_some()), "device {number}");
    }
}
