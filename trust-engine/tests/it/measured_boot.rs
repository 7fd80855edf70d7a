//! Boots that are as captured, and boots that are not (threats 13 to 17, and 27).

use vouchsafe_attest::eventlog::{EventLog, EventType};
use vouchsafe_attest::forge::BootLog;
use vouchsafe_model::vector::TrustClaim;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{FindingCode, HashAlgorithm, PcrIndex, Verdict};
use vouchsafe_wire::v1::logs::{Deflated, SentLogs};

use crate::measured::{BOOT, Boot, LOADER_PATH, Machine, codes, the, told};
use crate::world::{START, World, sha256};

#[tokio::test]
async fn a_host_that_is_as_captured_is_affirmed_and_sends_each_log_once() {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    let known = machine.device.challenge.logs.clone();
    assert_eq!(known.event_log, machine.log.as_deref().map(sha256));
    assert_eq!(machine.known(), machine.list.bytes().len() as u64);

    for nothing in [SentLogs::default(), machine.logs()] {
        assert!(nothing.event_log.is_none());
        let verdict = machine.attest_with(&world, nothing).await.unwrap();
        assert_eq!(verdict.status(), VerdictStatus::Affirming, "{:?}", told(&verdict));
        assert!(verdict.coverage().boot && verdict.coverage().runtime);
        let vector = verdict.vector();
        let claims = [vector.instance_identity, vector.configuration, vector.executables, vector.file_system];
        assert_eq!(claims.map(TrustClaim::get), [2, 2, 2, 2]);
    }
    // New entries alone: the engine goes on from where it is.
    let before = machine.list.bytes().len() as u64;
    machine.run("/usr/bin/sh", b"the shell");
    assert_eq!(machine.known(), before);
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Affirming, "{:?}", told(&verdict));
    assert!(machine.known() > before);
    assert!(world.score(machine.device.id) > 0.0);
}

const LATER: std::time::Duration = std::time::Duration::from_secs(10);

/// Restarts a golden host otherwise, and holds the verdict that follows against what has to be found.
async fn restarted(change: impl FnOnce(&mut Machine)) -> (Machine, Verdict) {
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    assert!(world.score(machine.device.id) > 0.0);
    change(&mut machine);
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Contraindicated, "{:?}", verdict.findings());
    assert_eq!(world.score(machine.device.id), 0.0, "{:?}", told(&verdict));
    // It stays so while nothing changes, also when nothing is sent again.
    let again = machine.attest(&world).await;
    assert_eq!(codes(&again), codes(&verdict));
    assert_eq!(world.score(machine.device.id), 0.0);
    (machine, verdict)
}

#[tokio::test]
async fn another_command_line_is_named_by_its_event_and_its_text() {
    let other = Boot { command_line: "/vmlinuz root=/dev/sda1 ro init=/bin/sh", ..BOOT };
    let (machine, verdict) = restarted(|machine| machine.restart(&other)).await;
    let finding = the(&verdict, FindingCode::CommandLineMismatch);
    assert_eq!(finding.event, Some(machine.event_with(b"kernel_cmdline")));
    assert_eq!(finding.pcr.map(PcrIndex::get), Some(8));
    assert_eq!(finding.expected.as_deref(), Some(BOOT.command_line));
    assert_eq!(finding.found.as_deref(), Some(other.command_line));
    assert_eq!(codes(&verdict), [FindingCode::CommandLineMismatch]);
}

