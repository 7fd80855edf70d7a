//! Devices: found, listed, assigned, revoked, restored, renewed.

use std::sync::Arc;

use vouchsafe_model::device::HostFacts;
use vouchsafe_model::{Device, DeviceState};
use vouchsafe_store::limits::MAX_REASON_BYTES;
use vouchsafe_store::{
    Acceptance, CertificateRecording, DeviceFilter, Entity, IssuedCertificate, NewEnrolment, Page, PageLimit, Standing,
    StateChange, Store, TrustSequence,
};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{
    accepted, at, create_token, device, device_id, digest, enrol, enrolment, enrolment_id, first_device, image,
    image_id, standing, update,
};

on_every_store! {
    devices_are_found_by_the_start_of_their_names,
    devices_are_listed_by_name_page_by_page,
    devices_are_listed_by_state_and_by_image,
    a_device_is_compared_with_the_image_that_it_was_given,
    a_revocation_reaches_state_and_trust_at_once,
    a_restored_device_takes_part_again,
    a_change_of_state_computed_from_old_trust_changes_nothing,
    a_renewed_certificate_becomes_the_present_one,
    a_certificate_for_keys_that_were_replaced_is_not_recorded,
    a_revoked_device_is_given_no_certificate,
    a_certificate_is_recorded_for_one_device_only,
    the_host_may_change_its_mind_about_itself,
    nothing_is_done_to_a_device_that_does_not_exist,
}

/// Enrols devices of these numbers and returns them in the order of their names.
async fn enrol_all(store: &dyn Store, numbers: impl IntoIterator<Item = u32>) -> Vec<Standing> {
    create_token(store).await;
    let mut all = Vec::new();
    for number in numbers {
        all.push(enrol(store, number).await);
    }
    all.sort_by_key(|standing| standing.device.id.to_string());
    all
}

fn renewal(enrolment: u32, certificate: u32) -> IssuedCertificate {
    IssuedCertificate {
        digest: digest(b'c', certificate),
        device: device_id(1),
        enrolment: enrolment_id(enrolment),
        issued_at: at(100),
        expires_at: at(200_000),
    }
}

async fn devices_are_found_by_the_start_of_their_names(store: Arc<dyn Store>) {
    let all = enrol_all(&*store, 1..=40).await;
    let found = async |prefix: &str, limit| -> Vec<Device> {
        store.devices_by_prefix(prefix, PageLimit::new(limit)).await.unwrap()
    };
    let starting_with = |prefix: &str| -> Vec<Device> {
        let devices = all.iter().map(|standing| standing.device.clone());
        devices.filter(|device| device.id.to_string().starts_with(prefix)).collect()
    };
    let name = device_id(17).to_string();
    for length in [0, 1, 7, 8, 9, 32] {
        let prefix: String = name.chars().take(length).collect();
        assert_eq!(found(&prefix, 500).await, starting_with(&prefix), "{length} characters");
    }
    assert_eq!(found(&name, 500).await, [device(17, 17)]);
    let all = starting_with("");
    assert_eq!(found("", 3).await, all.iter().take(3).cloned().collect::<Vec<_>>());
    for stranger in ["%", "_", "*", "zzzz", "AAAA", "' OR 1=1 --", &format!("{name}a")] {
        assert_eq!(found(stranger, 500).await, [], "{stranger}");
    }
}

async fn devices_are_listed_by_name_page_by_page(store: Arc<dyn Store>) {
    let all = enrol_all(&*store, 1..=7).await;
    let mut page = Page::first(PageLimit::new(3));
    let mut listed = Vec::new();
    for expected in [3, 3, 1] {
        let standings = store.list_standings(&DeviceFilter::default(), page).await.unwrap();
        assert_eq!(standings.len(), expected);
        page = Page::after(standings.last().unwrap().device.id, page.limit);
        listed.extend(standings);
    }
    assert_eq!(listed, all);
    assert_eq!(store.list_standings(&DeviceFilter::default(), page).await.unwrap(), []);
}

