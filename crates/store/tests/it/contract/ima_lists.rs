//! IMA lists: kept as far as quotes vouched for them, whole or not at all, and within bounds (threats 19, 21, 26 and 28).

use std::sync::Arc;

use vouchsafe_store::limits::{
    MAX_IMA_LIST_BYTES, MAX_IMA_LIST_DEFLATED_BYTES, MAX_IMA_LIST_PARTS, MAX_IMA_PART_DEFLATED_BYTES,
};
use vouchsafe_store::{
    Acceptance, AcceptedAttestation, AheadOutcome, BootVersion, Entity, ImaAheadPart, ImaList, ImaListChange,
    ImaListLost, ImaListPart, Store,
};

use super::{is_conflict, is_too_large, on_every_store};
use crate::fixtures::{
    NO_PART, accepted_with_boot, ahead, ahead_part, device_id, enrol, first_device, nonce, part, standing,
};

on_every_store! {
    a_list_grows_with_the_evidence_that_vouches_for_it,
    a_part_takes_the_place_of_what_begins_where_it_does_or_behind,
    a_new_boot_begins_a_new_list,
    evidence_that_is_not_stored_changes_no_list,
    what_came_ahead_is_kept_once_a_quote_vouches_for_it,
    what_came_ahead_and_is_not_vouched_for_goes,
    what_comes_ahead_begins_anew_in_place_of_what_came_before,
    a_whole_list_that_comes_ahead_takes_the_place_of_the_one_before,
    a_list_with_a_gap_is_lost_until_it_begins_anew,
    what_came_ahead_with_a_gap_is_lost,
    the_longest_list_is_kept_and_one_byte_more_loses_it,
    the_largest_list_is_kept_and_one_byte_more_loses_it,
    a_list_of_the_most_parts_is_kept_and_one_more_loses_it,
    the_bounds_hold_for_what_comes_ahead_with_what_it_follows,
    the_largest_part_is_kept_and_one_byte_more_is_refused,
    parts_that_are_empty_or_elsewhere_are_refused,
    the_end_is_told_and_the_tail_given_when_it_is_small,
    lists_of_other_devices_are_left_alone,
}

use ImaListChange::{From, Stays, TakesAhead};

async fn list(store: &dyn Store) -> ImaList {
    store.ima_list(device_id(1)).await.unwrap().unwrap()
}

/// Evidence of this number for device 1, with this change of its list.
async fn next(store: &dyn Store, number: u32, change: ImaListChange) -> AcceptedAttestation {
    let follows = store.boot(device_id(1)).await.unwrap().map(|record| record.version);
    accepted_with_boot(&standing(store, 1).await, follows, number, |boot| boot.list = change)
}

async fn change(store: &dyn Store, number: u32, change: ImaListChange) {
    let acceptance = store.accept_attestation(&next(store, number, change).await).await.unwrap();
    assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
}

/// This part, from where it begins.
fn from(part: ImaListPart) -> ImaListChange {
    From { offset: part.offset, part: Some(part) }
}

async fn put_ahead(store: &dyn Store, number: u32, part: ImaAheadPart) {
    let follows = store.boot(device_id(1)).await.unwrap().map(|record| record.version);
    let outcome = store.put_ima_ahead(device_id(1), follows, &ahead(number), &part).await.unwrap();
    assert!(matches!(outcome, AheadOutcome::Stored(_)), "{outcome:?}");
}

async fn a_list_grows_with_the_evidence_that_vouches_for_it(store: Arc<dyn Store>) {
    first_device(&*store).await;
    assert_eq!(store.ima_list(device_id(1)).await.unwrap(), None);
    let parts = [part(1, 0, 100), part(2, 100, 1), part(3, 101, 7)];
    let mut grown = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        change(&*store, number, from(part.clone())).await;
        grown.push(part.clone());
        let kept = list(&*store).await;
        assert_eq!(kept.parts, grown);
        assert_eq!((kept.version, kept.lost, kept.ahead), (BootVersion::new(number.into()), None, Vec::new()));
    }
    change(&*store, 4, Stays).await;
    change(&*store, 5, From { offset: 108, part: None }).await;
    let kept = list(&*store).await;
    assert_eq!((&kept.parts[..], kept.version), (&parts[..], BootVersion::new(5)));
}

