//! The demo that the README promises.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use vouchsafe_swtpm_tests::binaries::binary;

#[test]
fn the_demo_tells_its_story_and_leaves_nothing_behind() -> Result<()> {
    let binaries = binary("vouchsafe")?.parent().context("a binary is in a folder")?.to_owned();
    let scratch = tempfile::TempDir::new()?;
    let folder = scratch.path().join("demo");
    let demo = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo"))
        .env("CARGO_TARGET_DIR", binaries.parent().context("the folder is in a target folder")?)
        .env("PROFILE", binaries.file_name().context("the folder has a name")?)
        .env("DEMO_DIR", &folder)
        .output()?;
    let (told, errors) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    ensure!(demo.status.success(), "{told}\n{errors}");
    let decisions: Vec<&str> = told.lines().filter(|line| line.starts_with("decision: ")).collect();
    ensure!(decisions == ["decision: deny", "decision: allow", "decision: deny"], "{decisions:?}\n{told}");
    ensure!(told.contains("PCR 14 does not have the value"), "the PCR is not named:\n{told}");

    ensure!(!folder.exists(), "{} is left behind", folder.display());
    let scratch = scratch.path().to_string_lossy();
    for process in std::fs::read_dir("/proc")?.filter_map(Result::ok) {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        ensure!(!command.contains(scratch.as_ref()), "left behind: {command}");
    }
    Ok(())
}
