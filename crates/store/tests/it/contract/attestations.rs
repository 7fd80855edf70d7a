//! Attestations and refusals: all of it or nothing (threats 9 and 28).

use std::sync::Arc;

use vouchsafe_model::device::HostFacts;
use vouchsafe_store::limits::{MAX_CODE_BYTES, MAX_DETAIL_BYTES, MAX_QUOTE_BYTES, MAX_TRUST_BYTES};
use vouchsafe_store::{
    Acceptance, AcceptedAttestation, AttestationRecord, Entity, ImageMove, NonceSpending, Page, PageLimit,
    RefusalRecording, RefusedEvidence, Standing, Store, TrustSequence,
};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{
    accepted, accepted_and_moved, at, attestation_id, device_id, enrol, first_device, image, image_id, nonce, standing,
    update,
};

on_every_store! {
    accepted_evidence_reaches_history_trust_and_standing_at_once,
    facts_come_with_evidence_or_stay,
    evidence_judged_by_an_old_standing_is_not_stored,
    a_device_moves_to_another_image_with_its_evidence,
    evidence_that_is_not_stored_moves_no_image,
    an_image_that_an_operator_assigned_meanwhile_stays,
    a_device_moves_to_the_image_of_the_verdict_alone,
    of_many_moves_from_one_image_one_is_made,
    evidence_of_an_unknown_device_is_not_stored,
    an_attestation_is_stored_under_its_id_once,
    evidence_beyond_a_bound_is_not_stored,
    attestations_are_listed_last_first_page_by_page,
    a_refusal_burns_the_nonce_and_reaches_the_trust_at_once,
    a_refusal_computed_from_old_trust_is_not_recorded,
    refusals_are_listed_last_first_page_by_page,
    of_many_pieces_of_evidence_from_one_standing_one_is_accepted,
    evidence_of_many_devices_at_once_stands_or_falls_each_by_itself,
}

/// Accepts evidence of this number for device 1, as it stands.
async fn accept(store: &dyn Store, number: u32) -> Standing {
    let acceptance = store.accept_attestation(&accepted(&standing(store, 1).await, number)).await.unwrap();
    assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
    standing(store, 1).await
}

fn record(accepted: &AcceptedAttestation) -> AttestationRecord {
    AttestationRecord {
        device: accepted.device,
        enrolment: accepted.enrolment,
        verdict: accepted.verdict.clone(),
        tpm: accepted.evidence.tpm,
        received_at: accepted.evidence.received_at,
    }
}

fn refused(number: u32) -> RefusedEvidence {
    RefusedEvidence {
        device: device_id(1),
        nonce: Some(nonce(number)),
        code: "quote.signature".to_owned(),
        detail: format!("number {number}"),
        at: at(i64::from(number)),
        trust: None,
    }
}

/// Nothing is stored, and the nonce still works.
async fn assert_nothing_happened(store: &dyn Store, evidence: &AcceptedAttestation, before: &Standing) {
    assert_eq!(standing(store, 1).await, *before);
    assert_eq!(store.attestation(evidence.verdict.attestation()).await.unwrap(), None);
    assert_eq!(store.spend_nonce(device_id(1), &evidence.nonce).await.unwrap(), NonceSpending::Spent);
}

async fn accepted_evidence_reaches_history_trust_and_standing_at_once(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let evidence = accepted(&enrolled, 1);
    let acceptance = store.accept_attestation(&evidence).await.unwrap();
    assert_eq!(acceptance, Acceptance::Accepted(TrustSequence::new(2)));

    let attested = standing(&*store, 1).await;
    assert_eq!(attested.device, enrolled.device);
    assert_eq!(attested.attestation, Some(record(&evidence)));
    assert_eq!((attested.trust.sequence, attested.trust.at), (TrustSequence::new(2), at(1)));
    assert_eq!((&attested.trust.event, &attested.trust.state), (&evidence.trust.event, &evidence.trust.state));

    assert_eq!(store.latest_attestation(device_id(1)).await.unwrap(), Some(record(&evidence)));
    assert_eq!(store.attestation(attestation_id(1)).await.unwrap(), Some(record(&evidence)));
    assert_eq!(store.evidence(attestation_id(1)).await.unwrap(), Some(evidence.evidence.clone()));
    assert_eq!(store.latest_trust(device_id(1)).await.unwrap(), Some(attested.trust));
    assert_eq!(store.spend_nonce(device_id(1), &evidence.nonce).await.unwrap(), NonceSpending::AlreadySpent);
}

