//! Purging, and whether the store works.

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_store::{
    AttestationRecord, CertificateRecording, IssuedCertificate, Page, Purged, RefusedEvidence, RetentionPolicy, Store,
};

use super::on_every_store;
use crate::fixtures::{
    accepted, accepted_with_boot, at, attestation_id, device_id, digest, enrol, enrolment_id, event_log,
    event_log_digest, first_device, standing,
};

on_every_store! {
    a_store_that_works_says_so,
    nothing_but_nonces_is_forgotten_unless_it_is_asked_for,
    old_attestations_are_forgotten_but_the_last_of_each_device,
    old_refusals_are_forgotten,
    certificates_that_ended_are_forgotten_but_the_present_ones,
    a_purge_is_bounded_and_says_that_there_is_more,
    an_event_log_waits_for_a_boot_that_names_it,
    an_event_log_that_a_boot_names_is_kept,
    an_event_log_that_no_boot_names_any_more_is_forgotten_after_a_while,
    event_logs_are_forgotten_a_few_at_a_time,
}

const HOUR: Duration = Duration::from_secs(3600);

async fn attest(store: &dyn Store, device: u32, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        store.accept_attestation(&accepted(&standing(store, device).await, number)).await.unwrap();
    }
}

async fn refuse(store: &dyn Store, second: i64) {
    let refusal = RefusedEvidence {
        device: device_id(1),
        nonce: None,
        code: "quote.signature".to_owned(),
        detail: second.to_string(),
        at: at(second),
        trust: None,
    };
    store.refuse_evidence(&refusal).await.unwrap();
}

async fn a_store_that_works_says_so(store: Arc<dyn Store>) {
    store.ping().await.unwrap();
}

async fn nothing_but_nonces_is_forgotten_unless_it_is_asked_for(store: Arc<dyn Store>) {
    first_device(&*store).await;
    attest(&*store, 1, 1..=3).await;
    refuse(&*store, 4).await;
    let purged = store.purge(at(1_000_000), &RetentionPolicy::FOR_EVER).await.unwrap();
    assert_eq!(purged, Purged { nonces: 3, ..Purged::default() });
    assert_eq!(store.attestation_history(device_id(1), Page::default()).await.unwrap().len(), 3);
    assert_eq!(store.trust_history(device_id(1), at(0), at(9), Page::default()).await.unwrap().len(), 4);
}

async fn old_attestations_are_forgotten_but_the_last_of_each_device(store: Arc<dyn Store>) {
    first_device(&*store).await;
    enrol(&*store, 2).await;
    attest(&*store, 1, [1, 2, 3, 4]).await;
    attest(&*store, 2, [5, 6]).await;
    let policy = RetentionPolicy { attestations: Some(HOUR), ..RetentionPolicy::FOR_EVER };
    assert_eq!(store.purge(at(3600 + 3), &policy).await.unwrap().attestations, 2);
    let history = store.attestation_history(device_id(1), Page::default()).await.unwrap();
    let ids: Vec<_> = history.iter().map(AttestationRecord::id).collect();
    assert_eq!(ids, [4, 3].map(attestation_id));
    assert_eq!(store.evidence(attestation_id(1)).await.unwrap(), None);

    let before = [standing(&*store, 1).await, standing(&*store, 2).await];
    assert_eq!(store.purge(at(1_000_000), &policy).await.unwrap().attestations, 2);
    assert_eq!([standing(&*store, 1).await, standing(&*store, 2).await], before);
    attest(&*store, 1, [7]).await;
    assert_eq!(store.attestation_history(device_id(1), Page::default()).await.unwrap().len(), 2);
}

async fn old_refusals_are_forgotten(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for second in 1..=4 {
        refuse(&*store, second).await;
    }
    let policy = RetentionPolicy { attestations: Some(HOUR), ..RetentionPolicy::FOR_EVER };
    assert_eq!(store.purge(at(3600 + 3), &policy).await.unwrap(), Purged { refusals: 2, ..Purged::default() });
    let left = store.refusal_history(device_id(1), Page::default()).await.unwrap();
    assert_eq!(left.iter().map(|refusal| refusal.at).collect::<Vec<_>>(), [at(4), at(3)]);
}

async fn certificates_that_ended_are_forgotten_but_the_present_ones(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    for number in 2..=4 {
        let certificate = IssuedCertificate {
            digest: digest(b'c', number),
            device: device_id(1),
            enrolment: enrolment_id(1),
            issued_at: at(0),
            expires_at: at(i64::from(number)),
        };
        assert_eq!(store.record_certificate(&certificate).await.unwrap(), CertificateRecording::Recorded);
    }
    let policy = RetentionPolicy { certificates: Some(HOUR), ..RetentionPolicy::FOR_EVER };
    let purged = store.purge(at(3600 + 4), &policy).await.unwrap();
    assert_eq!(purged, Purged { certificates: 2, ..Purged::default() });
    let kept = store.certificate(&first.device.certificate_digest).await.unwrap();
    assert!(kept.is_some(), "it has not ended");
    assert_eq!(store.purge(at(10_000_000), &policy).await.unwrap().certificates, 1);
    assert_eq!(standing(&*store, 1).await.device.certificate_digest, digest(b'c', 4), "it is the present one");
}

