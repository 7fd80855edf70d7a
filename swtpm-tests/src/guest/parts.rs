//! What a guest is made of on this host, or what is missing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

use super::debian::{cached, stdout};
use super::initrd::{BUSYBOX, OPENED_BY_NAME};
use super::kernel::Kernel;

/// The parts of guests that are there.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The kernel that a guest has when a test says nothing else.
    pub kernel: Kernel,
}

/// Why no guest can boot here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Set by `make test-vm`: a guest that cannot boot is then a failure, not a reason to skip.
const REQUIRED: &str = "VOUCHSAFE_GUEST_REQUIRED";
/// The firmware with Secure Boot, which the machine that runs it must protect by system management mode.
pub(super) const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";

/// Programs and files, and the Debian packages that bring them.
const PROGRAMS: [(&str, &str); 8] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("swtpm", "swtpm"),
    ("swtpm_setup", "swtpm-tools"),
    ("setpriv", "util-linux"),
    ("mformat", "mtools"),
    ("sbsign", "sbsigntool"),
    ("openssl", "openssl"),
    ("objcopy", "binutils"),
];
const FILES: [(&str, &str); 2] = [(FIRMWARE, "ovmf"), (BUSYBOX, "busybox-static")];

impl Parts {
    /// The parts, looked for once.
    ///
    /// # Errors
    /// Something is missing; what, and what to do about it.
    pub fn find() -> Result<Self, Missing> {
        static FOUND: OnceLock<Result<Parts, Missing>> = OnceLock::new();
        FOUND.get_or_init(Self::look).clone()
    }

    fn look() -> Result<Self, Missing> {
        let programs = PROGRAMS.iter().filter(|(program, _)| !is_on_path(program));
        let files = FILES.iter().filter(|(file, _)| !Path::new(file).exists());
        let packages: Vec<&str> = programs.chain(files).map(|(_, package)| *package).collect();
        if !packages.is_empty() {
            return Err(Missing(format!("not installed: {} (scripts/install-deps test)", packages.join(" "))));
        }
        if !library_is_there() {
            return Err(Missing(format!("not installed: libtss2-tcti-device0, which has {OPENED_BY_NAME}")));
        }
        let kernel = Kernel::newest().map_err(|error| Missing(format!("no kernel for a guest: {error:#}")))?;
        Ok(Self { kernel })
    }

    /// The parts; or a printed line that this test is skipped, and why.
    ///
    /// # Errors
    /// Something is missing, and `VOUCHSAFE_GUEST_REQUIRED` is set.
    pub fn or_skip() -> Result<Option<Self>> {
        match Self::find() {
            Ok(parts) => Ok(Some(parts)),
            Err(missing) if std::env::var_os(REQUIRED).is_some() => anyhow::bail!("no guest can boot here: {missing}"),
            Err(missing) => {
                let test = std::thread::current().name().unwrap_or("a test").to_owned();
                // Not by eprintln!, which is captured while the test passes: whoever runs it should see this.
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("skipped {test}: no guest can boot here: {missing}\n").as_bytes(),
                );
                Ok(None)
            }
        }
    }

    /// Another kernel than [`Parts::kernel`].
    ///
    /// # Errors
    /// None can be had.
    pub fn other_kernel(&self) -> Result<Kernel> {
        self.kernel.other()
    }
}

/// A file of one of Debian's boot loaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loader {
    /// shim, which Microsoft signed.
    Shim,
    /// GRUB, which Debian signed.
    Grub,
    /// systemd-boot, unsigned.
    SystemdBoot,
    /// The stub of a unified kernel image, unsigned.
    Stub,
}

impl Loader {
    /// The file, from the cache if it was there once.
    ///
    /// # Errors
    /// It is neither in the cache nor in the archive.
    pub(super) fn path(self) -> Result<PathBuf> {
        let (package, file) = match self {
            Self::Shim => ("shim-signed", "shimx64.efi.signed"),
            Self::Grub => ("grub-efi-amd64-signed", "grubx64.efi.signed"),
            Self::SystemdBoot => ("systemd-boot-efi", "systemd-bootx64.efi"),
            Self::Stub => ("systemd-boot-efi", "linuxx64.efi.stub"),
        };
        let folder = cached(package, package, &["./usr/lib/*.efi*"], file);
        Ok(folder.with_context(|| format!("getting {file}"))?.join(file))
    }
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn library_is_there() -> bool {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu"];
    folders.iter().any(|folder| Path::new(folder).join(OPENED_BY_NAME).exists())
}

/// The certificate whose key signs what test machines boot, and the key. OVMF ships both, and variables that trust them.
#[derive(Debug)]
pub(super) struct TestKey {
    /// The certificate (PEM).
    pub(super) certificate: PathBuf,
    /// The key (PEM), without a password.
    pub(super) key: PathBuf,
}

impl TestKey {
    /// The key, decrypted into the cache.
    ///
    /// # Errors
    /// The package `ovmf` or openssl is missing.
    pub(super) fn find() -> Result<Self> {
        let key = super::debian::cache()?.join("snakeoil.key");
        if !key.exists() {
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["pkey", "-passin", "pass:snakeoil", "-in", "/usr/share/ovmf/PkKek-1-snakeoil.key"]);
            let text = stdout(&mut openssl)?;
            let mut file = tempfile::NamedTempFile::new_in(super::debian::cache()?)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            file.persist(&key)?;
        }
        Ok(Self { certificate: PathBuf::from("/usr/share/ovmf/PkKek-1-snakeoil.pem"), key })
    }
}