async fn facts_come_with_evidence_or_stay(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    assert_eq!(accept(&*store, 1).await.device.facts, enrolled.device.facts);
    let facts = HostFacts { kernel: "6.1.0-42".to_owned(), ..enrolled.device.facts };
    let with_facts = AcceptedAttestation { facts: Some(facts.clone()), ..accepted(&standing(&*store, 1).await, 2) };
    store.accept_attestation(&with_facts).await.unwrap();
    assert_eq!(standing(&*store, 1).await.device.facts, facts);
}

async fn evidence_judged_by_an_old_standing_is_not_stored(store: Arc<dyn Store>) {
    let old = first_device(&*store).await;
    let present = accept(&*store, 1).await;
    let late = accepted(&old, 2);
    assert_eq!(store.accept_attestation(&late).await.unwrap(), Acceptance::Superseded);
    assert_nothing_happened(&*store, &late, &present).await;
}

/// Device 1, and images 1 to 3.
async fn device_and_images(store: &dyn Store) -> Standing {
    for number in 1..=3 {
        store.create_image(&image(number)).await.unwrap();
    }
    first_device(store).await
}

async fn a_device_moves_to_another_image_with_its_evidence(store: Arc<dyn Store>) {
    let mut present = device_and_images(&*store).await;
    for (number, to) in [(1, 1), (2, 2), (3, 3), (4, 1)] {
        let evidence = accepted_and_moved(&present, number, to);
        let acceptance = store.accept_attestation(&evidence).await.unwrap();
        assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
        present = standing(&*store, 1).await;
        assert_eq!(present.device.image, Some(image_id(to)));
        assert_eq!(present.attestation, Some(record(&evidence)));
    }
    // Without a move it stays, and evidence that is of another image than that is not of this device as it stands.
    let stays = accept(&*store, 5).await;
    assert_eq!(stays.device.image, Some(image_id(1)));
    let other = AcceptedAttestation { moves: None, ..accepted_and_moved(&stays, 6, 2) };
    assert_eq!(store.accept_attestation(&other).await.unwrap(), Acceptance::Superseded);
    assert_nothing_happened(&*store, &other, &stays).await;
}

async fn evidence_that_is_not_stored_moves_no_image(store: Arc<dyn Store>) {
    device_and_images(&*store).await;
    let before = accept(&*store, 1).await;
    let good = accepted_and_moved(&before, 2, 1);
    for (evidence, why) in [
        (AcceptedAttestation { nonce: nonce(1), ..good.clone() }, Acceptance::NonceSpent),
        (AcceptedAttestation { trust: update(TrustSequence::FIRST, 2), ..good.clone() }, Acceptance::Superseded),
        (AcceptedAttestation { device: device_id(2), ..good.clone() }, Acceptance::DeviceUnknown),
    ] {
        assert_eq!(store.accept_attestation(&evidence).await.unwrap(), why);
        assert_eq!(standing(&*store, 1).await, before);
    }
    let taken = AcceptedAttestation { nonce: nonce(3), ..accepted_and_moved(&before, 1, 1) };
    assert!(is_conflict(&store.accept_attestation(&taken).await, Entity::Attestation));
    let missing = accepted_and_moved(&before, 2, 4);
    assert!(is_missing(&store.accept_attestation(&missing).await, Entity::Image));
    assert_nothing_happened(&*store, &good, &before).await;

    let now = store.revoke_device(device_id(1), "lost", &update(before.trust.sequence, 5)).await.unwrap();
    assert!(matches!(now, vouchsafe_store::StateChange::Changed(_)));
    assert_eq!(store.accept_attestation(&good).await.unwrap(), Acceptance::DeviceRevoked);
    assert_eq!(standing(&*store, 1).await.device.image, None);
}