async fn a_purge_is_bounded_and_says_that_there_is_more(store: Arc<dyn Store>) {
    first_device(&*store).await;
    attest(&*store, 1, 1..=7).await;
    let policy = RetentionPolicy {
        attestations: Some(Duration::ZERO),
        trust: Some(Duration::ZERO),
        max_rows: 3,
        ..RetentionPolicy::FOR_EVER
    };
    let mut sum = Purged::default();
    let mut calls = 0;
    loop {
        let purged = store.purge(at(1_000_000), &policy).await.unwrap();
        assert!([purged.nonces, purged.attestations, purged.trust].iter().all(|rows| *rows <= 3), "{purged:?}");
        sum.nonces += purged.nonces;
        sum.attestations += purged.attestations;
        sum.trust += purged.trust;
        calls += 1;
        if !purged.more {
            break;
        }
    }
    assert_eq!(sum, Purged { nonces: 7, attestations: 6, trust: 7, ..Purged::default() });
    assert_eq!(calls, 3);
    assert_eq!(standing(&*store, 1).await.attestation.unwrap().id(), attestation_id(7));
    // A bound of none would never end, so it is one.
    attest(&*store, 1, [1_000_001, 1_000_002]).await;
    let none = RetentionPolicy { max_rows: 0, ..policy };
    assert_eq!(store.purge(at(2_000_000), &none).await.unwrap().nonces, 1);
}

/// Purges so many seconds into the test, and says how many event logs that cost.
async fn event_logs_purged(store: &dyn Store, secs: i64) -> u64 {
    store.purge(at(secs), &RetentionPolicy::FOR_EVER).await.unwrap().event_logs
}

/// Accepts evidence of a device whose boot has this event log.
async fn attest_with_log(store: &dyn Store, device: u32, number: u32, log: Option<u32>) {
    let follows = store.boot(device_id(device)).await.unwrap().map(|record| record.version);
    let present = standing(store, device).await;
    let evidence = accepted_with_boot(&present, follows, number, |boot| boot.event_log = log.map(event_log_digest));
    store.accept_attestation(&evidence).await.unwrap();
    assert_eq!(store.boot(device_id(device)).await.unwrap().unwrap().event_log, log.map(event_log_digest));
}

const IDLE: i64 = RetentionPolicy::IDLE_EVENT_LOG.as_secs().cast_signed();

async fn an_event_log_waits_for_a_boot_that_names_it(store: Arc<dyn Store>) {
    assert!(RetentionPolicy::IDLE_EVENT_LOG >= HOUR);
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    assert_eq!(event_logs_purged(&*store, IDLE).await, 0);
    // Put again it waits anew, even if the clock is put back after that.
    store.put_event_log(event_log_digest(1), &event_log(1), at(100)).await.unwrap();
    store.put_event_log(event_log_digest(1), &event_log(1), at(50)).await.unwrap();
    assert_eq!(event_logs_purged(&*store, IDLE + 100).await, 0);
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), Some(event_log(1)));
    assert_eq!(event_logs_purged(&*store, IDLE + 101).await, 1);
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), None);
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), Some(event_log(1)), "it can come again");
}

async fn an_event_log_that_a_boot_names_is_kept(store: Arc<dyn Store>) {
    first_device(&*store).await;
    enrol(&*store, 2).await;
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    attest_with_log(&*store, 1, 1, Some(1)).await;
    attest_with_log(&*store, 2, 2, Some(1)).await;
    assert_eq!(event_logs_purged(&*store, 100 * IDLE).await, 0);
    attest_with_log(&*store, 1, 3, None).await;
    assert_eq!(event_logs_purged(&*store, 100 * IDLE).await, 0, "the second device still names it");
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), Some(event_log(1)));
    // A revoked device may be restored, and goes on from there.
    let present = standing(&*store, 2).await;
    store.revoke_device(device_id(2), "lost", &crate::fixtures::update(present.trust.sequence, 4)).await.unwrap();
    assert_eq!(event_logs_purged(&*store, 100 * IDLE).await, 0);
}

async fn an_event_log_that_no_boot_names_any_more_is_forgotten_after_a_while(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for log in [1, 2] {
        store.put_event_log(event_log_digest(log), &event_log(log), at(0)).await.unwrap();
    }
    attest_with_log(&*store, 1, 1, Some(1)).await;
    let rebooted = u32::try_from(10 * IDLE).unwrap();
    attest_with_log(&*store, 1, rebooted, Some(2)).await;
    assert_eq!(event_logs_purged(&*store, 11 * IDLE).await, 0, "it was of use until the reboot");
    assert_eq!(event_logs_purged(&*store, 11 * IDLE + 1).await, 1);
    assert_eq!(store.event_log(event_log_digest(1)).await.unwrap(), None);
    assert_eq!(store.event_log(event_log_digest(2)).await.unwrap(), Some(event_log(2)));
}

async fn event_logs_are_forgotten_a_few_at_a_time(store: Arc<dyn Store>) {
    for log in 1..=150 {
        store.put_event_log(event_log_digest(log), b"log", at(0)).await.unwrap();
    }
    let mut purged = Vec::new();
    loop {
        let part = store.purge(at(IDLE + 1), &RetentionPolicy { max_rows: 1000, ..RetentionPolicy::FOR_EVER }).await;
        let part = part.unwrap();
        purged.push(part.event_logs);
        if !part.more {
            break;
        }
    }
    assert!(purged.len() > 1 && purged.iter().sum::<u64>() == 150, "{purged:?}");
}