/// Another boot, what the data of its event holds, and what is found of what was there before.
type Change = (Boot, &'static [u8], &'static str, FindingCode, &'static [u8]);

#[tokio::test]
async fn another_initrd_kernel_or_loader_is_named_by_event_path_and_digest() {
    let changes: [Change; 3] = [
        (Boot { initrd: b"another", ..BOOT }, b"/initrd.img\0", "/initrd.img", FindingCode::InitrdUnknown, BOOT.initrd),
        (Boot { kernel: b"another", ..BOOT }, b"/vmlinuz\0", "/vmlinuz", FindingCode::BootImageUnknown, BOOT.kernel),
        (
            Boot { loader: b"another", ..BOOT },
            b"d\0e\0b\0i\0a\0n\0",
            LOADER_PATH,
            FindingCode::BootImageUnknown,
            BOOT.loader,
        ),
    ];
    for (boot, data, path, code, before) in changes {
        let (machine, verdict) = restarted(|machine| machine.restart(&boot)).await;
        let finding = the(&verdict, code);
        assert_eq!((finding.event, finding.path.as_deref()), (Some(machine.event_with(data)), Some(path)));
        let (expected, found) = (finding.expected.clone().unwrap(), finding.found.clone().unwrap());
        assert!(expected.contains(&sha256(before).to_string()), "{expected}");
        assert!(found.contains(&sha256(b"another").to_string()), "{found}");
    }
}

#[tokio::test]
async fn a_log_that_is_missing_cut_or_of_another_boot_fails() {
    let (_, verdict) = restarted(|machine| machine.log = None).await;
    the(&verdict, FindingCode::EventLogMissing);

    // The last event, with which the boot services ended, is cut off.
    let (_, verdict) = restarted(|machine| {
        let log = machine.log.clone().unwrap();
        let parsed = EventLog::parse(&log).unwrap();
        machine.log = Some(log[..parsed.events().last().unwrap().offset()].to_vec());
    })
    .await;
    let finding = the(&verdict, FindingCode::EventLogMismatch);
    assert_eq!((finding.bank, finding.pcr.map(PcrIndex::get)), (Some(HashAlgorithm::Sha256), Some(5)));

    // A rogue boot shows the log of the good one before it.
    let (_, verdict) = restarted(|machine| {
        let good = machine.log.clone();
        machine.restart(&Boot { initrd: b"rogue", ..BOOT });
        machine.log = good;
    })
    .await;
    assert_eq!(the(&verdict, FindingCode::EventLogMismatch).pcr.map(PcrIndex::get), Some(9));

    let (_, verdict) = restarted(|machine| {
        let log = machine.log.as_mut().unwrap();
        log.truncate(log.len() - 1);
    })
    .await;
    let finding = the(&verdict, FindingCode::EventLogMalformed);
    assert!(finding.found.as_ref().unwrap().contains("byte"), "{finding}");
}

/// The log with the type of an event exchanged; types are not measured.
fn retyped(machine: &mut Machine, event: u64, kind: EventType) {
    let log = machine.log.clone().unwrap();
    let at = EventLog::parse(&log).unwrap().events().iter().find(|it| it.number() == event).unwrap().offset() + 4;
    machine.log.as_mut().unwrap()[at..at + 4].copy_from_slice(&kind.0.to_le_bytes());
}

#[tokio::test]
async fn an_event_that_is_retyped_does_not_hide_what_it_measured() {
    let rogue = || BOOT.before_the_kernel().application(b"a rogue driver", "\\EFI\\rogue.efi");
    for (kind, code) in [
        (EventType::NO_ACTION, FindingCode::EventLogMismatch),
        (EventType::EFI_ACTION, FindingCode::EventDigestMismatch),
        (EventType::SEPARATOR, FindingCode::SeparatorRepeated),
        (EventType::IPL, FindingCode::EventMisplaced),
        (EventType::EFI_RUNTIME_SERVICES_DRIVER, FindingCode::OptionRomUnknown),
    ] {
        let (machine, verdict) = restarted(|machine| {
            machine.restart_by(&rogue().grub("kernel_cmdline", BOOT.command_line).exit_boot_services());
            let number = machine.event_with(b"r\0o\0g\0u\0e\0");
            retyped(machine, number, kind);
        })
        .await;
        let finding = verdict.findings().iter().find(|finding| finding.code == code);
        let finding = finding.unwrap_or_else(|| panic!("{kind}: {:?}", told(&verdict)));
        assert_eq!(finding.pcr.map(PcrIndex::get), Some(4));
        if code != FindingCode::EventLogMismatch {
            assert_eq!(finding.event, Some(machine.event_with(b"r\0o\0g\0u\0e\0")), "{finding}");
        }
    }
}

#[tokio::test]
async fn what_a_log_leaves_out_of_a_pcr_of_the_boot_loader_is_not_vouched_for() {
    // PCR 9 tells that a rogue initrd was read. The log tells of nothing there at all.
    let (_, verdict) = restarted(|machine| {
        machine.restart(&Boot { initrd: b"rogue", ..BOOT });
        let told = BOOT.before_the_kernel().grub("kernel_cmdline", BOOT.command_line);
        let told = told.grub("grub_cmd", "initrd \"/initrd.img\"").exit_boot_services();
        machine.log = Some(told.bytes().to_vec());
    })
    .await;
    assert_eq!(codes(&verdict), [FindingCode::PcrNotReplayed], "{:?}", told(&verdict));
    let finding = the(&verdict, FindingCode::PcrNotReplayed);
    assert_eq!((finding.pcr.map(PcrIndex::get), finding.found.as_deref()), (Some(9), Some("no event of this PCR")));
}

#[tokio::test]
async fn the_first_evidence_meets_the_image_of_its_boot_and_not_the_newest_of_its_firmware() {
    let world = World::new().await;
    let mut web = world.machine().await;
    let mut other = world.machine().await;
    other.restart(&Boot { kernel: b"the kernel of a database", ..BOOT });
    let (web_image, other_image) = (web.image(&world, "web@1"), other.image(&world, "db@1"));
    world.import(&web_image).await;
    world.advance(1);
    world.import(&vouchsafe_attest::image::GoldenImage { created_at: START.plus(LATER), ..other_image }).await;
    for (machine, image) in [(&mut web, "web@1"), (&mut other, "db@1")] {
        machine.ask(&world).await;
        world.step(&mut machine.device, 1);
        let evidence = machine.evidence(machine.logs());
        let verdict = machine.send(&world, evidence).await.unwrap().verdict;
        assert_eq!(verdict.image(), Some(&image.parse().unwrap()), "{:?}", told(&verdict));
        assert_eq!(codes(&verdict), []);
    }
    // One that meets none waits for an operator, who is told nothing wrong of it.
    let mut stranger = world.machine().await;
    stranger.restart(&Boot { kernel: b"the kernel of a stranger", ..BOOT });
    let verdict = stranger.attest(&world).await;
    assert_eq!((verdict.image(), codes(&verdict)), (None, vec![FindingCode::ImageUnassigned]));
}

#[tokio::test]
async fn an_image_without_a_boot_section_asks_for_no_log() {
    let world = World::new().await;
    let mut machine = world.machine().await;
    let mut image = machine.image(&world, "values@1");
    image.boot = None;
    world.import(&image).await;
    world.assign(&mut machine, &image.id).await;
    machine.log = None;
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Affirming, "{:?}", told(&verdict));
    // A log that nobody asked for costs nothing, whatever is wrong with it.
    machine.log = Some(BootLog::new(&[HashAlgorithm::Sha256]).bytes().to_vec());
    let verdict = machine.attest(&world).await;
    assert_eq!(verdict.status(), VerdictStatus::Affirming, "{:?}", told(&verdict));
    assert!(verdict.findings().iter().any(|finding| finding.code == FindingCode::EventLogMismatch));
}

