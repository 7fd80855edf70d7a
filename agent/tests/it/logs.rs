//! What of the logs travels, and when.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vouchsafe_agent::tls::sha256;
use vouchsafe_wire::v1::limits;

use crate::device::{Device, Host, world};
use crate::engine::{Part, Received};

const PART: u64 = limits::IMA_PART as u64;

#[tokio::test]
async fn the_event_log_travels_once_per_boot() {
    let host = Host::new();
    let (engine, server, mut device) = world(&host).await;
    for _ in 0..3 {
        assert!(device.attests(2).await, "{:?}", device.life);
    }
    // A restart of the agent is no boot.
    let mut device = Device::new(&host, &server);
    assert!(device.attests(2).await);
    host.boots("boot-2", b"event log of the second boot");
    assert!(device.attests(1).await);
    assert!(device.attests(1).await);
    let evidence = std::mem::take(&mut engine.memory().evidence);
    let sent: Vec<_> = evidence.iter().map(|received| received.event_log.as_deref()).collect();
    let first = b"event log of the first boot".as_slice();
    let second = b"event log of the second boot".as_slice();
    assert_eq!(sent, [Some(first), None, None, None, Some(second), None]);
    let announced: Vec<_> = evidence.iter().map(|received| received.event_log_digest.unwrap()).collect();
    assert!(announced[..4].iter().all(|digest| *digest == sha256(first)));
    assert!(announced[4..].iter().all(|digest| *digest == sha256(second)));
    let boots: Vec<_> = evidence.iter().map(|received| received.boot.as_ref().unwrap().as_str().to_owned()).collect();
    assert_eq!(boots, ["boot-1", "boot-1", "boot-1", "boot-1", "boot-2", "boot-2"]);
}

#[tokio::test]
async fn the_list_travels_from_where_the_engine_is_and_anew_after_a_boot() {
    let host = Host::new();
    let (engine, server, mut device) = world(&host).await;
    let mut expected = Vec::new();
    let mut known = 0;
    for grows in [1000, 0, 1, 70_000] {
        host.measures(grows);
        assert!(device.attests(2).await, "{:?}", device.life);
        expected.push(Some((known, usize::try_from(grows).unwrap())));
        known += grows;
        assert_eq!(engine.memory().list, host.list());
    }
    let mut restarted = Device::new(&host, &server);
    host.measures(5);
    assert!(restarted.attests(2).await);
    expected.push(Some((known, 5)));
    host.boots("boot-2", b"another");
    host.measures(20);
    assert!(restarted.attests(1).await);
    expected.push(Some((0, 20)));
    let memory = engine.memory();
    assert_eq!(memory.evidence.iter().map(|received| received.ima).collect::<Vec<_>>(), expected);
    assert_eq!(memory.list, host.list());
    assert_eq!(memory.parts, [], "nothing of it was long");
}

#[tokio::test]
async fn what_fits_into_a_part_goes_with_the_quote_and_one_byte_more_goes_ahead() {
    for (len, ahead, along) in [(PART - 1, 0, PART - 1), (PART, 0, PART), (PART + 1, 1, 1), (2 * PART, 1, PART)] {
        let host = Host::new();
        let (engine, _server, mut device) = world(&host).await;
        host.measures(len);
        assert!(device.attests(2).await, "{:?}", device.life);
        let memory = engine.memory();
        assert_eq!(memory.parts.len(), ahead, "{len}");
        let (from, sent) = memory.evidence[0].ima.unwrap();
        assert_eq!((from, sent as u64), (len - along, along), "{len}");
        assert_eq!(memory.list, host.list(), "{len}");
    }
}

