//! Keys for enforcement points.

use std::os::unix::fs::MetadataExt as _;

use aws_lc_rs::digest::{SHA256, digest};

use crate::support::run_in;

#[test]
fn a_key_goes_into_a_closed_file_and_its_hash_into_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), ["point", "keygen", "--name", "edge-1", "--forwards", "user,http,user"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let file = dir.path().join("edge-1.key");
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    let key = std::fs::read_to_string(&file).unwrap();
    let key = key.trim_end();
    assert!(key.starts_with("vpk1-") && key.len() == 48, "{}", key.len());
    assert!(!ran.stdout.contains(key) && !ran.stderr.contains(key), "the key is shown");
    let hash = data_encoding::HEXLOWER.encode(digest(&SHA256, key.as_bytes()).as_ref());
    let settings = format!(
        "\n[[points]]\nname = \"edge-1\"\nkey_sha256 = \"{hash}\"\nforwards = [\"user\", \"http\"]\nunderstands = []\n"
    );
    assert_eq!(ran.stdout, settings);
    assert_eq!(ran.stderr, "the key is in edge-1.key: hand it to the point, and to nobody else\n");
}

#[test]
fn no_key_is_overwritten_and_no_two_are_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let make = |out: &str| run_in(dir.path(), ["point", "keygen", "--name", "edge-1", "--out", out]);
    assert_eq!((make("one").code, make("two").code), (0, 0));
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let one = read("one");
    assert_ne!(one, read("two"));
    let again = make("one");
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert_eq!(read("one"), one);
}

#[test]
fn what_a_point_meets_is_in_its_settings_and_what_is_no_code_makes_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let make = |codes: &str| run_in(dir.path(), ["point", "keygen", "--name", "edge-1", "--understands", codes]);
    let long = "x".repeat(65);
    for codes in ["", "step_up,,log", &long] {
        let ran = make(codes);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{codes}");
        assert!(ran.stderr.contains("the obligations that the point edge-1 meets"), "{}", ran.stderr);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let ran = make("step_up,say \"why\"");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let settings: toml::Table = toml::from_str(&ran.stdout).unwrap();
    let meets = settings["points"][0]["understands"].as_array().unwrap();
    assert_eq!(meets, &["step_up".into(), "say \"why\"".into()]);
}

#[test]
fn names_are_those_of_certificates() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "Edge", "../edge", "a/b", "-x"] {
        let ran = run_in(dir.path(), ["point", "keygen", &format!("--name={name}")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{name}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
