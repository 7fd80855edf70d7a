//! Boot event logs that were forged: what is accepted, and what is named (threats 13 to 18).

use proptest::prelude::*;
use vouchsafe_attest::eventlog::facts::{BootImageKind, ExitBootServices, Loader};
use vouchsafe_attest::eventlog::{Event, EventLog, EventType};
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::forge::boot_log::{self, BootLog};
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, Sha1Bank};
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrIndex, PcrSelection, Severity};

const BANKS: [HashAlgorithm; 3] = [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384];
const SHA256: HashAlgorithm = HashAlgorithm::Sha256;

/// A machine that boots by GRUB, with nothing wrong about it.
fn good() -> BootLog {
    grub(firmware())
}

fn firmware() -> BootLog {
    BootLog::new(&BANKS).firmware(&boot_log::certificate_list(&[0x30, 1, 7]), &boot_log::image_list(&[[0xBB; 32]]))
}

fn grub(log: BootLog) -> BootLog {
    log.application(b"the boot loader", "\\EFI\\debian\\grubx64.efi")
        .grub("grub_cmd", "linux /vmlinuz root=/dev/sda1")
        .grub_file("/vmlinuz", b"the kernel")
        .grub("kernel_cmdline", "/vmlinuz root=/dev/sda1")
        .grub("grub_cmd", "initrd \"/initrd.img\"")
        .grub_file("/initrd.img", b"the initrd")
        .exit_boot_services()
}

fn deviations(log: &BootLog) -> Vec<(FindingCode, Option<u8>, Option<u64>)> {
    let findings = EventLog::parse(log.bytes()).unwrap().deviations();
    findings.iter().map(|finding| (finding.code, finding.pcr.map(PcrIndex::get), finding.event)).collect()
}

fn codes(log: &BootLog) -> Vec<FindingCode> {
    deviations(log).into_iter().map(|(code, ..)| code).collect()
}

/// The number of the last event.
fn last(log: &BootLog) -> u64 {
    EventLog::parse(log.bytes()).unwrap().events().last().unwrap().number()
}

fn quote(tpm: &ForgedTpm, selection: &str) -> AuthenticQuote {
    let selection: PcrSelection = selection.parse().unwrap();
    let quote = tpm.quote(&selection, b"nonce");
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    let check = QuoteCheck {
        ak: &ak,
        message: &quote.message,
        signature: &quote.signature,
        qualifying_data: b"nonce",
        selection: &selection,
        pcrs: &quote.pcrs,
        sha1: Sha1Bank::Refused,
    };
    check.verify().unwrap()
}

fn booted(log: &BootLog) -> ForgedTpm {
    let mut tpm = ForgedTpm::new();
    log.extend(&mut tpm);
    tpm
}

#[test]
fn a_good_log_has_no_deviation_and_replays_in_every_bank() {
    for log in [good(), grub(BootLog::tpm12().firmware(&[], &[]))] {
        assert_eq!(deviations(&log), []);
        assert_eq!(EventLog::parse(log.bytes()).unwrap().replay().banks(), log.pcrs());
    }
}

#[test]
fn a_good_log_is_authentic_and_its_facts_are_told() {
    let log = good();
    let (tpm, parsed) = (booted(&log), EventLog::parse(log.bytes()).unwrap());
    let replayed = parsed.authenticate(&quote(&tpm, "sha256:0-15"), PcrSet::EMPTY).unwrap();
    let facts = replayed.facts();
    assert_eq!(facts.secure_boot.enabled, Some(true));
    assert_eq!(facts.boot_chain[0].path.as_deref(), Some("\\EFI\\debian\\grubx64.efi"));
    assert_eq!((facts.boot_chain[1].kind, facts.boot_chain.len()), (BootImageKind::LoaderFile, 2));
    let kernel: Vec<_> = facts.command_lines.iter().filter(|line| line.loader == Loader::GrubKernel).collect();
    assert_eq!(kernel[0].text, "/vmlinuz root=/dev/sda1");
    assert_eq!(facts.initrds[0].path.as_deref(), Some("/initrd.img"));
    assert_eq!(facts.exit_boot_services, ExitBootServices::Succeeded);
    assert_eq!(facts.boot_order[0].description.as_deref(), Some("forged"));
    assert_eq!(facts.partition_tables[0].partitions[0].name, "EFI");
    assert_eq!(facts.firmware.as_deref(), Some("forged firmware 1.0"));
}

