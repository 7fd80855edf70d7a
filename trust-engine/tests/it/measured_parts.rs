//! Lists in parts: from where, of which boot, ahead of their quote, across restarts of the engine, and within limits
//! (threats 19, 21, 26 and 28).

use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{Finding, FindingCode, Verdict};
use vouchsafe_trust_engine::attest::AttestRejected;
use vouchsafe_trust_engine::measured::{AheadRejected, LogRejected};
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::{Deflated, InflateError, SentLogs};

use crate::measured::{BOOT, Machine, boot_id, codes, the, told};
use crate::world::World;

/// An entry of PCR 10 whose template has a name without end.
const NO_ENTRY: [u8; 32] = {
    let mut bytes = [0xFF; 32];
    [bytes[0], bytes[1], bytes[2], bytes[3]] = [10, 0, 0, 0];
    bytes
};

fn end(machine: &Machine) -> u64 {
    machine.list.bytes().len() as u64
}

/// Runs more good files, and leaves the entries unsent.
fn run_more(machine: &mut Machine, count: usize) {
    (0..count).for_each(|_| machine.run("/usr/bin/sh", b"the shell"));
}

/// Sends all that is new ahead, entry by entry.
async fn send_ahead(machine: &Machine, world: &World) {
    let mut offset = machine.known();
    for entry in 1..=machine.list.entries() {
        let (start, next) = (machine.list.start_of(entry.try_into().unwrap()), entry + 1);
        if (start as u64) < offset {
            continue;
        }
        let next = machine.list.start_of(next.try_into().unwrap());
        let bytes = &machine.list.bytes()[start..next];
        let position = machine.ahead(world, machine.part_of(offset, bytes)).await.unwrap();
        assert_eq!((position.boot, position.offset), (machine.boot.clone(), next as u64));
        offset = position.offset;
    }
}

#[tokio::test]
async fn a_part_from_elsewhere_is_sent_back_and_costs_no_nonce() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    run_more(&mut machine, 2);
    let known = machine.known();
    let score = world.score(machine.device.id);
    for from in [0, known - 1, known + 1, end(&machine)] {
        let logs = SentLogs { event_log: None, ima: Some(machine.part(from)) };
        let rejected = machine.send(&world, machine.evidence(logs)).await.unwrap_err();
        let AttestRejected::Logs(LogRejected::Position { known: told, sent }) = rejected else { panic!("{rejected}") };
        assert_eq!((told, sent), (known, from));
    }
    let mut other = machine.part(known);
    other.from.boot = boot_id(77);
    let logs = SentLogs { event_log: None, ima: Some(other) };
    let rejected = machine.send(&world, machine.evidence(logs)).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Logs(LogRejected::OtherBoot)), "{rejected}");
    assert!((world.score(machine.device.id) - score).abs() < 1e-9, "what was sent back counted");
    // The same nonce is good.
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn parts_ahead_count_when_a_quote_reaches_behind_them() {
    let mut world = World::new().await;
    let mut machine = world.golden_machine().await;
    run_more(&mut machine, 6);
    send_ahead(&machine, &world).await;
    // The engine dies between parts, and between parts and evidence.
    world.restart().await;
    run_more(&mut machine, 3);
    machine.ask(&world).await;
    send_ahead(&machine, &world).await;
    world.restart().await;
    machine.ask(&world).await;
    assert_eq!(machine.known(), end(&machine));
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_eq!((verdict.status(), told(&verdict)), (VerdictStatus::Affirming, Vec::new()));
    assert_eq!(machine.known(), end(&machine));
    world.restart().await;
    run_more(&mut machine, 1);
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn what_came_ahead_is_judged_as_all_else() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    send_ahead(&machine, &world).await;
    machine.ask(&world).await;
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    let finding = the(&verdict, FindingCode::FileUnlisted);
    assert_eq!((finding.entry, finding.path.as_deref()), (Some(machine.list.entries()), Some("/usr/bin/rogue")));
}