#[tokio::test]
async fn an_event_log_that_is_not_known_is_asked_for_and_one_that_was_not_named_is_refused() {
    use vouchsafe_trust_engine::attest::AttestRejected;
    use vouchsafe_trust_engine::measured::LogRejected;
    let world = World::new().await;
    let mut machine = world.golden_machine().await;
    machine.restart(&Boot { command_line: "/vmlinuz root=/dev/sda1 ro quiet", ..BOOT });
    let without = SentLogs { event_log: None, ..machine.logs() };
    let evidence = machine.evidence(without);
    let named = sha256(machine.log.as_ref().unwrap());
    let rejected = machine.send(&world, evidence).await.unwrap_err();
    assert!(
        matches!(rejected, AttestRejected::Logs(LogRejected::EventLogUnknown { named: unknown }) if unknown == named),
        "{rejected}"
    );
    // Nothing was decided, and the nonce is good still.
    let verdict = machine.attest(&world).await;
    the(&verdict, FindingCode::CommandLineMismatch);

    let other = SentLogs { event_log: Some(Deflated::new(BOOT.log().bytes()).unwrap()), ima: None };
    let rejected = machine.attest_with(&world, other.clone()).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Logs(LogRejected::EventLogDigest { .. })), "{rejected}");
    machine.log = None;
    let rejected = machine.attest_with(&world, other).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Logs(LogRejected::EventLogUnnamed)), "{rejected}");
}
