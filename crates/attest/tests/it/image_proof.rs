//! What a quote proves of a boot, and what it does not.

use vouchsafe_attest::eventlog::{EventLog, EventType, extended_later};
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::forge::boot_log::{self, BootLog};
use vouchsafe_attest::image::{Capture, ClaimedBoot, Compiled, SeenBoot, capture};
use vouchsafe_attest::secure_boot::Dbx;
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, Severity, Timestamp};

use crate::image_boot::{compiled, hashed, pcr, quote, texts, value};
use crate::image_document::with;

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;
const SHIMS_KEYS: [u8; 4] = [14, 14, 14, 14];

/// Firmware, a boot loader that measures nothing but its command line, and shim's keys.
fn log() -> BootLog {
    BootLog::new(&[SHA256, HashAlgorithm::Sha1])
        .firmware(&boot_log::certificate_list(&[0x30, 1, 7]), &[])
        .application(b"the boot loader", "\\EFI\\grubx64.efi")
        .grub("kernel_cmdline", "/vmlinuz ro")
        .measured(14, EventType::IPL, &SHIMS_KEYS, b"MokList\0")
        .exit_boot_services()
}

fn booted(log: &BootLog) -> ForgedTpm {
    let mut tpm = ForgedTpm::new();
    log.extend(&mut tpm);
    tpm
}

/// What an image says of a boot.
fn seen(tpm: &ForgedTpm, log: &BootLog, image: &Compiled) -> Vec<Finding> {
    SeenBoot::of(&quote(tpm, "sha256:0-9,11-14"), Some(log.bytes()), &Dbx::default()).against(image)
}

#[test]
fn a_quoted_pcr_that_the_log_tells_nothing_of_is_named_with_its_value() {
    let image = compiled(with(&format!("[[boot.file]]\nname = \"/x\"\nsha256 = \"{}\"", value("f1"))).unwrap());
    let mut tpm = booted(&log());
    assert_eq!(seen(&tpm, &log(), &image), [], "nothing was measured there");
    tpm.extend(pcr(9), b"a file that the log leaves out");
    let findings = seen(&tpm, &log(), &image);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.severity), (FindingCode::PcrNotReplayed, Severity::Failure));
    assert_eq!((finding.bank, finding.pcr), (Some(SHA256), Some(pcr(9))));
    let value = quote(&tpm, "sha256:9").pcrs().values[&pcr(9)].clone();
    assert_eq!(finding.expected, Some(format!("events that come to {value}")));
    assert_eq!(finding.found.as_deref(), Some("no event of this PCR"));
    let unquoted = quote(&tpm, "sha256:0-8");
    let findings = SeenBoot::of(&unquoted, Some(log().bytes()), &Dbx::default()).against(&image);
    assert_eq!(texts(&findings), ["pcr.not_quoted PCR 9"]);
}

#[test]
fn a_pcr_that_was_extended_after_the_log_ended_is_named_with_both_values() {
    let image = compiled(with("[boot.keys.mok]\n").unwrap());
    let mut tpm = booted(&log());
    assert_eq!(seen(&tpm, &log(), &image), []);
    tpm.extend(pcr(14), b"more");
    let findings = seen(&tpm, &log(), &image);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.pcr), (FindingCode::PcrNotReplayed, Some(pcr(14))));
    let replayed = log();
    let replayed = replayed.pcr(SHA256, 14).unwrap();
    assert_eq!(finding.found, Some(format!("events that come to {replayed}")));
}

#[test]
fn files_are_judged_as_the_engine_judges_a_quote() {
    let log = log();
    let tpm = booted(&log);
    let quoted = quote(&tpm, "sha256:0-9,11-14");
    let parsed = EventLog::parse(log.bytes()).unwrap();
    let id = "web@1".parse().unwrap();
    let (facts, now) = (parsed.facts(), Timestamp::UNIX_EPOCH);
    let from = Capture { id: &id, now, facts: Some(&facts), pcrs: quoted.pcrs(), ignored: PcrSet::EMPTY };
    let good = capture(&from, []);
    let mut other = good.clone();
    let boot = other.boot.as_mut().unwrap();
    boot.command_lines.as_mut().unwrap().clear();
    boot.images.as_mut().unwrap()[0].digests = [(SHA256, [value("bad")].into())].into();
    for (image, expected) in [
        (good, &[][..]),
        (other, &[FindingCode::BootImageUnknown, FindingCode::BootImageMissing, FindingCode::CommandLineMismatch]),
    ] {
        let image = compiled(image);
        let claimed = ClaimedBoot::of(quoted.pcrs(), &parsed, &Dbx::default());
        let findings = claimed.against(&image);
        assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), expected);
        assert_eq!(findings, seen(&tpm, &log, &image));
        assert_eq!(claimed.facts().unwrap(), &facts);
        // Without a quote the log's own values stand for one.
        let replayed = parsed.replay().as_quoted(SHA256).unwrap();
        assert_eq!(ClaimedBoot::of(&replayed, &parsed, &Dbx::default()).against(&image), findings);
    }
}