#[tokio::test]
async fn a_part_may_end_within_an_entry_and_one_from_elsewhere_is_told_where_to_go_on() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let known = machine.known();
    run_more(&mut machine, 2);
    let middle = machine.list.start_of(usize::try_from(machine.list.entries()).unwrap());
    let begin = usize::try_from(known).unwrap();
    let part = machine.part_of(known, &machine.list.bytes()[begin..middle + 7]);
    let position = machine.ahead(&world, part.clone()).await.unwrap();
    assert_eq!(position.offset, middle as u64, "whole entries are taken");
    // The answer was lost: the same part again moves nothing.
    let position = machine.ahead(&world, part).await.unwrap();
    assert_eq!(position.offset, middle as u64);
    let position = machine.ahead(&world, machine.part(0)).await.unwrap();
    assert_eq!(position.offset, middle as u64);
    let position = machine.ahead(&world, machine.part(position.offset)).await.unwrap();
    assert_eq!(position.offset, end(&machine));
    machine.ask(&world).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn parts_of_a_new_boot_begin_anew_and_those_of_the_old_one_are_forgotten() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    run_more(&mut machine, 3);
    send_ahead(&machine, &world).await;
    machine.restart(&BOOT);
    assert_eq!(machine.known(), 0);
    send_ahead(&machine, &world).await;
    machine.ask(&world).await;
    assert_eq!(machine.known(), end(&machine));
    let logs = SentLogs { ima: Some(machine.part(machine.known())), ..machine.logs() };
    let verdict = machine.attest_with(&world, logs).await.unwrap();
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn parts_that_were_never_measured_are_found_by_the_next_quote_and_forgotten() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let known = machine.known();
    let mut invented = machine.list.clone();
    invented.file("/usr/bin/sh", b"the shell");
    let begin = usize::try_from(known).unwrap();
    let part = machine.part_of(known, &invented.bytes()[begin..]);
    assert_eq!(machine.ahead(&world, part).await.unwrap().offset, invented.bytes().len() as u64);
    machine.ask(&world).await;
    assert_eq!(machine.known(), invented.bytes().len() as u64);
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    assert_eq!(world.score(machine.device.id), 0.0);
    // The engine is where a quote last vouched for, and the truth is taken from there.
    assert_eq!(machine.known(), known);
    run_more(&mut machine, 1);
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert!(world.score(machine.device.id) > 0.0);
}

#[tokio::test]
async fn a_first_list_that_was_never_measured_is_forgotten_too() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.restart(&BOOT);
    let mut invented = machine.list.clone();
    invented.file("/usr/bin/sh", b"the shell");
    machine.ahead(&world, machine.part_of(0, invented.bytes())).await.unwrap();
    machine.ask(&world).await;
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_eq!(codes(&verdict), [FindingCode::ImaMismatch]);
    assert_eq!(machine.known(), 0);
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn what_no_image_judged_is_judged_when_there_is_one_and_not_sent_again() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    let verdict = machine.attest(&world).await;
    assert!(!verdict.coverage().runtime && !verdict.coverage().boot);
    assert_eq!(machine.known(), end(&machine));
    let image = machine.image(&world, "late@1");
    world.import(&image).await;
    world.engine.assign_image(machine.device.id, Some(image.id.clone())).await.unwrap();
    // With the challenge of before as with a new one.
    let logs = machine.logs();
    assert_eq!(logs.ima.as_ref().unwrap().from.offset, end(&machine));
    let verdict = machine.attest_with(&world, logs).await.unwrap();
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
    assert_eq!(machine.known(), end(&machine));
}

#[tokio::test]
async fn a_list_that_is_not_kept_is_asked_for_again_when_another_image_judges_it() {
    let world = World::with_room_for_lists(0).await;
    let mut machine = world.machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    let verdict = machine.attest(&world).await;
    assert!(!verdict.coverage().runtime && !verdict.coverage().boot);
    assert_eq!(machine.known(), end(&machine));
    let image = machine.image(&world, "late@1");
    world.import(&image).await;
    // With the challenge of before, the device goes on from a place that counts no more.
    world.engine.assign_image(machine.device.id, Some(image.id.clone())).await.unwrap();
    let rejected = machine.attest_with(&world, machine.logs()).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Logs(LogRejected::Position { known: 0, .. })), "{rejected}");
    machine.ask(&world).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
}

#[tokio::test]
async fn parts_ahead_go_on_behind_what_another_image_judges_anew() {
    let mut world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/extra", b"an extra");
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
    run_more(&mut machine, 4);
    send_ahead(&machine, &world).await;
    // Another image that lists it: what came ahead under the old one is sent again, what quotes vouched for is not.
    let vouched = machine.known();
    let mut image = machine.image(&world, "other@1");
    let digests = &mut image.runtime.as_mut().unwrap().digests;
    digests.insert("/usr/bin/extra".to_owned(), vec![crate::measured::digest_of(b"an extra")]);
    world.import(&image).await;
    world.assign(&mut machine, &image.id).await;
    assert_eq!(machine.known(), vouched);
    send_ahead(&machine, &world).await;
    world.restart().await;
    machine.ask(&world).await;
    assert_eq!(machine.known(), end(&machine));
    let verdict = machine.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_eq!(told(&verdict), Vec::<String>::new());
    let kept = crate::measured_kept::kept(&world, &machine).await.0;
    assert!(kept == machine.list.bytes(), "another list is kept");
}

#[tokio::test]
async fn an_engine_that_dies_between_attestations_forgets_nothing_of_a_list() {
    let mut world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
    for _ in 0..2 {
        world.restart().await;
        run_more(&mut machine, 1);
        let logs = machine.logs();
        assert!(logs.event_log.is_none() && machine.known() > 0, "{logs:?}");
        let verdict = machine.attest_with(&world, logs).await.unwrap();
        assert_eq!(codes(&verdict), [FindingCode::FileUnlisted]);
        assert_eq!(world.score(machine.device.id), 0.0);
    }
}

