//! Golden images from files: checked, compared, merged, signed and verified.

use std::fs;
use std::path::Path;

use crate::support::{Ran, data, run_in, without_path};

const OLD: &str = r#"format = "vouchsafe-image/1"
image = "web@2026.1"
created_at = "2026-01-31T12:00:00Z"
max_age = "90d"

[boot]
secure_boot = "on"
command_line = [{ pattern = "root=UUID=* ro quiet" }]

[[boot.image]]
name = "vmlinuz"
sha256 = "0000000000000000000000000000000000000000000000000000000000006b00"

[[boot.initrd]]
name = "initrd.img"
sha256 = "0000000000000000000000000000000000000000000000000000000000001d00"
"#;

fn new() -> String {
    OLD.replace("web@2026.1", "web@2026.2").replace("6b00", "6b01")
}

/// A folder with these images.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("old.toml"), OLD).unwrap();
    fs::write(dir.path().join("new.toml"), new()).unwrap();
    dir
}

fn run(dir: &Path, line: &str) -> Ran {
    run_in(dir, line.split(' '))
}

fn answer(dir: &Path, line: &str) -> String {
    let ran = run(dir, line);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
    ran.stdout
}

#[test]
fn an_image_is_looked_over() {
    let dir = folder();
    insta::assert_snapshot!("checked", answer(dir.path(), "image check old.toml"));
    assert_eq!(run(dir.path(), "image check old.toml --strict").code, 0);
    let open = OLD.replace("UUID=* ro", "UUID=* * ro").replace("max_age = \"90d\"\n", "");
    fs::write(dir.path().join("open.toml"), open).unwrap();
    insta::assert_snapshot!("warned", answer(dir.path(), "image check open.toml"));
    let strict = run(dir.path(), "image check open.toml --strict --format json");
    assert_eq!(strict.code, 2);
    let report: serde_json::Value = serde_json::from_str(&strict.stdout).unwrap();
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn what_is_no_image_is_told_with_line_and_column() {
    let dir = folder();
    let told = |text: &str| {
        fs::write(dir.path().join("bad.toml"), text).unwrap();
        let ran = run(dir.path(), "image check bad.toml");
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
        ran.stderr
    };
    let faults = [
        OLD.replace("secure_boot", "secureboot"),
        OLD.replace("6b00", "6b0"),
        OLD.replace("image/1", "image/9"),
        OLD.replace("[boot]", "[boot"),
        OLD.replace("max_age", "ignored_pcrs = [0]\nmax_age") + &format!("[pcrs.sha256]\n0 = \"{}\"\n", "0".repeat(64)),
        format!("{OLD}[runtime]\nexclude = [\"/**\"]\n"),
        String::new(),
    ];
    let told: Vec<String> = faults.iter().map(|text| told(text)).collect();
    insta::assert_snapshot!("no_image", told.concat());
}

#[test]
fn two_files_are_compared_fact_by_fact() {
    let dir = folder();
    insta::assert_snapshot!("difference", answer(dir.path(), "image diff old.toml new.toml"));
    let json: serde_json::Value =
        serde_json::from_str(&answer(dir.path(), "image diff ./old.toml ./new.toml --format json")).unwrap();
    assert_eq!(json["changes"][0]["fact"], "boot.image 'vmlinuz'");
    assert_eq!(answer(dir.path(), "image diff old.toml old.toml"), "web@2026.1 and web@2026.1 expect the same\n");
    assert_eq!(run(dir.path(), "image diff old.toml web@1").code, 1, "a file and one of the server");
}

#[test]
fn files_are_merged_into_one_that_is_an_image_and_contradictions_are_refused() {
    let dir = folder();
    let told = answer(dir.path(), "image merge old.toml new.toml --output both.toml");
    assert_eq!(told, "web@2026.1 of 2 images is in both.toml\n");
    insta::assert_snapshot!("merged", fs::read_to_string(dir.path().join("both.toml")).unwrap());
    answer(dir.path(), "image check both.toml");
    fs::write(dir.path().join("other.toml"), new().replace("90d", "30d")).unwrap();
    let ran = run(dir.path(), "image merge old.toml other.toml --output no.toml");
    assert_eq!(ran.code, 2);
    assert_eq!(ran.stderr, "refused: max_age differs: 90d in web@2026.1, 30d in web@2026.2\n");
    assert!(!dir.path().join("no.toml").exists());
}

#[test]
fn a_signed_image_is_verified_by_its_key_and_by_no_other() {
    let dir = folder();
    for key in ["a.key", "b.key"] {
        assert!(answer(dir.path(), &format!("image keygen {key}")).starts_with("key "));
    }
    assert_eq!(run(dir.path(), "image keygen a.key").code, 1, "nothing is overwritten");
    assert!(answer(dir.path(), "image sign old.toml --key a.key").starts_with("signed old.toml.dsse by key "));
    let verified = answer(dir.path(), "image verify old.toml.dsse --key b.key.pub --key a.key.pub --text text.toml");
    assert!(verified.starts_with("authentic  yes\nimage      web@2026.1\nkey        "), "{verified}");
    assert_eq!(fs::read_to_string(dir.path().join("text.toml")).unwrap(), OLD);
    let ran = run(dir.path(), "image verify old.toml.dsse --key b.key.pub --text no.toml --format json");
    assert_eq!(ran.code, 2);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["authentic"], &report["image"]), (&false.into(), &serde_json::Value::Null));
    assert!(!dir.path().join("no.toml").exists());
    let signed = fs::read_to_string(dir.path().join("old.toml.dsse")).unwrap();
    let mut envelope: serde_json::Value = serde_json::from_str(&signed).unwrap();
    envelope["payload"] = "Zm9ybWF0".into();
    fs::write(dir.path().join("forged.dsse"), envelope.to_string()).unwrap();
    assert_eq!(run(dir.path(), "image verify forged.dsse --key a.key.pub").code, 2);
}

#[test]
fn unusable_files_exit_1_and_say_what_is_wrong() {
    let dir = folder();
    answer(dir.path(), "image keygen a.key");
    fs::write(dir.path().join("text"), "no image at all\n").unwrap();
    let lines = [
        "image check missing.toml",
        "image sign text --key a.key",
        "image sign old.toml --key missing",
        "image sign old.toml --key a.key.pub",
        "image verify old.toml --key a.key.pub",
        "image verify old.toml --key text",
        "image merge old.toml text --output x.toml",
        "secureboot show text",
        "secureboot show missing",
    ];
    let told = lines.map(|line| {
        let ran = run(dir.path(), line);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}");
        format!("$ vouchsafe {line}\n{}", without_path(&ran.stderr, dir.path()))
    });
    insta::assert_snapshot!("unusable", told.concat());
}

#[test]
fn an_update_of_dbx_is_shown() {
    let Some(update) = data("attestation/secure-boot/dbxupdate-2014-08-11.bin") else { return };
    let update = update.display().to_string();
    let ran = run_in(Path::new("/"), ["secureboot", "show", &update]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    insta::assert_snapshot!("dbx", ran.stdout);
    let ran = run_in(Path::new("/"), ["secureboot", "show", &update, "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["images"], &report["timestamp"]), (&13.into(), &"2010-03-06T19:17:21.000Z".into()));
    assert_eq!(report["entries"].as_array().unwrap().len(), 13);
}
