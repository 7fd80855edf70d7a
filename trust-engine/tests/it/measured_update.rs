//! Updates: no alarm when the image was shipped first, and a name for each file when it was not (threat 24).

use vouchsafe_attest::image::GoldenImage;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{FindingCode, ImageId, Verdict};

use crate::measured::{BOOT, Boot, Machine, codes, digest_of, the, told};
use crate::world::World;

const PACKAGES: usize = 300;
const DAY: u64 = 86_400;

fn path(package: usize) -> String {
    format!("/usr/bin/program-{package}")
}

fn content(package: usize, version: u32) -> Vec<u8> {
    format!("program {package} of version {version}").into_bytes()
}

/// The image of these packages in a version.
fn image(world: &World, machine: &Machine, version: u32) -> GoldenImage {
    let mut image = machine.image(world, &format!("web@{version}"));
    let digests = &mut image.runtime.as_mut().unwrap().digests;
    digests.extend((0..PACKAGES).map(|package| (path(package), vec![digest_of(&content(package, version))])));
    image
}

/// A host that runs all packages of version 1, and is affirmed.
async fn host(world: &World) -> Machine {
    let mut machine = world.machine().await;
    let image = image(world, &machine, 1);
    world.import(&image).await;
    world.assign(&mut machine, &image.id).await;
    (0..PACKAGES).for_each(|package| machine.run(&path(package), &content(package, 1)));
    let verdict = machine.attest(world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    machine
}

const NEW_BOOT: Boot = Boot { kernel: b"the new kernel", command_line: "/vmlinuz root=/dev/sda1 ro quiet", ..BOOT };

/// The image of version 2, with a new kernel; old and new are valid for a week.
fn next_image(world: &World, machine: &Machine) -> GoldenImage {
    let mut next = image(world, machine, 2);
    next.supersedes.insert("web@1".parse().unwrap());
    next.overlap = Some("7d".parse().unwrap());
    let kernel = |old: &mut vouchsafe_attest::image::BootItem| {
        let value = |content: &[u8]| crate::world::sha256(content).to_string().parse().unwrap();
        for digests in old.digests.values_mut() {
            if digests.remove(&value(BOOT.kernel)) {
                digests.insert(value(NEW_BOOT.kernel));
            }
        }
    };
    let boot = next.boot.as_mut().unwrap();
    boot.files.iter_mut().flatten().for_each(kernel);
    for line in boot.command_lines.iter_mut().flatten() {
        if line.text == vouchsafe_attest::image::CommandText::Exact(BOOT.command_line.to_owned()) {
            line.text = vouchsafe_attest::image::CommandText::Exact(NEW_BOOT.command_line.to_owned());
        }
    }
    next
}

fn assigned(world: &World, machine: &Machine) -> ImageId {
    world.record(machine.device.id).image.unwrap()
}

#[tokio::test]
async fn three_hundred_updated_files_raise_no_finding_at_any_moment_when_the_image_came_first() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    world.import(&next_image(&world, &machine)).await;
    machine.ask(&world).await;
    for package in 0..PACKAGES {
        machine.run(&path(package), &content(package, 2));
        let verdict = machine.attest(&world).await;
        assert_eq!(told(&verdict), Vec::<String>::new(), "after package {package}");
    }
    assert_eq!(assigned(&world, &machine), "web@1".parse().unwrap(), "it runs the old kernel still");
    machine.restart(&NEW_BOOT);
    (0..PACKAGES).for_each(|package| machine.run(&path(package), &content(package, 2)));
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_eq!(assigned(&world, &machine), "web@2".parse().unwrap());
    // Neither the end of the overlap nor what the old image allowed alone changes that.
    world.step(&mut machine.device, 8 * DAY);
    machine.device.peer = renewed(&world, &machine).await;
    machine.ask(&world).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), []);
    machine.run(&path(0), &content(0, 1));
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileChanged], "an old file passes for ever");
}

#[tokio::test]
async fn while_old_and_new_are_valid_at_once_nothing_else_passes() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    world.import(&next_image(&world, &machine)).await;
    machine.ask(&world).await;
    machine.run(&path(0), &content(0, 2));
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    machine.run(&path(1), b"neither the old nor the new program");
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileChanged]);
    assert_eq!(the(&verdict, FindingCode::FileChanged).path.as_deref(), Some(path(1).as_str()));
    machine.run("/usr/bin/of-no-package", b"anything");
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), [FindingCode::FileChanged, FindingCode::FileUnlisted]);
    assert_eq!(world.score(machine.device.id), 0.0);
    // Nor does a boot that is half the old and half the new one.
    machine.restart(&Boot { kernel: BOOT.kernel, ..NEW_BOOT });
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated, "{:?}", told(&verdict));
    assert_eq!(the(&verdict, FindingCode::BootImageUnknown).path.as_deref(), Some("/vmlinuz"));
    assert_eq!(assigned(&world, &machine), "web@1".parse().unwrap());
}