async fn devices_are_listed_by_state_and_by_image(store: Arc<dyn Store>) {
    enrol_all(&*store, 1..=4).await;
    store.create_image(&image(1)).await.unwrap();
    for number in [1, 2] {
        store.set_device_image(device_id(number), Some(&image_id(1))).await.unwrap();
    }
    for number in [2, 3] {
        store.revoke_device(device_id(number), "lost", &update(TrustSequence::FIRST, 1)).await.unwrap();
    }
    let listed = async |state, image| {
        let standings = store.list_standings(&DeviceFilter { state, image }, Page::default()).await.unwrap();
        let mut hosts: Vec<_> = standings.into_iter().map(|standing| standing.device.facts.hostname).collect();
        hosts.sort();
        hosts
    };
    assert_eq!(listed(Some(DeviceState::Active), None).await, ["host-1", "host-4"]);
    assert_eq!(listed(Some(DeviceState::Revoked), None).await, ["host-2", "host-3"]);
    assert_eq!(listed(None, Some(image_id(1))).await, ["host-1", "host-2"]);
    assert_eq!(listed(Some(DeviceState::Revoked), Some(image_id(1))).await, ["host-2"]);
    assert!(listed(None, Some(image_id(2))).await.is_empty());
}

async fn a_device_is_compared_with_the_image_that_it_was_given(store: Arc<dyn Store>) {
    let before = first_device(&*store).await;
    store.create_image(&image(1)).await.unwrap();
    store.set_device_image(device_id(1), Some(&image_id(1))).await.unwrap();
    let assigned = standing(&*store, 1).await;
    assert_eq!(assigned.device, Device { image: Some(image_id(1)), ..before.device.clone() });

    // A verdict that compared with another image, or with none, must not stand.
    assert_eq!(store.accept_attestation(&accepted(&before, 1)).await.unwrap(), Acceptance::Superseded);
    assert!(is_missing(&store.set_device_image(device_id(1), Some(&image_id(2))).await, Entity::Image));
    assert_eq!(standing(&*store, 1).await, assigned);

    store.set_device_image(device_id(1), None).await.unwrap();
    assert_eq!(standing(&*store, 1).await, before);
}

async fn a_revocation_reaches_state_and_trust_at_once(store: Arc<dyn Store>) {
    let active = first_device(&*store).await;
    let change = store.revoke_device(device_id(1), "stolen", &update(active.trust.sequence, 5)).await.unwrap();
    assert_eq!(change, StateChange::Changed(TrustSequence::new(2)));
    let revoked = standing(&*store, 1).await;
    assert_eq!(revoked.device.state, DeviceState::Revoked);
    assert_eq!(revoked.device.revocation_reason.as_deref(), Some("stolen"));
    assert_eq!((revoked.trust.sequence, revoked.trust.at), (TrustSequence::new(2), at(5)));
    assert_eq!(store.accept_attestation(&accepted(&revoked, 1)).await.unwrap(), Acceptance::DeviceRevoked);

    let again = store.revoke_device(device_id(1), "sold", &update(revoked.trust.sequence, 6)).await.unwrap();
    assert_eq!(again, StateChange::Unchanged);
    assert_eq!(standing(&*store, 1).await, revoked);
}

async fn a_restored_device_takes_part_again(store: Arc<dyn Store>) {
    let active = first_device(&*store).await;
    let restore = update(active.trust.sequence, 5);
    assert_eq!(store.restore_device(device_id(1), &restore).await.unwrap(), StateChange::Unchanged);
    store.revoke_device(device_id(1), "stolen", &update(active.trust.sequence, 5)).await.unwrap();
    let change = store.restore_device(device_id(1), &update(TrustSequence::new(2), 6)).await.unwrap();
    assert_eq!(change, StateChange::Changed(TrustSequence::new(3)));
    let restored = standing(&*store, 1).await;
    assert_eq!(restored.device, active.device);
    let acceptance = store.accept_attestation(&accepted(&restored, 7)).await.unwrap();
    assert_eq!(acceptance, Acceptance::Accepted(TrustSequence::new(4)));
}

async fn a_change_of_state_computed_from_old_trust_changes_nothing(store: Arc<dyn Store>) {
    let active = first_device(&*store).await;
    store.append_trust(device_id(1), &update(active.trust.sequence, 1)).await.unwrap();
    let late = update(active.trust.sequence, 2);
    assert_eq!(store.revoke_device(device_id(1), "stolen", &late).await.unwrap(), StateChange::Superseded);
    assert_eq!(standing(&*store, 1).await.device, active.device);
    let long = "x".repeat(MAX_REASON_BYTES + 1);
    assert!(is_too_large(&store.revoke_device(device_id(1), &long, &update(TrustSequence::new(2), 2)).await));
    assert_eq!(standing(&*store, 1).await.device, active.device);
}

