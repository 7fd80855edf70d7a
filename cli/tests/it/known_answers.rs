//! Every log and list that nobody here made, against the answer that is known of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Ran, data, run_in, vouchsafe};

fn appraise(what: &str, file: &str, more: &[&str]) -> Option<Ran> {
    let path = data(&format!("attestation/{file}"))?;
    let ran = vouchsafe(["appraise", what, path.to_str().unwrap()].iter().chain(more));
    Some(ran)
}

fn report(ran: &Ran) -> Value {
    assert_eq!(ran.stderr, "");
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The PCRs that another tool came to: JSON, or the end of what `tpm2_eventlog` printed.
fn known_pcrs(log: &str) -> Value {
    let read = |ending: &str| std::fs::read_to_string(data(&format!("attestation/{log}.{ending}")).unwrap()).unwrap();
    let folder = data("attestation/eventlogs").unwrap();
    if folder.parent().unwrap().join(format!("{log}.expected.json")).exists() {
        let expected: Value = serde_json::from_str(&read("expected.json")).unwrap();
        return expected["pcrs"].clone();
    }
    let mut banks: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut bank = String::new();
    for line in read("yaml").split("\npcrs:\n").nth(1).unwrap().lines() {
        let (key, value) = line.split_once(':').unwrap();
        match value.trim().strip_prefix("0x") {
            None => key.trim().clone_into(&mut bank),
            Some(hex) => drop(banks.entry(bank.clone()).or_default().insert(key.trim().to_owned(), hex.to_owned())),
        }
    }
    json!(banks)
}

/// A log: how many events it has, what `appraise eventlog` exits with, and the codes of its findings.
type Log = (&'static str, usize, i32, &'static [&'static str]);

const SEPARATORS: &[&str] = &["event_log.separator_missing"; 8];
const NO_EXIT: &str = "event_log.exit_boot_services_missing";
const LOOSE_END: &str = "event_log.event_data_malformed";
const LOGS: [Log; 11] = [
    ("arch-linux-workstation.bin", 25, 0, &["event_log.event_after_separator", NO_EXIT]),
    ("cos-85-amd-sev.bin", 46, 0, &[LOOSE_END, LOOSE_END]),
    ("debian-10.bin", 25, 0, &[LOOSE_END, NO_EXIT]),
    ("event-bootorder.bin", 104, 0, &[]),
    ("event-moklisttrusted.bin", 97, 0, &[]),
    ("event-uefi-sha1-log.bin", 17, 0, &[NO_EXIT]),
    ("glinux-alex.bin", 29, 0, &["event_log.event_after_separator", NO_EXIT]),
    ("keylime-secureboot.bin", 99, 0, &[]),
    ("rhel8-uefi.bin", 83, 0, &[]),
    ("ubuntu-1804-amd-sev.bin", 88, 0, &[]),
    ("ubuntu-2104-no-secure-boot.bin", 106, 0, &[]),
];

#[test]
fn every_log_replays_to_its_known_pcrs_and_deviates_as_is_known() {
    for (name, events, code, findings) in LOGS {
        let log = format!("eventlogs/{name}");
        let Some(ran) = appraise("eventlog", &log, &["--format=json"]) else { return };
        let report = report(&ran);
        assert_eq!((ran.code, report["events"].as_array().unwrap().len()), (code, events), "{name}");
        assert_eq!(codes(&report), findings, "{name}");
        if name == "keylime-secureboot.bin" {
            let banks: Vec<_> = report["banks"].as_object().unwrap().keys().collect();
            assert_eq!(banks, ["sha256"]);
            continue;
        }
        let known = known_pcrs(&log);
        for (bank, values) in known.as_object().unwrap() {
            assert_eq!(&report["banks"][bank], values, "{name} {bank}");
        }
        assert!(!known.as_object().unwrap().is_empty(), "{name}");
    }
}

#[test]
fn fragments_replay_to_their_known_pcrs_and_lack_their_separators() {
    for name in ["event-uefiaction.bin", "event-uefivar.bin"] {
        let log = format!("eventlogs/{name}");
        let Some(ran) = appraise("eventlog", &log, &["--format=json"]) else { return };
        let report = report(&ran);
        assert_eq!(ran.code, 2);
        assert_eq!(report["events"].as_array().unwrap().len(), 2, "{name}");
        assert_eq!(codes(&report), [SEPARATORS, &[NO_EXIT]].concat(), "{name}");
        for (bank, values) in known_pcrs(&log).as_object().unwrap() {
            assert_eq!(&report["banks"][bank], values, "{name} {bank}");
        }
    }
}

#[test]
fn odd_logs_give_the_deviation_that_is_known_of_them() {
    let Some(ran) = appraise("eventlog", "eventlogs-odd/ebs_event_missing_eventlog", &["--format=json"]) else {
        return;
    };
    let told = report(&ran);
    assert_eq!((ran.code, codes(&told)), (0, vec![NO_EXIT]));
    assert_eq!(told["exit_boot_services"], "missing");
    assert_ne!(told["banks"]["sha1"]["5"], "31245808d6d35849bc394f6343f2b3ff908ed5e3", "it is not made good");

    let ran = appraise("eventlog", "eventlogs-odd/option_rom_eventlog", &["--format=json"]).unwrap();
    let told = report(&ran);
    assert_eq!((ran.code, codes(&told).len()), (0, 0));
    let rom = &told["boot_chain"][0];
    assert_eq!((&rom["kind"], &rom["pcr"]), (&"boot_driver".into(), &2.into()));
    assert!(rom["path"].as_str().unwrap().starts_with("PciRoot(0x0)/Pci(0x2,0x0)"), "{rom}");

    let ran = appraise("eventlog", "eventlogs-odd/short_no_action_eventlog", &["--format=json"]).unwrap();
    let told = report(&ran);
    assert_eq!((&told["format"], told["events"].as_array().unwrap().len()), (&"tpm12".into(), 1));
    assert_eq!((ran.code, codes(&told)), (2, SEPARATORS.to_vec()), "it measures nothing");
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// A policy of the other tool, whose digests do not say of which hash they are, as a runtime section.
fn runtime_section(policy: &str) -> Option<String> {
    let policy = std::fs::read(data(&format!("attestation/ima/{policy}"))?).unwrap();
    let policy: Value = serde_json::from_slice(&policy).unwrap();
    let mut lines = vec!["[digests]\n".to_owned()];
    for (path, digests) in ["digests", "keyrings"].iter().flat_map(|name| policy[name].as_object().unwrap()) {
        let named = digests.as_array().unwrap().iter().map(|digest| {
            let digest = digest.as_str().unwrap();
            format!("\"{}:{digest}\"", if digest.len() == 40 { "sha1" } else { "sha256" })
        });
        lines.push(format!("{path:?} = [{}]\n", named.collect::<Vec<_>>().join(", ")));
    }
    Some(lines.concat())
}

#[test]
fn the_measurements_pass_with_their_policy_and_fail_with_the_wrong_one() {
    let dir = tempfile::tempdir().unwrap();
    for (policy, code, findings) in [("runtime_policy_test.json", 0, 0), ("runtime_policy_wrong.json", 2, 2)] {
        let (Some(section), Some(list)) = (runtime_section(policy), data("attestation/ima/ima_measurements.txt"))
        else {
            return;
        };
        std::fs::write(dir.path().join("policy.toml"), section).unwrap();
        let line = ["appraise", "ima", list.to_str().unwrap(), "--policy", "policy.toml", "--format=json"];
        let ran = run_in(dir.path(), line);
        let told = report(&ran);
        assert_eq!((ran.code, codes(&told)), (code, vec!["ima.file_unlisted"; findings]), "{policy}");
        assert_eq!(told["templates"], json!({"ima-sig": 3}));
    }
}

#[test]
fn signed_entries_and_keyrings_recompute_and_the_first_verifies_with_its_key() {
    let Some(key) = data("attestation/ima/rsa2048pub.pem") else { return };
    let keys = ["--keys", key.to_str().unwrap(), "--format=json"];
    let told = report(&appraise("ima", "ima/ima_signatures.txt", &keys).unwrap());
    assert_eq!(told["template_hash_mismatches"], json!([]));
    assert_eq!(told["signatures"], json!({"valid": 1, "invalid": [], "unsigned": 0, "unknown_key": 1}));
    let ran = appraise("ima", "ima/ima_keyrings.txt", &["--format=json"]).unwrap();
    let told = report(&ran);
    assert_eq!((ran.code, &told["templates"]), (0, &json!({"ima-buf": 1})));
    assert_eq!((&told["entries"], &told["template_hash_mismatches"]), (&json!(1), &json!([])));
}

#[test]
fn hostile_lists_name_the_bad_entry() {
    let Some(ran) = appraise("ima", "ima/ima_bad_signatures.txt", &["--format=json"]) else { return };
    let told = report(&ran);
    assert_eq!(ran.code, 2);
    assert_eq!((&told["signatures"]["invalid"], &told["template_hash_mismatches"]), (&json!([1]), &json!([1])));
    assert!(told["findings"].as_array().unwrap().iter().all(|finding| finding["entry"] == 1), "{told}");
    let ran = appraise("ima", "ima/invalid.ascii", &[]).unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let says = "line 1, at byte 0: the PCR is no number from 0 to 23";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
}
