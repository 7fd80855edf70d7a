//! What a machine boots, and by which way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::boot_entry::load_option;
use super::cpio::Archive;
use super::debian::stdout;
use super::kernel::Kernel;
use super::parts::{Loader, TestKey};
use super::{esp, initrd};

/// A kernel with its initramfs and command line.
#[derive(Clone, Debug)]
pub struct Software {
    /// The kernel.
    pub kernel: Kernel,
    /// The initramfs, which is all of the guest's user space.
    pub initrd: Archive,
    /// The command line.
    pub command_line: String,
}

/// A serial console; IMA measures for root; the initramfs is a ramfs, where IMA looks; a kernel that panics ends.
const COMMAND_LINE: &str = "console=ttyS0 ima_policy=tcb rootfstype=ramfs panic=-1 quiet";

impl Software {
    /// A guest with this kernel, the agent of this build, and nothing special.
    ///
    /// # Errors
    /// A part is missing.
    pub fn new(kernel: &Kernel) -> Result<Self> {
        let initrd = initrd::of(kernel).context("making the initramfs")?;
        Ok(Self { kernel: kernel.clone(), initrd, command_line: COMMAND_LINE.to_owned() })
    }

    /// The same with more on the command line.
    #[must_use]
    pub fn with_option(mut self, option: &str) -> Self {
        self.command_line = format!("{} {option}", self.command_line);
        self
    }

    /// The same with one more file in the initramfs; the path has no leading slash.
    #[must_use]
    pub fn with_file(mut self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.initrd = self.initrd.with_file(path, mode, content);
        self
    }
}

/// The way from the firmware to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// QEMU hands kernel, initramfs and command line to OVMF, which starts the kernel's EFI stub. OVMF starts it without that
    /// stub where Secure Boot refuses it: nothing is enforced on this way.
    Direct,
    /// A boot entry starts the kernel's EFI stub from the system partition.
    Stub,
    /// A unified kernel image at the default path of the system partition.
    Unified,
    /// systemd-boot, with an entry of type 1.
    SystemdBoot,
    /// shim, GRUB and a kernel, all as Microsoft and Debian signed them.
    ShimGrub,
}

/// What was installed.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) medium: Medium,
    /// The image that the firmware starts.
    pub(super) first_image: PathBuf,
    /// The boot entry that starts it, where it is not at the default path.
    pub(super) entry: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) enum Medium {
    /// Handed over by QEMU.
    Direct { kernel: PathBuf, initrd: PathBuf, command_line: String },
    /// A disk with a system partition.
    Disk(PathBuf),
}

/// Where the firmware looks without a boot entry (UEFI 2.10, 3.5.1.1).
const DEFAULT_PATH: &str = "EFI/BOOT/BOOTX64.EFI";

/// Installs software into a machine's folder. Images that the host has no signature for are signed with the key, if there
/// is one.
pub(super) fn install(software: &Software, chain: Chain, key: Option<&TestKey>, folder: &Path) -> Result<Installed> {
    let (initrd, disk) = (folder.join("initrd"), folder.join("disk"));
    std::fs::write(&initrd, software.initrd.to_bytes()?)?;
    let kernel = folder.join("kernel");
    let debian_signed = chain == Chain::ShimGrub;
    signed(&software.kernel.image, &kernel, if debian_signed { None } else { key })?;
    let write = |name: &str, content: String| -> Result<PathBuf> {
        let path = folder.join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    };
    let options = &software.command_line;
    let (first_image, entry) = match chain {
        Chain::Direct => {
            let medium = Medium::Direct { kernel: kernel.clone(), initrd, command_line: options.clone() };
            return Ok(Installed { medium, first_image: kernel, entry: None });
        }
        Chain::Stub => {
            esp::make(&disk, &[("vmlinuz", &kernel), ("initrd", &initrd)])?;
            let options = format!("initrd=\\initrd {options}");
            (kernel, Some(load_option("Linux", "/vmlinuz", &options)))
        }
        Chain::Unified => {
            let image = unified(software, &initrd, key, folder)?;
            esp::make(&disk, &[(DEFAULT_PATH, &image)])?;
            (image, None)
        }
        Chain::SystemdBoot => {
            let loader = folder.join("systemd-boot");
            signed(&Loader::SystemdBoot.path()?, &loader, key)?;
            let entry = format!("title Guest\nlinux /vmlinuz\ninitrd /initrd\noptions {options}\n");
            let entry = write("entry.conf", entry)?;
            let config = write("loader.conf", "timeout 0\n".to_owned())?;
            let files = [
                (DEFAULT_PATH, &*loader),
                ("loader/loader.conf", &config),
                ("loader/entries/guest.conf", &entry),
                ("vmlinuz", &kernel),
                ("initrd", &initrd),
            ];
            esp::make(&disk, &files)?;
            (loader, None)
        }
        Chain::ShimGrub => {
            let config = write("grub.cfg", format!("linux /vmlinuz {options}\ninitrd /initrd\nboot\n"))?;
            let shim = Loader::Shim.path()?;
            let files = [
                (DEFAULT_PATH, &*shim),
                ("EFI/BOOT/grubx64.efi", &Loader::Grub.path()?),
                ("EFI/debian/grub.cfg", &config),
                ("vmlinuz", &kernel),
                ("initrd", &initrd),
            ];
            esp::make(&disk, &files)?;
            (shim, None)
        }
    };
    Ok(Installed { medium: Medium::Disk(disk), first_image, entry })
}

/// A copy of an image, signed if there is a key.
fn signed(image: &Path, to: &Path, key: Option<&TestKey>) -> Result<()> {
    let Some(key) = key else {
        return std::fs::copy(image, to).map(drop).with_context(|| format!("copying {}", image.display()));
    };
    let mut sbsign = Command::new("sbsign");
    sbsign.arg("--key").arg(&key.key).arg("--cert").arg(&key.certificate).arg("--output").arg(to).arg(image);
    stdout(&mut sbsign).map(drop)
}

/// A unified kernel image (UAPI Group Specifications, UKI): sections behind those of systemd's stub.
fn unified(software: &Software, initrd: &Path, key: Option<&TestKey>, folder: &Path) -> Result<PathBuf> {
    let (command_line, release) = (folder.join("cmdline"), folder.join("os-release"));
    std::fs::write(&command_line, &software.command_line)?;
    std::fs::write(&release, "ID=vouchsafe-guest\nPRETTY_NAME=\"Vouchsafe test guest\"\n")?;
    let image = folder.join("unsigned.efi");
    let mut objcopy = Command::new("objcopy");
    // Far enough from each other that none reaches into the next when it is loaded.
    let sections = [
        (".osrel", &*release, 0x2_0000),
        (".cmdline", &command_line, 0x3_0000),
        (".linux", &software.kernel.image, 0x200_0000),
        (".initrd", initrd, 0x600_0000),
    ];
    for (name, file, address) in sections {
        objcopy.arg("--add-section").arg(format!("{name}={}", file.display()));
        objcopy.arg("--change-section-vma").arg(format!("{name}={address:#x}"));
    }
    stdout(objcopy.arg(Loader::Stub.path()?).arg(&image))?;
    let to = folder.join("unified.efi");
    signed(&image, &to, key)?;
    Ok(to)
}
