//! Enrolment: all of it or nothing, and once (threats 3 and 4).

use std::sync::Arc;

use vouchsafe_model::token::{JoinToken, TokenRefusal};
use vouchsafe_model::{Device, DeviceState, EndorsementGrade};
use vouchsafe_store::limits::{MAX_EK_CERTIFICATE_BYTES, MAX_KEY_BYTES};
use vouchsafe_store::{
    Acceptance, DeviceFilter, EnrolmentOutcome, Entity, InitialTrust, IssuedCertificate, NewEnrolment, Page, Store,
    TrustRow, TrustSequence,
};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{
    accepted, at, create_token, device, device_id, digest, enrolment, enrolment_id, first_device, image, image_id,
    standing, token, token_id, update,
};

on_every_store! {
    a_new_device_is_stored_with_its_keys_and_first_trust,
    a_token_that_lets_nobody_in_leaves_nothing_behind,
    the_same_enrolment_completes_twice_and_counts_once,
    another_enrolment_replaces_the_keys_and_keeps_the_history,
    the_image_that_an_operator_chose_outlives_an_enrolment,
    an_enrolment_that_was_overtaken_changes_nothing,
    an_old_enrolment_does_not_bring_its_keys_back,
    a_revoked_device_does_not_enrol,
    a_device_is_not_enrolled_under_the_name_of_another_ek,
    an_enrolment_is_not_repeated_with_other_keys_or_for_another_device,
    what_cannot_be_stored_is_not_counted,
    of_many_devices_one_takes_the_last_use_of_a_token,
    of_many_enrolments_of_one_device_one_wins,
}

/// How often token 1 was used.
async fn uses(store: &dyn Store) -> u32 {
    store.token_by_secret_digest(&token(1).secret_digest).await.unwrap().unwrap().uses
}

/// The second enrolment of device 1, with the keys of this number.
fn again(enrolment: u32) -> NewEnrolment {
    NewEnrolment {
        device: Device { enrolled_at: at(50), ..device(1, enrolment) },
        replaces: Some(enrolment_id(1)),
        now: at(50),
        ..self::enrolment(1)
    }
}

async fn a_new_device_is_stored_with_its_keys_and_first_trust(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    assert_eq!(enrolled.device, device(1, 1));
    let InitialTrust { event, state } = enrolment(1).trust;
    assert_eq!(enrolled.trust, TrustRow { sequence: TrustSequence::FIRST, at: at(0), event, state });
    assert_eq!(enrolled.attestation, None);
    assert_eq!(standing(&*store, 1).await, enrolled);
    assert_eq!(store.device(device_id(1)).await.unwrap(), Some(device(1, 1)));
    let certificate = IssuedCertificate {
        digest: device(1, 1).certificate_digest,
        device: device_id(1),
        enrolment: enrolment_id(1),
        issued_at: at(0),
        expires_at: device(1, 1).certificate_expires_at,
    };
    assert_eq!(store.certificate(&certificate.digest).await.unwrap(), Some(certificate));
    assert_eq!(uses(&*store).await, 1);
}

async fn a_token_that_lets_nobody_in_leaves_nothing_behind(store: Arc<dyn Store>) {
    let tokens = [
        (JoinToken { expires_at: at(0), ..token(1) }, TokenRefusal::Expired),
        (JoinToken { max_uses: 1, uses: 1, ..token(2) }, TokenRefusal::Spent),
        (JoinToken { revoked_at: Some(at(0)), ..token(3) }, TokenRefusal::Revoked),
    ];
    for (token, refusal) in tokens {
        store.create_token(&token).await.unwrap();
        let outcome = store.complete_enrolment(&NewEnrolment { token: token.id, ..enrolment(1) }).await.unwrap();
        assert_eq!(outcome, EnrolmentOutcome::Refused(refusal));
        assert_eq!(store.token_by_secret_digest(&token.secret_digest).await.unwrap(), Some(token));
    }
    let outcome = store.complete_enrolment(&NewEnrolment { token: token_id(4), ..enrolment(1) }).await.unwrap();
    assert_eq!(outcome, EnrolmentOutcome::Refused(TokenRefusal::Unknown));
    assert_eq!(store.device(device_id(1)).await.unwrap(), None);
    assert_eq!(store.certificate(&device(1, 1).certificate_digest).await.unwrap(), None);
}

