//! The list that is kept of each device: what its quotes vouched for and nothing else, across deaths of the engine, within
//! bounds (threats 19, 21, 26 and 28).

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use data_encoding::BASE64URL_NOPAD;
use tower::ServiceExt as _;
use vouchsafe_http::Peer;
use vouchsafe_model::{FindingCode, HashAlgorithm, Sha256Digest, Timestamp};
use vouchsafe_store::ImaListLost;
use vouchsafe_trust_engine::http::operator_routes;
use vouchsafe_trust_engine::operate::OperateRejected;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::SentLogs;
use vouchsafe_wire::v1::operate::ImaListPage;

use crate::measured::{BOOT, FILES, Machine, codes, told};
use crate::world::World;

/// All that is kept of a list, read piece by piece, and of how many pieces it is.
pub(crate) async fn kept(world: &World, machine: &Machine) -> (Vec<u8>, usize) {
    let (mut bytes, mut pieces) = (Vec::new(), 0);
    loop {
        let page = world.engine.ima_list(machine.device.id, bytes.len() as u64).await.unwrap();
        for piece in &page.parts {
            assert_eq!(piece.offset, bytes.len() as u64);
            bytes.extend(piece.log.inflate(limits::IMA_PART).unwrap());
        }
        pieces += page.parts.len();
        if page.parts.is_empty() {
            assert_eq!(page.len, bytes.len() as u64);
            return (bytes, pieces);
        }
    }
}

/// The list as the machine has it, up to where the engine is, is what is kept.
async fn assert_kept(world: &World, machine: &Machine) {
    let end = usize::try_from(machine.known()).unwrap();
    assert!(end > 0);
    assert!(kept(world, machine).await.0 == machine.list.bytes()[..end], "another list is kept");
}

async fn refused(world: &World, machine: &Machine) -> OperateRejected {
    world.engine.ima_list(machine.device.id, 0).await.unwrap_err()
}

/// Sends all that is new ahead, in parts of so many entries.
async fn send_ahead(machine: &Machine, world: &World, entries: usize) {
    let ends = (1..=usize::try_from(machine.list.entries()).unwrap()).map(|entry| machine.list.start_of(entry + 1));
    let mut offset = machine.known();
    let new: Vec<usize> = ends.filter(|end| *end as u64 > offset).collect();
    for end in new.chunks(entries).filter_map(<[usize]>::last) {
        let part = machine.part_of(offset, &machine.list.bytes()[usize::try_from(offset).unwrap()..*end]);
        offset = machine.ahead(world, part).await.unwrap().offset;
        assert_eq!(offset, *end as u64);
    }
}

#[tokio::test]
async fn what_a_device_vouched_for_is_kept_and_grows_with_its_quotes() {
    let mut world = World::new().await;
    let mut machine = world.golden_machine().await;
    assert_kept(&world, &machine).await;
    for round in 0..5 {
        machine.run("/usr/bin/sh", b"the shell");
        if round % 2 == 0 {
            machine.run("/usr/bin/rogue", b"a rogue");
        }
        machine.attest(&world).await;
        assert_kept(&world, &machine).await;
        // Nothing new changes nothing, whether an empty part comes or none.
        let before = kept(&world, &machine).await;
        for logs in [SentLogs::default(), machine.logs()] {
            machine.attest_with(&world, logs).await.unwrap();
        }
        assert_eq!(kept(&world, &machine).await, before);
        world.restart().await;
    }
    let page = world.engine.ima_list(machine.device.id, 0).await.unwrap();
    assert_eq!((page.entries, page.bank), (machine.list.entries(), HashAlgorithm::Sha256));
    assert_eq!(page.pcr10, machine.list.pcr10(HashAlgorithm::Sha256));
    assert_eq!(page.parts.len(), 1, "small parts are put together");
    // From its middle on it is given from the part that holds it, and from its end on there is nothing.
    assert_eq!(world.engine.ima_list(machine.device.id, 100).await.unwrap().parts, page.parts);
    assert_eq!(world.engine.ima_list(machine.device.id, page.len).await.unwrap().parts, []);
    assert_eq!(world.engine.ima_list(machine.device.id, u64::MAX).await.unwrap().parts, []);
}