#[test]
fn what_the_quote_does_not_cover_is_not_told() {
    let log = good();
    let (tpm, parsed) = (booted(&log), EventLog::parse(log.bytes()).unwrap());
    let replayed = parsed.authenticate(&quote(&tpm, "sha256:0-7"), PcrSet::EMPTY).unwrap();
    assert_eq!(replayed.covered(), "0-7".parse().unwrap());
    let facts = replayed.facts();
    assert!(facts.command_lines.is_empty() && facts.initrds.is_empty());
    assert_eq!(facts.boot_chain.len(), 1);
}

#[test]
fn a_pcr_that_the_system_extends_later_may_differ_only_if_it_is_named() {
    let log = good().measured(11, EventType::IPL, b".linux\0", b".linux\0");
    let (mut tpm, parsed) = (booted(&log), EventLog::parse(log.bytes()).unwrap());
    tpm.extend(PcrIndex::new(11).unwrap(), b"enter-initrd");
    let quote = quote(&tpm, "sha256:0-15");
    let findings = parsed.authenticate(&quote, PcrSet::EMPTY).unwrap_err();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.pcr), (FindingCode::EventLogMismatch, PcrIndex::new(11)));
    let replayed = parsed.authenticate(&quote, "11".parse().unwrap()).unwrap();
    assert_eq!(replayed.covered(), "0-9".parse().unwrap(), "what may differ is not vouched for");
}

#[test]
fn a_firmware_pcr_that_the_log_leaves_out_must_have_its_first_value() {
    let log = BootLog::new(&BANKS).event(0, EventType::SEPARATOR, &[0; 4]);
    let parsed = EventLog::parse(log.bytes()).unwrap();
    let mut tpm = booted(&log);
    assert!(parsed.authenticate(&quote(&tpm, "sha256:0-23"), PcrSet::EMPTY).is_ok());
    tpm.extend(PcrIndex::new(10).unwrap(), b"an entry of IMA");
    assert!(parsed.authenticate(&quote(&tpm, "sha256:0-23"), PcrSet::EMPTY).is_ok(), "PCR 10 belongs to IMA");
    tpm.extend(PcrIndex::new(7).unwrap(), b"something else");
    let findings = parsed.authenticate(&quote(&tpm, "sha256:0-23"), PcrSet::EMPTY).unwrap_err();
    assert_eq!(findings.iter().map(|finding| finding.pcr).collect::<Vec<_>>(), [PcrIndex::new(7)]);
}

#[test]
fn an_event_without_the_quoted_bank_could_claim_anything_and_is_refused() {
    let mut log = good();
    let tpm = booted(&log);
    // Only SHA-1, so that no other bank changes.
    log.push(4, EventType::EFI_BOOT_SERVICES_APPLICATION, &[vec![7; 20]], &boot_log::image_load_event(&[]));
    let parsed = EventLog::parse(log.bytes()).unwrap();
    let findings = parsed.authenticate(&quote(&tpm, "sha256:0-9"), PcrSet::EMPTY).unwrap_err();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.event), (FindingCode::EventLogMismatch, Some(last(&log))));
    let ignored = "4".parse().unwrap();
    assert!(
        !parsed
            .authenticate(&quote(&tpm, "sha256:0-9"), ignored)
            .unwrap()
            .covered()
            .contains(PcrIndex::new(4).unwrap())
    );
    let other = parsed.authenticate(&quote(&tpm, "sha512:0-9"), PcrSet::EMPTY).unwrap_err();
    assert_eq!(other.len(), 1, "a bank that the log has no digests for: {other:?}");
}