async fn a_part_takes_the_place_of_what_begins_where_it_does_or_behind(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for (number, grown) in [(1, part(1, 0, 100)), (2, part(2, 100, 50)), (3, part(3, 150, 50))] {
        change(&*store, number, from(grown)).await;
    }
    change(&*store, 4, from(part(4, 150, 80))).await;
    assert_eq!(list(&*store).await.parts, [part(1, 0, 100), part(2, 100, 50), part(4, 150, 80)]);
    change(&*store, 5, from(part(5, 100, 200))).await;
    assert_eq!(list(&*store).await.parts, [part(1, 0, 100), part(5, 100, 200)]);
    change(&*store, 6, From { offset: 100, part: None }).await;
    assert_eq!(list(&*store).await.parts, [part(1, 0, 100)]);
}

async fn a_new_boot_begins_a_new_list(store: Arc<dyn Store>) {
    first_device(&*store).await;
    change(&*store, 1, from(part(1, 0, 100))).await;
    change(&*store, 2, from(part(2, 100, 100))).await;
    change(&*store, 3, from(part(3, 0, 10))).await;
    assert_eq!(list(&*store).await.parts, [part(3, 0, 10)]);
    change(&*store, 4, From { offset: 0, part: None }).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts, kept.lost), (Vec::new(), None));
}

async fn evidence_that_is_not_stored_changes_no_list(store: Arc<dyn Store>) {
    first_device(&*store).await;
    change(&*store, 1, from(part(1, 0, 100))).await;
    put_ahead(&*store, 2, ahead_part(true, part(2, 100, 10))).await;
    let before = list(&*store).await;
    for changed in
        [from(part(3, 100, 5)), from(part(3, 0, 5)), TakesAhead { part: None }, From { offset: 7, part: None }]
    {
        let good = next(&*store, 3, changed).await;
        let replay = AcceptedAttestation { nonce: nonce(1), ..good.clone() };
        assert_eq!(store.accept_attestation(&replay).await.unwrap(), Acceptance::NonceSpent);
        let mut late = good;
        late.boot.as_mut().unwrap().follows = Some(BootVersion::FIRST);
        assert_eq!(store.accept_attestation(&late).await.unwrap(), Acceptance::Superseded);
    }
    let late = ahead_part(true, part(4, 100, 10));
    let outcome = store.put_ima_ahead(device_id(1), Some(BootVersion::FIRST), &ahead(4), &late).await.unwrap();
    assert_eq!(outcome, AheadOutcome::Superseded);
    assert_eq!(list(&*store).await, before);
}

async fn what_came_ahead_is_kept_once_a_quote_vouches_for_it(store: Arc<dyn Store>) {
    first_device(&*store).await;
    // Before any evidence came.
    put_ahead(&*store, 1, ahead_part(true, part(1, 0, 100))).await;
    put_ahead(&*store, 2, NO_PART).await;
    put_ahead(&*store, 3, ahead_part(false, part(3, 100, 100))).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts, kept.ahead), (Vec::new(), vec![part(1, 0, 100), part(3, 100, 100)]));
    change(&*store, 4, TakesAhead { part: Some(part(4, 200, 10)) }).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts.len(), kept.ahead.len(), kept.lost), (3, 0, None));
    // And behind what was vouched for.
    put_ahead(&*store, 5, ahead_part(true, part(5, 210, 10))).await;
    change(&*store, 6, TakesAhead { part: None }).await;
    // A part that held no whole entry changes nothing about where the list goes on.
    put_ahead(&*store, 7, NO_PART).await;
    change(&*store, 8, TakesAhead { part: Some(part(8, 220, 1)) }).await;
    let kept = list(&*store).await;
    let expected = [part(1, 0, 100), part(3, 100, 100), part(4, 200, 10), part(5, 210, 10), part(8, 220, 1)].to_vec();
    assert_eq!((kept.parts, kept.ahead, kept.lost), (expected, Vec::new(), None));
}

