//! Packages of the host's Debian archive: downloaded and unpacked in part, never installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The folder `target/guest/NAME`, filled from a package the first time that it is asked for: all files that match the
/// patterns of tar, without the folders they were in.
///
/// # Errors
/// The package cannot be had, or `complete` finds something missing in it.
pub(super) fn cached(name: &str, package: &str, patterns: &[&str], complete: &str) -> Result<PathBuf> {
    let cache = cache()?;
    let finished = cache.join(name);
    if finished.join(complete).exists() {
        return Ok(finished);
    }
    let building = tempfile::Builder::new().prefix("building").tempdir_in(&cache)?;
    let files = building.path().join("files");
    std::fs::create_dir(&files)?;
    let archive = download(package, building.path())?;
    unpack(&archive, patterns, &files)?;
    ensure!(files.join(complete).exists(), "package {package} has no {complete}");
    match std::fs::rename(&files, &finished) {
        Ok(()) => Ok(finished),
        // Another process was quicker.
        Err(_) if finished.join(complete).exists() => Ok(finished),
        Err(error) => Err(error).with_context(|| format!("keeping {}", finished.display())),
    }
}

/// The folder that keeps the parts of guests between runs.
pub(super) fn cache() -> Result<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guest");
    std::fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    Ok(cache.canonicalize()?)
}

/// The versions of a package in the archive, newest first.
///
/// # Errors
/// `apt-cache` fails.
pub(super) fn versions(package: &str) -> Result<Vec<String>> {
    let told = stdout(Command::new("apt-cache").args(["madison", package]))?;
    let mut versions: Vec<String> = Vec::new();
    for line in told.lines() {
        let version = line.split('|').nth(1).map(str::trim).unwrap_or_default();
        if !version.is_empty() && !line.ends_with("Sources") && !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    }
    Ok(versions)
}

/// What a version of a package depends on, by name.
///
/// # Errors
/// `apt-cache` fails.
pub(super) fn depends(package: &str, version: &str) -> Result<Vec<String>> {
    let told = stdout(Command::new("apt-cache").args(["depends", &format!("{package}={version}")]))?;
    Ok(told.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned).collect())
}

fn download(package: &str, into: &Path) -> Result<PathBuf> {
    // Without an option apt-get warns, when root runs it, that its own user cannot enter the folder.
    let options = ["-q", "-o", "APT::Sandbox::User=root", "download", package];
    stdout(Command::new("apt-get").args(options).current_dir(into)).context("is the list of packages up to date?")?;
    let files = std::fs::read_dir(into)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut archives = files.filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
    archives.next().with_context(|| format!("apt-get download {package} left no file"))
}

fn unpack(archive: &Path, patterns: &[&str], into: &Path) -> Result<()> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("running dpkg-deb")?;
    let stream = reader.stdout.take().context("dpkg-deb has an output")?;
    let mut tar = Command::new("tar");
    // Links are left alone: the ones of a package point to places that are not here.
    tar.args(["-x", "--wildcards", "--transform=flags=r;s|.*/||", "-C"]).arg(into).args(patterns);
    let unpacked = tar.stdin(stream).output().context("running tar")?;
    ensure!(unpacked.status.success(), "tar: {}", String::from_utf8_lossy(&unpacked.stderr));
    ensure!(reader.wait()?.success(), "dpkg-deb cannot read {}", archive.display());
    Ok(())
}

/// Runs a program that must succeed, and returns what it printed.
///
/// # Errors
/// It cannot be run, or fails; what it said is in the error.
pub(super) fn stdout(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