#[tokio::test]
async fn small_parts_are_put_together_up_to_a_bound() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let path = format!("/opt/{}", "x".repeat(3000));
    for _ in 0..60 {
        machine.run(&path, b"new");
        machine.attest(&world).await;
    }
    assert_kept(&world, &machine).await;
    let (bytes, pieces) = kept(&world, &machine).await;
    assert_eq!(pieces, 3, "{} bytes", bytes.len());
}

#[tokio::test]
async fn what_came_ahead_is_kept_once_a_quote_reaches_behind_it() {
    let mut world = World::new().await;
    let mut machine = world.golden_machine().await;
    let before = kept(&world, &machine).await;
    for _ in 0..6 {
        machine.run("/usr/bin/sh", b"the shell");
    }
    send_ahead(&machine, &world, 4).await;
    assert_eq!(kept(&world, &machine).await, before, "no quote vouched for it yet");
    world.restart().await;
    machine.ask(&world).await;
    machine.run("/usr/bin/sh", b"the shell");
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_kept(&world, &machine).await;
    // All of it came ahead.
    machine.run("/usr/bin/sh", b"the shell");
    send_ahead(&machine, &world, 1).await;
    machine.ask(&world).await;
    machine.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_kept(&world, &machine).await;
    assert_eq!(machine.known(), machine.list.bytes().len() as u64);
}

#[tokio::test]
async fn what_was_never_measured_is_not_kept() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let before = kept(&world, &machine).await;
    let mut invented = machine.list.clone();
    invented.file("/usr/bin/sh", b"the shell");
    let known = machine.known();
    let lie = machine.part_of(known, &invented.bytes()[usize::try_from(known).unwrap()..]);
    machine.ahead(&world, lie.clone()).await.unwrap();
    machine.ask(&world).await;
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    assert_eq!(kept(&world, &machine).await, before);
    // Nor with the evidence itself; and what is behind the quote waits for the next one.
    machine.run("/usr/lib/libc.so.6", b"the library");
    let verdict = machine.attest_with(&world, SentLogs { ima: Some(lie), ..SentLogs::default() }).await.unwrap();
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    assert_eq!(kept(&world, &machine).await, before);
    machine.list.file("/usr/bin/later", b"later");
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_kept(&world, &machine).await;
    assert!(machine.known() < machine.list.bytes().len() as u64);
}

#[tokio::test]
async fn a_new_boot_takes_the_place_of_the_one_before() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    machine.attest(&world).await;
    machine.restart(&BOOT);
    machine.attest(&world).await;
    assert_kept(&world, &machine).await;
    // One that comes ahead as a whole.
    machine.restart(&BOOT);
    send_ahead(&machine, &world, 2).await;
    machine.ask(&world).await;
    let logs = SentLogs { ima: None, ..machine.logs() };
    machine.attest_with(&world, logs).await.unwrap();
    assert_kept(&world, &machine).await;
    // One that shows no list.
    machine.restart(&BOOT);
    let logs = SentLogs { ima: None, ..machine.logs() };
    machine.attest_with(&world, logs).await.unwrap();
    let refusal = refused(&world, &machine).await;
    assert!(matches!(refusal, OperateRejected::NoList), "{refusal}");
}

#[tokio::test]
async fn a_device_that_never_vouched_for_a_list_has_none() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    assert!(matches!(refused(&world, &machine).await, OperateRejected::NoList));
    machine.ahead(&world, machine.part(0)).await.unwrap();
    assert!(matches!(refused(&world, &machine).await, OperateRejected::NoList));
    let device = world.golden().await;
    let refusal = world.engine.ima_list(device.id, 0).await.unwrap_err();
    assert!(matches!(refusal, OperateRejected::NoList), "{refusal}");
    machine.attest_with(&world, SentLogs { ima: None, ..machine.logs() }).await.unwrap();
    let known = machine.known();
    assert_eq!(kept(&world, &machine).await.0, machine.list.bytes()[..usize::try_from(known).unwrap()]);
}