#[test]
fn the_values_of_a_log_stand_for_a_quote_of_its_boot() {
    let parsed = log();
    let parsed = EventLog::parse(parsed.bytes()).unwrap();
    let replayed = parsed.replay().as_quoted(SHA256).unwrap();
    let selection = replayed.selection();
    assert_eq!(selection, "sha256:0-9,11-15".parse().unwrap());
    assert_eq!(&replayed.values[&pcr(9)], &value("0"));
    let tpm = booted(&log());
    assert_eq!(&replayed, quote(&tpm, "sha256:0-9,11-15").pcrs());
    assert_eq!(parsed.replay().as_quoted(HashAlgorithm::Sha512), None);
    let started = BootLog::new(&[SHA256]).startup_locality(3).event(4, EventType::SEPARATOR, &[0; 4]);
    let started = EventLog::parse(started.bytes()).unwrap().replay().as_quoted(SHA256).unwrap();
    assert_eq!(&started.values[&pcr(0)], &value("3"));
}

#[test]
fn a_claimed_log_that_does_not_replay_is_told_with_all_that_is_wrong_with_it() {
    let log = log().event(4, EventType::SEPARATOR, &[0; 4]);
    let parsed = EventLog::parse(log.bytes()).unwrap();
    let mut values = parsed.replay().as_quoted(SHA256).unwrap();
    values.values.insert(pcr(0), value("1"));
    values.values.insert(pcr(12), value("2"));
    let dbx: Dbx =
        [&hashed(parsed.facts().boot_chain[0].digests[&SHA256].to_string().parse().unwrap())].into_iter().collect();
    let boot = ClaimedBoot::of(&values, &parsed, &dbx);
    assert!(boot.facts().is_err());
    let image = compiled(with("[boot]\nsecure_boot = \"on\"").unwrap());
    let findings = boot.against(&image);
    let told: Vec<_> = findings.iter().map(|finding| (finding.code, finding.severity, finding.pcr)).collect();
    assert_eq!(
        told,
        [
            (FindingCode::BootImageRevoked, Severity::Failure, Some(pcr(4))),
            (FindingCode::EventLogMismatch, Severity::Failure, Some(pcr(0))),
            (FindingCode::SeparatorRepeated, Severity::Failure, Some(pcr(4))),
        ],
        "PCR 12 is not in the log: {findings:?}"
    );
    // What the system extended later is told, and is nothing against the log.
    let mut values = parsed.replay().as_quoted(SHA256).unwrap();
    values.values.insert(pcr(14), value("2"));
    assert!(extended_later().contains(pcr(14)));
    let boot = ClaimedBoot::of(&values, &parsed, &Dbx::default());
    let findings = boot.against(&compiled(with("[boot]\nsecure_boot = \"on\"\n").unwrap()));
    let told: Vec<_> = findings.iter().map(|finding| (finding.code, finding.severity, finding.pcr)).collect();
    assert_eq!(
        told,
        [
            (FindingCode::EventLogMismatch, Severity::Info, Some(pcr(14))),
            (FindingCode::SeparatorRepeated, Severity::Failure, Some(pcr(4))),
        ]
    );
    let mut other_bank = values;
    other_bank.bank = HashAlgorithm::Sha384;
    let findings = ClaimedBoot::of(&other_bank, &parsed, &Dbx::default()).against(&compiled(with("").unwrap()));
    let mismatches = findings.iter().filter(|finding| finding.code == FindingCode::EventLogMismatch);
    assert_eq!(mismatches.map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Failure]);
}
