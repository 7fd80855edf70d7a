//! Which image a device has: it changes with accepted evidence, in the same transaction, or not at all (threats 9 and 28).

use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DeviceId, FindingCode, ImageId};
use vouchsafe_trust_engine::attest::AttestRejected;
use vouchsafe_wire::v1::logs::SentLogs;
use vouchsafe_wire::v1::operate::RevokeDevice;

use crate::measured::{BOOT, Boot, Machine, codes, told};
use crate::world::World;

/// The image that is stored for a device.
async fn assigned(world: &World, device: DeviceId) -> Option<ImageId> {
    world.engine.device(device).await.unwrap().summary.image
}

fn image(name: &str) -> ImageId {
    name.parse().unwrap()
}

/// A host that is affirmed by web@1. What comes next of that image is met by its boot as well.
async fn host(world: &World) -> Machine {
    let mut machine = world.machine().await;
    let first = machine.image(world, "web@1");
    world.import(&first).await;
    world.assign(&mut machine, &first.id).await;
    let verdict = machine.attest(world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    machine
}

/// Imports web@2, which supersedes web@1 and expects the same.
async fn import_next(world: &World, machine: &Machine) {
    world.advance(1);
    let mut next = machine.image(world, "web@2");
    next.supersedes.insert("web@1".parse().unwrap());
    next.overlap = Some("7d".parse().unwrap());
    world.import(&next).await;
}

#[tokio::test]
async fn spent_evidence_gives_an_unassigned_device_no_image() {
    let world = World::new().await;
    let device = world.enrolled().await;
    let evidence = device.evidence();
    world.engine.attest(&device.peer, device.id, evidence.clone()).await.unwrap();
    assert_eq!(assigned(&world, device.id).await, None);
    // By now there is an image that it would meet.
    let golden = world.golden().await;
    let rejected = world.engine.attest(&device.peer, device.id, evidence).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::NonceSpent), "{rejected}");
    assert_eq!(assigned(&world, device.id).await, None);
    let fresh = world.engine.fresh_challenge(&device.peer, device.id).await.unwrap();
    let evidence = device.evidence_of(&fresh, r#"{"facts":{"hostname":"host"}}"#);
    world.engine.attest(&device.peer, device.id, evidence).await.unwrap();
    assert_eq!(assigned(&world, device.id).await, assigned(&world, golden.id).await);
}

#[tokio::test]
async fn spent_evidence_moves_no_device_to_the_next_image() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    world.step(&mut machine.device, 60);
    let evidence = machine.evidence(SentLogs::default());
    machine.send(&world, evidence.clone()).await.unwrap();
    import_next(&world, &machine).await;
    let rejected = machine.send(&world, evidence).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::NonceSpent), "{rejected}");
    assert_eq!(assigned(&world, machine.device.id).await, Some(image("web@1")));
    let verdict = machine.attest(&world).await;
    assert_eq!((verdict.image(), codes(&verdict)), (Some(&image("web@2")), vec![]));
    assert_eq!(assigned(&world, machine.device.id).await, Some(image("web@2")));
}

#[tokio::test]
async fn evidence_of_a_revoked_device_moves_it_nowhere() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    import_next(&world, &machine).await;
    world.step(&mut machine.device, 60);
    let evidence = machine.evidence(SentLogs::default());
    let reason = RevokeDevice { reason: "stolen".into() };
    world.engine.revoke_device(machine.device.id, &reason).await.unwrap();
    let rejected = machine.send(&world, evidence).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Revoked { .. }), "{rejected}");
    assert_eq!(assigned(&world, machine.device.id).await, Some(image("web@1")));
}

#[tokio::test]
async fn a_move_is_there_after_the_engine_died_and_is_told_to_decisions() {
    let mut world = World::new().await;
    let mut machine = host(&world).await;
    import_next(&world, &machine).await;
    machine.ask(&world).await;
    machine.attest(&world).await;
    assert_eq!(world.record(machine.device.id).image, Some(image("web@2")));
    world.restart().await;
    assert_eq!(world.record(machine.device.id).image, Some(image("web@2")));
}

/// Runs two things at once, the second of them a little later than the first: by so many turns of the scheduler.
async fn at_once<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>, turns: usize) -> (A, B) {
    let later = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        other.await
    };
    tokio::join!(one, later)
}