async fn an_image_that_an_operator_assigned_meanwhile_stays(store: Arc<dyn Store>) {
    let unassigned = device_and_images(&*store).await;
    // To another one, to the same one, and to none.
    for (number, appraised, operators) in
        [(1, None, Some(2)), (2, None, Some(1)), (3, Some(2), None), (4, Some(2), Some(3))]
    {
        store.set_device_image(device_id(1), appraised.map(image_id).as_ref()).await.unwrap();
        let evidence = accepted_and_moved(&standing(&*store, 1).await, number, 1);
        store.set_device_image(device_id(1), operators.map(image_id).as_ref()).await.unwrap();
        let before = standing(&*store, 1).await;
        assert_eq!(store.accept_attestation(&evidence).await.unwrap(), Acceptance::Superseded, "{number}");
        assert_eq!(before.device.image, operators.map(image_id));
        assert_nothing_happened(&*store, &evidence, &before).await;
    }
    assert_eq!(standing(&*store, 1).await.trust, unassigned.trust);
}

async fn a_device_moves_to_the_image_of_the_verdict_alone(store: Arc<dyn Store>) {
    let before = device_and_images(&*store).await;
    let good = accepted_and_moved(&before, 1, 1);
    let elsewhere = Some(ImageMove { from: None, to: image_id(2) });
    let other = AcceptedAttestation { moves: elsewhere.clone(), ..good };
    let none = AcceptedAttestation { moves: elsewhere, ..accepted(&before, 1) };
    for evidence in [other, none] {
        assert!(is_conflict(&store.accept_attestation(&evidence).await, Entity::Image));
        assert_eq!(standing(&*store, 1).await, before);
    }
}

async fn of_many_moves_from_one_image_one_is_made(store: Arc<dyn Store>) {
    let before = device_and_images(&*store).await;
    let tasks: Vec<_> = (1..=15)
        .map(|number| {
            let (store, to) = (Arc::clone(&store), number % 3 + 1);
            let evidence = accepted_and_moved(&before, number, to);
            tokio::spawn(async move { (to, store.accept_attestation(&evidence).await.unwrap()) })
        })
        .collect();
    let mut moved = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (to, Acceptance::Accepted(_)) => moved.push(Some(image_id(to))),
            (_, other) => assert_eq!(other, Acceptance::Superseded),
        }
    }
    assert_eq!(moved, [standing(&*store, 1).await.device.image]);
}

async fn evidence_of_an_unknown_device_is_not_stored(store: Arc<dyn Store>) {
    let known = first_device(&*store).await;
    let stray = AcceptedAttestation { device: device_id(2), ..accepted(&known, 1) };
    assert_eq!(store.accept_attestation(&stray).await.unwrap(), Acceptance::DeviceUnknown);
    assert_nothing_happened(&*store, &stray, &known).await;
    assert_eq!(store.latest_attestation(device_id(2)).await.unwrap(), None);
    let refusal = RefusedEvidence { device: device_id(2), ..refused(1) };
    assert!(is_missing(&store.refuse_evidence(&refusal).await, Entity::Device));
    assert!(is_missing(&store.spend_nonce(device_id(2), &nonce(9)).await, Entity::Device));
}

async fn an_attestation_is_stored_under_its_id_once(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let present = accept(&*store, 1).await;
    let second = AcceptedAttestation { nonce: nonce(2), ..accepted(&present, 1) };
    assert!(is_conflict(&store.accept_attestation(&second).await, Entity::Attestation));
    assert_eq!(standing(&*store, 1).await, present);
    assert_eq!(store.spend_nonce(device_id(1), &nonce(2)).await.unwrap(), NonceSpending::Spent);
}