/// Writes an event that claims another type than the one that it was measured with (threat 13).
fn retyped(kind: EventType) -> BootLog {
    firmware()
        .measured(4, kind, b"an image", b"nothing of interest")
        .application(b"the boot loader", "\\a")
        .exit_boot_services()
}

#[test]
fn events_that_hide_behind_another_type_are_named() {
    for kind in [
        EventType::UNUSED,
        EventType::EFI_VARIABLE_AUTHORITY,
        EventType::POST_CODE,
        EventType::IPL,
        EventType::S_CRTM_CONTENTS,
    ] {
        assert!(codes(&retyped(kind)).contains(&FindingCode::EventMisplaced), "{kind}");
    }
    for kind in [EventType(0x401), EventType(0x8000_00FF), EventType(u32::MAX)] {
        let codes = codes(&retyped(kind));
        assert!(codes.contains(&FindingCode::EventTypeUnknown), "{kind}: {codes:?}");
    }
    for kind in [EventType::EVENT_TAG, EventType::EFI_ACTION] {
        let codes = codes(&retyped(kind));
        assert!(
            codes.contains(&FindingCode::EventDigestMismatch) || codes.contains(&FindingCode::EventMisplaced),
            "{kind}"
        );
    }
}

#[test]
fn no_action_with_a_digest_is_named_and_never_extends() {
    let mut log = good();
    let before = log.pcrs().to_vec();
    let digests: Vec<Vec<u8>> = BANKS.iter().map(|bank| vec![1; bank.digest_len()]).collect();
    log.push(4, EventType::NO_ACTION, &digests, b"nothing");
    assert_eq!(deviations(&log), [(FindingCode::EventMisplaced, Some(4), Some(last(&log)))]);
    let parsed = EventLog::parse(log.bytes()).unwrap();
    assert_eq!(parsed.replay().banks(), before);
    assert_eq!(parsed.events().last().unwrap().extends(), None);
    // Information that belongs to no PCR, as Windows writes it, may have one.
    let mut log = good();
    log.push(u32::MAX, EventType::NO_ACTION, &digests, b"trust point");
    assert_eq!(deviations(&log), []);
    assert_eq!(EventLog::parse(log.bytes()).unwrap().events().last().map(Event::pcr), Some(None));
}

#[test]
fn separators_are_counted_read_and_not_stepped_over() {
    let separator = |pcr, data: &[u8]| good().event(pcr, EventType::SEPARATOR, data);
    let log = separator(3, &[0; 4]);
    assert_eq!(deviations(&log), [(FindingCode::SeparatorRepeated, Some(3), Some(last(&log)))]);

    let missing = BootLog::new(&BANKS).event(0, EventType::SEPARATOR, &[0xFF; 4]);
    let pcrs: Vec<_> = deviations(&missing).iter().map(|(code, pcr, _)| (*code, pcr.unwrap())).collect();
    assert_eq!(pcrs, (1..=7).map(|pcr| (FindingCode::SeparatorMissing, pcr)).collect::<Vec<_>>());

    let error = |measured: &[u8], data: &[u8]| {
        let mut log = BootLog::new(&[SHA256]).measured(0, EventType::SEPARATOR, measured, data);
        for pcr in 1..=7 {
            log = log.event(pcr, EventType::SEPARATOR, &[0; 4]);
        }
        deviations(&log)
    };
    let named = [(FindingCode::SeparatorError, Some(0), Some(2))];
    assert_eq!(error(&[1, 0, 0, 0], &[1, 0, 0, 0]), named);
    assert_eq!(error(&[1, 0, 0, 0], b"the TPM gave up"), named, "an error is described");
    assert_eq!(error(&[0; 4], &[0; 4]), []);
    assert_eq!(error(&[2, 0, 0, 0], &[0; 4]), [(FindingCode::EventDigestMismatch, Some(0), Some(2))]);

    let late = good().measured(0, EventType::EFI_PLATFORM_FIRMWARE_BLOB, b"code", &[0; 16]);
    assert_eq!(deviations(&late), [(FindingCode::EventAfterSeparator, Some(0), Some(last(&late)))]);
    let data = boot_log::variable(&boot_log::EFI_GLOBAL, "SecureBoot", &[1]);
    let late = good().event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &data);
    assert_eq!(deviations(&late), [(FindingCode::EventAfterSeparator, Some(7), Some(last(&late)))]);
}

