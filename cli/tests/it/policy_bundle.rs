//! Bundles that are packed, signed and verified.

use std::fs;

use crate::support::run_in;

#[test]
fn a_bundle_verifies_by_its_key_and_by_no_other_and_not_after_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| run_in(dir.path(), arguments);
    assert_eq!(run(&["policy", "show", "--out", "policies"]).code, 0);
    for key in ["a.key", "b.key"] {
        let ran = run(&["policy", "keygen", key]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
    let bundle = |more: &[&str]| {
        let fixed = ["policy", "bundle", "policies", "--revision", "7", "--output", "p.tar.gz"];
        let ran = run(&[&fixed, more].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        fs::read(dir.path().join("p.tar.gz")).unwrap()
    };
    let verify = |key: &str| run(&["policy", "verify", "p.tar.gz", "--key", key, "--format", "json"]);

    assert_eq!(bundle(&[]), bundle(&[]), "the same files give the same bytes");
    let unsigned = verify("a.key.pub");
    assert_eq!(unsigned.code, 2);
    assert!(unsigned.stdout.contains("it is not signed"), "{}", unsigned.stdout);

    let signed = bundle(&["--key", "a.key", "--expires-at", "2036-01-01T00:00:00Z"]);
    let good = verify("a.key.pub");
    assert_eq!((good.code, good.stderr.as_str()), (0, ""), "{}", good.stdout);
    let report: serde_json::Value = serde_json::from_str(&good.stdout).unwrap();
    assert_eq!((&report["signed_by"], &report["revision"]), (&"policy".into(), &"7".into()));
    assert_eq!(report["expires_at"].as_str().map(|text| text.get(..10)), Some(Some("2036-01-01")));
    assert_eq!(verify("b.key.pub").code, 2, "another key did not sign it");
    let mut changed = signed;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(dir.path().join("p.tar.gz"), changed).unwrap();
    assert_eq!(verify("a.key.pub").code, 2);

    let ran = run(&["policy", "keygen", "a.key"]);
    assert_eq!(ran.code, 1, "a key is never overwritten");
}
