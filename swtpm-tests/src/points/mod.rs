//! Enforcement points that people run, in front of a service of ours.

pub mod envoy;
pub mod nginx;
pub mod service;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::engine::Engine;

/// The example of this name, with each of these texts of it replaced: ports and paths of the test in place of those that an
/// operator has.
///
/// # Errors
/// When it cannot be read, or has no such text: the test would then try something else than what it says.
pub fn example(path: &str, replaced: &[(&str, &str)]) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(path);
    let mut text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    for (from, to) in replaced {
        ensure!(text.contains(from), "{} does not say {from}", file.display());
        text = text.replace(from, to);
    }
    Ok(text)
}

/// The certificate and the key of a point, as an operator issues them.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The certificate and its intermediate, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

impl Credential {
    /// Issues the credential of a point.
    ///
    /// # Errors
    /// The command fails, or leaves something else behind than expected.
    pub fn issue(engine: &Engine, name: &str) -> Result<Self> {
        let folder = engine.scratch().join(name);
        let out = folder.to_str().context("the path is text")?;
        let issued =
            engine.operator(&["credential", "issue", "--role", "enforcement", "--name", name, "--out", out])?;
        ensure!(issued.status.success(), "credential issue: {}", String::from_utf8_lossy(&issued.stderr));
        let find = |ending: &str| {
            let files = std::fs::read_dir(&folder)?.filter_map(Result::ok).map(|entry| entry.path());
            let is_it = |path: &PathBuf| path.extension().is_some_and(|found| found == ending);
            files.into_iter().find(is_it).with_context(|| format!("{} holds no .{ending}", folder.display()))
        };
        Ok(Self { certificate: find("crt")?, key: find("key")? })
    }
}

/// A path as text.
///
/// # Errors
/// It is none.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is text")
}