#[test]
fn a_boot_menu_behind_the_separator_is_told_and_costs_nothing() {
    let log = good().boot_variable("Boot0002", &[]).boot_variable("Boot0003", &[]);
    let findings = EventLog::parse(log.bytes()).unwrap().deviations();
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.severity), (FindingCode::EventAfterSeparator, Severity::Info));
    assert_eq!(finding.event, Some(last(&log) - 1));
}

#[test]
fn leaving_the_boot_services_is_followed_to_its_end() {
    let action = |log: BootLog, text: &str| log.event(5, EventType::EFI_ACTION, text.as_bytes());
    let exit = |log: &BootLog| EventLog::parse(log.bytes()).unwrap().facts().exit_boot_services;
    let never = firmware();
    assert_eq!((codes(&never), exit(&never)), (vec![FindingCode::ExitBootServicesMissing], ExitBootServices::Missing));
    let tried = action(firmware(), "Exit Boot Services Invocation");
    assert_eq!((codes(&tried), exit(&tried)), (vec![FindingCode::ExitBootServicesMissing], ExitBootServices::Invoked));
    let failed = action(tried, "Exit Boot Services Returned with Failure");
    assert_eq!((codes(&failed), exit(&failed)), (vec![FindingCode::ExitBootServicesFailed], ExitBootServices::Failed));
    let again = failed.exit_boot_services();
    assert_eq!((codes(&again), exit(&again)), (vec![FindingCode::ExitBootServicesFailed], ExitBootServices::Succeeded));
}

#[test]
fn pcr_0_starts_from_the_locality_and_from_4_after_an_h_crtm() {
    let start = |log: &BootLog| EventLog::parse(log.bytes()).unwrap().replay().startup_locality();
    for locality in [0, 3, 4] {
        let log = BootLog::new(&BANKS).startup_locality(locality).event(0, EventType::S_CRTM_VERSION, b"1");
        assert_eq!(start(&log), locality);
        assert_eq!(EventLog::parse(log.bytes()).unwrap().replay().banks(), log.pcrs());
    }
    let hcrtm = |log: BootLog| log.measured(0, EventType::EFI_HCRTM_EVENT, b"what came first", b"HCRTM");
    let told = hcrtm(BootLog::new(&BANKS).startup_locality(4));
    let untold = hcrtm(BootLog::new(&BANKS));
    let contradicted = hcrtm(BootLog::new(&BANKS).startup_locality(3));
    for log in [&told, &untold, &contradicted] {
        assert_eq!(start(log), 4);
        assert_eq!(EventLog::parse(log.bytes()).unwrap().replay().banks(), told.pcrs());
    }
    let bad = BootLog::new(&BANKS).no_action(0, b"StartupLocality\0\x07").event(0, EventType::S_CRTM_VERSION, b"1");
    assert_eq!(start(&bad), 0);
    assert!(codes(&bad).contains(&FindingCode::EventDataMalformed));
    let elsewhere =
        BootLog::new(&BANKS).no_action(4, b"StartupLocality\0\x03").event(0, EventType::S_CRTM_VERSION, b"1");
    assert_eq!(start(&elsewhere), 0, "it counts in PCR 0 alone");
}