async fn a_renewed_certificate_becomes_the_present_one(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    for _ in 0..2 {
        let recording = store.record_certificate(&renewal(1, 50)).await.unwrap();
        assert_eq!(recording, CertificateRecording::Recorded, "recording it twice is recording it once");
    }
    let renewed = Device { certificate_digest: digest(b'c', 50), certificate_expires_at: at(200_000), ..first.device };
    assert_eq!(standing(&*store, 1).await.device, renewed);
    assert_eq!(store.certificate(&digest(b'c', 50)).await.unwrap(), Some(renewal(1, 50)));
    assert!(store.certificate(&digest(b'c', 1)).await.unwrap().is_some(), "the first is history now");
    assert_eq!(store.certificate(&digest(b'c', 51)).await.unwrap(), None);
}

async fn a_certificate_for_keys_that_were_replaced_is_not_recorded(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let again = NewEnrolment { device: device(1, 2), replaces: Some(enrolment_id(1)), ..enrolment(1) };
    store.complete_enrolment(&again).await.unwrap();
    let second = standing(&*store, 1).await;
    assert_eq!(store.record_certificate(&renewal(1, 50)).await.unwrap(), CertificateRecording::Superseded);
    assert_eq!(standing(&*store, 1).await, second);
    assert_eq!(store.certificate(&digest(b'c', 50)).await.unwrap(), None);
}

async fn a_revoked_device_is_given_no_certificate(store: Arc<dyn Store>) {
    let active = first_device(&*store).await;
    store.revoke_device(device_id(1), "stolen", &update(active.trust.sequence, 1)).await.unwrap();
    assert_eq!(store.record_certificate(&renewal(1, 50)).await.unwrap(), CertificateRecording::Revoked);
    assert_eq!(store.certificate(&digest(b'c', 50)).await.unwrap(), None);
}

async fn a_certificate_is_recorded_for_one_device_only(store: Arc<dyn Store>) {
    enrol_all(&*store, 1..=2).await;
    let of_the_other = renewal(1, 2);
    assert!(is_conflict(&store.record_certificate(&of_the_other).await, Entity::Certificate));
    let with_another_end = IssuedCertificate { expires_at: at(1), ..renewal(1, 1) };
    assert!(is_conflict(&store.record_certificate(&with_another_end).await, Entity::Certificate));
    assert_eq!(standing(&*store, 1).await.device, device(1, 1));
    assert_eq!(standing(&*store, 2).await.device, device(2, 2));
}

async fn the_host_may_change_its_mind_about_itself(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    let facts =
        HostFacts { hostname: "renamed".to_owned(), os: "Debian 12 \"bookworm\"".to_owned(), ..first.device.facts };
    store.update_facts(device_id(1), &facts).await.unwrap();
    assert_eq!(standing(&*store, 1).await.device.facts, facts);
    let huge = HostFacts { os: "x".repeat(1 << 20), ..facts.clone() };
    assert!(is_too_large(&store.update_facts(device_id(1), &huge).await));
    assert_eq!(standing(&*store, 1).await.device.facts, facts);
}

async fn nothing_is_done_to_a_device_that_does_not_exist(store: Arc<dyn Store>) {
    create_token(&*store).await;
    let (stranger, next) = (device_id(1), update(TrustSequence::FIRST, 1));
    assert!(is_missing(&store.set_device_image(stranger, None).await, Entity::Device));
    assert!(is_missing(&store.revoke_device(stranger, "stolen", &next).await, Entity::Device));
    assert!(is_missing(&store.restore_device(stranger, &next).await, Entity::Device));
    assert!(is_missing(&store.record_certificate(&renewal(1, 1)).await, Entity::Device));
    assert!(is_missing(&store.update_facts(stranger, &HostFacts::default()).await, Entity::Device));
    assert_eq!(store.device(stranger).await.unwrap(), None);
    assert_eq!(store.standing(stranger).await.unwrap(), None);
}
