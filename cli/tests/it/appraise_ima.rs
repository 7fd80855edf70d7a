//! `appraise ima` on lists that nobody here made, and on some that nobody should believe.

use serde_json::{Value, json};

use crate::support::{Ran, data, run_in, vouchsafe};

fn appraise(arguments: &[&str]) -> Ran {
    vouchsafe(["appraise", "ima"].iter().chain(arguments))
}

fn report(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn the_list_of_826_entries_is_told_in_the_documented_form() {
    let Some(list) = data("attestation/ima/rust-keylime-826.ascii") else { return };
    let ran = appraise(&[list.to_str().unwrap(), "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let mut report = report(&ran);
    let sha256 = report["pcr10"].as_object_mut().unwrap().remove("sha256").unwrap();
    assert_eq!(sha256.as_str().unwrap().len(), 64);
    let expected = json!({
        "entries": 826,
        "templates": {"ima-ng": 826},
        "violations": 0,
        "template_hash_mismatches": [],
        "signatures": {"valid": 0, "invalid": [], "unsigned": 826, "unknown_key": 0},
        "pcr10": {"sha1": "82231c67a69da98dc5b3aa10f6343d33109225fc"},
        "findings": [],
    });
    assert_eq!(report, expected);
    let text = appraise(&[list.to_str().unwrap()]);
    assert_eq!(text.code, 0);
    assert!(text.stdout.contains("82231c67a69da98dc5b3aa10f6343d33109225fc (sha1)"), "{}", text.stdout);
}

#[test]
fn signatures_are_checked_with_the_keys_of_a_folder() {
    let Some(list) = data("attestation/ima/ima_signatures.txt") else { return };
    let (list, dir) = (list.to_str().unwrap(), list.parent().unwrap().to_str().unwrap());
    let ran = appraise(&[list, "--keys", dir, "--format=json"]);
    let report = report(&ran);
    assert_eq!(report["signatures"], json!({"valid": 1, "invalid": [], "unsigned": 0, "unknown_key": 1}));
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_policy_is_a_golden_image_or_its_runtime_section() {
    let Some(list) = data("attestation/ima/ima_measurements.txt") else { return };
    let dir = tempfile::tempdir().unwrap();
    let digests = "\
\"/lib/modules/5.4.48-openpower1/kernel/drivers/usb/common/usb-common.ko\" = \
[\"sha256:f1125b940480d20ad841d26d5ea253edc0704b5ec1548c891edf212cb1a9365e\"]\n";
    let policies = [format!("[digests]\n{digests}"), format!("name = \"x\"\n[boot]\n[runtime.digests]\n{digests}")];
    for policy in policies {
        std::fs::write(dir.path().join("policy.toml"), policy).unwrap();
        let ran = run_in(dir.path(), ["appraise", "ima", list.to_str().unwrap(), "--policy", "policy.toml"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert_eq!(ran.stdout.matches("ima.file_unlisted").count(), 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("drm_panel_orientation_quirks.ko"), "{}", ran.stdout);
    }
}

#[test]
fn what_is_forged_is_named_and_nothing_of_it_drives_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let entry = format!("10 {} ima-ng sha256:{} /tmp/\x1b[2Jx\n", "11".repeat(20), "22".repeat(32));
    std::fs::write(dir.path().join("list"), entry).unwrap();
    let ran = run_in(dir.path(), ["appraise", "ima", "list"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stdout.contains("ima.template_hash_mismatch") && !ran.stdout.contains('\x1b'), "{}", ran.stdout);
    let report = report(&run_in(dir.path(), ["appraise", "ima", "list", "--format", "json"]));
    assert_eq!(report["template_hash_mismatches"], json!([1]));
    assert!(report["findings"].as_array().unwrap().iter().all(|finding| finding["path"] == "/tmp/\\u{1b}[2Jx"));
}

#[test]
fn unusable_input_exits_1_and_says_where_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    let good = format!("10 {} ima-ng sha256:{} /a\n", "11".repeat(20), "22".repeat(32));
    write("good", good.as_bytes());
    write("empty", b"");
    write("text", b"this-is-an-invalid-ima-log-file\n");
    write("second", format!("{good}10 x\n").as_bytes());
    write("binary", &[10, 0, 0, 0, 1, 2, 3]);
    write("bad.toml", b"[digests]\n\"/a/../b\" = [\"sha256:00\"]\n");
    write("typo.toml", b"excludes = []\n");
    write("no.pem", b"no key");
    for (arguments, says) in [
        (&["empty"][..], "is empty"),
        (&["absent"], "absent"),
        (&["text"], "line 1, at byte 0: the PCR is no number from 0 to 23"),
        (&["second"], "line 2, at byte 129: the template hash is not written in hexadecimal"),
        (&["binary"], "entry 1, at byte 0: truncated"),
        (&["good", "--policy", "bad.toml"], "digests, '/a/../b'"),
        (&["good", "--policy", "typo.toml"], "unknown field `excludes`"),
        (&["good", "--keys", "no.pem"], "neither a certificate nor a public key"),
    ] {
        let ran = run_in(dir.path(), ["appraise", "ima"].iter().chain(arguments));
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(says), "{arguments:?}: {}", ran.stderr);
    }
}