async fn the_same_enrolment_completes_twice_and_counts_once(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    store.revoke_token(token_id(1), at(1)).await.unwrap();
    let renewed = Device { certificate_digest: digest(b'c', 99), certificate_expires_at: at(99_999), ..device(1, 1) };
    let repeated = NewEnrolment { device: renewed.clone(), now: at(60), ..enrolment(1) };
    for _ in 0..2 {
        let outcome = store.complete_enrolment(&repeated).await.unwrap();
        let EnrolmentOutcome::Repeated(standing) = outcome else { panic!("{outcome:?}") };
        assert_eq!(standing.device, renewed);
        assert_eq!(standing.trust, first.trust);
    }
    assert_eq!(standing(&*store, 1).await.device, renewed);
    assert!(store.certificate(&first.device.certificate_digest).await.unwrap().is_some(), "the first is history now");
    assert_eq!(uses(&*store).await, 1);
}

async fn another_enrolment_replaces_the_keys_and_keeps_the_history(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    store.accept_attestation(&accepted(&first, 1)).await.unwrap();
    let attested = standing(&*store, 1).await;

    let graded = Device { endorsement: EndorsementGrade::Pinned, sha1_consent: true, ..again(2).device };
    let outcome = store.complete_enrolment(&NewEnrolment { device: graded.clone(), ..again(2) }).await.unwrap();
    let EnrolmentOutcome::Reenrolled(second) = outcome else { panic!("{outcome:?}") };
    assert_eq!(second.device, Device { enrolled_at: at(0), ..graded });
    assert_eq!(second.trust, attested.trust);
    assert_eq!(second.attestation, attested.attestation);
    assert_eq!(uses(&*store).await, 2);

    // What the old key signed is not taken for the new one's.
    assert_eq!(store.accept_attestation(&accepted(&attested, 2)).await.unwrap(), Acceptance::Superseded);
    let acceptance = store.accept_attestation(&accepted(&second, 2)).await.unwrap();
    assert_eq!(acceptance, Acceptance::Accepted(TrustSequence::new(3)));
}

async fn the_image_that_an_operator_chose_outlives_an_enrolment(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for number in [1, 2] {
        store.create_image(&image(number)).await.unwrap();
    }
    let with_image = |enrolment| Device { image: Some(image_id(2)), ..again(enrolment).device };
    store.complete_enrolment(&NewEnrolment { device: with_image(2), ..again(2) }).await.unwrap();
    assert_eq!(standing(&*store, 1).await.device.image, Some(image_id(2)), "it had none");

    store.set_device_image(device_id(1), Some(&image_id(1))).await.unwrap();
    let third = NewEnrolment { device: with_image(3), replaces: Some(enrolment_id(2)), ..again(3) };
    store.complete_enrolment(&third).await.unwrap();
    assert_eq!(standing(&*store, 1).await.device.image, Some(image_id(1)));
}

async fn an_enrolment_that_was_overtaken_changes_nothing(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    for replaces in [None, Some(enrolment_id(7))] {
        let outcome = store.complete_enrolment(&NewEnrolment { replaces, ..again(2) }).await.unwrap();
        assert_eq!(outcome, EnrolmentOutcome::Overtaken, "it began before the first completed");
    }
    assert_eq!(standing(&*store, 1).await, first);
    assert_eq!(uses(&*store).await, 1);
}

async fn an_old_enrolment_does_not_bring_its_keys_back(store: Arc<dyn Store>) {
    first_device(&*store).await;
    store.complete_enrolment(&again(2)).await.unwrap();
    let second = standing(&*store, 1).await;
    for replaces in [None, Some(enrolment_id(2))] {
        let replayed = NewEnrolment { replaces, ..enrolment(1) };
        assert_eq!(store.complete_enrolment(&replayed).await.unwrap(), EnrolmentOutcome::Overtaken);
    }
    assert_eq!(standing(&*store, 1).await, second);
    assert_eq!(uses(&*store).await, 2);
}