/// The peer with a certificate that is good for another day.
async fn renewed(world: &World, machine: &Machine) -> vouchsafe_http::Peer {
    let request = crate::world::certificate_request(machine.device.host.tpm.device_key());
    let request = vouchsafe_wire::v1::enrol::Renew { certificate_request: crate::world::bytes(&request) };
    let renewed = world.engine.renew(&machine.device.peer, machine.device.id, request).await.unwrap();
    crate::world::peer(&renewed.chain_pem)
}

#[tokio::test]
async fn files_of_an_update_that_was_not_shipped_are_named_each() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    let before = machine.list.entries();
    (0..200).for_each(|package| machine.run(&format!("/opt/new-{package}"), b"new"));
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated);
    let named: Vec<_> = verdict.failures().map(|finding| (finding.code, finding.entry, finding.path.clone())).collect();
    let expected = (0..200).map(|package: u64| {
        (FindingCode::FileUnlisted, Some(before + 1 + package), Some(format!("/opt/new-{package}")))
    });
    assert_eq!(named, expected.collect::<Vec<_>>());
    assert_eq!(world.score(machine.device.id), 0.0);
}

#[tokio::test]
async fn more_findings_than_a_verdict_holds_are_counted() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    (0..PACKAGES).for_each(|package| machine.run(&path(package), &content(package, 2)));
    (0..PACKAGES).for_each(|package| machine.run(&format!("/opt/new-{package}"), b"new"));
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.findings().len(), Verdict::MAX_FINDINGS);
    let count = |wanted| codes(&verdict).iter().filter(|code| **code == wanted).count();
    assert_eq!((count(FindingCode::FileChanged), count(FindingCode::FileUnlisted)), (300, 211));
    let more = the(&verdict, FindingCode::ImaMore);
    assert_eq!(more.found.as_deref(), Some("89 more findings"));
    assert_eq!(more.severity, vouchsafe_model::Severity::Failure);
    assert_eq!(verdict.findings().last(), Some(more));
}

/// A host with an image that was superseded, so many days ago.
async fn superseded(days: u64) -> (World, Machine) {
    let world = World::new().await;
    let mut machine = host(&world).await;
    world.import(&next_image(&world, &machine)).await;
    for _ in 0..days {
        world.step(&mut machine.device, DAY - 3600);
        machine.device.peer = renewed(&world, &machine).await;
        world.step(&mut machine.device, 3600);
    }
    machine.ask(&world).await;
    (world, machine)
}

#[tokio::test]
async fn a_host_that_did_not_move_is_good_while_the_overlap_lasts() {
    let (world, mut machine) = superseded(6).await;
    let verdict = machine.attest(&world).await;
    assert_eq!(codes(&verdict), []);
    assert_eq!(assigned(&world, &machine), "web@1".parse().unwrap());
}

#[tokio::test]
async fn a_host_that_did_not_move_in_time_is_told_so_until_it_does() {
    let (world, mut machine) = superseded(8).await;
    for _ in 0..3 {
        let verdict = machine.attest(&world).await;
        let finding = the(&verdict, FindingCode::ImageSuperseded);
        assert_eq!(finding.path.as_deref(), Some("web@1"));
        assert_eq!(verdict.status(), VerdictStatus::Contraindicated);
        assert_eq!(world.score(machine.device.id), 0.0);
        assert_eq!(assigned(&world, &machine), "web@1".parse().unwrap(), "it did not move");
    }
    machine.restart(&NEW_BOOT);
    (0..PACKAGES).for_each(|package| machine.run(&path(package), &content(package, 2)));
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());
    assert_eq!(assigned(&world, &machine), "web@2".parse().unwrap());
}

#[tokio::test]
async fn a_host_that_was_updated_while_it_was_away_is_good_at_once() {
    let (world, mut machine) = superseded(8).await;
    machine.restart(&NEW_BOOT);
    (0..PACKAGES).for_each(|package| machine.run(&path(package), &content(package, 2)));
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new(), "it came back with what superseded its image");
    assert_eq!(assigned(&world, &machine), "web@2".parse().unwrap());
}

#[tokio::test]
async fn a_boot_that_meets_no_image_moves_nowhere() {
    let world = World::new().await;
    let mut machine = host(&world).await;
    world.import(&next_image(&world, &machine)).await;
    machine.restart(&Boot { kernel: b"a rogue kernel", ..NEW_BOOT });
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated);
    assert_eq!(assigned(&world, &machine), "web@1".parse().unwrap(), "a rogue boot moved to the next image");
}
