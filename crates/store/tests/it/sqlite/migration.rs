//! A file of an older schema: it opens, and what it has is read.

use sqlx::migrate::{Migration, Migrator};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::{HashAlgorithm, ImageId, PcrIndex, PcrSelection};
use vouchsafe_store::{Acceptance, Attestations, BootVersion, Devices, Images, Logs, Tokens};

use super::schema::assert_sound;
use super::{connect, execute, open};
use crate::fixtures::{
    accepted, accepted_with_boot, at, attestation_id, device_id, first_device, image, standing, token_id,
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

fn of_version(version: i64) -> Migration {
    MIGRATIONS.iter().find(|migration| migration.version == version).unwrap().clone()
}

/// The names of the tables of a file, but those of `SQLite` and of the migrations.
async fn tables(connection: &mut SqliteConnection) -> Vec<String> {
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx_%'";
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
}

#[test]
fn a_schema_that_is_out_there_is_never_edited() {
    // A file whose schema was another is refused, so every change is a migration of its own.
    for (version, begin) in [(1, "94414912699575d79b04d5c0cb8fc20e"), (2, "336905a7a861d259a5f23ba704ff8390")] {
        let digest = to_hex(&of_version(version).checksum);
        assert!(digest.starts_with(begin), "{version}: {digest}");
    }
}

#[tokio::test]
async fn a_file_of_the_first_schema_opens_and_its_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let present = folder.path().join("present.db");
    let store = open(&present).await;
    let enrolled = first_device(&store).await;
    store.accept_attestation(&accepted(&enrolled, 1)).await.unwrap();
    let before = standing(&store, 1).await;
    store.close().await;

    // The same rows as the first schema had them, and images as its program wrote them.
    let path = folder.path().join("first.db");
    std::fs::File::create(&path).unwrap();
    let mut old = connect(&path).await;
    Migrator::with_migrations(vec![of_version(1)]).run_direct(None, &mut old, false).await.unwrap();
    execute(&mut old, "PRAGMA application_id = 0x56434853").await.unwrap();
    sqlx::query("ATTACH ? AS present").bind(present.to_str().unwrap()).execute(&mut old).await.unwrap();
    // Decisions are no longer kept here, and what was forgotten was noted together with them.
    let is_kept = |table: &String| !["decisions", "retention"].contains(&table.as_str());
    for table in tables(&mut old).await.into_iter().filter(is_kept) {
        let columns = format!("SELECT group_concat(name) FROM pragma_table_info('{table}')");
        let columns: String = sqlx::query_scalar(AssertSqlSafe(columns)).fetch_one(&mut old).await.unwrap();
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM present.{table}");
        sqlx::query(AssertSqlSafe(copy)).execute(&mut old).await.unwrap();
    }
    execute(
        &mut old,
        r#"INSERT INTO images VALUES
           ('web@2025.4', 1760000000123, '{"banks":[{"bank":"sha256","values":{"0":"00ff"}}],"ignored":[1,5]}', 1770000000000),
           ('web@2026.1', 1770000000000, '{"banks":[],"ignored":[]}', NULL);
           UPDATE devices SET image = 'web@2026.1';
           UPDATE retention SET nonces_through_ms = 4, decisions_before_ms = 9;
           INSERT INTO decisions VALUES (1, 'id', 10, 'deny', NULL, '{}', '{}')"#,
    )
    .await
    .unwrap();
    old.close().await.unwrap();

    let store = open(&path).await;
    assert_images(&store).await;
    let mut expected = before.clone();
    expected.device.image = Some("web@2026.1".parse().unwrap());
    assert_eq!(standing(&store, 1).await, expected);
    assert!(store.attestation(attestation_id(1)).await.unwrap().is_some());
    assert_eq!(store.list_tokens(vouchsafe_store::Page::default()).await.unwrap().len(), 1);
    assert!(store.revoke_token(token_id(1), at(9)).await.unwrap().revoked_at.is_some());

    // It goes on with what the old schema had not.
    assert_eq!(store.boot(device_id(1)).await.unwrap(), None);
    let next = accepted_with_boot(&expected, None, 2, |_| ());
    assert!(matches!(store.accept_attestation(&next).await.unwrap(), Acceptance::Accepted(_)));
    assert_eq!(store.boot(device_id(1)).await.unwrap().unwrap().version, BootVersion::FIRST);
    store.create_image(&image(1)).await.unwrap();
    assert_eq!(store.image(&image(1).id).await.unwrap(), Some(image(1)));
    assert_eq!(store.device(device_id(1)).await.unwrap(), Some(expected.device));
    store.close().await;
    assert_sound(&mut connect(&path).await).await;
    assert_eq!(standing(&open(&path).await, 1).await.attestation.unwrap().id(), attestation_id(2));
}

async fn assert_images(store: &vouchsafe_store::SqliteStore) {
    let [retired, present] = store.list_images(vouchsafe_store::Page::default()).await.unwrap().try_into().unwrap();
    let created_at = vouchsafe_model::Timestamp::from_unix_millis(1_760_000_000_123);
    assert_eq!((retired.created_at, retired.activated_at), (created_at, created_at), "it was taken when it was made");
    assert_eq!(retired.retired_at, Some(present.created_at));
    assert_eq!(retired.document, None);
    let selection =
        PcrSelection { bank: HashAlgorithm::Sha256, pcrs: std::iter::once(PcrIndex::new(0).unwrap()).collect() };
    assert_eq!(retired.reference.banks.first().unwrap().selection(), selection);
    assert_eq!((present.activated_at, present.retired_at, &present.document), (present.created_at, None, &None));
    let id: ImageId = "web@2026.1".parse().unwrap();
    assert_eq!(store.image(&id).await.unwrap(), Some(present));
    assert_eq!(store.image_document(&id).await.unwrap(), None);
    assert_eq!(store.successors(&id).await.unwrap(), []);
}
