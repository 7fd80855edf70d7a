//! Debian's kernels for the cloud: TPM, IMA and the EFI stub are built in, the devices of QEMU are modules.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::debian::{cache, cached, depends, versions};
use super::efi_image;

/// A kernel and its modules.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says.
    pub release: String,
    /// The image, with an EFI stub and Debian's signature.
    pub image: PathBuf,
    modules: PathBuf,
}

/// Depends on the current kernel.
const META_PACKAGE: &str = "linux-image-cloud-amd64";
/// What a guest needs, without what those need in turn.
const WANTED_MODULES: [&str; 4] = ["virtio_pci", "virtio_console", "virtio_net", "efivarfs"];
/// The kernel, and these with what they need, as patterns of tar.
const PATTERNS: [&str; 5] = ["./boot/vmlinuz-*", "*/virtio*.ko", "*/failover.ko", "*/net_failover.ko", "*/efivarfs.ko"];

impl Kernel {
    /// The newest kernel, from the cache if it was there once.
    ///
    /// # Errors
    /// It is neither in the cache nor in the archive.
    pub(super) fn newest() -> Result<Self> {
        if let Some(kept) = kept()?.pop() {
            return Ok(kept);
        }
        let version = versions(META_PACKAGE)?.into_iter().next();
        Self::of_version(&version.with_context(|| format!("apt-cache knows no {META_PACKAGE} (apt-get update)"))?)
    }

    /// A kernel of another version, or this one with another time stamp in its header where the archive has no other.
    ///
    /// # Errors
    /// Neither can be made.
    pub(super) fn other(&self) -> Result<Self> {
        if let Some(kept) = kept()?.into_iter().find(|kept| kept.release != self.release) {
            return Ok(kept);
        }
        for version in versions(META_PACKAGE).unwrap_or_default() {
            if let Ok(kernel) = Self::of_version(&version)
                && kernel.release != self.release
            {
                return Ok(kernel);
            }
        }
        let image = cache()?.join(format!("restamped-{}", self.release));
        std::fs::write(&image, efi_image::restamped(&std::fs::read(&self.image)?)?)?;
        Ok(Self { image, ..self.clone() })
    }

    fn of_version(version: &str) -> Result<Self> {
        let packages = depends(META_PACKAGE, version)?;
        let package = packages.iter().find(|name| name.starts_with("linux-image-"));
        let package = package.with_context(|| format!("{META_PACKAGE} {version} names no kernel"))?;
        let release = package.trim_start_matches("linux-image-");
        let folder = cached(&format!("kernel-{release}"), package, &PATTERNS, &format!("vmlinuz-{release}"))?;
        Self::in_folder(folder).with_context(|| format!("{package} holds no kernel"))
    }

    fn in_folder(modules: PathBuf) -> Option<Self> {
        let release = modules.file_name()?.to_str()?.strip_prefix("kernel-")?.to_owned();
        let image = modules.join(format!("vmlinuz-{release}"));
        image.exists().then_some(Self { release, image, modules })
    }

    /// The modules that a guest needs, in the order in which they must be loaded.
    ///
    /// # Errors
    /// One is not there.
    pub(super) fn modules(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut ordered = Vec::new();
        for name in WANTED_MODULES {
            load_order(&self.modules, name, &mut ordered, 0)?;
        }
        Ok(ordered)
    }
}

/// The kernels in the cache, oldest release first.
fn kept() -> Result<Vec<Kernel>> {
    let folders = std::fs::read_dir(cache()?)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut kernels: Vec<Kernel> = folders.filter_map(Kernel::in_folder).collect();
    kernels.sort_by_key(|kernel| release_order(&kernel.release));
    Ok(kernels)
}

/// The numbers of a release, so that 6.1.0-100 comes after 6.1.0-56.
fn release_order(release: &str) -> Vec<u64> {
    release.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// Modules do not depend on each other in circles; this is far more than the longest chain.
const MAX_DEPTH: usize = 16;

fn load_order(folder: &Path, name: &str, ordered: &mut Vec<(String, Vec<u8>)>, depth: usize) -> Result<()> {
    ensure!(depth < MAX_DEPTH, "module {name} depends on itself");
    if ordered.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    // A module's file may have hyphens where its name has underscores.
    let files = [name.to_owned(), name.replace('_', "-")].map(|file| folder.join(format!("{file}.ko")));
    let Some(file) = files.iter().find(|file| file.exists()) else {
        bail!("module {name} is not in {}", folder.display());
    };
    let content = std::fs::read(file)?;
    for needed in dependencies(&content) {
        load_order(folder, &needed, ordered, depth + 1)?;
    }
    ordered.push((name.to_owned(), content));
    Ok(())
}

/// What a module says in its `.modinfo` section that it depends on.
fn dependencies(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let value = module.get(at + KEY.len()..).unwrap_or_default();
    let value = value.split(|&byte| byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_after_what_it_depends_on_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let module = |name: &str, needs: &str| {
            std::fs::write(folder.path().join(format!("{name}.ko")), format!("ELF\0depends={needs}\0name={name}\0"))
                .unwrap();
        };
        module("virtio_net", "virtio,net-failover");
        module("virtio", "virtio_ring");
        module("virtio_ring", "");
        module("net-failover", "virtio_ring");
        let mut ordered = Vec::new();
        load_order(folder.path(), "virtio_net", &mut ordered, 0).unwrap();
        load_order(folder.path(), "virtio", &mut ordered, 0).unwrap();
        let names: Vec<&str> = ordered.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["virtio_ring", "virtio", "net-failover", "virtio_net"]);
        assert!(load_order(folder.path(), "e1000", &mut ordered, 0).is_err());
    }

    #[test]
    fn releases_are_ordered_by_their_numbers() {
        assert!(release_order("6.1.0-100-cloud-amd64") > release_order("6.1.0-56-cloud-amd64"));
    }
}