#[tokio::test]
async fn a_bomb_is_refused_at_its_limit_and_costs_no_nonce() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.restart(&BOOT);
    let log = SentLogs { event_log: Some(Deflated::new(&vec![0; limits::EVENT_LOG + 1]).unwrap()), ima: None };
    let part = machine.part_of(0, &vec![0; limits::IMA_PART + 1]);
    let list = SentLogs { ima: Some(part.clone()), ..machine.logs() };
    for (logs, name) in [(log, "event log"), (list, "IMA list")] {
        let rejected = machine.send(&world, machine.evidence(logs)).await.unwrap_err();
        let text = rejected.to_string();
        let AttestRejected::Logs(LogRejected::Compressed { log, source }) = rejected else { panic!("{text}") };
        assert_eq!(log, name);
        assert!(matches!(source, InflateError::TooLong { max: 1_048_576 }), "{source}");
        assert!(text.contains("more than 1048576"), "{text}");
    }
    let rejected = machine.ahead(&world, part).await.unwrap_err();
    assert!(matches!(rejected, AheadRejected::Compressed(InflateError::TooLong { .. })), "{rejected}");
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn bytes_ahead_that_are_no_list_are_refused_by_entry_and_offset() {
    let world = World::new().await;
    let machine = world.golden_machine().await;
    let known = machine.known();
    let rejected = machine.ahead(&world, machine.part_of(known, &NO_ENTRY)).await.unwrap_err();
    let AheadRejected::Malformed(error) = &rejected else { panic!("{rejected}") };
    assert_eq!((error.entry, error.offset), (machine.list.entries() + 1, known + 24));
    machine.ahead(&world, machine.part(known)).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_findings_is_bounded_in_every_verdict_and_does_not_grow_the_texts() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let long = format!("/opt/{}", "x".repeat(4000));
    for file in 0..1500 {
        machine.list.file(&format!("{long}{file}"), b"new");
    }
    machine.measure();
    send_in_parts(&machine, &world).await;
    machine.ask(&world).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.findings().len(), Verdict::MAX_FINDINGS);
    let longest = verdict.findings().iter().filter_map(|finding| finding.path.as_ref().map(String::len)).max();
    assert!(longest.unwrap() <= Finding::MAX_TEXT_LEN);
    the(&verdict, FindingCode::ImaMore);
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated);
}

/// Sends all that is new ahead in parts of half a megabyte.
async fn send_in_parts(machine: &Machine, world: &World) {
    let mut offset = machine.known();
    while offset < end(machine) {
        let begin = usize::try_from(offset).unwrap();
        let bytes = &machine.list.bytes()[begin..machine.list.bytes().len().min(begin + limits::IMA_PART / 2)];
        let position = machine.ahead(world, machine.part_of(offset, bytes)).await.unwrap();
        assert!(position.offset > offset);
        offset = position.offset;
    }
}

#[tokio::test]
async fn parts_and_evidence_that_race_are_taken_once_and_none_is_lost() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let known = machine.known();
    run_more(&mut machine, 4);
    let part = machine.part(known);
    let (one, two) = tokio::join!(machine.ahead(&world, part.clone()), machine.ahead(&world, part.clone()));
    assert_eq!((one.unwrap().offset, two.unwrap().offset), (end(&machine), end(&machine)));
    // Evidence that was made before the parts came is told where the engine is by now.
    let rejected = machine.attest_with(&world, machine.logs()).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Logs(LogRejected::Position { .. })), "{rejected}");
    machine.ask(&world).await;
    run_more(&mut machine, 1);
    world.step(&mut machine.device, 60);
    let (evidence, more) = (machine.evidence(machine.logs()), machine.part(machine.known()));
    let (attested, ahead) = tokio::join!(
        world.engine.attest(&machine.device.peer, machine.device.id, evidence),
        machine.ahead(&world, more)
    );
    ahead.unwrap();
    match attested {
        Ok(appraised) => assert_eq!(told(&appraised.verdict), Vec::<String>::new()),
        Err(AttestRejected::Logs(LogRejected::Position { .. })) => {}
        Err(rejected) => panic!("{rejected}"),
    }
    machine.ask(&world).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn a_revoked_device_sends_nothing_ahead() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    run_more(&mut machine, 1);
    let reason = vouchsafe_wire::v1::operate::RevokeDevice { reason: "stolen".into() };
    world.engine.revoke_device(machine.device.id, &reason).await.unwrap();
    let rejected = machine.ahead(&world, machine.part(machine.known())).await.unwrap_err();
    assert!(matches!(rejected, AheadRejected::Device(AttestRejected::Revoked { .. })), "{rejected}");
}