async fn a_revoked_device_does_not_enrol(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    store.revoke_device(device_id(1), "stolen", &update(first.trust.sequence, 1)).await.unwrap();
    let revoked = standing(&*store, 1).await;
    assert_eq!(revoked.device.state, DeviceState::Revoked);
    for attempt in [again(2), enrolment(1)] {
        assert_eq!(store.complete_enrolment(&attempt).await.unwrap(), EnrolmentOutcome::Revoked);
    }
    assert_eq!(standing(&*store, 1).await, revoked);
    assert_eq!(uses(&*store).await, 1);
}

async fn a_device_is_not_enrolled_under_the_name_of_another_ek(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    let takeover = NewEnrolment { device: Device { id: device_id(1), ..device(2, 2) }, ..again(2) };
    assert!(is_conflict(&store.complete_enrolment(&takeover).await, Entity::Device));
    assert_eq!(standing(&*store, 1).await, first);
    assert_eq!(uses(&*store).await, 1);
}

async fn an_enrolment_is_not_repeated_with_other_keys_or_for_another_device(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    let mut other_key = enrolment(1);
    other_key.device.keys.tls_spki = b"another".to_vec();
    let mut other_device = enrolment(2);
    other_device.device.keys.enrolment = enrolment_id(1);
    for attempt in [other_key, other_device] {
        assert!(is_conflict(&store.complete_enrolment(&attempt).await, Entity::Enrolment));
    }
    let mut other_certificate = enrolment(2);
    other_certificate.device.certificate_digest = first.device.certificate_digest;
    assert!(is_conflict(&store.complete_enrolment(&other_certificate).await, Entity::Certificate));
    assert_eq!(standing(&*store, 1).await, first);
    assert_eq!(store.device(device_id(2)).await.unwrap(), None);
    assert_eq!(uses(&*store).await, 1);
}

async fn what_cannot_be_stored_is_not_counted(store: Arc<dyn Store>) {
    create_token(&*store).await;
    let stray = NewEnrolment { device: Device { image: Some(image_id(1)), ..device(1, 1) }, ..enrolment(1) };
    assert!(is_missing(&store.complete_enrolment(&stray).await, Entity::Image));
    let (mut large_key, mut large_certificate, mut large_facts) = (enrolment(1), enrolment(1), enrolment(1));
    large_key.device.keys.ak_public = vec![0; MAX_KEY_BYTES + 1];
    large_certificate.device.keys.ek_certificate = Some(vec![0; MAX_EK_CERTIFICATE_BYTES + 1]);
    large_facts.device.facts.os = "x".repeat(1 << 20);
    for large in [large_key, large_certificate, large_facts] {
        assert!(is_too_large(&store.complete_enrolment(&large).await));
    }
    assert_eq!(store.device(device_id(1)).await.unwrap(), None);
    assert_eq!(uses(&*store).await, 0);
}

async fn of_many_devices_one_takes_the_last_use_of_a_token(store: Arc<dyn Store>) {
    store.create_token(&JoinToken { max_uses: 3, uses: 2, ..token(1) }).await.unwrap();
    let tasks: Vec<_> = (1..=16)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.complete_enrolment(&enrolment(number)).await.unwrap() })
        })
        .collect();
    let (mut enrolled, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            EnrolmentOutcome::Enrolled(_) => enrolled += 1,
            EnrolmentOutcome::Refused(TokenRefusal::Spent) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((enrolled, refused), (1, 15));
    assert_eq!(uses(&*store).await, 3);
    assert_eq!(store.list_standings(&DeviceFilter::default(), Page::default()).await.unwrap().len(), 1);
}

async fn of_many_enrolments_of_one_device_one_wins(store: Arc<dyn Store>) {
    create_token(&*store).await;
    let tasks: Vec<_> = (1..=16)
        .map(|number| {
            let store = Arc::clone(&store);
            let attempt = NewEnrolment { device: device(1, number), ..enrolment(1) };
            tokio::spawn(async move { (number, store.complete_enrolment(&attempt).await.unwrap()) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (number, EnrolmentOutcome::Enrolled(_)) => winners.push(number),
            (_, EnrolmentOutcome::Overtaken) => {}
            other => panic!("{other:?}"),
        }
    }
    let [winner] = winners.try_into().expect("one wins");
    assert_eq!(store.device(device_id(1)).await.unwrap(), Some(device(1, winner)));
    assert_eq!(uses(&*store).await, 1);
}