#[test]
fn a_quote_of_untouched_pcr_0_depends_on_the_locality() {
    let log = BootLog::new(&BANKS).startup_locality(3).event(1, EventType::SEPARATOR, &[0; 4]);
    let replay = EventLog::parse(log.bytes()).unwrap().replay();
    let tpm = booted(&log);
    let findings = replay.differences(&tpm.pcrs(&"sha256:0".parse().unwrap()));
    assert_eq!(findings.len(), 1, "the TPM of the test starts from locality 0");
    let mut value = vec![0; 32];
    value[31] = 3;
    assert_eq!(findings[0].found, Some(hex::encode(value)));
}

#[test]
fn data_that_is_not_what_was_measured_is_named_in_each_bank() {
    let variable = |value: u8| boot_log::variable(&boot_log::EFI_GLOBAL, "SetupMode", &[value]);
    let log = BootLog::new(&BANKS).measured(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &variable(1), &variable(0));
    let findings = EventLog::parse(log.bytes()).unwrap().deviations();
    let mismatches: Vec<&Finding> =
        findings.iter().filter(|finding| finding.code == FindingCode::EventDigestMismatch).collect();
    assert_eq!(mismatches.iter().filter_map(|finding| finding.bank).collect::<Vec<_>>(), BANKS);
    assert_eq!(mismatches[1].path.as_deref(), Some("SetupMode"));
    assert_eq!(mismatches[1].found, Some(digest(&variable(1))));
    assert_eq!(mismatches[1].expected, Some(digest(&variable(0))));
    // One bank alone is enough.
    let mut log = good();
    let action = b"Calling EFI Application from Boot Option";
    let mut digests: Vec<Vec<u8>> = Vec::new();
    for bank in BANKS {
        let probe = BootLog::new(&[bank]).event(4, EventType::EFI_ACTION, action);
        let parsed = EventLog::parse(probe.bytes()).unwrap();
        digests.push(parsed.events()[1].digest(bank).unwrap().to_vec());
    }
    digests[2][0] ^= 1;
    log.push(4, EventType::EFI_ACTION, &digests, action);
    let findings = EventLog::parse(log.bytes()).unwrap().deviations();
    assert_eq!(findings.iter().map(|finding| finding.bank).collect::<Vec<_>>(), [Some(HashAlgorithm::Sha384)]);
}

fn digest(data: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data))
}

#[test]
fn a_variable_whose_name_is_not_measured_is_named() {
    let data = boot_log::variable(&boot_log::EFI_GLOBAL, "SetupMode", &[0]);
    let log = BootLog::new(&BANKS).measured(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &[0], &data);
    let findings = EventLog::parse(log.bytes()).unwrap().deviations();
    let finding = findings.iter().find(|finding| finding.code == FindingCode::EventDigestMismatch).unwrap();
    assert_eq!(
        (finding.severity, finding.found.as_deref()),
        (Severity::Warning, Some("the digest of its value alone"))
    );
}

#[test]
fn a_kernel_command_line_does_not_pass_for_a_command() {
    for text in ["/vmlinuz init=/bin/sh", "(hd0,gpt2)/vmlinuz init=/bin/sh", "0+2048 init=/bin/sh"] {
        let log = good().grub("grub_cmd", text);
        assert_eq!(deviations(&log), [(FindingCode::EventMisplaced, Some(8), Some(last(&log)))], "{text}");
    }
    let renamed = good().measured(8, EventType::IPL, b"/vmlinuz init=/bin/sh", b"/boot/grub/fonts/unicode.pf2\0");
    assert_eq!(codes(&renamed), vec![FindingCode::EventDigestMismatch; BANKS.len()], "PCR 8 holds texts alone");
    let red_hat = good().measured(8, EventType::IPL, b"set pager=1\0", b"grub_cmd set pager=1\0");
    assert_eq!(deviations(&red_hat), [], "without a colon, and with the NUL");
}

