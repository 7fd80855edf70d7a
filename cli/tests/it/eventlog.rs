//! `appraise eventlog` on logs that nobody here made.

use std::path::PathBuf;

use crate::support::{Ran, data, vouchsafe};

fn appraise(log: &str, more: &[&str]) -> Option<Ran> {
    let path = data(&format!("attestation/{log}"))?;
    let line = ["appraise", "eventlog"].into_iter().map(PathBuf::from).chain([path]);
    Some(vouchsafe(line.chain(more.iter().map(PathBuf::from))))
}

#[test]
fn a_good_log_exits_0_and_tells_what_was_booted() {
    let Some(ran) = appraise("eventlogs/keylime-secureboot.bin", &[]) else { return };
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for told in ["99 events", "Secure Boot    on", "\\EFI\\redhat\\grubx64.efi", "Findings:\n  none\n"] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
}

#[test]
fn json_holds_banks_events_facts_and_findings() {
    let Some(ran) = appraise("eventlogs/cos-85-amd-sev.bin", &["--format=json"]) else { return };
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["banks"]["sha1"]["0"], "c032c3b51dbb6f96b047421512fd4b4dfde496f3");
    assert_eq!(json["events"].as_array().unwrap().len(), 46);
    assert_eq!(json["events"][3]["number"], 4);
    assert_eq!(json["events"][3]["pcr"], 7);
    assert_eq!(json["events"][3]["type"], "EV_EFI_VARIABLE_DRIVER_CONFIG");
    assert_eq!(json["secure_boot"]["enabled"], true);
    assert_eq!(json["boot_chain"][0]["event"], 23);
    assert_eq!(json["findings"][0]["code"], "event_log.event_data_malformed");
    assert_eq!((ran.code, &json["pcrs"]), (0, &"not_given".into()));
}

#[test]
fn values_that_the_log_does_not_come_to_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let pcrs = dir.path().join("pcrs.json");
    let option = format!("--pcrs={}", pcrs.display());
    let run = |value: &str| {
        std::fs::write(&pcrs, format!(r#"{{"sha1":{{"0":"{value}"}}}}"#)).unwrap();
        appraise("eventlogs/cos-85-amd-sev.bin", &[&option])
    };
    let Some(good) = run("c032c3b51dbb6f96b047421512fd4b4dfde496f3") else { return };
    assert_eq!(good.code, 0, "{}", good.stdout);
    let bad = run("d032c3b51dbb6f96b047421512fd4b4dfde496f3").unwrap();
    assert_eq!(bad.code, 2);
    assert!(bad.stdout.contains("failure: event_log.mismatch PCR 0"), "{}", bad.stdout);
}

#[test]
fn what_is_no_log_exits_1_with_offset_and_reason() {
    for (log, reason) in [
        ("specid-vendordata.bin", "event 1 at byte 69: vendorInfo: truncated: 4 bytes needed, 0 left"),
        ("binary_bios_measurements-bogus", "event 1 at byte 0: pcrIndex: 1969712994 is no PCR"),
        ("binary_bios_measurements-empty", "event 1 at byte 0: log: the log is empty"),
    ] {
        let Some(ran) = appraise(&format!("eventlogs-odd/{log}"), &[]) else { return };
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

#[test]
fn nothing_in_a_log_drives_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // A TPM 1.2 log with one file of a loader whose name clears the screen.
    let name = b"\x1b[2J\x1b]0;owned\x07/vmlinuz";
    let mut bytes = [&9u32.to_le_bytes()[..], &0xDu32.to_le_bytes(), &[7; 20]].concat();
    bytes.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
    bytes.extend(name);
    std::fs::write(&log, bytes).unwrap();
    let ran = vouchsafe([PathBuf::from("appraise"), PathBuf::from("eventlog"), log]);
    assert_eq!(ran.code, 2, "no separators");
    assert!(ran.stdout.contains("/vmlinuz") && !ran.stdout.contains(['\x1b', '\x07']), "{:?}", ran.stdout);
}
