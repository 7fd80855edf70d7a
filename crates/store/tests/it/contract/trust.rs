//! The history of trust.

use std::sync::Arc;

use proptest::prelude::*;
use vouchsafe_model::Timestamp;
use vouchsafe_store::limits::MAX_TRUST_BYTES;
use vouchsafe_store::{
    Entity, Maintenance, Page, PageLimit, RetentionPolicy, SqliteStore, Store, TrustAppend, TrustHistory, TrustRow,
    TrustSequence, TrustUpdate,
};

use super::{is_missing, is_too_large, on_every_store};
use crate::fixtures::{at, device_id, enrol, first_device, standing, update};

on_every_store! {
    rows_are_numbered_without_a_gap,
    an_update_computed_from_an_old_row_is_not_stored,
    an_instant_is_answered_by_the_row_in_force_then,
    a_clock_that_goes_back_does_not_hide_a_failure,
    a_history_is_read_by_time_and_page_by_page,
    an_unknown_device_has_no_trust,
    of_many_writers_none_loses_an_update,
}

/// Appends a row for device 1, so many seconds into the test.
async fn append(store: &dyn Store, secs: i64) -> TrustSequence {
    let last = standing(store, 1).await.trust.sequence;
    let appended = store.append_trust(device_id(1), &update(last, secs)).await.unwrap();
    assert_eq!(appended, TrustAppend::Appended(last.next()));
    last.next()
}

async fn rows_are_numbered_without_a_gap(store: Arc<dyn Store>) {
    first_device(&*store).await;
    enrol(&*store, 2).await;
    for number in 2..5 {
        assert_eq!(append(&*store, 10).await, TrustSequence::new(number));
    }
    let latest = store.latest_trust(device_id(1)).await.unwrap().unwrap();
    let TrustUpdate { event, state, .. } = update(TrustSequence::new(3), 10);
    assert_eq!(latest, TrustRow { sequence: TrustSequence::new(4), at: at(10), event, state });
    assert_eq!(standing(&*store, 1).await.trust, latest);
    assert_eq!(standing(&*store, 2).await.trust.sequence, TrustSequence::FIRST, "each device has numbers of its own");
}

async fn an_update_computed_from_an_old_row_is_not_stored(store: Arc<dyn Store>) {
    let enrolled = first_device(&*store).await;
    append(&*store, 1).await;
    let present = standing(&*store, 1).await;
    for follows in [enrolled.trust.sequence, TrustSequence::new(0), TrustSequence::new(3), TrustSequence::new(u64::MAX)]
    {
        let appended = store.append_trust(device_id(1), &update(follows, 2)).await.unwrap();
        assert_eq!(appended, TrustAppend::Superseded, "after {follows}");
    }
    let huge = TrustUpdate { state: "x".repeat(MAX_TRUST_BYTES + 1), ..update(present.trust.sequence, 2) };
    assert!(is_too_large(&store.append_trust(device_id(1), &huge).await));
    assert_eq!(standing(&*store, 1).await, present);
}

async fn an_instant_is_answered_by_the_row_in_force_then(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for secs in [10, 20, 20, 30] {
        append(&*store, secs).await;
    }
    let in_force =
        async |instant: Timestamp| store.trust_at(device_id(1), instant).await.unwrap().map(|row| row.sequence.get());
    let just_before = |secs| at(secs).minus(std::time::Duration::from_millis(1));
    assert_eq!(in_force(just_before(0)).await, None, "it had not enrolled");
    assert_eq!(in_force(at(0)).await, Some(1));
    assert_eq!(in_force(just_before(10)).await, Some(1));
    assert_eq!(in_force(at(10)).await, Some(2));
    assert_eq!(in_force(just_before(20)).await, Some(2));
    assert_eq!(in_force(at(20)).await, Some(4), "of two at one instant the later counts");
    assert_eq!(in_force(at(1_000_000)).await, Some(5));
}