#[test]
fn variables_of_secure_boot_that_contradict_each_other_are_named() {
    let flags = |flags: &[(&str, u8)]| {
        let mut log = BootLog::new(&[SHA256]);
        for (name, value) in flags {
            log = log.event(
                7,
                EventType::EFI_VARIABLE_DRIVER_CONFIG,
                &boot_log::variable(&boot_log::EFI_GLOBAL, name, &[*value]),
            );
        }
        codes(&log).into_iter().filter(|code| *code == FindingCode::SecureBootContradiction).count()
    };
    assert_eq!(flags(&[("SecureBoot", 1), ("SetupMode", 0), ("AuditMode", 0), ("DeployedMode", 1)]), 0);
    assert_eq!(flags(&[("SecureBoot", 0), ("SetupMode", 1), ("AuditMode", 1), ("DeployedMode", 0)]), 0);
    assert_eq!(flags(&[("SecureBoot", 1), ("SetupMode", 1)]), 1);
    assert_eq!(flags(&[("SecureBoot", 1), ("AuditMode", 1)]), 1);
    assert_eq!(flags(&[("DeployedMode", 1), ("SetupMode", 1)]), 1);
    assert_eq!(flags(&[("SecureBoot", 0), ("SecureBoot", 1)]), 1);
    let no_key = BootLog::new(&[SHA256])
        .event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &boot_log::variable(&boot_log::EFI_GLOBAL, "SecureBoot", &[1]))
        .event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &boot_log::variable(&boot_log::EFI_GLOBAL, "PK", &[]));
    assert!(codes(&no_key).contains(&FindingCode::SecureBootContradiction));
    let twice = BootLog::new(&[SHA256])
        .event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &boot_log::variable(&boot_log::EFI_GLOBAL, "SecureBoot", &[0]))
        .event(
            7,
            EventType::EFI_VARIABLE_DRIVER_CONFIG,
            &boot_log::variable(&boot_log::EFI_GLOBAL, "SecureBoot", &[1]),
        );
    assert_eq!(EventLog::parse(twice.bytes()).unwrap().facts().secure_boot.enabled, Some(false), "the worse counts");
}

#[test]
fn data_of_another_shape_is_named() {
    let config = |name: &str, value: &[u8]| {
        let data = boot_log::variable(&boot_log::EFI_GLOBAL, name, value);
        BootLog::new(&[SHA256]).event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &data)
    };
    for log in [
        config("SecureBoot", &[2]),
        config("SecureBoot", &[0, 0]),
        config("dbx", &[1; 40]),
        BootLog::new(&[SHA256]).event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &[1; 31]),
        BootLog::new(&[SHA256]).event(4, EventType::EFI_BOOT_SERVICES_APPLICATION, &[0; 31]),
        BootLog::new(&[SHA256]).event(4, EventType::EFI_BOOT_SERVICES_APPLICATION, &[0xFF; 40]),
        BootLog::new(&[SHA256]).event(5, EventType::EFI_GPT_EVENT, b"EFI PART"),
        BootLog::new(&[SHA256]).event(9, EventType::EVENT_TAG, &[0xFF; 9]),
    ] {
        assert!(codes(&log).contains(&FindingCode::EventDataMalformed), "{:?}", codes(&log));
        let _ = EventLog::parse(log.bytes()).unwrap().facts();
    }
    assert!(!codes(&config("dbx", &[])).contains(&FindingCode::EventDataMalformed), "a variable that does not exist");
}

#[test]
fn a_kernel_by_its_own_stub_tells_digests() {
    let log = firmware()
        .application(b"the kernel", "\\vmlinuz.efi")
        .linux_stub("root=/dev/vda quiet", b"the initrd")
        .exit_boot_services();
    assert_eq!(deviations(&log), []);
    let facts = EventLog::parse(log.bytes()).unwrap().facts();
    assert_eq!((facts.command_lines[0].loader, facts.command_lines[0].text.as_str()), (Loader::LinuxStub, ""));
    let utf16: Vec<u8> = "root=/dev/vda quiet\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(facts.command_lines[0].digests[&SHA256].to_string(), digest(&utf16));
    assert_eq!(facts.initrds[0].digests[&SHA256].to_string(), digest(b"the initrd"));
    let elsewhere =
        good().measured(8, EventType::EVENT_TAG, b"x", &boot_log::tag(0x8F3B_22ED, b"LOADED_IMAGE::LoadOptions\0"));
    assert_eq!(
        codes(&elsewhere),
        vec![FindingCode::EventDigestMismatch; BANKS.len()],
        "its tag explains nothing in PCR 8"
    );
}

