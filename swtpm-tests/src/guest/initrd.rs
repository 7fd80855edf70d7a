//! What is in the guest: a shell, the agent with its libraries, and the modules of its kernel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::cpio::Archive;
use super::debian::stdout;
use super::kernel::Kernel;
use crate::binaries::binary;

/// Where Debian has busybox when the package is busybox-static.
pub(super) const BUSYBOX: &str = "/bin/busybox";
/// The libraries that tpm2-tss opens by name, so that no list of dependencies has them.
pub(super) const OPENED_BY_NAME: &str = "libtss2-tcti-device.so.0";
/// Folders that must be there to be mounted on, or written to.
const FOLDERS: [&str; 8] = ["dev", "etc", "proc", "run", "sys", "tmp", "usr/local/bin", "var/lib/vouchsafe-agent"];

/// The initramfs of a guest with this kernel.
///
/// # Errors
/// The agent is not built, or a part is missing on this host.
pub(super) fn of(kernel: &Kernel) -> Result<Archive> {
    let mut archive = Archive::default()
        .with_file("init", 0o755, include_str!("init.sh"))
        .with_device("dev/console", 5, 1)
        .with_file("etc/os-release", 0o644, "ID=vouchsafe-guest\nPRETTY_NAME=\"Vouchsafe test guest\"\n")
        // The engine listens on the loopback of the host, and QEMU's network has that at its gateway.
        .with_file("etc/hosts", 0o644, "10.0.2.2 localhost\n");
    for folder in FOLDERS {
        archive = archive.with_folder(folder);
    }
    let modules = kernel.modules()?;
    let order: String = modules.iter().flat_map(|(name, _)| [name.as_str(), "\n"]).collect();
    archive = archive.with_file("modules/order", 0o644, order);
    for (name, content) in modules {
        archive = archive.with_file(&format!("modules/{name}.ko"), 0o644, content);
    }
    with_agent(with_busybox(archive)?)
}

fn with_busybox(archive: Archive) -> Result<Archive> {
    let mut archive = archive.with_file("bin/busybox", 0o755, std::fs::read(BUSYBOX).context("reading busybox")?);
    let applets = stdout(Command::new(BUSYBOX).arg("--list"))?;
    ensure!(applets.lines().any(|applet| applet == "insmod"), "busybox has no insmod");
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        archive = archive.with_link(&format!("bin/{applet}"), "busybox");
    }
    Ok(archive)
}

fn with_agent(mut archive: Archive) -> Result<Archive> {
    let agent = binary("vouchsafe-agent")?;
    let stripped = tempfile::NamedTempFile::new()?;
    stdout(Command::new("strip").arg("-o").arg(stripped.path()).arg(&agent))?;
    archive = archive.with_file("bin/vouchsafe-agent", 0o755, std::fs::read(stripped.path())?);
    let mut libraries = libraries_of(&agent)?;
    let opened = library_folders(&libraries).map(|folder| folder.join(OPENED_BY_NAME)).find(|path| path.exists());
    let opened = opened.with_context(|| format!("{OPENED_BY_NAME} is not installed"))?;
    libraries.extend(libraries_of(&opened)?);
    libraries.insert(opened);
    for library in libraries {
        let content = std::fs::read(&library).with_context(|| format!("reading {}", library.display()))?;
        let path = library.to_str().context("a library's path is text")?.trim_start_matches('/');
        archive = archive.with_file(path, 0o755, content);
    }
    Ok(archive)
}

/// The libraries of a program at the paths where its loader looks, the loader itself among them.
fn libraries_of(program: &Path) -> Result<BTreeSet<PathBuf>> {
    let told = stdout(Command::new("ldd").arg(program))?;
    let missing = told.lines().find(|line| line.contains("not found"));
    ensure!(missing.is_none(), "{} needs {}", program.display(), missing.unwrap_or_default().trim());
    let words = told.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(words.map(|word| PathBuf::from(word.trim_end_matches(':'))).filter(|path| path != program).collect())
}

fn library_folders(libraries: &BTreeSet<PathBuf>) -> impl Iterator<Item = &Path> {
    libraries.iter().filter_map(|library| library.parent())
}
