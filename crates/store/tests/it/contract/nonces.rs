//! No nonce works twice (threats 9 and 28).

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;
use vouchsafe_model::{Sha256Digest, Timestamp};
use vouchsafe_store::{
    Acceptance, AcceptedAttestation, Maintenance, NonceSpending, NonceUse, RetentionPolicy, SqliteStore, Store,
};

use super::on_every_store;
use crate::fixtures::{accepted, at, device_id, digest, enrol, first_device, nonce, standing};

on_every_store! {
    a_nonce_works_once_whoever_presents_it,
    a_nonce_that_was_forgotten_is_as_good_as_spent,
    a_clock_that_ran_ahead_does_not_spend_the_nonces_of_the_years_between,
    of_many_uses_of_one_nonce_one_succeeds,
}

async fn a_nonce_works_once_whoever_presents_it(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    enrol(&*store, 2).await;
    store.accept_attestation(&accepted(&first, 1)).await.unwrap();
    for device in [1, 2] {
        let again = AcceptedAttestation { nonce: nonce(1), ..accepted(&standing(&*store, device).await, 2) };
        assert_eq!(store.accept_attestation(&again).await.unwrap(), Acceptance::NonceSpent);
        assert_eq!(store.spend_nonce(device_id(device), &nonce(1)).await.unwrap(), NonceSpending::AlreadySpent);
        let with_another_end = NonceUse { expires_at: at(9_999), ..nonce(1) };
        assert_eq!(store.spend_nonce(device_id(device), &with_another_end).await.unwrap(), NonceSpending::AlreadySpent);
    }
}

async fn a_nonce_that_was_forgotten_is_as_good_as_spent(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    let (early, late) = (accepted(&first, 1), NonceUse { digest: digest(b'N', 77), expires_at: at(302) });
    store.accept_attestation(&early).await.unwrap();
    let now = early.nonce.expires_at.plus(std::time::Duration::from_millis(1));
    assert_eq!(store.purge(now, &RetentionPolicy::FOR_EVER).await.unwrap().nonces, 1);

    // A request that was checked before its nonce expired, and comes to be stored after the purge.
    let replay = AcceptedAttestation { nonce: early.nonce, ..accepted(&standing(&*store, 1).await, 2) };
    assert_eq!(store.accept_attestation(&replay).await.unwrap(), Acceptance::NonceSpent);
    assert_eq!(store.spend_nonce(device_id(1), &late).await.unwrap(), NonceSpending::Spent, "it expires later");
}

async fn a_clock_that_ran_ahead_does_not_spend_the_nonces_of_the_years_between(store: Arc<dyn Store>) {
    let first = first_device(&*store).await;
    store.accept_attestation(&accepted(&first, 1)).await.unwrap();
    store.purge(at(1_000_000_000), &RetentionPolicy::FOR_EVER).await.unwrap();
    let next = accepted(&standing(&*store, 1).await, 2);
    assert!(matches!(store.accept_attestation(&next).await.unwrap(), Acceptance::Accepted(_)));
}

async fn of_many_uses_of_one_nonce_one_succeeds(store: Arc<dyn Store>) {
    first_device(&*store).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.spend_nonce(device_id(1), &nonce(1)).await.unwrap() })
        })
        .collect();
    let mut spent = 0;
    for task in tasks {
        spent += u32::from(task.await.unwrap() == NonceSpending::Spent);
    }
    assert_eq!(spent, 1);
}

/// Something that happens to nonces.
#[derive(Clone, Debug)]
enum Step {
    /// The nonce of this number, which expires at this second, is spent.
    Spend(u32, i64),
    /// At this second, at most so many are forgotten.
    Purge(i64, u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12u32).prop_map(|number| Step::Spend(number, i64::from(number % 5) * 10)),
        1 => (0..60i64, 1..4u32).prop_map(|(second, rows)| Step::Purge(second, rows)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_order_of_uses_and_purges_makes_a_nonce_work_twice(steps in prop::collection::vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::in_memory().await.unwrap();
            first_device(&store).await;
            let mut worked: HashSet<Sha256Digest> = HashSet::new();
            let mut forgotten_until: Option<Timestamp> = None;
            for step in steps {
                match step {
                    Step::Spend(number, expires) => {
                        let nonce = NonceUse { digest: digest(b'N', number), expires_at: at(expires) };
                        if vouchsafe_store::Attestations::spend_nonce(&store, device_id(1), &nonce).await.unwrap()
                            == NonceSpending::Spent
                        {
                            assert!(worked.insert(nonce.digest), "nonce {number} worked twice");
                        } else {
                            let may_be_forgotten = forgotten_until.is_some_and(|until| nonce.expires_at < until);
                            assert!(worked.contains(&nonce.digest) || may_be_forgotten, "nonce {number} never worked");
                        }
                    }
                    Step::Purge(second, max_rows) => {
                        let policy = RetentionPolicy { max_rows, ..RetentionPolicy::FOR_EVER };
                        let purged = store.purge(at(second), &policy).await.unwrap();
                        assert!(purged.nonces <= u64::from(max_rows));
                        forgotten_until = forgotten_until.max(Some(at(second)));
                    }
                }
            }
        });
    }
}