async fn evidence_beyond_a_bound_is_not_stored(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let mut message = accepted(&enrolled, 1);
    message.evidence.message = vec![0; MAX_QUOTE_BYTES + 1];
    let mut signature = accepted(&enrolled, 1);
    signature.evidence.signature = vec![0; MAX_QUOTE_BYTES + 1];
    let mut state = accepted(&enrolled, 1);
    state.trust.state = "x".repeat(MAX_TRUST_BYTES + 1);
    let mut event = accepted(&enrolled, 1);
    event.trust.event = "x".repeat(MAX_TRUST_BYTES + 1);
    for large in [message, signature, state, event] {
        assert!(is_too_large(&store.accept_attestation(&large).await));
    }
    for large in [
        RefusedEvidence { code: "x".repeat(MAX_CODE_BYTES + 1), ..refused(1) },
        RefusedEvidence { detail: "x".repeat(MAX_DETAIL_BYTES + 1), ..refused(1) },
    ] {
        assert!(is_too_large(&store.refuse_evidence(&large).await));
    }
    assert_nothing_happened(&*store, &accepted(&enrolled, 1), &enrolled).await;

    let mut largest = accepted(&enrolled, 2);
    largest.evidence.message = vec![0xFF; MAX_QUOTE_BYTES];
    largest.trust.state = "x".repeat(MAX_TRUST_BYTES);
    store.accept_attestation(&largest).await.unwrap();
    assert_eq!(store.evidence(attestation_id(2)).await.unwrap(), Some(largest.evidence));
}

async fn attestations_are_listed_last_first_page_by_page(store: Arc<dyn Store>) {
    first_device(&*store).await;
    enrol(&*store, 2).await;
    // The order is the one in which they were accepted, whatever the clock said.
    for number in [3, 1, 5, 2] {
        accept(&*store, number).await;
    }
    let page = |after| Page { after, limit: PageLimit::new(3) };
    let listed = async |device, page| -> Vec<_> {
        let records = store.attestation_history(device_id(device), page).await.unwrap();
        records.iter().map(AttestationRecord::id).collect()
    };
    assert_eq!(listed(1, page(None)).await, [2, 5, 1].map(attestation_id));
    assert_eq!(listed(1, page(Some(attestation_id(1)))).await, [attestation_id(3)]);
    assert!(listed(1, page(Some(attestation_id(3)))).await.is_empty());
    assert!(listed(1, page(Some(attestation_id(99)))).await.is_empty(), "what came after it is gone as well");
    assert!(listed(2, page(None)).await.is_empty());
    assert!(listed(2, page(Some(attestation_id(2)))).await.is_empty(), "a cursor into the history of another");
}

async fn a_refusal_burns_the_nonce_and_reaches_the_trust_at_once(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let refusal = RefusedEvidence { trust: Some(update(enrolled.trust.sequence, 3)), ..refused(3) };
    let recording = store.refuse_evidence(&refusal).await.unwrap();
    assert!(matches!(recording, RefusalRecording::Recorded(_)));
    let after = standing(&*store, 1).await;
    assert_eq!((after.trust.sequence, after.trust.at), (TrustSequence::new(2), at(3)));
    assert_eq!(store.accept_attestation(&accepted(&after, 3)).await.unwrap(), Acceptance::NonceSpent);

    let [recorded] = store.refusal_history(device_id(1), Page::default()).await.unwrap().try_into().unwrap();
    assert_eq!(recording, RefusalRecording::Recorded(recorded.number));
    assert_eq!((recorded.device, recorded.at), (device_id(1), at(3)));
    assert_eq!((recorded.code, recorded.detail), (refusal.code, refusal.detail));

    // The same again, with the nonce spent, is another refusal; one without a nonce as well.
    for again in [refused(3), RefusedEvidence { nonce: None, ..refused(4) }] {
        assert!(matches!(store.refuse_evidence(&again).await.unwrap(), RefusalRecording::Recorded(_)));
    }
    assert_eq!(store.refusal_history(device_id(1), Page::default()).await.unwrap().len(), 3);
    assert_eq!(standing(&*store, 1).await, after, "a refusal without trust costs none");
}

