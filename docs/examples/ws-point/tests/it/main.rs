//! The point as a program. That it cuts connections is tried with the whole system.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;

fn point(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vouchsafe-ws-point")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn help_says_what_it_needs() {
    let (code, told) = point(&["--help"]);
    assert_eq!(code, Some(0), "{told}");
    for setting in ["--listen", "--service"] {
        assert!(told.contains(setting), "{setting}: {told}");
    }
}

#[test]
fn without_settings_it_does_not_start_and_names_what_is_missing() {
    let (code, told) = point(&[]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--service"), "{told}");
}
