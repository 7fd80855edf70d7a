//! A new server's folder.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::support::{run_in, without_path};

const INIT: [&str; 8] =
    ["init", "--dir", "engine", "--trust-domain", "example.org", "--host", "engine.example.org", "--ip=127.0.0.1"];

fn modes_below(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.symlink_metadata().unwrap().mode() & 0o7777;
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        if mode != right {
            found.push(format!("{mode:o} {}", path.display()));
        }
        if path.is_dir() {
            modes_below(&path, found);
        }
    }
}

#[test]
fn is_made_once_and_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), INIT);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("vouchsafe serve --dir engine"), "{}", ran.stdout);
    let mut open = Vec::new();
    modes_below(dir.path(), &mut open);
    assert_eq!(open, Vec::<String>::new(), "these are open to others");

    let ran = run_in(dir.path(), INIT);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn says_what_is_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("engine"), "a file").unwrap();
    let ran = run_in(dir.path(), INIT);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: engine is no folder\n"), "{}", without_path(&ran.stderr, dir.path()));
}

#[test]
fn serves_operators_of_its_own_without_the_server() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run_in(dir.path(), INIT).code, 0);
    let issue = |role, out, more: &[&'static str]| {
        let fixed = ["credential", "issue", "--role", role, "--name", "alice", "--out", out, "--ca", "engine/ca"];
        run_in(dir.path(), fixed.into_iter().chain(more.iter().copied()))
    };
    let ran = issue("operator", "alice", &["--dir", "engine"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let profile = std::fs::read_to_string(dir.path().join("alice/operator.toml")).unwrap();
    assert!(profile.contains("url = \"https://engine.example.org:8443\"\n"), "{profile}");

    let ran = issue("operator", "alice", &["--dir", "engine"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.starts_with("error: alice/operator.key exists already and is not overwritten\nhint: "),
        "{}",
        ran.stderr
    );

    let ran = issue("enforcement", "edge", &["--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "an enforcement point needs no profile");
    let mut open = Vec::new();
    modes_below(dir.path(), &mut open);
    assert_eq!(open, Vec::<String>::new(), "these are open to others");

    let ran = issue("enforcement", "edge-2", &["--ttl", "91days"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: cannot issue"), "{}", ran.stderr);
    assert!(!dir.path().join("edge-2").exists(), "nothing is left behind");
}
