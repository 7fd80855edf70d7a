//! Completions and manual pages.

use crate::help::commands;
use crate::support::{run_in, vouchsafe};

#[test]
fn every_shell_completes_every_family() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = vouchsafe(["completions", shell]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        for name in commands().into_iter().flatten() {
            assert!(ran.stdout.contains(&name), "{shell} does not complete {name}");
        }
    }
    assert_eq!(vouchsafe(["completions", "csh"]).code, 1);
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run_in(dir.path(), ["man", "pages"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut pages: Vec<String> = std::fs::read_dir(dir.path().join("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    let mut commands: Vec<String> = commands()
        .into_iter()
        .map(|path| ["vouchsafe".to_owned()].into_iter().chain(path).collect::<Vec<_>>().join("-") + ".1")
        .collect();
    commands.sort();
    assert_eq!(pages, commands);
    assert_eq!(ran.stdout, format!("{} manual pages are in pages\n", pages.len()));
    let page = std::fs::read_to_string(dir.path().join("pages/vouchsafe-token-create.1")).unwrap();
    assert!(page.contains(".TH vouchsafe-token-create 1") && page.contains("Examples:"), "{page}");

    let again = run_in(dir.path(), ["man", "pages"]);
    assert_eq!(again.code, 0, "pages of earlier versions are replaced: {}", again.stderr);
    std::fs::write(dir.path().join("file"), "").unwrap();
    let ran = run_in(dir.path(), ["man", "file/x"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: cannot make the folder file/x"), "{}", ran.stderr);
}
