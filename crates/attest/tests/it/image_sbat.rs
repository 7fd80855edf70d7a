//! SBAT levels that are as new as the image asks, and levels that are not (threat 18).

use std::path::PathBuf;

use vouchsafe_attest::eventlog::facts::BootFacts;
use vouchsafe_attest::eventlog::{EventLog, EventType};
use vouchsafe_attest::forge::boot_log::{self, BootLog, SHIM_LOCK};
use vouchsafe_attest::image::{boot, diff, merge};
use vouchsafe_attest::secure_boot::SbatLevel;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, Severity};

use crate::image_boot::{compiled, good, pcr, proof, texts};
use crate::image_document::{example, with};

const ASKED: &str = "[boot.sbat_level]\nsbat = 2023012900\ngrub = 3\n\"grub.debian\" = 4\nshim = 2\n";

fn compare(facts: &BootFacts, lines: &str) -> Vec<Finding> {
    boot::compare(facts, &compiled(with(lines).unwrap()), &proof("sha256:0-9,14"))
}

/// What a level is found to lack of the one that is asked for.
fn lacking(level: Option<&str>) -> Option<(String, String)> {
    let mut facts = good();
    facts.secure_boot.sbat = level.map(|csv| SbatLevel::parse(csv.as_bytes()));
    let findings = compare(&facts, ASKED);
    assert!(findings.len() <= 1, "{findings:?}");
    let finding = findings.into_iter().next()?;
    assert_eq!((finding.code, finding.severity), (FindingCode::SbatOutdated, Severity::Failure));
    assert_eq!((finding.pcr, finding.path.as_deref()), (Some(pcr(7)), Some("SbatLevel")));
    Some((finding.expected.unwrap(), finding.found.unwrap()))
}

#[test]
fn a_level_that_is_as_new_or_newer_has_no_finding() {
    for level in [
        "sbat,1,2023012900\nshim,2\ngrub,3\ngrub.debian,4\n",
        "sbat,1,2024010900\nshim,4\ngrub,3\ngrub.debian,4\nsystemd,1\n",
    ] {
        assert_eq!(lacking(Some(level)), None, "{level}");
    }
    assert_eq!(compare(&BootFacts::default(), "[boot]\noption_rom = []"), [], "an image that does not ask");
}

#[test]
fn what_is_older_or_absent_is_named_with_what_was_asked() {
    let told = |level| lacking(level).unwrap();
    let text = |expected: &str, found: &str| (expected.to_owned(), found.to_owned());
    let all = "at least sbat 2023012900, grub 3, grub.debian 4, shim 2";
    assert_eq!(told(None), text(all, "none was measured"));
    assert_eq!(told(Some("sbat,1,2021030218\n")), text(all, "sbat 2021030218, no grub, no grub.debian, no shim"));
    let one = told(Some("sbat,1,2023012900\nshim,1\ngrub,3\ngrub.debian,4\n"));
    assert_eq!(one, text("at least shim 2", "shim 1"));
    assert_eq!(told(Some("no level at all")).1, "no sbat, no grub, no grub.debian, no shim");
    let many = (0..12).map(|number| format!("c{number} = 1\n")).collect::<Vec<_>>().concat();
    let finding = &compare(&good(), &format!("[boot.sbat_level]\n{many}"))[0];
    assert!(finding.expected.as_ref().unwrap().ends_with(", 4 more"), "{finding}");
}

#[test]
fn a_level_counts_when_pcr_7_is_quoted() {
    let image = compiled(with(ASKED).unwrap());
    assert_eq!(texts(&boot::compare(&good(), &image, &proof("sha256:0-6"))), ["pcr.not_quoted PCR 7"]);
}

/// A real log; says so and stays away when it is not there.
fn real(name: &str) -> Option<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation/eventlogs");
    let bytes = std::fs::read(dir.join(name));
    if bytes.is_err() {
        println!("skipped: {name} is not there");
    }
    bytes.ok()
}

