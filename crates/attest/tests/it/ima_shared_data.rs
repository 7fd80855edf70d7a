//! Known answers from outside, if the shared data is there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use vouchsafe_attest::ima::{FileKey, ImaContext, ImaState, ListReport, RuntimePolicy, RuntimeSection};
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{FindingCode, HashAlgorithm};

use crate::ima::told;

fn shared(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation/ima").join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// Keylime's runtime policy: digests without their algorithm.
fn converted(bytes: &[u8]) -> RuntimePolicy {
    #[derive(serde::Deserialize)]
    struct Keylime {
        digests: BTreeMap<String, Vec<String>>,
        keyrings: BTreeMap<String, Vec<String>>,
    }
    let read: Keylime = serde_json::from_slice(bytes).unwrap();
    let named = |digest: &String| format!("{}:{digest}", if digest.len() == 40 { "sha1" } else { "sha256" });
    let digests = read.digests.iter().chain(&read.keyrings);
    let digests = digests.map(|(path, digests)| (path.clone(), digests.iter().map(named).collect())).collect();
    RuntimePolicy::compile(&RuntimeSection { digests, ..RuntimeSection::default() }).unwrap()
}

#[test]
fn the_list_of_826_entries_replays_to_its_known_pcr() {
    let Some(list) = shared("rust-keylime-826.ascii") else { return };
    let report = ListReport::of(&list, &[], None).unwrap();
    assert_eq!((report.entries, report.templates["ima-ng"], report.signatures.unsigned), (826, 826, 826));
    assert_eq!((report.violations, report.template_hash_mismatches.len()), (0, 0));
    let known: PcrValue = "82231c67a69da98dc5b3aa10f6343d33109225fc".parse().unwrap();
    assert_eq!(report.pcr10[&HashAlgorithm::Sha1], known);
    let advance = ImaState::new(HashAlgorithm::Sha1).advance(&list, Some(&known), ImaContext::default()).unwrap();
    assert_eq!((advance.is_quoted, advance.consumed_entries), (true, 826));
}

#[test]
fn a_line_of_it_that_is_changed_is_named() {
    let Some(list) = shared("rust-keylime-826.ascii") else { return };
    let text = String::from_utf8(list).unwrap().replacen(" /bin/sh\n", " /bin/zh\n", 1);
    let report = ListReport::of(text.as_bytes(), &[], None).unwrap();
    assert_eq!(report.template_hash_mismatches, [3]);
    assert!(told(&report.findings).contains(&(FindingCode::ImaTemplateMismatch, 3)));
}

#[test]
fn the_measurements_pass_with_their_policy_and_fail_with_the_wrong_one() {
    let (Some(list), Some(good), Some(wrong)) =
        (shared("ima_measurements.txt"), shared("runtime_policy_test.json"), shared("runtime_policy_wrong.json"))
    else {
        return;
    };
    let findings = |policy: &[u8]| ListReport::of(&list, &[], Some(&converted(policy))).unwrap().findings;
    assert_eq!(told(&findings(&good)), []);
    assert_eq!(told(&findings(&wrong)), [(FindingCode::FileUnlisted, 2), (FindingCode::FileUnlisted, 3)]);
}

#[test]
fn the_first_signature_verifies_with_its_key() {
    let (Some(list), Some(key), Some(policy)) =
        (shared("ima_signatures.txt"), shared("rsa2048pub.pem"), shared("runtime_policy_wrong.json"))
    else {
        return;
    };
    let keys = FileKey::read_all(&key).unwrap();
    let report = ListReport::of(&list, &keys, None).unwrap();
    assert_eq!((report.signatures.valid, report.signatures.unknown_key, report.signatures.unsigned), (1, 1, 0));
    assert!(report.signatures.invalid.is_empty() && report.template_hash_mismatches.is_empty());
    let judged = ListReport::of(&list, &keys, Some(&converted(&policy))).unwrap();
    let expected = [(FindingCode::ImaBootAggregateMissing, 1), (FindingCode::FileChanged, 2)];
    assert_eq!(told(&judged.findings), expected, "the signed file passes, whatever is listed for it");
    let swapped = String::from_utf8(list).unwrap().replacen("030204f3452d230100", "030204f3452d230101", 1);
    let report = ListReport::of(swapped.as_bytes(), &keys, None).unwrap();
    assert_eq!(report.signatures.invalid, [1]);
}

#[test]
fn the_key_of_the_keyring_recomputes_and_is_told() {
    let (Some(list), Some(good), Some(wrong)) =
        (shared("ima_keyrings.txt"), shared("runtime_policy_test.json"), shared("runtime_policy_wrong.json"))
    else {
        return;
    };
    let report = ListReport::of(&list, &[], None).unwrap();
    assert_eq!((report.entries, report.templates["ima-buf"]), (1, 1));
    assert!(report.template_hash_mismatches.is_empty());
    let codes = |policy: &[u8]| told(&ListReport::of(&list, &[], Some(&converted(policy))).unwrap().findings);
    assert_eq!(codes(&good), [(FindingCode::ImaBootAggregateMissing, 1)]);
    assert_eq!(codes(&wrong), [(FindingCode::ImaBootAggregateMissing, 1), (FindingCode::KeyringKeyUnknown, 1)]);
}

#[test]
fn malformed_lists_are_named() {
    if let Some(list) = shared("invalid.ascii") {
        let error = ListReport::of(&list, &[], None).unwrap_err();
        assert_eq!((error.entry, error.offset), (1, 0));
        assert_eq!(error.to_string(), "entry 1, at byte 0: the PCR is no number from 0 to 23");
    }
    if let Some(list) = shared("ima_bad_signatures.txt") {
        let report = ListReport::of(&list, &[], None).unwrap();
        assert_eq!((report.signatures.invalid, report.template_hash_mismatches), (vec![1], vec![1]));
        let fault = report.findings.iter().find_map(|finding| finding.found.clone());
        assert!(report.findings.len() >= 2 && fault.is_some(), "{:?}", report.findings);
    }
}