#[tokio::test]
async fn an_operator_who_assigns_another_image_meanwhile_is_not_overruled() {
    let world = World::new().await;
    let donor = host(&world).await;
    let mut other = donor.image(&world, "other@1");
    // Nobody meets it, so that nobody comes to it by itself.
    other.pcrs.values_mut().flat_map(std::collections::BTreeMap::values_mut).for_each(|values| {
        *values = std::iter::once("ab".repeat(32).parse().unwrap()).collect();
    });
    world.import(&other).await;
    for turns in 0..24 {
        let mut machine = world.machine().await;
        world.step(&mut machine.device, 60);
        let evidence = machine.evidence(machine.logs());
        let id = machine.device.id;
        let attest = world.engine.attest(&machine.device.peer, id, evidence);
        let assign = async { world.engine.assign_image(id, Some(other.id.clone())).await };
        let (attested, set) = Box::pin(at_once(attest, assign, turns * 4)).await;
        set.unwrap();
        let verdict = attested.unwrap().verdict;
        assert_eq!(assigned(&world, id).await, Some(image("other@1")), "it was overruled, after {turns} turns");
        assert!([image("web@1"), image("other@1")].contains(verdict.image().unwrap()), "{:?}", verdict.image());
    }
}

#[tokio::test]
async fn of_two_that_spend_one_nonce_one_moves_the_device() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    import_next(&world, &machine).await;
    world.step(&mut machine.device, 60);
    let evidence = machine.evidence(SentLogs::default());
    let (peer, id) = (&machine.device.peer, machine.device.id);
    let (one, two) =
        tokio::join!(world.engine.attest(peer, id, evidence.clone()), world.engine.attest(peer, id, evidence));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|accepted| **accepted).count(), 1);
    let rejected = one.err().or(two.err()).unwrap();
    assert!(matches!(rejected, AttestRejected::NonceSpent), "{rejected}");
    assert_eq!(assigned(&world, id).await, Some(image("web@2")));
}

#[tokio::test]
async fn a_first_image_judges_what_came_before_it() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::ImageUnassigned]);
    let late = machine.image(&world, "late@1");
    world.import(&late).await;
    machine.run("/usr/bin/sh", b"the shell");
    // The challenge asks for what is new alone: that this boot meets the image is not known before.
    assert!(machine.known() > 0);
    let verdict = machine.attest(&world).await;
    assert_eq!((verdict.image(), told(&verdict)), (Some(&late.id), Vec::new()));
    assert_eq!(assigned(&world, machine.device.id).await, Some(late.id));
    assert_eq!(machine.known(), machine.list.bytes().len() as u64);

    // And finds what is bad of it.
    let mut rogue = world.machine().await;
    rogue.restart(&Boot { kernel: b"another kernel", ..BOOT });
    rogue.run("/usr/bin/rogue", b"a rogue");
    rogue.attest(&world).await;
    world.import(&rogue.image(&world, "rogue@1")).await;
    let verdict = rogue.attest_with(&world, SentLogs::default()).await.unwrap();
    assert_eq!((verdict.image(), codes(&verdict)), (Some(&image("rogue@1")), vec![FindingCode::FileUnlisted]));
}

#[tokio::test]
async fn a_first_image_is_given_with_evidence_whose_list_is_not_kept() {
    let world = World::with_room_for_lists(0).await;
    let mut machine = world.machine().await;
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::ImageUnassigned]);
    let late = machine.image(&world, "late@1");
    world.import(&late).await;
    machine.run("/usr/bin/sh", b"the shell");
    // The challenge asks for what is new alone: that this boot meets the image is not known before.
    assert!(machine.known() > 0);
    let verdict = machine.attest(&world).await;
    assert_eq!((verdict.image(), codes(&verdict)), (Some(&late.id), vec![FindingCode::ImaUnjudged]));
    assert_eq!(assigned(&world, machine.device.id).await, Some(late.id));
    assert_eq!(machine.known(), 0, "the whole list is judged by its image");
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
}

#[tokio::test]
async fn a_boot_that_fails_its_image_stays_with_it_whatever_it_comes_closest_to() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    import_next(&world, &machine).await;
    machine.restart(&Boot { initrd: b"rogue", ..BOOT });
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated);
    assert_eq!(assigned(&world, machine.device.id).await, Some(image("web@1")));
}
