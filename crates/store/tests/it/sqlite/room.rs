//! The room that the IMA lists of all devices share.

use std::path::Path;

use vouchsafe_store::{
    Acceptance, Attestations, ImaListChange, ImaListLost, ImaListPart, Logs, SqliteOptions, SqliteStore,
};

use super::schema::assert_sound;
use super::{connect, execute};
use crate::fixtures::{accepted_with_boot, ahead, ahead_part, device_id, enrol, first_device, part, standing};

const ROOM: u64 = 1000;

async fn open_with_room(path: &Path) -> SqliteStore {
    let options = SqliteOptions { ima_lists_bytes: ROOM, ..SqliteOptions::default() };
    SqliteStore::open(path, options).await.unwrap()
}

/// A part that takes so much room.
fn taking(offset: u64, room: usize) -> ImaListPart {
    ImaListPart { deflated: vec![7; room], ..part(1, offset, 10) }
}

async fn change(store: &SqliteStore, device: u32, number: u32, change: ImaListChange) {
    let follows = store.boot(device_id(device)).await.unwrap().map(|record| record.version);
    let evidence =
        accepted_with_boot(&standing(store, device).await, follows, device * 1000 + number, |boot| boot.list = change);
    let acceptance = store.accept_attestation(&evidence).await.unwrap();
    assert!(matches!(acceptance, Acceptance::Accepted(_)), "{acceptance:?}");
}

async fn kept(store: &SqliteStore, device: u32) -> (usize, Option<ImaListLost>) {
    let list = store.ima_list(device_id(device)).await.unwrap().unwrap();
    (list.parts.len(), list.lost)
}

fn from(part: ImaListPart) -> ImaListChange {
    ImaListChange::From { offset: part.offset, part: Some(part) }
}

#[tokio::test]
async fn lists_take_all_the_room_there_is_and_one_byte_more_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open_with_room(&path).await;
    first_device(&store).await;
    for device in 2..=3 {
        enrol(&store, device).await;
    }
    change(&store, 1, 1, from(taking(0, 400))).await;
    change(&store, 2, 1, from(taking(0, 600))).await;
    assert_eq!([kept(&store, 1).await, kept(&store, 2).await], [(1, None), (1, None)]);
    change(&store, 3, 1, from(taking(0, 1))).await;
    assert_eq!(kept(&store, 3).await, (0, Some(ImaListLost::NoRoom)));
    // What takes the place of what is there needs no more than that, and what goes makes room.
    change(&store, 1, 2, from(taking(0, 399))).await;
    change(&store, 3, 2, from(taking(0, 1))).await;
    assert_eq!([kept(&store, 1).await, kept(&store, 3).await], [(1, None), (1, None)]);
    // The evidence of whoever has no more room for its list is taken all the same, and its list lets go of its room.
    change(&store, 1, 3, from(taking(10, 1))).await;
    assert_eq!(kept(&store, 1).await, (0, Some(ImaListLost::NoRoom)));
    change(&store, 3, 3, from(taking(10, 399))).await;
    assert_eq!(kept(&store, 3).await, (2, None));
    store.close().await;
    assert_sound(&mut connect(&path).await).await;
}

#[tokio::test]
async fn what_comes_ahead_takes_room_until_it_is_done_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open_with_room(&path).await;
    first_device(&store).await;
    enrol(&store, 2).await;
    let put = async |device, number, part| {
        let follows = store.boot(device_id(device)).await.unwrap().map(|record| record.version);
        store.put_ima_ahead(device_id(device), follows, &ahead(number), &part).await.unwrap();
    };
    put(1, 1, ahead_part(true, taking(0, 1000))).await;
    put(2, 2, ahead_part(true, taking(0, 1))).await;
    change(&store, 2, 3, ImaListChange::TakesAhead { part: None }).await;
    assert_eq!(kept(&store, 2).await, (0, Some(ImaListLost::NoRoom)));
    change(&store, 1, 4, ImaListChange::Stays).await;
    put(2, 5, ahead_part(true, taking(0, 1000))).await;
    change(&store, 2, 6, ImaListChange::TakesAhead { part: None }).await;
    assert_eq!(kept(&store, 2).await, (1, None));
    change(&store, 2, 7, ImaListChange::From { offset: 0, part: None }).await;
    store.close().await;

    // The room that is taken is counted as it should be, also across restarts and by whoever deletes a part.
    let store = open_with_room(&path).await;
    change(&store, 1, 8, from(taking(0, 1000))).await;
    assert_eq!(kept(&store, 1).await, (1, None));
    store.close().await;
    let mut connection = connect(&path).await;
    execute(&mut connection, "PRAGMA foreign_keys = ON; DELETE FROM ima_list_parts").await.unwrap();
    for table in ["SELECT count(*) FROM ima_list_bytes", "SELECT deflated_bytes FROM ima_lists_total"] {
        let left: i64 = sqlx::query_scalar(table).fetch_one(&mut connection).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
