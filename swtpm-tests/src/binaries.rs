//! Where the binaries of this workspace are: beside the test that runs.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The path of a binary of this workspace. A test of the whole workspace builds them all first.
///
/// # Errors
/// It was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("finding the running test")?;
    // target/debug/deps/it-0123456789abcdef
    let folder = test.parent().and_then(|deps| deps.parent()).context("the test is in no target folder")?;
    let path = folder.join(name);
    ensure!(path.exists(), "{} is not built; run `cargo test --workspace --no-run` first", path.display());
    Ok(path)
}
