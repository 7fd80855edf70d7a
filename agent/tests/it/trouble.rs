//! Logs on a way that is not smooth.

use std::time::Duration;

use vouchsafe_agent::evidence::MAX_DETOURS;
use vouchsafe_agent::machine::FailureKind;
use vouchsafe_agent::tls::sha256;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{BootId, ImaPosition, KnownLogs};

use crate::device::{Device, Host, world};
use crate::engine::Mood;

const PART: u64 = limits::IMA_PART as u64;

fn boot(id: &str) -> BootId {
    BootId::try_from(id.to_owned()).unwrap()
}

/// No wait is longer than that of a first failure.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn an_upload_goes_on_where_it_was_cut() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(4 * PART + 5);
    // The second part arrives, and its answer does not.
    engine.memory().moods = [Mood::Take, Mood::CutAnswer].into();
    assert!(device.attests(4).await, "{:?}", device.life);
    assert!(device.life[1].starts_with("the engine gave no answer"), "{:?}", device.life);
    assert_eq!(device.life[2..], ["challenged", "appraised"]);
    assert!(device.boot <= SOON, "{:?}", device.boot);
    let memory = engine.memory();
    assert_eq!(
        memory.parts.iter().map(|part| part.offset).collect::<Vec<_>>(),
        [0, PART, 2 * PART, 3 * PART],
        "nothing travelled twice"
    );
    assert_eq!(memory.list, host.list());
}

#[tokio::test]
async fn an_upload_goes_on_after_the_agent_was_killed() {
    let host = Host::new();
    let (engine, server, device) = world(&host).await;
    host.measures(4 * PART);
    let challenge = device.client.challenge().await.unwrap();
    {
        // It is killed while a part is out.
        let mut attesting = std::pin::pin!(device.perform(challenge));
        while engine.memory().parts.len() < 2 {
            tokio::select! {
                _ = &mut attesting => unreachable!("it is killed before"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    }
    let mut restarted = Device::new(&host, &server);
    assert!(restarted.attests(2).await, "{:?}", restarted.life);
    let memory = engine.memory();
    assert_eq!(memory.list, host.list());
    // The killed one may have got a third part onto its way.
    assert!(memory.parts.len() <= 4, "{:?}", memory.parts);
}

#[tokio::test]
async fn refused_parts_are_sent_again_when_the_engine_allows_it() {
    for (mood, least) in [
        (Mood::Problem(429, "request.rate_limited", Some(17)), Duration::from_secs(17)),
        (Mood::Problem(413, "request.too_large", None), Duration::from_millis(500)),
        (Mood::Problem(503, "engine.not_ready", None), Duration::from_millis(500)),
    ] {
        let host = Host::new();
        let (engine, _server, mut device) = world(&host).await;
        host.measures(PART + 1);
        engine.memory().moods.push_back(mood);
        assert!(device.attests(4).await, "{mood:?}: {:?}", device.life);
        assert!(device.boot >= least && device.boot <= least + SOON, "{mood:?}: {:?}", device.boot);
        assert_eq!(engine.memory().list, host.list());
    }
}

#[tokio::test]
async fn an_engine_that_lost_the_list_gets_it_from_where_it_says() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(3 * PART);
    assert!(device.attests(2).await);
    host.measures(2 * PART);
    // The challenge is from before the loss.
    {
        let mut memory = engine.memory();
        memory.list.truncate(limits::IMA_PART / 2);
        memory.parts.clear();
    }
    assert!(device.attests(1).await, "{:?}", device.life);
    let memory = engine.memory();
    let (half, whole) = (PART / 2, PART);
    let offsets: Vec<_> = memory.parts.iter().map(|part| part.offset).collect();
    assert_eq!(offsets, [3 * whole, half, half + whole, half + 2 * whole, half + 3 * whole]);
    assert_eq!(memory.list, host.list());
}

#[tokio::test]
async fn an_engine_that_knows_another_boot_gets_the_list_from_its_beginning() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(2 * PART);
    {
        let mut memory = engine.memory();
        memory.boot = Some(boot("boot-0"));
        memory.list = vec![1; 99];
        // It says so only when it is sent a part.
        memory.lie =
            Some(KnownLogs { ima: Some(ImaPosition { boot: boot("boot-1"), offset: 7 }), ..KnownLogs::default() });
    }
    assert!(device.attests(2).await, "{:?}", device.life);
    let memory = engine.memory();
    assert_eq!(memory.parts.iter().map(|part| part.offset).collect::<Vec<_>>(), [7, 0]);
    assert_eq!(memory.list, host.list());
}

#[tokio::test]
async fn an_engine_that_always_wants_something_else_is_left_alone_for_a_while() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(3 * PART);
    engine.memory().moods = [Mood::Elsewhere; 20].into();
    let challenge = device.client.challenge().await.unwrap();
    let failure = device.perform(challenge).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unintelligible, "{}", failure.text);
    assert_eq!(engine.memory().parts.len(), usize::try_from(MAX_DETOURS).unwrap() + 1);
    engine.memory().moods.clear();
    assert!(device.attests(2).await, "{:?}", device.life);
    assert_eq!(engine.memory().list, host.list());
}

#[tokio::test]
async fn a_log_that_the_engine_turns_out_not_to_know_is_sent_soon() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(1000);
    // The challenge is from before the engine lost its knowledge.
    engine.memory().lie = Some(KnownLogs { event_log: Some(sha256(b"event log of the first boot")), ima: None });
    assert!(device.attests(4).await, "{:?}", device.life);
    assert_eq!(device.life, ["challenged", "No (evidence.event_log_unknown)", "challenged", "appraised"]);
    assert!(device.boot <= SOON, "{:?}", device.boot);
    assert!(engine.memory().evidence[0].event_log.is_some());
}

#[tokio::test]
async fn a_list_that_the_engine_turns_out_not_to_know_is_sent_soon() {
    let host = Host::new();
    let (engine, _server, mut device) = world(&host).await;
    host.measures(1000);
    let ima = Some(ImaPosition { boot: boot("boot-1"), offset: 400 });
    engine.memory().lie = Some(KnownLogs { ima, event_log: None });
    assert!(device.attests(4).await, "{:?}", device.life);
    assert_eq!(device.life, ["challenged", "No (evidence.ima_position)", "challenged", "appraised"]);
    assert!(device.boot <= SOON, "{:?}", device.boot);
    assert_eq!(engine.memory().evidence[0].ima, Some((0, 1000)));
    assert_eq!(engine.memory().list, host.list());
}
