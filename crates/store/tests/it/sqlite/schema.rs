//! What the schema refuses, whoever asks.

use sqlx::SqliteConnection;
use vouchsafe_store::{Attestations, BootVersion, Devices, ImaListChange, Images, Logs, TrustSequence};

use super::{connect, execute, open};
use crate::fixtures::{
    accepted, accepted_with_boot, ahead, ahead_part, at, device_id, documented, event_log, event_log_digest,
    first_device, part, standing, update,
};

/// A file with one of everything, and a connection past the store with the settings that the store has.
async fn furnished() -> (tempfile::TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    let enrolled = first_device(&store).await;
    store.accept_attestation(&accepted(&enrolled, 1)).await.unwrap();
    let attested = standing(&store, 1).await;
    store.put_event_log(event_log_digest(1), &event_log(1), at(0)).await.unwrap();
    let booted = accepted_with_boot(&attested, None, 2, |boot| boot.event_log = Some(event_log_digest(1)));
    store.accept_attestation(&booted).await.unwrap();
    let list = ahead_part(true, part(3, 0, 100));
    store.put_ima_ahead(device_id(1), Some(BootVersion::FIRST), &ahead(3), &list).await.unwrap();
    let vouched = accepted_with_boot(&standing(&store, 1).await, Some(BootVersion::new(2)), 4, |boot| {
        boot.event_log = Some(event_log_digest(1));
        boot.list = ImaListChange::TakesAhead { part: None };
    });
    store.accept_attestation(&vouched).await.unwrap();
    let list = ahead_part(true, part(5, 100, 100));
    store.put_ima_ahead(device_id(1), Some(BootVersion::new(3)), &ahead(5), &list).await.unwrap();
    store.create_image_with_document(&documented(2, &[1]), "text", None).await.unwrap();
    store.close().await;
    let mut connection = connect(&path).await;
    execute(&mut connection, "PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON").await.unwrap();
    (folder, connection)
}

#[tokio::test]
async fn history_is_neither_rewritten_nor_deleted() {
    let (_folder, mut connection) = furnished().await;
    for (sql, because) in [
        ("UPDATE attestations SET verdict = '{}'", "attestations are never changed"),
        ("UPDATE trust_history SET state = '{}'", "trust histories are append-only"),
        ("UPDATE retention SET nonces_through_ms = nonces_through_ms - 1", "what was forgotten stays forgotten"),
        ("DELETE FROM attestations WHERE number = 3", "FOREIGN KEY"),
        ("DELETE FROM trust_history WHERE sequence = 4", "FOREIGN KEY"),
        ("DELETE FROM certificates", "FOREIGN KEY"),
        ("UPDATE join_tokens SET uses = max_uses + 1", "CHECK"),
        ("UPDATE devices SET trust_sequence = 99", "FOREIGN KEY"),
        ("UPDATE devices SET state = 'trusted'", "CHECK"),
        ("UPDATE devices SET image = 'none@1'", "FOREIGN KEY"),
        ("UPDATE image_documents SET text = 'other'", "documents of images are never changed"),
        ("DELETE FROM images", "FOREIGN KEY"),
        ("DELETE FROM event_logs", "FOREIGN KEY"),
        ("UPDATE boots SET event_log = zeroblob(32), version = 9", "FOREIGN KEY"),
        ("UPDATE boots SET reset_count = 0", "each change of a boot has a higher version"),
        ("UPDATE boots SET version = 1", "each change of a boot has a higher version"),
        ("DELETE FROM boots", "FOREIGN KEY"),
        ("UPDATE ima_list_parts SET vouched = 0", "never changed"),
        ("UPDATE ima_list_parts SET bytes = bytes + 1", "never changed"),
        ("UPDATE ima_lists_total SET deflated_bytes = -1", "CHECK"),
        ("INSERT INTO ima_lists_lost SELECT id, 1, 'forgotten' FROM devices", "CHECK"),
    ] {
        let error = execute(&mut connection, sql).await.expect_err(sql);
        assert!(error.to_string().contains(because), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_device_and_what_it_points_to_are_found_in_one_search_each() {
    let (_folder, mut connection) = furnished().await;
    for (sql, index) in [
        (
            "SELECT sequence FROM trust_history INDEXED BY trust_by_device_and_time \
             WHERE device = 'a' AND at_ms <= 1 ORDER BY sequence DESC LIMIT 1",
            "USING COVERING INDEX trust_by_device_and_time (device=?)",
        ),
        (
            "SELECT * FROM event_logs l WHERE l.last_of_use_ms < 1 \
             AND NOT EXISTS (SELECT 1 FROM boots WHERE event_log = l.digest) ORDER BY l.last_of_use_ms",
            "boots_by_event_log",
        ),
        ("SELECT d.id FROM devices d WHERE d.image = 'a' AND d.id > 'b' ORDER BY d.id LIMIT 9", "devices_by_image"),
        ("SELECT image FROM image_supersedes WHERE superseded = 'a'", "PRIMARY KEY (superseded=?)"),
        (
            "SELECT id FROM ima_list_parts WHERE device = 'a' AND vouched = 1 ORDER BY list_offset DESC LIMIT 1",
            "(device=? AND vouched=?)",
        ),
        ("SELECT * FROM refusals WHERE device = 'a' AND number < 9 ORDER BY number DESC", "refusals_by_device"),
    ] {
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explained).fetch_all(&mut connection).await.unwrap();
        let steps: Vec<&str> = plan.iter().map(|(.., detail)| detail.as_str()).collect();
        assert!(steps.iter().any(|step| step.contains(index)), "{sql}: {steps:?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{sql} sorts: {steps:?}");
    }
}

#[tokio::test]
async fn what_the_store_did_satisfies_its_own_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    let enrolled = first_device(&store).await;
    store.accept_attestation(&accepted(&enrolled, 1)).await.unwrap();
    store.revoke_device(device_id(1), "lost", &update(TrustSequence::new(2), 2)).await.unwrap();
    let policy = vouchsafe_store::RetentionPolicy {
        attestations: Some(std::time::Duration::ZERO),
        trust: Some(std::time::Duration::ZERO),
        certificates: Some(std::time::Duration::ZERO),
        ..vouchsafe_store::RetentionPolicy::FOR_EVER
    };
    vouchsafe_store::Maintenance::purge(&store, at(1_000_000), &policy).await.unwrap();
    assert_sound(&mut connect(&path).await).await;
}

/// `SQLite`'s own checks of structure and of foreign keys.
pub(crate) async fn assert_sound(connection: &mut SqliteConnection) {
    let structure: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(structure, "ok");
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(connection).await.unwrap();
    assert!(dangling.is_empty(), "{} rows refer to nothing", dangling.len());
}