async fn what_came_ahead_and_is_not_vouched_for_goes(store: Arc<dyn Store>) {
    first_device(&*store).await;
    change(&*store, 1, from(part(1, 0, 100))).await;
    for (number, changed) in [(2, Stays), (4, From { offset: 100, part: None })] {
        put_ahead(&*store, number, ahead_part(true, part(number, 100, 10))).await;
        assert_eq!(list(&*store).await.ahead, [part(number, 100, 10)]);
        change(&*store, number + 1, changed).await;
        let kept = list(&*store).await;
        assert_eq!((kept.parts, kept.ahead, kept.lost), (vec![part(1, 0, 100)], Vec::new(), None));
    }
    put_ahead(&*store, 6, ahead_part(true, part(6, 100, 10))).await;
    change(&*store, 7, from(part(7, 0, 1))).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts, kept.ahead), (vec![part(7, 0, 1)], Vec::new()));
}

async fn what_comes_ahead_begins_anew_in_place_of_what_came_before(store: Arc<dyn Store>) {
    first_device(&*store).await;
    change(&*store, 1, from(part(1, 0, 100))).await;
    put_ahead(&*store, 2, ahead_part(true, part(2, 100, 10))).await;
    put_ahead(&*store, 3, ahead_part(false, part(3, 110, 10))).await;
    put_ahead(&*store, 4, ahead_part(true, part(4, 100, 5))).await;
    assert_eq!(list(&*store).await.ahead, [part(4, 100, 5)]);
    put_ahead(&*store, 5, ImaAheadPart { begins: true, part: None }).await;
    assert_eq!(list(&*store).await.ahead, []);
    assert_eq!(list(&*store).await.parts, [part(1, 0, 100)]);
}

async fn a_whole_list_that_comes_ahead_takes_the_place_of_the_one_before(store: Arc<dyn Store>) {
    first_device(&*store).await;
    change(&*store, 1, from(part(1, 0, 100))).await;
    put_ahead(&*store, 2, ahead_part(true, part(2, 0, 60))).await;
    put_ahead(&*store, 3, ahead_part(false, part(3, 60, 60))).await;
    assert_eq!(list(&*store).await.parts, [part(1, 0, 100)], "no quote vouched for it yet");
    change(&*store, 4, TakesAhead { part: Some(part(4, 120, 1)) }).await;
    assert_eq!(list(&*store).await.parts, [part(2, 0, 60), part(3, 60, 60), part(4, 120, 1)]);
}

async fn a_list_with_a_gap_is_lost_until_it_begins_anew(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let mut number = 0;
    for gap in [
        from(part(9, 101, 10)),
        from(part(9, 99, 10)),
        From { offset: 99, part: None },
        TakesAhead { part: Some(part(9, 101, 10)) },
    ] {
        change(&*store, number + 1, from(part(1, 0, 100))).await;
        change(&*store, number + 2, gap).await;
        let kept = list(&*store).await;
        assert_eq!((kept.parts, kept.lost), (Vec::new(), Some(ImaListLost::Incomplete)));
        // What would follow it does not bring it back.
        put_ahead(&*store, number + 3, ahead_part(true, part(3, 111, 10))).await;
        change(&*store, number + 4, TakesAhead { part: Some(part(4, 121, 1)) }).await;
        change(&*store, number + 5, from(part(5, 122, 1))).await;
        change(&*store, number + 6, Stays).await;
        let kept = list(&*store).await;
        assert_eq!((kept.parts, kept.ahead, kept.lost), (Vec::new(), Vec::new(), Some(ImaListLost::Incomplete)));
        number += 6;
    }
    put_ahead(&*store, number + 1, ahead_part(true, part(1, 0, 10))).await;
    change(&*store, number + 2, TakesAhead { part: None }).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts, kept.lost), (vec![part(1, 0, 10)], None));
}

async fn what_came_ahead_with_a_gap_is_lost(store: Arc<dyn Store>) {
    first_device(&*store).await;
    change(&*store, 1, from(part(1, 0, 100))).await;
    put_ahead(&*store, 2, ahead_part(true, part(2, 100, 10))).await;
    put_ahead(&*store, 3, ahead_part(false, part(3, 111, 10))).await;
    put_ahead(&*store, 4, ahead_part(false, part(4, 110, 10))).await;
    assert_eq!(list(&*store).await.ahead, []);
    // As long as no quote vouched for it, that says nothing of what is kept.
    assert_eq!(list(&*store).await.parts, [part(1, 0, 100)]);
    change(&*store, 5, TakesAhead { part: None }).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts, kept.lost), (Vec::new(), Some(ImaListLost::Incomplete)));
    change(&*store, 6, from(part(6, 0, 1))).await;
    put_ahead(&*store, 7, ahead_part(true, part(7, 1, 1))).await;
    put_ahead(&*store, 8, ahead_part(false, part(8, 3, 1))).await;
    // It begins anew, and the gap is forgotten.
    put_ahead(&*store, 9, ahead_part(true, part(9, 1, 2))).await;
    change(&*store, 10, TakesAhead { part: None }).await;
    assert_eq!(list(&*store).await.parts, [part(6, 0, 1), part(9, 1, 2)]);
}