async fn a_clock_that_goes_back_does_not_hide_a_failure(store: Arc<dyn Store>) {
    first_device(&*store).await;
    append(&*store, 100).await;
    let failure = append(&*store, 50).await;
    for secs in [50, 99, 100, 101] {
        let row = store.trust_at(device_id(1), at(secs)).await.unwrap().unwrap();
        assert_eq!(row.sequence, failure, "at {secs}");
    }
    assert_eq!(standing(&*store, 1).await.trust.sequence, failure);
}

async fn a_history_is_read_by_time_and_page_by_page(store: Arc<dyn Store>) {
    first_device(&*store).await;
    for secs in [10, 20, 30, 40] {
        append(&*store, secs).await;
    }
    let numbers = async |from, to, page| -> Vec<u64> {
        let rows = store.trust_history(device_id(1), at(from), at(to), page).await.unwrap();
        rows.iter().map(|row| row.sequence.get()).collect()
    };
    assert_eq!(numbers(0, 100, Page::default()).await, [1, 2, 3, 4, 5]);
    assert_eq!(numbers(10, 30, Page::default()).await, [2, 3, 4], "both ends are included");
    assert!(numbers(30, 10, Page::default()).await.is_empty());
    let limit = PageLimit::new(2);
    assert_eq!(numbers(10, 40, Page::first(limit)).await, [2, 3]);
    assert_eq!(numbers(10, 40, Page::after(TrustSequence::new(3), limit)).await, [4, 5]);
    assert!(numbers(10, 40, Page::after(TrustSequence::new(5), limit)).await.is_empty());
    assert!(numbers(10, 40, Page::after(TrustSequence::new(u64::MAX), limit)).await.is_empty());
}

async fn an_unknown_device_has_no_trust(store: Arc<dyn Store>) {
    first_device(&*store).await;
    assert_eq!(store.latest_trust(device_id(2)).await.unwrap(), None);
    assert_eq!(store.trust_at(device_id(2), at(0)).await.unwrap(), None);
    assert_eq!(store.trust_history(device_id(2), at(0), at(9), Page::default()).await.unwrap(), []);
    let appended = store.append_trust(device_id(2), &update(TrustSequence::FIRST, 1)).await;
    assert!(is_missing(&appended, Entity::Device));
}

async fn of_many_writers_none_loses_an_update(store: Arc<dyn Store>) {
    const WRITERS: u64 = 8;
    const UPDATES: u64 = 5;
    first_device(&*store).await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut appended = 0;
                while appended < UPDATES {
                    let last = store.latest_trust(device_id(1)).await.unwrap().unwrap().sequence;
                    let append = store.append_trust(device_id(1), &update(last, 1)).await.unwrap();
                    appended += u64::from(append != TrustAppend::Superseded);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows = store.trust_history(device_id(1), at(0), at(9), Page::default()).await.unwrap();
    let numbers: Vec<u64> = rows.iter().map(|row| row.sequence.get()).collect();
    assert_eq!(numbers, (1..=1 + WRITERS * UPDATES).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against the definition, with any clock, before and after a purge.
    #[test]
    fn within_the_retention_every_instant_has_its_row(
        clock in prop::collection::vec(0i64..100, 1..30),
        cut in 0i64..120,
        max_rows in 1u32..10,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::in_memory().await.unwrap();
            first_device(&store).await;
            let mut rows = vec![(1, 0)];
            for secs in clock {
                let number = append(&store, secs).await;
                rows.push((number.get(), secs));
            }
            let policy =
                RetentionPolicy { trust: Some(std::time::Duration::ZERO), max_rows, ..RetentionPolicy::FOR_EVER };
            for from in [0, cut] {
                for secs in from..130 {
                    let expected = rows.iter().filter(|(_, at)| *at <= secs).map(|(number, _)| *number).max();
                    let found = store.trust_at(device_id(1), at(secs)).await.unwrap();
                    assert_eq!(found.map(|row| row.sequence.get()), expected, "at {secs}, cut at {cut}");
                }
                while store.purge(at(cut), &policy).await.unwrap().more {}
            }
            let latest = store.latest_trust(device_id(1)).await.unwrap().map(|row| row.sequence.get());
            assert_eq!(latest, rows.last().map(|(number, _)| *number));
        });
    }
}
