//! Rows that cannot be what was stored are reported, and never a panic.

use vouchsafe_store::{
    Acceptance, Attestations, BootVersion, DeviceFilter, Devices, Entity, Images, Logs, Page, Revocations, SqliteStore,
    StoreError, Tokens, TrustHistory, TrustSequence,
};

use super::{connect, execute, open};
use crate::fixtures::{
    NO_PART, accepted, accepted_with_boot, ahead, at, attestation_id, create_token, device_id, digest, documented,
    enrol, event_log, event_log_digest, first_device, image_id,
};

/// Every way to read what is corrupt: all must fail, and say what about.
async fn failures(store: &SqliteStore) -> Vec<StoreError> {
    [
        store.list_tokens(Page::default()).await.err(),
        store.image(&image_id(1)).await.err(),
        store.list_images(Page::default()).await.err(),
        store.device(device_id(1)).await.err(),
        store.standing(device_id(1)).await.err(),
        store.list_standings(&DeviceFilter::default(), Page::default()).await.err(),
        store.latest_trust(device_id(1)).await.err(),
        store.attestation(attestation_id(1)).await.err(),
        store.evidence(attestation_id(1)).await.err(),
        store.image_document(&image_id(1)).await.err(),
        store.successors(&image_id(2)).await.err(),
        store.event_log(event_log_digest(1)).await.err(),
        store.boot(device_id(1)).await.err(),
        store.dbx().await.err(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is read as corrupt, the column that is, and what makes it so.
const CASES: &[(Entity, &str, &str)] = &[
    (Entity::Token, "uses", "PRAGMA ignore_check_constraints = ON; UPDATE join_tokens SET uses = -1"),
    (Entity::Token, "created_at_ms", "UPDATE join_tokens SET created_at_ms = 9223372036854775807"),
    (Entity::Token, "sha1_consent", "PRAGMA ignore_check_constraints = ON; UPDATE join_tokens SET sha1_consent = 2"),
    (Entity::Token, "id", "UPDATE join_tokens SET id = 'no uuid'"),
    (Entity::Image, "reference", "UPDATE images SET reference = '{\"banks\":'"),
    (Entity::Image, "document", "UPDATE images SET document = '{\"digest\":\"\"}'"),
    (Entity::Image, "activated_at_ms", "UPDATE images SET activated_at_ms = 9223372036854775807"),
    (
        Entity::Image,
        "text",
        "DROP TRIGGER image_documents_are_never_changed; UPDATE image_documents SET text = CAST(x'FF' AS TEXT)",
    ),
    (Entity::Boot, "enrolment", "UPDATE boots SET enrolment = 'no uuid', version = 9"),
    (
        Entity::Boot,
        "event_log",
        "PRAGMA ignore_check_constraints = ON; UPDATE boots SET event_log = x'00', version = 9",
    ),
    (
        Entity::Boot,
        "restart_count",
        "PRAGMA ignore_check_constraints = ON; UPDATE boots SET restart_count = -1, version = 9",
    ),
    (Entity::Boot, "ahead_at_ms", "UPDATE boot_ima_ahead SET at_ms = 9223372036854775807"),
    (Entity::Dbx, "digest", "PRAGMA ignore_check_constraints = ON; UPDATE dbx SET digest = x'00'"),
    (Entity::Dbx, "timestamp_ms", "UPDATE dbx SET timestamp_ms = -9223372036854775808"),
    (Entity::Device, "state", "PRAGMA ignore_check_constraints = ON; UPDATE devices SET state = 'trusted'"),
    (Entity::Device, "facts", "UPDATE devices SET facts = '{\"score\":100}'"),
    (Entity::Enrolment, "ek_digest", "PRAGMA ignore_check_constraints = ON; UPDATE enrolments SET ek_digest = x'00'"),
    (
        Entity::Trust,
        "at_ms",
        "DROP TRIGGER trust_is_never_rewritten; UPDATE trust_history SET at_ms = -9223372036854775808",
    ),
    (
        Entity::Attestation,
        "verdict",
        "DROP TRIGGER attestations_are_never_changed; UPDATE attestations SET verdict = '[]'",
    ),
    (
        Entity::Attestation,
        "pcrs",
        "DROP TRIGGER attestations_are_never_changed; UPDATE attestations SET pcrs = '{\"24\":0}'",
    ),
    (
        Entity::Attestation,
        "reset_count",
        "DROP TRIGGER attestations_are_never_changed; PRAGMA ignore_check_constraints = ON; \
             UPDATE attestations SET reset_count = 4294967296",
    ),
];

#[tokio::test]
async fn what_does_not_parse_is_corrupt() {
    for &(about, column, sql) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = open(&path).await;
        let enrolled = first_device(&store).await;
        store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
        let booted = accepted_with_boot(&enrolled, None, 1, |boot| boot.event_log = Some(event_log_digest(1)));
        store.accept_attestation(&booted).await.unwrap();
        store.put_ima_ahead(device_id(1), Some(BootVersion::FIRST), &ahead(2), &NO_PART).await.unwrap();
        store.create_image_with_document(&documented(1, &[2]), "text", None).await.unwrap();
        store.put_dbx("x64", digest(b'x', 1), Some(at(0)), b"dbx", at(0)).await.unwrap();
        assert!(failures(&store).await.is_empty(), "all can be read before");

        execute(&mut connect(&path).await, sql).await.expect(sql);
        let failures = failures(&store).await;
        assert!(!failures.is_empty(), "{sql} went unnoticed");
        for failure in failures {
            assert!(!failure.is_transient(), "{failure}");
            let StoreError::Corrupt { entity, what, .. } = failure else { panic!("{sql}: {failure:?}") };
            assert_eq!(entity, about, "{sql}: {what}");
            assert!(what.contains(column), "{sql}: {what}");
        }
    }
}

#[tokio::test]
async fn a_corrupt_device_does_not_keep_the_others_from_attesting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    create_token(&store).await;
    let (one, other) = (enrol(&store, 1).await, enrol(&store, 2).await);
    let sql = "PRAGMA ignore_check_constraints = ON; UPDATE devices SET enrolment = 'no uuid' \
               WHERE id = (SELECT device FROM enrolments ORDER BY rowid LIMIT 1)";
    execute(&mut connect(&path).await, sql).await.unwrap();
    // Both are queued before either is done, so that they share a commit.
    let (of_one, of_other) = (accepted(&one, 1), accepted(&other, 2));
    let (corrupt, good) = tokio::join!(store.accept_attestation(&of_one), store.accept_attestation(&of_other));
    assert!(matches!(corrupt, Err(StoreError::Corrupt { entity: Entity::Device, .. })), "{corrupt:?}");
    assert_eq!(good.unwrap(), Acceptance::Accepted(TrustSequence::new(2)));
}

#[tokio::test]
async fn a_page_overwritten_on_the_disk_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    first_device(&store).await;
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    // All but the first page, which has the header and the schema.
    bytes.iter_mut().skip(4096 * 4).for_each(|byte| *byte = 0xA5);
    std::fs::write(&path, bytes).unwrap();
    match SqliteStore::open(&path, vouchsafe_store::SqliteOptions::default()).await {
        Err(error) => assert!(
            matches!(error, vouchsafe_store::OpenError::Database { .. } | vouchsafe_store::OpenError::Migration { .. }),
            "{error:?}"
        ),
        Ok(store) => {
            let error = store.device(device_id(1)).await.expect_err("its page is gone");
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        }
    }
}
