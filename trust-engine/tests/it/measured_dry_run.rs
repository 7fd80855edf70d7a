//! What an image would make of today's devices, before it counts: of what they booted and of what they run.

use std::collections::BTreeSet;

use vouchsafe_attest::image::GoldenImage;
use vouchsafe_model::FindingCode;
use vouchsafe_trust_engine::operate::OperateRejected;
use vouchsafe_trust_engine::operate::dry_run::DryRunBounds;
use vouchsafe_wire::v1::logs::SentLogs;
use vouchsafe_wire::v1::operate::{DryRun, DryRunDevice, ImageSource, Judged};

use crate::measured::{BOOT, Boot, Machine, codes, digest_of, told};
use crate::world::World;

async fn dry_run(world: &World, image: &GoldenImage) -> DryRun {
    world.engine.dry_run(ImageSource::Text(image.to_text()), None).await.unwrap()
}

/// What the image would make of the one device.
async fn of_one(world: &World, image: &GoldenImage) -> DryRunDevice {
    let run = dry_run(world, image).await;
    let [device] = &run.devices[..] else { panic!("{run:?}") };
    device.clone()
}

fn found(device: &DryRunDevice) -> Vec<FindingCode> {
    let costs = |finding: &&vouchsafe_model::Finding| finding.severity > vouchsafe_model::Severity::Info;
    device.findings.iter().filter(costs).map(|finding| finding.code).collect()
}

/// The next image of a machine's, which expects what it booted and ran so far.
fn next(world: &World, machine: &Machine) -> GoldenImage {
    let before = world.record(machine.device.id).image.unwrap();
    machine.image(world, &format!("{}@2", before.name()))
}

#[tokio::test]
async fn a_file_that_the_next_image_does_not_list_is_named_before_it_counts() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    let mut image = machine.image(&world, "web@1");
    let extra = ("/usr/bin/extra", b"an extra".as_slice());
    let digests = &mut image.runtime.as_mut().unwrap().digests;
    digests.insert(extra.0.to_owned(), vec![digest_of(extra.1)]);
    world.import(&image).await;
    world.assign(&mut machine, &image.id).await;
    machine.run(extra.0, extra.1);
    let entry = machine.list.entries();
    let verdict = machine.attest(&world).await;
    assert_eq!(told(&verdict), Vec::<String>::new());

    let lacking = next(&world, &machine);
    let device = of_one(&world, &lacking).await;
    assert_eq!((device.boot, device.runtime, device.fails), (Judged::Judged, Judged::Judged, true));
    let [finding] = &device.findings[..] else { panic!("{device:?}") };
    assert_eq!((finding.code, finding.entry), (FindingCode::FileUnlisted, Some(entry)));
    assert_eq!(finding.path.as_deref(), Some(extra.0));
    assert_eq!(finding.found.as_deref(), Some(&*digest_of(extra.1)));
    // What it finds is what the device is told once the image counts.
    world.import(&lacking).await;
    world.assign(&mut machine, &lacking.id).await;
    assert_eq!(codes(&machine.attest(&world).await), found(&device));

    let mut changed = GoldenImage { id: "web@3".parse().unwrap(), ..image.clone() };
    let digests = &mut changed.runtime.as_mut().unwrap().digests;
    digests.insert("/usr/bin/sh".to_owned(), vec![digest_of(b"the next shell")]);
    let device = of_one(&world, &changed).await;
    assert_eq!((device.fails, found(&device)), (true, vec![FindingCode::FileChanged]));
    let good = GoldenImage { id: "web@4".parse().unwrap(), ..image };
    let device = of_one(&world, &good).await;
    assert_eq!((device.fails, device.runtime, found(&device)), (false, Judged::Judged, vec![]));
}

#[tokio::test]
async fn what_an_image_does_not_speak_of_is_not_judged() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.run("/usr/bin/rogue", b"a rogue");
    machine.attest(&world).await;
    let whole = next(&world, &machine);
    let boot_alone = GoldenImage { runtime: None, ..whole.clone() };
    let device = of_one(&world, &boot_alone).await;
    assert_eq!((device.boot, device.runtime, device.fails), (Judged::Judged, Judged::NotAsked, false));
    assert_eq!(found(&device), []);
    let runtime_alone = GoldenImage { boot: None, pcrs: std::collections::BTreeMap::new(), ..whole };
    let device = of_one(&world, &runtime_alone).await;
    assert_eq!((device.boot, device.runtime, device.fails), (Judged::NotAsked, Judged::Judged, true));
    assert_eq!(found(&device), [FindingCode::FileUnlisted]);
}

#[tokio::test]
async fn a_list_that_is_not_kept_is_not_guessed_at() {
    let world = World::with_room_for_lists(100).await;
    let machine = world.golden_machine().await;
    let mut image = next(&world, &machine);
    let device = of_one(&world, &image).await;
    assert_eq!((device.boot, device.runtime, device.fails), (Judged::Judged, Judged::ListHadNoRoom, false));
    assert_eq!(device.runtime.why_not(), Some("there was no room left for the device's IMA list"));
    assert_eq!(found(&device), []);
    // What can be judged is.
    image.boot.as_mut().unwrap().command_lines = Some(Vec::new());
    let device = of_one(&world, &image).await;
    assert_eq!((device.runtime, device.fails), (Judged::ListHadNoRoom, true));
}