#[test]
fn real_logs_tell_the_level_that_shim_had_in_force() {
    for (name, event, found) in [
        ("keylime-secureboot.bin", Some(33), None),
        ("event-moklisttrusted.bin", Some(29), Some("sbat 2021030218, no grub, no grub.debian, no shim")),
        ("ubuntu-2104-no-secure-boot.bin", Some(27), Some("sbat 2021030218, no grub, no grub.debian, no shim")),
        ("rhel8-uefi.bin", None, Some("none was measured")),
    ] {
        let Some(bytes) = real(name) else { return };
        let facts = EventLog::parse(&bytes).unwrap().facts();
        assert_eq!(facts.secure_boot.events.get("SbatLevel").copied(), event, "{name}");
        let findings = compare(&facts, ASKED);
        let told: Vec<_> = findings.iter().map(|finding| (finding.code, finding.event)).collect();
        match found {
            None => assert_eq!(told, [], "{name}"),
            Some(found) => {
                assert_eq!(told, [(FindingCode::SbatOutdated, event)], "{name}");
                assert_eq!(findings[0].found.as_deref(), Some(found), "{name}");
            }
        }
    }
}

const OLD: &[u8] = b"sbat,1,2021030218\n";
const NEW: &[u8] = b"sbat,1,2023012900\nshim,2\ngrub,3\ngrub.debian,4\n";

fn level(value: &[u8]) -> Vec<u8> {
    boot_log::variable(&SHIM_LOCK, "SbatLevel", value)
}

fn firmware() -> BootLog {
    let key = boot_log::certificate_list(&[0x30, 1, 7]);
    BootLog::new(&[HashAlgorithm::Sha256]).firmware(&key, &[]).application(b"shim", "\\EFI\\shimx64.efi")
}

/// What is found of a forged log: as a log, and against the image.
fn found(log: BootLog) -> Vec<(FindingCode, Option<u64>)> {
    let log = log.exit_boot_services();
    let parsed = EventLog::parse(log.bytes()).unwrap();
    let findings = [parsed.deviations(), compare(&parsed.facts(), ASKED)].concat();
    findings.iter().map(|finding| (finding.code, finding.event)).collect()
}

#[test]
fn a_forged_log_does_not_pass_for_one_of_a_newer_shim() {
    const AUTHORITY: EventType = EventType::EFI_VARIABLE_AUTHORITY;
    let number = EventLog::parse(firmware().bytes()).unwrap().events().last().unwrap().number() + 1;
    assert_eq!(found(firmware().event(7, AUTHORITY, &level(NEW))), []);
    assert_eq!(found(firmware().event(7, AUTHORITY, &level(OLD))), [(FindingCode::SbatOutdated, Some(number))]);
    // The variable is another in the log than the one that was measured.
    let swapped = found(firmware().measured(7, AUTHORITY, &level(OLD), &level(NEW)));
    assert_eq!(swapped, [(FindingCode::EventDigestMismatch, Some(number))]);
    // What shim started says more, by an event of its own.
    let later = firmware().event(7, AUTHORITY, &level(OLD)).event(7, AUTHORITY, &level(NEW));
    assert_eq!(found(later), [(FindingCode::SbatOutdated, Some(number))]);
    // In a PCR that anyone extends it is no level, and out of place.
    let misplaced = found(firmware().event(14, AUTHORITY, &level(NEW)));
    assert_eq!(misplaced, [(FindingCode::EventMisplaced, Some(number)), (FindingCode::SbatOutdated, None)]);
    // Its name as a file of a boot loader says nothing.
    let named = found(firmware().measured(14, EventType::IPL, NEW, b"SbatLevel\0"));
    assert_eq!(named, [(FindingCode::SbatOutdated, None)]);
    // Shim measured nothing, as versions without SBAT do.
    assert_eq!(found(firmware()), [(FindingCode::SbatOutdated, None)]);
}

#[test]
fn levels_are_merged_into_the_higher_and_compared_by_component() {
    let other = with(
        "[boot]\nsecure_boot = \"on\"\nordered = true\n[boot.sbat_level]\nshim = 4\nsystemd = 1\n[[boot.image]]\nname = \"a\"\nsigner = \"CN=a\"",
    );
    let merged = merge(&[example(), other.unwrap()]).unwrap();
    let level = merged.boot.as_ref().unwrap().sbat_level.as_ref().unwrap();
    assert_eq!(level.to_string(), "sbat 2023012900, grub 3, grub.debian 4, shim 4, systemd 1");
    let mut raised = example();
    raised.boot.as_mut().unwrap().sbat_level = Some(level.clone());
    let changes: Vec<String> = diff(&example(), &raised).iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["boot.sbat_level 'shim'\n  - 2\n  + 4", "boot.sbat_level 'systemd'\n  + 1"]);
}
