//! Logs of real machines, if the shared data is there: each replays to its known PCRs, and shows what is known of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vouchsafe_attest::eventlog::facts::{BootFacts, BootImageKind, ExitBootServices, Loader, SignatureKind};
use vouchsafe_attest::eventlog::{EventLog, LogFormat, signature_lists, update_payload};
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, Sha1Bank};
use vouchsafe_attest::{key::AttestationKey, tpm::PublicArea};
use vouchsafe_model::pcr::{PcrSet, PcrValue, PcrValues};
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex, Severity};

/// Something of the shared data; says so and stays away when it is not there.
fn shared(path: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation").join(path);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    println!("skipped: {} is not there", path.display());
    None
}

type Banks = BTreeMap<HashAlgorithm, PcrValues>;

/// The known PCRs of a log, as another tool has them.
#[derive(serde::Deserialize)]
struct Expected {
    pcrs: Banks,
}

/// The known PCRs: JSON, or the end of what `tpm2_eventlog` printed.
fn known_pcrs(name: &str) -> Option<Banks> {
    if name == "keylime-secureboot.bin" {
        return Some(Banks::new());
    }
    let json = PathBuf::from(format!("eventlogs/{name}.expected.json"));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation");
    if folder.join(&json).exists() {
        let expected: Expected = serde_json::from_slice(&shared(json.to_str()?)?).unwrap();
        return Some(expected.pcrs);
    }
    let yaml = String::from_utf8(shared(&format!("eventlogs/{name}.yaml"))?).unwrap();
    let mut banks = Banks::new();
    let mut bank = None;
    for line in yaml.split("\npcrs:\n").nth(1).unwrap().lines() {
        let (key, value) = line.split_once(':').unwrap();
        match value.trim().strip_prefix("0x") {
            None => bank = Some(key.trim().parse().unwrap()),
            Some(hex) => {
                let values = banks.entry(bank.unwrap()).or_default();
                values.insert(key.trim().parse().unwrap(), hex.parse().unwrap());
            }
        }
    }
    Some(banks)
}

/// A deviation: its code, its weight, its event.
type Told = (FindingCode, Severity, Option<u64>);

/// Every log that is good, with how many events it has and which deviations, as (code, severity, event).
const LOGS: &[(&str, usize, &[Told])] = &[
    ("arch-linux-workstation.bin", 25, &[LATE_MENU_19, NO_EXIT]),
    ("cos-85-amd-sev.bin", 46, &[loose_end(25), loose_end(43)]),
    ("debian-10.bin", 25, &[loose_end(24), NO_EXIT]),
    ("event-bootorder.bin", 104, &[]),
    ("event-moklisttrusted.bin", 97, &[]),
    ("event-uefi-sha1-log.bin", 17, &[NO_EXIT]),
    ("glinux-alex.bin", 29, &[LATE_MENU_23, NO_EXIT]),
    ("keylime-secureboot.bin", 99, &[]),
    ("rhel8-uefi.bin", 83, &[]),
    ("ubuntu-1804-amd-sev.bin", 88, &[]),
    ("ubuntu-2104-no-secure-boot.bin", 106, &[]),
];

const NO_EXIT: Told = (FindingCode::ExitBootServicesMissing, Severity::Warning, None);
const LATE_MENU_19: Told = (FindingCode::EventAfterSeparator, Severity::Info, Some(19));
const LATE_MENU_23: Told = (FindingCode::EventAfterSeparator, Severity::Info, Some(23));

const fn loose_end(event: u64) -> Told {
    (FindingCode::EventDataMalformed, Severity::Info, Some(event))
}

fn told(findings: &[Finding]) -> Vec<Told> {
    findings.iter().map(|finding| (finding.code, finding.severity, finding.event)).collect()
}

#[test]
fn every_log_replays_to_its_known_pcrs() {
    let fragments = ["event-uefiaction.bin", "event-uefivar.bin"];
    for name in LOGS.iter().map(|(name, ..)| *name).chain(fragments) {
        let Some(bytes) = shared(&format!("eventlogs/{name}")) else { return };
        let replay = EventLog::parse(&bytes).unwrap().replay();
        let replayed: Banks = replay.banks().iter().map(|bank| (bank.bank, bank.values.clone())).collect();
        if name == "keylime-secureboot.bin" {
            assert_eq!(replayed.keys().collect::<Vec<_>>(), [&HashAlgorithm::Sha256]);
            continue;
        }
        let known = known_pcrs(name).unwrap();
        assert!(!known.is_empty());
        for (bank, values) in &known {
            assert_eq!(&replayed[bank], values, "{name} {bank}");
        }
    }
}