#[test]
fn a_unified_kernel_image_is_told_by_its_sections() {
    let utf16 = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut log = firmware().application(b"the image", "\\EFI\\Linux\\a.efi");
    for (name, content) in [(".linux", "the kernel"), (".cmdline", "quiet"), (".initrd", "the initrd")] {
        log = log.measured(11, EventType::IPL, format!("{name}\0").as_bytes(), &utf16(name)).measured(
            11,
            EventType::IPL,
            content.as_bytes(),
            &utf16(name),
        );
    }
    let log = log
        .event(12, EventType::IPL, &utf16("quiet splash"))
        .measured(12, EventType::IPL, b"an archive", &utf16("Credentials initrd"))
        .exit_boot_services();
    assert_eq!(deviations(&log), []);
    let facts = EventLog::parse(log.bytes()).unwrap().facts();
    let lines: Vec<_> =
        facts.command_lines.iter().map(|line| (line.loader, line.text.as_str(), line.digests.len())).collect();
    assert_eq!(lines, [(Loader::Systemd, "", BANKS.len()), (Loader::Systemd, "quiet splash", 0)]);
    let initrds: Vec<_> = facts.initrds.iter().map(|initrd| initrd.path.as_deref().unwrap()).collect();
    assert_eq!(initrds, [".initrd", "Credentials initrd"]);
    assert_eq!(facts.boot_chain[1].path.as_deref(), Some(".linux"));
    let renamed = firmware().measured(11, EventType::IPL, b".linux\0", &utf16(".sbat")).exit_boot_services();
    assert_eq!(codes(&renamed), vec![FindingCode::EventDigestMismatch; BANKS.len()], "a section by another name");
}

#[test]
fn no_more_deviations_are_told_than_allowed() {
    let log = (0..300).fold(good(), |log, _| log.event(4, EventType::UNUSED, b""));
    let findings = EventLog::parse(log.bytes()).unwrap().deviations();
    assert_eq!(findings.len(), vouchsafe_attest::eventlog::MAX_DEVIATIONS + 1);
    assert_eq!(findings.last().unwrap().code, FindingCode::EventLogMore);
}

proptest! {
    #[test]
    fn replaying_goes_on_where_it_ended(texts in proptest::collection::vec(("[a-z]{0,20}", 0u8..16), 1..20)) {
        let extend = |log: BootLog, (text, pcr): &(String, u8)| log.event(*pcr, EventType::ACTION, text.as_bytes());
        let log = texts.iter().fold(BootLog::new(&BANKS), extend);
        let parsed = EventLog::parse(log.bytes()).unwrap();
        let replay = parsed.replay();
        prop_assert_eq!(replay.banks(), log.pcrs());
        let mut tpm = ForgedTpm::new();
        log.extend(&mut tpm);
        for bank in replay.banks() {
            prop_assert_eq!(&tpm.pcrs(&bank.selection()), bank);
        }
    }

    #[test]
    fn any_change_of_a_digest_changes_its_pcr(event in 1usize..30, bit in 0usize..160) {
        let log = good();
        let parsed = EventLog::parse(log.bytes()).unwrap();
        let event = &parsed.events()[event % (parsed.events().len() - 1) + 1];
        let mut bytes = log.bytes().to_vec();
        // The first digest is of SHA-1 and stands behind PCR, type, count and algorithm.
        bytes[event.offset() + 14 + bit / 8] ^= 1 << (bit % 8);
        let changed = EventLog::parse(&bytes).unwrap().replay();
        let differences = changed.differences(&log.pcrs()[0]);
        prop_assert_eq!(differences.len(), usize::from(event.extends().is_some()));
    }
}