async fn a_refusal_computed_from_old_trust_is_not_recorded(store: Arc<dyn Store>) {
    let old = first_device(&*store).await;
    let present = accept(&*store, 1).await;
    let refusal = RefusedEvidence { trust: Some(update(old.trust.sequence, 2)), ..refused(2) };
    assert_eq!(store.refuse_evidence(&refusal).await.unwrap(), RefusalRecording::Superseded);
    assert_eq!(store.refusal_history(device_id(1), Page::default()).await.unwrap(), []);
    assert_nothing_happened(&*store, &accepted(&present, 2), &present).await;
}

async fn refusals_are_listed_last_first_page_by_page(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for number in 1..=5 {
        store.refuse_evidence(&refused(number)).await.unwrap();
    }
    let mut page = Page::first(PageLimit::new(2));
    let mut seen = Vec::new();
    for expected in [2, 2, 1] {
        let refusals = store.refusal_history(device_id(1), page).await.unwrap();
        assert_eq!(refusals.len(), expected);
        page = Page::after(refusals.last().unwrap().number, page.limit);
        seen.extend(refusals.into_iter().map(|refusal| refusal.detail));
    }
    assert_eq!(seen, ["number 5", "number 4", "number 3", "number 2", "number 1"]);
    assert_eq!(store.refusal_history(device_id(2), Page::default()).await.unwrap(), []);
}

async fn of_many_pieces_of_evidence_from_one_standing_one_is_accepted(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    let tasks: Vec<_> = (1..=16)
        .map(|number| {
            let (store, evidence) = (Arc::clone(&store), accepted(&enrolled, number));
            tokio::spawn(async move { store.accept_attestation(&evidence).await.unwrap() })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Acceptance::Accepted(_) => accepted += 1,
            other => assert_eq!(other, Acceptance::Superseded),
        }
    }
    assert_eq!(accepted, 1);
    assert_eq!(store.attestation_history(device_id(1), Page::default()).await.unwrap().len(), 1);
}

async fn evidence_of_many_devices_at_once_stands_or_falls_each_by_itself(store: Arc<dyn Store>) {
    const DEVICES: u32 = 200;
    let first = first_device(&*store).await;
    store.spend_nonce(device_id(1), &nonce(6)).await.unwrap();
    store.accept_attestation(&accepted(&first, 1000)).await.unwrap();
    let mut tasks = Vec::new();
    for number in 2..=DEVICES {
        let enrolled = enrol(&*store, number).await;
        let good = accepted(&enrolled, number);
        let evidence = match number % 10 {
            4 => AcceptedAttestation { trust: update(TrustSequence::new(9), 1), ..good },
            5 => AcceptedAttestation { verdict: accepted(&enrolled, 1000).verdict, ..good },
            6 => AcceptedAttestation { nonce: nonce(6), ..good },
            7 => AcceptedAttestation { device: device_id(1_000_000), ..good },
            _ => good,
        };
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move { (number, store.accept_attestation(&evidence).await) }));
    }
    for task in tasks {
        let (number, result) = task.await.unwrap();
        let stands = standing(&*store, number).await;
        match number % 10 {
            4 => assert_eq!(result.unwrap(), Acceptance::Superseded),
            5 => assert!(is_conflict(&result, Entity::Attestation)),
            6 => assert_eq!(result.unwrap(), Acceptance::NonceSpent),
            7 => assert_eq!(result.unwrap(), Acceptance::DeviceUnknown),
            _ => {
                assert_eq!(result.unwrap(), Acceptance::Accepted(TrustSequence::new(2)), "device {number}");
                assert_eq!(stands.trust.sequence, TrustSequence::new(2));
                assert_eq!(stands.attestation.map(|record| record.id()), Some(attestation_id(number)));
                continue;
            }
        }
        assert_eq!((stands.trust.sequence, stands.attestation), (TrustSequence::FIRST, None), "device {number}");
        if number % 10 != 6 {
            let spending = store.spend_nonce(device_id(number), &nonce(number)).await.unwrap();
            assert_eq!(spending, NonceSpending::Spent, "the nonce of device {number} still works");
        }
    }
}