#[test]
fn good_logs_deviate_in_what_is_known_of_their_firmware_alone() {
    for (name, events, deviations) in LOGS {
        let Some(bytes) = shared(&format!("eventlogs/{name}")) else { return };
        let log = EventLog::parse(&bytes).unwrap();
        assert_eq!(log.events().len(), *events, "{name}");
        assert_eq!(told(&log.deviations()), *deviations, "{name}");
    }
}

#[test]
fn no_event_of_a_good_log_survives_a_flipped_bit_of_what_is_measured() {
    let Some(bytes) = shared("eventlogs/keylime-secureboot.bin") else { return };
    let good = EventLog::parse(&bytes).unwrap();
    for event in good.events().iter().filter(|event| event.extends().is_some()) {
        // The digest stands 36 bytes before the data: SHA-256, and the length of the data.
        let data_offset = event.offset() + 12 + 2 + 32 + 4;
        let mut flipped = bytes.clone();
        flipped[data_offset - 5] ^= 1;
        let log = EventLog::parse(&flipped).unwrap();
        let pcr = event.extends().unwrap();
        assert_ne!(log.replay().banks()[0].values[&pcr], good.replay().banks()[0].values[&pcr], "{event:?}");
        let names_only =
            ["EV_EFI_PLATFORM_FIRMWARE_BLOB", "EV_PLATFORM_CONFIG_FLAGS"].contains(&event.kind().name().unwrap());
        if event.kind().name().unwrap().contains("SERVICES") || names_only || matches!(pcr.get(), 9 | 14) {
            continue;
        }
        let deviations = log.deviations();
        let is_named = deviations
            .iter()
            .any(|finding| finding.code == FindingCode::EventDigestMismatch && finding.event == Some(event.number()));
        assert!(is_named, "event {} of {}: {deviations:?}", event.number(), event.kind());
    }
}

#[test]
fn odd_logs_give_the_named_deviation_or_error() {
    let Some(bytes) = shared("eventlogs-odd/ebs_event_missing_eventlog") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    assert_eq!(told(&log.deviations()), [NO_EXIT]);
    assert_eq!(log.facts().exit_boot_services, ExitBootServices::Missing);

    let bytes = shared("eventlogs-odd/short_no_action_eventlog").unwrap();
    let log = EventLog::parse(&bytes).unwrap();
    assert_eq!((log.format(), log.events().len()), (LogFormat::Tpm12, 1));
    assert_eq!(log.replay().startup_locality(), 3);

    let error = |path: &str| EventLog::parse(&shared(path).unwrap()).unwrap_err().to_string();
    assert_eq!(
        error("eventlogs-odd/specid-vendordata.bin"),
        "event 1 at byte 69: vendorInfo: truncated: 4 bytes needed, 0 left"
    );
    assert_eq!(
        error("eventlogs-odd/binary_bios_measurements-bogus"),
        "event 1 at byte 0: pcrIndex: 1969712994 is no PCR"
    );
    assert_eq!(error("eventlogs-odd/binary_bios_measurements-empty"), "event 1 at byte 0: log: the log is empty");
}

#[test]
fn the_missing_exit_from_boot_services_is_what_the_known_pcr_lacks() {
    let Some(mut bytes) = shared("eventlogs-odd/ebs_event_missing_eventlog") else { return };
    let known: PcrValue = "31245808d6d35849bc394f6343f2b3ff908ed5e3".parse().unwrap();
    let pcr5 = |bytes: &[u8]| EventLog::parse(bytes).unwrap().replay().banks()[0].values[&pcr(5)].clone();
    assert_ne!(pcr5(&bytes), known);
    for action in ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, action.as_bytes());
        bytes.extend(5u32.to_le_bytes());
        bytes.extend(0x8000_0007u32.to_le_bytes());
        bytes.extend(digest.as_ref());
        bytes.extend(u32::try_from(action.len()).unwrap().to_le_bytes());
        bytes.extend(action.as_bytes());
    }
    assert_eq!(pcr5(&bytes), known);
    assert_eq!(EventLog::parse(&bytes).unwrap().deviations(), []);
}

