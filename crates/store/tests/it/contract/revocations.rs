//! Forbidden signature databases: what was revoked stays so (threat 18).

use std::sync::Arc;

use vouchsafe_model::Timestamp;
use vouchsafe_store::limits::{MAX_ARCH_BYTES, MAX_DBX_ARCHITECTURES, MAX_DBX_BYTES};
use vouchsafe_store::{DbxOutcome, Store, StoredDbx};

use super::{is_too_large, on_every_store};
use crate::fixtures::{at, digest};

on_every_store! {
    one_database_is_in_force_for_each_architecture,
    an_older_database_is_refused,
    a_database_that_does_not_say_when_it_was_made_never_replaces_one_that_does,
    databases_that_are_stamped_alike_replace_each_other,
    the_same_database_again_changes_nothing,
    the_largest_database_is_stored_and_one_byte_more_is_not,
    architectures_are_bounded,
}

fn dbx(arch: &str, number: u32, timestamp: Option<Timestamp>) -> StoredDbx {
    StoredDbx {
        arch: arch.to_owned(),
        digest: digest(b'x', number),
        timestamp,
        bytes: digest(b'X', number).as_bytes().to_vec(),
        imported_at: at(i64::from(number)),
    }
}

async fn put(store: &dyn Store, dbx: &StoredDbx) -> DbxOutcome {
    store.put_dbx(&dbx.arch, dbx.digest, dbx.timestamp, &dbx.bytes, dbx.imported_at).await.unwrap()
}

async fn one_database_is_in_force_for_each_architecture(store: Arc<dyn Store>) {
    assert_eq!(store.dbx().await.unwrap(), []);
    let (x64, arm, newer) = (dbx("x64", 1, Some(at(-9))), dbx("arm64", 2, None), dbx("x64", 3, Some(at(-8))));
    for dbx in [&x64, &arm] {
        assert_eq!(put(&*store, dbx).await, DbxOutcome::Stored);
    }
    assert_eq!(store.dbx().await.unwrap(), [arm.clone(), x64]);
    assert_eq!(put(&*store, &newer).await, DbxOutcome::Stored);
    assert_eq!(store.dbx().await.unwrap(), [arm, newer]);
}

async fn an_older_database_is_refused(store: Arc<dyn Store>) {
    let present = dbx("x64", 1, Some(at(0)));
    put(&*store, &present).await;
    let older = dbx("x64", 2, Some(Timestamp::from_unix_millis(at(0).unix_millis() - 1)));
    assert_eq!(put(&*store, &older).await, DbxOutcome::Older { present: at(0) });
    assert_eq!(store.dbx().await.unwrap(), [present]);
    assert_eq!(put(&*store, &dbx("ia32", 2, Some(at(-1)))).await, DbxOutcome::Stored, "of another architecture");
}

async fn a_database_that_does_not_say_when_it_was_made_never_replaces_one_that_does(store: Arc<dyn Store>) {
    let (first, second, stamped) = (dbx("x64", 1, None), dbx("x64", 2, None), dbx("x64", 3, Some(at(-1_000_000))));
    for dbx in [&first, &second, &stamped] {
        assert_eq!(put(&*store, dbx).await, DbxOutcome::Stored);
        assert_eq!(store.dbx().await.unwrap(), std::slice::from_ref(dbx));
    }
    assert_eq!(put(&*store, &second).await, DbxOutcome::Older { present: at(-1_000_000) });
    assert_eq!(store.dbx().await.unwrap(), [stamped]);
}

async fn databases_that_are_stamped_alike_replace_each_other(store: Arc<dyn Store>) {
    let (first, second) = (dbx("x64", 1, Some(at(0))), dbx("x64", 2, Some(at(0))));
    put(&*store, &first).await;
    assert_eq!(put(&*store, &second).await, DbxOutcome::Stored);
    assert_eq!(store.dbx().await.unwrap(), [second]);
}

async fn the_same_database_again_changes_nothing(store: Arc<dyn Store>) {
    let present = dbx("x64", 1, Some(at(0)));
    put(&*store, &present).await;
    for timestamp in [Some(at(0)), Some(at(-1)), Some(at(1)), None] {
        let again = StoredDbx { timestamp, imported_at: at(50), ..present.clone() };
        assert_eq!(put(&*store, &again).await, DbxOutcome::Unchanged);
    }
    assert_eq!(store.dbx().await.unwrap(), [present]);
}

async fn the_largest_database_is_stored_and_one_byte_more_is_not(store: Arc<dyn Store>) {
    let largest = StoredDbx { bytes: vec![0xFF; MAX_DBX_BYTES], ..dbx(&"a".repeat(MAX_ARCH_BYTES), 1, None) };
    assert_eq!(put(&*store, &largest).await, DbxOutcome::Stored);
    let bytes = vec![0; MAX_DBX_BYTES + 1];
    assert!(is_too_large(&store.put_dbx("x64", digest(b'x', 2), None, &bytes, at(2)).await));
    let arch = "a".repeat(MAX_ARCH_BYTES + 1);
    assert!(is_too_large(&store.put_dbx(&arch, digest(b'x', 2), None, b"", at(2)).await));
    assert_eq!(store.dbx().await.unwrap(), [largest]);
}

async fn architectures_are_bounded(store: Arc<dyn Store>) {
    for number in 0..u32::try_from(MAX_DBX_ARCHITECTURES).unwrap() {
        assert_eq!(put(&*store, &dbx(&format!("arch{number}"), number, None)).await, DbxOutcome::Stored);
    }
    assert!(is_too_large(&store.put_dbx("one more", digest(b'x', 99), None, b"", at(0)).await));
    assert_eq!(store.dbx().await.unwrap().len(), MAX_DBX_ARCHITECTURES);
    assert_eq!(put(&*store, &dbx("arch0", 100, None)).await, DbxOutcome::Stored, "those that there are go on");
}