/// Brings a list to a bound by its last part, and beyond it by another.
async fn assert_bound(store: &dyn Store, parts: &[ImaListPart], beyond: ImaListPart) {
    first_device(store).await;
    for (number, part) in (1..).zip(parts) {
        change(store, number, from(part.clone())).await;
    }
    let number = u32::try_from(parts.len()).unwrap();
    let kept = list(store).await;
    assert!(kept.parts == parts && kept.lost.is_none(), "{} parts, {:?}", kept.parts.len(), kept.lost);
    change(store, number + 1, from(beyond.clone())).await;
    let kept = list(store).await;
    assert_eq!((kept.parts, kept.lost), (Vec::new(), Some(ImaListLost::TooLong)));
    // It stays so in this boot, whatever follows.
    change(store, number + 2, from(part(1, beyond.end(), 1))).await;
    assert_eq!(list(store).await.lost, Some(ImaListLost::TooLong));
    change(store, number + 3, from(part(1, 0, 1))).await;
    let kept = list(store).await;
    assert_eq!((kept.parts, kept.lost), (vec![part(1, 0, 1)], None));
}

async fn the_longest_list_is_kept_and_one_byte_more_loses_it(store: Arc<dyn Store>) {
    let parts = [part(1, 0, 100), part(2, 100, MAX_IMA_LIST_BYTES - 100)];
    assert_bound(&*store, &parts, part(3, MAX_IMA_LIST_BYTES, 1)).await;
}

/// Parts of one byte each that are so large, compressed.
fn large(offset: u64, deflated: usize) -> ImaListPart {
    ImaListPart { deflated: vec![0xA5; deflated], ..part(1, offset, 1) }
}

/// The largest list: compressed it takes all that it may.
fn largest() -> Vec<ImaListPart> {
    let parts = MAX_IMA_LIST_DEFLATED_BYTES / MAX_IMA_PART_DEFLATED_BYTES as u64;
    (0..parts).map(|offset| large(offset, MAX_IMA_PART_DEFLATED_BYTES)).collect()
}

async fn the_largest_list_is_kept_and_one_byte_more_loses_it(store: Arc<dyn Store>) {
    let parts = largest();
    assert_bound(&*store, &parts, large(parts.len() as u64, 1)).await;
}

async fn a_list_of_the_most_parts_is_kept_and_one_more_loses_it(store: Arc<dyn Store>) {
    let parts: Vec<_> = (0..MAX_IMA_LIST_PARTS).map(|offset| large(offset, 1)).collect();
    assert_bound(&*store, &parts, large(MAX_IMA_LIST_PARTS, 1)).await;
}

async fn the_bounds_hold_for_what_comes_ahead_with_what_it_follows(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let parts = largest();
    let (first, others) = parts.split_first().unwrap();
    change(&*store, 1, from(first.clone())).await;
    for (number, part) in (2..).zip(others) {
        put_ahead(&*store, number, ahead_part(number == 2, part.clone())).await;
    }
    assert!(list(&*store).await.ahead == others, "what comes ahead is lost");
    put_ahead(&*store, 20, ahead_part(false, large(parts.len() as u64, 1))).await;
    let kept = list(&*store).await;
    assert!(kept.ahead.is_empty() && kept.parts == std::slice::from_ref(first), "{kept:?}");
    // Further parts are taken, and the quote that vouches for them says that they are more than are kept.
    put_ahead(&*store, 21, ahead_part(false, large(1 + parts.len() as u64, 1))).await;
    change(&*store, 22, TakesAhead { part: None }).await;
    let kept = list(&*store).await;
    assert_eq!((kept.parts, kept.lost), (Vec::new(), Some(ImaListLost::TooLong)));
    // A list that is sent again as a whole is not counted twice.
    change(&*store, 23, from(first.clone())).await;
    for (number, part) in (24..).zip(&parts) {
        put_ahead(&*store, number, ahead_part(number == 24, part.clone())).await;
    }
    change(&*store, 50, TakesAhead { part: None }).await;
    assert!(list(&*store).await.parts == parts);
}