#[test]
fn an_option_rom_from_outside_the_firmware_is_told() {
    let Some(bytes) = shared("eventlogs-odd/option_rom_eventlog") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    assert_eq!(told(&log.deviations()), []);
    let facts = log.facts();
    let [rom, loader] = &facts.boot_chain[..] else { panic!("{:?}", facts.boot_chain) };
    assert_eq!((rom.kind, rom.pcr, rom.authority), (BootImageKind::BootDriver, pcr(2), Some(0)));
    assert_eq!(rom.path.as_deref(), Some("PciRoot(0x0)/Pci(0x2,0x0)/Pci(0x0,0x0)/Offset(0xf600,0x207ff)"));
    assert!(loader.path.as_ref().unwrap().ends_with("/\\EFI\\Microsoft\\Boot\\bootmgfw.efi"), "{loader:?}");
    assert_eq!(loader.authority, Some(1), "an authority of its own");
}

fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

fn facts(name: &str) -> Option<BootFacts> {
    Some(EventLog::parse(&shared(&format!("eventlogs/{name}"))?).unwrap().facts())
}

#[test]
fn a_boot_by_shim_and_grub_is_told_from_the_keys_to_the_initrd() {
    let Some(facts) = facts("keylime-secureboot.bin") else { return };
    let secure_boot = &facts.secure_boot;
    assert_eq!((secure_boot.enabled, secure_boot.setup_mode), (Some(true), None));
    assert_eq!((secure_boot.pk.len(), secure_boot.kek.len(), secure_boot.db.len()), (1, 3, 4));
    assert_eq!(secure_boot.dbx.len(), 371);
    let sbat = secure_boot.sbat.as_ref().unwrap().to_string();
    assert_eq!(sbat, "sbat 2023012900, grub 3, grub.debian 4, shim 2");
    let events: Vec<_> = secure_boot.events.iter().map(|(name, event)| (*name, *event)).collect();
    assert_eq!(events, [("KEK", 7), ("PK", 6), ("SbatLevel", 33), ("SecureBoot", 5), ("db", 8), ("dbx", 9)]);
    let variables: Vec<_> = secure_boot.authorities.iter().map(|authority| authority.variable.as_str()).collect();
    assert_eq!(variables, ["db", "SbatLevel", "vendor_db"]);
    let signer = secure_boot.authorities[2].entry.as_ref().unwrap();
    let SignatureKind::X509 { subject, .. } = &signer.kind else { panic!("{signer:?}") };
    assert!(subject.as_ref().unwrap().contains("Red Hat Secure Boot CA 5"));
    let images: Vec<_> = facts.boot_chain.iter().filter(|image| image.kind == BootImageKind::Application).collect();
    let authorities: Vec<_> = images.iter().map(|image| image.authority).collect();
    assert_eq!(authorities, [Some(0), Some(2), Some(2)], "shim by db, GRUB and kernel by shim's own");
    let line = facts.command_lines.iter().find(|line| line.loader == Loader::GrubKernel).unwrap();
    assert!(line.text.starts_with("(hd0,gpt2)/vmlinuz-5.14.0-503.11.1.el9_5.x86_64 root="), "{line:?}");
    let [initrd] = &facts.initrds[..] else { panic!("{:?}", facts.initrds) };
    assert_eq!(initrd.path.as_deref(), Some("(hd0,gpt2)/initramfs-5.14.0-503.11.1.el9_5.x86_64.img"));
    assert_eq!(facts.boot_order[0].description.as_deref(), Some("Red Hat Enterprise Linux"));
    assert_eq!(facts.partition_tables[0].partitions.len(), 3);
    assert_eq!(facts.exit_boot_services, ExitBootServices::Succeeded);
    assert_eq!(facts.firmware.as_deref(), Some("edk2-20240524-7.el9"));
}

#[test]
fn shim_that_measures_the_image_before_its_authority_is_followed() {
    let Some(facts) = facts("rhel8-uefi.bin") else { return };
    let images: Vec<_> = facts.boot_chain.iter().filter(|image| image.kind == BootImageKind::Application).collect();
    let authorities: Vec<_> = images.iter().map(|image| (image.event, image.authority)).collect();
    assert_eq!(authorities, [(24, Some(0)), (27, Some(1)), (78, Some(1))]);
    assert_eq!(facts.initrds[0].path, None, "this GRUB tells no path");
}

#[test]
fn the_command_line_of_systemd_boot_is_text() {
    let Some(facts) = facts("arch-linux-workstation.bin") else { return };
    let [line] = &facts.command_lines[..] else { panic!("{:?}", facts.command_lines) };
    assert_eq!(line.loader, Loader::Systemd);
    assert!(line.text.starts_with("initrd=\\intel-ucode.img initrd=\\initramfs-linux-lts.img "), "{}", line.text);
    assert_eq!(facts.secure_boot.enabled, Some(false));
}

