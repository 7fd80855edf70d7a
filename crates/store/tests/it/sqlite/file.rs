//! The file: its owner's alone, recognised, kept.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sqlx::Connection;
use vouchsafe_store::{OpenError, SqliteOptions, SqliteStore};

use super::{connect, execute, open};
use crate::fixtures::{accepted, first_device, image, standing};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn refusal(path: &Path) -> OpenError {
    SqliteStore::open(path, SqliteOptions::default()).await.expect_err("it must not be opened")
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    let enrolled = first_device(&store).await;
    vouchsafe_store::Attestations::accept_attestation(&store, &accepted(&enrolled, 1)).await.unwrap();
    vouchsafe_store::Images::create_image(&store, &image(1)).await.unwrap();
    let before = standing(&store, 1).await;
    store.close().await;

    let store = open(&path).await;
    assert_eq!(standing(&store, 1).await, before);
    assert_eq!(vouchsafe_store::Images::image(&store, &image(1).id).await.unwrap(), Some(image(1)));
}

#[tokio::test]
async fn the_file_and_those_beside_it_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path).await;
    first_device(&store).await;
    let mut files = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "there is a write-ahead log");
}

#[tokio::test]
async fn a_file_that_others_may_read_is_taken_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    open(&path).await.close().await;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).unwrap();
    open(&path).await;
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&folder.path().join("missing/store.db")).await;
    assert!(matches!(error, OpenError::File { .. }), "{error:?}");
    assert!(error.to_string().contains("missing/store.db"));
}

#[tokio::test]
async fn what_is_no_database_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let content = "these are the minutes of a meeting\n".repeat(200);
    std::fs::write(&path, &content).unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
}

#[tokio::test]
async fn the_database_of_another_program_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sql) in [("tables", "CREATE TABLE recipes (name TEXT)"), ("id", "PRAGMA application_id = 7")] {
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap();
        let mut other = connect(&path).await;
        execute(&mut other, sql).await.unwrap();
        other.close().await.unwrap();
        let content = std::fs::read(&path).unwrap();
        let error = refusal(&path).await;
        assert!(matches!(error, OpenError::NotOurs { .. }), "{error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), content, "{name}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    open(&path).await.close().await;
    let mut future = connect(&path).await;
    let sql = "INSERT INTO _sqlx_migrations VALUES (9999, 'the future', '2050-01-01', true, x'00', 1)";
    execute(&mut future, sql).await.unwrap();
    future.close().await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, OpenError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("schema 9999 of a newer version"), "{error}");
}

#[tokio::test]
async fn a_schema_that_was_tampered_with_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    open(&path).await.close().await;
    let mut other = connect(&path).await;
    execute(&mut other, "UPDATE _sqlx_migrations SET checksum = x'00'").await.unwrap();
    other.close().await.unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, OpenError::Migration { .. }), "{error:?}");
}

#[tokio::test]
async fn a_new_file_may_be_opened_by_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { open(&path).await })
        })
        .collect();
    let mut stores = Vec::new();
    for task in tasks {
        stores.push(task.await.unwrap());
    }
    let enrolled = first_device(&stores[0]).await;
    for store in &stores {
        assert_eq!(standing(store, 1).await, enrolled);
    }
}
