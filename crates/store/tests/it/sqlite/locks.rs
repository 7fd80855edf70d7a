//! What happens when others hold the file, or it is gone.

use std::time::Duration;

use tokio::task::JoinSet;
use vouchsafe_store::{
    Acceptance, Attestations, Maintenance, NonceSpending, RefusedEvidence, SqliteOptions, SqliteStore, StoreError,
    Tokens, TrustSequence,
};

use super::{connect, execute, open};
use crate::fixtures::{
    accepted, at, attestation_id, create_token, device_id, enrol, first_device, nonce, standing, token, token_id,
};

#[tokio::test]
async fn a_file_that_another_process_has_locked_is_busy_and_then_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).await.unwrap();
    let enrolled = first_device(&store).await;
    let mut other = connect(&path).await;
    execute(&mut other, "BEGIN IMMEDIATE").await.unwrap();

    let error = store.revoke_token(token_id(1), at(1)).await.expect_err("the file is locked");
    assert!(matches!(error, StoreError::Busy { operation: "revoke_token" }), "{error:?}");
    assert!(error.is_transient());
    assert!(store.ping().await.is_err(), "it cannot write");
    assert_eq!(standing(&store, 1).await, enrolled, "reading goes on");

    execute(&mut other, "ROLLBACK").await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.revoke_token(token_id(1), at(2)).await.unwrap().revoked_at, Some(at(2)));
}

#[tokio::test]
async fn a_queue_that_does_not_move_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { queue_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).await.unwrap();
    store.create_token(&token(1)).await.unwrap();
    let mut other = connect(&path).await;
    execute(&mut other, "BEGIN IMMEDIATE").await.unwrap();

    let first = tokio::spawn({
        let store = store.clone();
        async move { store.revoke_token(token_id(1), at(1)).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let error = store.revoke_token(token_id(1), at(2)).await.expect_err("the first has the only connection");
    assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
    execute(&mut other, "COMMIT").await.unwrap();
    assert_eq!(first.await.unwrap().unwrap().revoked_at, Some(at(1)));
}

#[tokio::test]
async fn evidence_that_cannot_be_stored_is_not_acknowledged_and_may_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() };
    let store = SqliteStore::open(&path, options).await.unwrap();
    create_token(&store).await;
    let mut evidence = Vec::new();
    for number in 1..=8 {
        evidence.push(accepted(&enrol(&store, number).await, number));
    }
    let accept_all = async || {
        let mut tasks = JoinSet::new();
        for evidence in evidence.clone() {
            let store = store.clone();
            tasks.spawn(async move { store.accept_attestation(&evidence).await });
        }
        tasks.join_all().await
    };

    let mut other = connect(&path).await;
    execute(&mut other, "BEGIN IMMEDIATE").await.unwrap();
    for result in accept_all().await {
        assert!(matches!(result, Err(StoreError::Busy { operation: "accept_attestation" })), "{result:?}");
    }
    execute(&mut other, "ROLLBACK").await.unwrap();
    for result in accept_all().await {
        assert_eq!(result.unwrap(), Acceptance::Accepted(TrustSequence::new(2)));
    }
}

#[tokio::test]
async fn evidence_that_is_abandoned_is_stored_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    first_device(&store).await;
    for number in 1..=60 {
        let before = standing(&store, 1).await;
        let evidence = accepted(&before, number);
        let patience = Duration::from_micros(u64::from(number) * 20);
        let acceptance = tokio::time::timeout(patience, store.accept_attestation(&evidence)).await;
        // Whatever was queued before this is done when this is.
        store.refuse_evidence(&refusal_without_trust()).await.unwrap();
        let after = standing(&store, 1).await;
        if store.spend_nonce(device_id(1), &evidence.nonce).await.unwrap() == NonceSpending::AlreadySpent {
            assert_eq!(after.trust.sequence, before.trust.sequence.next());
            assert_eq!(after.attestation.map(|record| record.id()), Some(attestation_id(number)));
        } else {
            assert!(acceptance.is_err(), "it was acknowledged");
            assert_eq!(after, before);
        }
    }
}

fn refusal_without_trust() -> RefusedEvidence {
    RefusedEvidence {
        device: device_id(1),
        nonce: None,
        code: "quote.signature".to_owned(),
        detail: String::new(),
        at: at(0),
        trust: None,
    }
}

#[tokio::test]
async fn an_operation_that_is_abandoned_leaves_the_next_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    for number in 1..=60 {
        // Dropped at some point on its way, as when a client goes away.
        let abandoned = tokio::time::timeout(Duration::from_micros(u64::from(number) * 20), async {
            store.create_token(&token(number)).await
        });
        let stored = abandoned.await;
        let found = store.token_by_secret_digest(&token(number).secret_digest).await.unwrap();
        if let Ok(created) = stored {
            created.unwrap();
            assert!(found.is_some(), "it was acknowledged");
        }
    }
    store.ping().await.unwrap();
    store.create_token(&token(1000)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_was_closed_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store.db")).await;
    let evidence = accepted(&first_device(&store).await, 1);
    store.close().await;
    let results = [
        store.ping().await.err(),
        store.create_token(&token(1)).await.err(),
        store.spend_nonce(device_id(1), &nonce(1)).await.err(),
        store.accept_attestation(&evidence).await.err(),
    ];
    for error in results {
        assert!(matches!(error, Some(StoreError::Unavailable { .. })), "{error:?}");
    }
}