#[tokio::test]
async fn a_host_without_a_list_or_that_keeps_entries_back_would_fail_as_it_does_today() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let image = next(&world, &machine);
    machine.run("/usr/bin/rogue", b"a rogue");
    machine.attest_with(&world, SentLogs::default()).await.unwrap();
    let device = of_one(&world, &image).await;
    assert_eq!((device.fails, found(&device)), (true, vec![FindingCode::ImaMismatch]));
    let [finding] = &device.findings[..] else { panic!("{device:?}") };
    assert_eq!(finding.pcr.map(vouchsafe_model::PcrIndex::get), Some(10));
    machine.restart(&BOOT);
    let logs = SentLogs { ima: None, ..machine.logs() };
    machine.attest_with(&world, logs).await.unwrap();
    let device = of_one(&world, &image).await;
    assert_eq!((device.fails, device.runtime), (true, Judged::Judged));
    assert_eq!(found(&device), [FindingCode::ImaMissing]);
}

#[tokio::test]
async fn boots_and_what_runs_are_told_together() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let image = next(&world, &machine);
    machine.restart(&Boot { command_line: "/vmlinuz root=/dev/sda1 ro init=/bin/sh", ..BOOT });
    machine.run("/bin/sh", b"a shell");
    let verdict = machine.attest(&world).await;
    let device = of_one(&world, &image).await;
    assert_eq!(found(&device), [FindingCode::CommandLineMismatch, FindingCode::FileUnlisted]);
    assert_eq!(found(&device), codes(&verdict));
}

/// All of a dry run, asked for again and again.
async fn all(world: &World, image: &GoldenImage, bounds: DryRunBounds) -> (DryRun, usize) {
    let source = ImageSource::Text(image.to_text());
    let mut sum = world.engine.dry_run_within(source.clone(), None, bounds).await.unwrap();
    let mut answers = 1;
    while let Some(after) = sum.next.take() {
        let more = world.engine.dry_run_within(source.clone(), Some(&after), bounds).await.unwrap();
        sum.devices.extend(more.devices);
        sum.unseen.extend(more.unseen);
        sum.next = more.next;
        answers += 1;
        assert!(answers < 50);
    }
    (sum, answers)
}

#[tokio::test]
async fn a_dry_run_comes_in_answers_that_are_bounded() {
    let world = World::new().await;
    let mut machines = Vec::new();
    for _ in 0..3 {
        machines.push(world.golden_machine().await);
    }
    let silent = world.machine().await;
    let stranger = machines[0].image(&world, "stranger@1");
    let names = |run: &DryRun| run.devices.iter().map(|device| device.device).collect::<BTreeSet<_>>();
    let (whole, answers) = all(&world, &stranger, DryRunBounds::default()).await;
    assert_eq!((answers, whole.devices.len(), &whole.unseen), (1, 3, &vec![silent.device.id]));
    let list = machines[0].known();
    for (bounds, least) in [
        (DryRunBounds { judged: 1, ..DryRunBounds::default() }, 3),
        (DryRunBounds { judged: 2, ..DryRunBounds::default() }, 2),
        (DryRunBounds { devices: 1, ..DryRunBounds::default() }, 4),
        (DryRunBounds { list_bytes: list, ..DryRunBounds::default() }, 3),
        (DryRunBounds { list_bytes: list + 1, ..DryRunBounds::default() }, 2),
        (DryRunBounds { devices: 0, judged: 0, list_bytes: 0, findings: 0 }, 4),
    ] {
        let (parts, answers) = all(&world, &stranger, bounds).await;
        assert!(answers >= least, "{bounds:?}: {answers} answers");
        assert_eq!((parts.devices.len(), names(&parts)), (3, names(&whole)), "{bounds:?}");
        assert_eq!(parts.unseen, whole.unseen);
    }
    let mut failing = stranger.clone();
    failing.runtime.as_mut().unwrap().digests.clear();
    let bounds = DryRunBounds { findings: 1, ..DryRunBounds::default() };
    let (parts, answers) = all(&world, &failing, bounds).await;
    assert!(answers >= 3 && parts.devices.iter().all(|device| device.fails), "{parts:?}");

    // Who is meant is found out once, and stays so in what follows.
    let meant = next(&world, &machines[1]);
    let (parts, _) = all(&world, &meant, DryRunBounds { devices: 1, ..DryRunBounds::default() }).await;
    assert_eq!(names(&parts), BTreeSet::from([machines[1].device.id]));
    assert_eq!(parts.unseen, []);
}

#[tokio::test]
async fn a_place_that_no_answer_named_is_refused() {
    let world = World::new().await;
    let machine = world.golden_machine().await;
    let source = ImageSource::Text(next(&world, &machine).to_text());
    for after in ["", "all", "all/nobody", "others/uws2ljnfuws2ljnfuws2ljnfuws2ljnf"] {
        let refused = world.engine.dry_run(source.clone(), Some(after)).await.unwrap_err();
        assert!(matches!(refused, OperateRejected::Field { field: "after", .. }), "{refused}");
    }
    let after = "all/uws2ljnfuws2ljnfuws2ljnfuws2ljnf";
    world.engine.dry_run(source, Some(after)).await.unwrap();
}