async fn the_largest_part_is_kept_and_one_byte_more_is_refused(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let larger = large(0, MAX_IMA_PART_DEFLATED_BYTES + 1);
    for changed in [from(larger.clone()), TakesAhead { part: Some(larger.clone()) }] {
        assert!(is_too_large(&store.accept_attestation(&next(&*store, 1, changed).await).await));
    }
    let larger = ahead_part(true, larger);
    assert!(is_too_large(&store.put_ima_ahead(device_id(1), None, &ahead(1), &larger).await));
    assert_eq!(store.ima_list(device_id(1)).await.unwrap(), None);
    let largest = large(0, MAX_IMA_PART_DEFLATED_BYTES);
    put_ahead(&*store, 1, ahead_part(true, largest.clone())).await;
    change(&*store, 2, from(largest.clone())).await;
    assert!(list(&*store).await.parts == [largest]);
}

async fn parts_that_are_empty_or_elsewhere_are_refused(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for changed in
        [from(part(1, 0, 0)), TakesAhead { part: Some(part(1, 0, 0)) }, From { offset: 0, part: Some(part(1, 1, 1)) }]
    {
        let evidence = next(&*store, 1, changed).await;
        assert!(is_conflict(&store.accept_attestation(&evidence).await, Entity::ImaList));
    }
    let empty = ahead_part(true, part(1, 0, 0));
    assert!(is_conflict(&store.put_ima_ahead(device_id(1), None, &ahead(1), &empty).await, Entity::ImaList));
    assert_eq!(store.boot(device_id(1)).await.unwrap(), None);
}

async fn the_end_is_told_and_the_tail_given_when_it_is_small(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let tail = async |max_len| store.ima_list_tail(device_id(1), max_len).await.unwrap();
    let end = async || store.ima_list_end(device_id(1)).await.unwrap();
    assert_eq!((tail(u64::MAX).await, end().await), (None, 0));
    change(&*store, 1, from(part(1, 0, 10))).await;
    change(&*store, 2, from(part(2, 10, 100))).await;
    put_ahead(&*store, 3, ahead_part(true, part(3, 110, 1))).await;
    for (max_len, expected) in
        [(0, None), (99, None), (100, Some(part(2, 10, 100))), (u64::MAX, Some(part(2, 10, 100)))]
    {
        assert_eq!(tail(max_len).await, expected, "{max_len}");
    }
    assert_eq!(end().await, 110, "what came ahead does not count");
    change(&*store, 4, TakesAhead { part: None }).await;
    assert_eq!((tail(1).await, end().await), (Some(part(3, 110, 1)), 111));
    change(&*store, 5, from(part(5, 0, 7))).await;
    assert_eq!(end().await, 7);
    change(&*store, 6, from(part(6, 8, 1))).await;
    assert_eq!((tail(u64::MAX).await, end().await), (None, 0), "it is lost");
}

async fn lists_of_other_devices_are_left_alone(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let second = enrol(&*store, 2).await;
    let evidence = accepted_with_boot(&second, None, 1000, |boot| boot.list = from(part(7, 0, 100)));
    store.accept_attestation(&evidence).await.unwrap();
    let part_ahead = ahead_part(true, part(8, 100, 10));
    store.put_ima_ahead(device_id(2), Some(BootVersion::FIRST), &ahead(8), &part_ahead).await.unwrap();
    let before = store.ima_list(device_id(2)).await.unwrap();
    change(&*store, 1, from(part(1, 0, 100))).await;
    put_ahead(&*store, 2, ahead_part(true, part(2, 100, 1))).await;
    change(&*store, 3, TakesAhead { part: None }).await;
    put_ahead(&*store, 4, ahead_part(true, part(4, 101, 1))).await;
    change(&*store, 5, from(part(5, 17, 1))).await;
    change(&*store, 6, from(part(6, 0, 1))).await;
    assert_eq!(store.ima_list(device_id(2)).await.unwrap(), before);
}