#[tokio::test]
async fn a_long_list_goes_ahead_compressed_and_over_one_connection() {
    let host = Host::new();
    let (engine, server, mut device) = world(&host).await;
    host.measures(7 * PART / 2);
    assert!(device.attests(2).await, "{:?}", device.life);
    let memory = engine.memory();
    let places: Vec<_> = memory.parts.iter().map(|part| (part.offset, part.len)).collect();
    assert_eq!(places, [(0, PART), (PART, PART), (2 * PART, PART)]);
    for Part { compressed, .. } in &memory.parts {
        assert!(*compressed < limits::IMA_PART * 2 / 3, "half of it does not shrink, the rest does: {compressed}");
    }
    assert_eq!(memory.evidence[0].ima, Some((3 * PART, limits::IMA_PART / 2)));
    assert_eq!(memory.list, host.list());
    // The challenge, the parts, the evidence: each costs the TPM a signature.
    assert_eq!(server.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_list_that_takes_longer_than_a_nonce_lives_arrives_by_and_by() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(3 * PART + 1);
    // Not even one part is sent in time.
    device.patience = Duration::ZERO;
    assert!(device.attests(8).await, "{:?}", device.life);
    let rounds = ["challenged", "sent ahead", "challenged", "sent ahead", "challenged", "appraised"];
    assert_eq!(device.life[..2], rounds[..2]);
    assert_eq!(device.life.last().unwrap(), "appraised");
    assert!(device.life.iter().all(|came| rounds.contains(&came.as_str())), "{:?}", device.life);
    let memory = engine.memory();
    assert_eq!(memory.parts.iter().map(|part| part.offset).collect::<Vec<_>>(), [0, PART, 2 * PART]);
    assert_eq!(memory.list, host.list());
    assert_eq!(device.quotes.made.lock().unwrap().len(), 1, "nothing is quoted that is not sent");
}

#[tokio::test]
async fn a_list_that_grows_while_it_is_quoted_is_quoted_again_by_the_same_nonce() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(10);
    *device.quotes.meanwhile.lock().unwrap() = [(host.ima(), 2 * PART), (host.ima(), 300)].into();
    assert!(device.attests(2).await, "{:?}", device.life);
    assert_eq!(device.life, ["challenged", "appraised"]);
    let made = device.quotes.made.lock().unwrap().clone();
    assert!(made.len() == 2 && made[0] == made[1], "{made:?}");
    let memory = engine.memory();
    assert_eq!(memory.parts.len(), 2);
    assert_eq!(memory.evidence[0].ima, Some((2 * PART, 310)), "what came after the quote travels as well");
    assert_eq!(memory.list, host.list());
}

#[tokio::test]
async fn a_list_that_grows_faster_than_it_can_be_sent_is_given_up_for_a_while() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    *device.quotes.meanwhile.lock().unwrap() = vec![(host.ima(), PART + 1); 3].into();
    assert!(device.attests(3).await, "{:?}", device.life);
    assert_eq!(device.life, ["challenged", "the IMA list grows faster than it can be sent", "appraised"]);
    let made = device.quotes.made.lock().unwrap().clone();
    assert!(made.len() == 4 && made.iter().all(|nonce| *nonce == made[0]), "it never left: {made:?}");
    assert_eq!(engine.memory().list, host.list());
}

#[tokio::test]
async fn a_host_without_logs_attests_without_them() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(100);
    fs::remove_file(host.boot_id()).unwrap();
    assert!(device.attests(2).await);
    fs::remove_file(host.event_log()).unwrap();
    fs::write(host.boot_id(), "boot-1").unwrap();
    fs::remove_file(host.ima()).unwrap();
    // The digest of the last boot's log is not that of this one.
    assert!(device.attests(1).await);
    fs::remove_file(host.boot_id()).unwrap();
    fs::create_dir(host.ima()).unwrap();
    assert!(device.attests(1).await);
    let memory = engine.memory();
    let (first, second) = (&memory.evidence[0], &memory.evidence[1]);
    assert!(first.event_log.is_some(), "an event log needs no name of the boot");
    assert_eq!((&first.boot, first.ima), (&None, None), "nobody could say where a list without a boot goes on");
    let boot = first.boot.clone().or_else(|| second.boot.clone());
    assert_eq!(*second, Received { boot, event_log_digest: None, event_log: None, ima: None });
    assert_eq!(memory.evidence.len(), 3);
}

#[tokio::test]
async fn an_event_log_over_its_limit_is_not_announced_and_not_sent() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    fs::write(host.event_log(), vec![7; limits::EVENT_LOG + 1]).unwrap();
    host.measures(100);
    assert!(device.attests(2).await);
    fs::write(host.event_log(), vec![7; limits::EVENT_LOG]).unwrap();
    assert!(device.attests(1).await);
    let memory = engine.memory();
    assert_eq!((memory.evidence[0].event_log_digest, &memory.evidence[0].event_log), (None, &None));
    assert_eq!(memory.evidence[0].ima, Some((0, 100)), "the list goes all the same");
    assert_eq!(memory.evidence[1].event_log.as_ref().map(Vec::len), Some(limits::EVENT_LOG));
}

#[tokio::test]
async fn the_greatest_evidence_fits_into_what_the_engine_takes() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    let noise: Vec<u8> = (0..PART).map(|place| crate::device::byte_at(place / 8 * 16 + place % 8)).collect();
    fs::write(host.event_log(), &noise[..limits::EVENT_LOG_COMPRESSED - 1024]).unwrap();
    fs::write(host.ima(), &noise).unwrap();
    assert!(device.attests(2).await, "{:?}", device.life);
    let memory = engine.memory();
    assert_eq!(memory.evidence[0].ima, Some((0, limits::IMA_PART)));
    assert_eq!(memory.evidence[0].event_log.as_ref().map(Vec::len), Some(limits::EVENT_LOG_COMPRESSED - 1024));
}