#[tokio::test]
async fn a_long_list_is_kept_and_handed_out_in_pages() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    // Names that hardly shrink.
    for file in 0..1800u32 {
        let digest = |part: u32| crate::world::sha256(&[file.to_le_bytes(), part.to_le_bytes()].concat());
        let name: String = (0..80).map(|part| BASE64URL_NOPAD.encode(digest(part).as_bytes())).collect();
        machine.list.file(&format!("/opt/{name}"), b"new");
    }
    machine.measure();
    send_ahead(&machine, &world, 280).await;
    machine.ask(&world).await;
    machine.attest(&world).await;
    assert_kept(&world, &machine).await;
    let first = world.engine.ima_list(machine.device.id, 0).await.unwrap();
    let compressed = |page: &ImaListPage| page.parts.iter().map(|piece| piece.log.compressed_len()).sum::<usize>();
    assert!(compressed(&first) <= limits::IMA_LIST_PAGE + limits::IMA_PART_COMPRESSED);
    assert!(first.len > 6_000_000 && first.parts.len() < kept(&world, &machine).await.1, "it fits into one page");
}

#[tokio::test]
async fn a_list_that_finds_no_room_is_not_kept_and_costs_the_device_nothing() {
    let mut world = World::with_room_for_lists(700).await;
    let mut machine = world.golden_machine().await;
    assert_kept(&world, &machine).await;
    for file in 0..20 {
        machine.run(&format!("/opt/{file}"), b"new");
    }
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), vec![FindingCode::FileUnlisted; 20]);
    for _ in 0..2 {
        let refusal = refused(&world, &machine).await;
        assert!(matches!(refusal, OperateRejected::ListNotKept { lost: ImaListLost::NoRoom }), "{refusal}");
        assert_eq!(refusal.to_string(), "there was no room left for the device's IMA list");
        world.restart().await;
        machine.run("/usr/bin/sh", b"the shell");
        machine.attest(&world).await;
    }
    // It begins anew with the next boot.
    machine.restart(&BOOT);
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_kept(&world, &machine).await;
}

#[tokio::test]
async fn operators_alone_are_handed_a_list() {
    let world = World::new().await;
    let machine = world.golden_machine().await;
    let (id, len) = (machine.device.id, machine.known());
    let routes = operator_routes(Arc::new(world.engine));
    let get = async |query: &str, identity: &str| {
        let mut request = Request::get(format!("/v1/devices/{id}/ima-list{query}")).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer {
            identity: identity.parse().unwrap(),
            certificate_digest: Sha256Digest::new([1; 32]),
            spki_der: Vec::new(),
            not_after: Timestamp::from_unix_secs(i64::MAX / 1000),
        });
        let answer = routes.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, to_bytes(answer.into_body(), 1 << 20).await.unwrap())
    };
    let operator = "spiffe://test.example/operator/ops";
    let (status, body) = get("", operator).await;
    let page: ImaListPage = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, page.len, page.parts.len()), (200, len, 1));
    let (status, body) = get(&format!("?from={len}"), operator).await;
    assert_eq!((status, serde_json::from_slice::<ImaListPage>(&body).unwrap().parts.len()), (200, 0));
    for query in ["?from=-1", "?from=x", "?begin=0"] {
        assert_eq!(get(query, operator).await.0, 400, "{query}");
    }
    for identity in [format!("spiffe://test.example/device/{id}"), "spiffe://test.example/enforcement/edge".to_owned()]
    {
        assert_eq!(get("", &identity).await.0, 403, "{identity}");
    }
    assert_eq!(FILES.len() as u64 + 1, page.entries);
}