#[derive(serde::Deserialize)]
struct CloudPcrs {
    hash: u16,
    pcrs: BTreeMap<u8, PcrValue>,
}

/// The quotes of a cloud's virtual TPM, verified.
fn cloud_quotes() -> Vec<AuthenticQuote> {
    let read = |name: &str| shared(&format!("quotes/gce-cos-85-nonce9009/{name}"));
    let Some(ak) = read("ak_pub.tpmt_public.bin") else { return Vec::new() };
    let ak = AttestationKey::from_public(PublicArea::parse_tpmt(&ak).unwrap()).unwrap();
    let quote = |number: usize| {
        let part = |part: &str| read(&format!("quote{number}.{part}")).unwrap();
        let pcrs: CloudPcrs = serde_json::from_slice(&part("pcrs.json")).unwrap();
        let bank = HashAlgorithm::from_tpm_alg_id(pcrs.hash).unwrap();
        let values = pcrs.pcrs.into_iter().map(|(index, value)| (pcr(index), value)).collect();
        let pcrs = PcrBank { bank, values };
        let (message, signature) = (part("tpms_attest.bin"), part("tpmt_signature.bin"));
        let selection = pcrs.selection();
        let (qualifying_data, sha1) = (&[0x90, 0x09][..], Sha1Bank::Consented);
        let check = QuoteCheck {
            ak: &ak,
            message: &message,
            signature: &signature,
            qualifying_data,
            selection: &selection,
            pcrs: &pcrs,
            sha1,
        };
        check.verify().unwrap()
    };
    (0..3).map(quote).collect()
}

#[test]
fn the_log_of_a_cloud_machine_is_authentic_by_each_of_its_quotes() {
    let quotes = cloud_quotes();
    let Some(bytes) = shared("quotes/gce-cos-85-nonce9009/eventlog.bin") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    for quote in &quotes {
        let replayed = log.authenticate(quote, PcrSet::EMPTY).unwrap();
        assert_eq!(replayed.covered(), "0-9".parse().unwrap());
        assert_eq!(replayed.facts(), log.facts());
        assert_eq!(log.replay().differences(quote.pcrs()), []);
    }
}

#[test]
fn a_log_of_another_boot_is_not_authentic_and_each_pcr_is_named() {
    let quotes = cloud_quotes();
    let Some(bytes) = shared("eventlogs/cos-85-amd-sev.bin") else { return };
    let log = EventLog::parse(&bytes).unwrap();
    for quote in &quotes {
        let findings = log.authenticate(quote, PcrSet::EMPTY).unwrap_err();
        assert!(findings.iter().all(|finding| finding.code == FindingCode::EventLogMismatch));
        let pcrs: PcrSet = findings.iter().map(|finding| finding.pcr.unwrap()).collect();
        assert_eq!(pcrs, "5,9".parse().unwrap(), "{findings:?}");
        let replayed = log.authenticate(quote, pcrs).unwrap();
        let kinds: Vec<_> = replayed.facts().boot_chain.iter().map(|image| image.kind).collect();
        assert_eq!(kinds, [BootImageKind::Application; 3], "nobody vouches for the files of PCR 9");
        assert_eq!(replayed.facts().exit_boot_services, ExitBootServices::Missing, "nor for PCR 5");
    }
}

#[test]
fn updates_of_dbx_are_read_behind_their_signature() {
    let entries =
        |name: &str| Some(signature_lists(update_payload(&shared(&format!("secure-boot/{name}"))?).unwrap()).unwrap());
    let Some(first) = entries("dbxupdate-2014-08-11.bin") else { return };
    let sha256 = |entries: &[_]| {
        entries
            .iter()
            .filter(|entry: &&vouchsafe_attest::eventlog::facts::SignatureEntry| {
                matches!(entry.kind, SignatureKind::Sha256 { .. })
            })
            .count()
    };
    assert_eq!((first.len(), sha256(&first)), (13, 13));
    let second = entries("dbxupdate_x64-2020-10-12.bin").unwrap();
    assert_eq!((second.len(), sha256(&second)), (186, 183));
    let third = entries("dbxupdate_x64-2021-04-29.bin").unwrap();
    assert_eq!((third.len(), sha256(&third)), (211, 211));
    let bare = shared("secure-boot/dbxupdate_x64-2021-04-29.bin").unwrap();
    for len in 0..bare.len() {
        if let Ok(payload) = update_payload(&bare[..len]) {
            // A cut between two lists leaves a shorter database.
            let _ = signature_lists(payload);
        }
    }
}
