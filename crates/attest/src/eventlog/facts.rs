//! What a boot event log says, in typed facts.
//!
//! They are claims of the log. They hold for a host only when the log replays to PCRs that its TPM signed, and each event's
//! digest is that of its data (threats 13 and 16).

use std::collections::BTreeMap;

use serde::Serialize;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, PcrIndex, Sha256Digest};

use crate::secure_boot::SbatLevel;

/// All that is told of a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BootFacts {
    /// The version of the firmware (`EV_S_CRTM_VERSION`): as text, or in hexadecimal when it is none.
    pub firmware: Option<String>,
    /// Secure Boot: state, keys and authorities.
    pub secure_boot: SecureBoot,
    /// The images that were loaded, in order: drivers, option ROMs, boot loaders, kernels.
    pub boot_chain: Vec<BootImage>,
    /// The command lines of boot loaders and kernels, in order.
    pub command_lines: Vec<CommandLine>,
    /// The initial file systems, in order.
    pub initrds: Vec<Initrd>,
    /// What the firmware was told to boot, in order.
    pub boot_order: Vec<BootOption>,
    /// The partition tables of the disks that were booted from.
    pub partition_tables: Vec<PartitionTable>,
    /// How the boot services were left.
    pub exit_boot_services: ExitBootServices,
}

/// Secure Boot as PCR 7 tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecureBoot {
    /// The variable `SecureBoot`: images are verified. `None` when it was not measured.
    pub enabled: Option<bool>,
    /// The variable `SetupMode`: keys may be changed by anyone.
    pub setup_mode: Option<bool>,
    /// The variable `AuditMode`.
    pub audit_mode: Option<bool>,
    /// The variable `DeployedMode`.
    pub deployed_mode: Option<bool>,
    /// The platform key.
    pub pk: Vec<SignatureEntry>,
    /// Who may change `db` and `dbx`.
    pub kek: Vec<SignatureEntry>,
    /// Who may sign images, and images that may be loaded.
    pub db: Vec<SignatureEntry>,
    /// What is revoked.
    pub dbx: Vec<SignatureEntry>,
    /// Shim's own keys, where it measured them.
    pub mok_list: Vec<SignatureEntry>,
    /// Shim's own revocations, where it measured them.
    pub mok_list_x: Vec<SignatureEntry>,
    /// Shim's revocation level (`SbatLevel`).
    pub sbat: Option<SbatLevel>,
    /// Whether the kernel may trust shim's own keys (`MokListTrusted`), where shim measured it.
    pub mok_list_trusted: Option<bool>,
    /// What images were verified by, in order (`EV_EFI_VARIABLE_AUTHORITY`).
    pub authorities: Vec<Authority>,
    /// The event that each of the variables above was taken from, by the variable's name; the first event is 1.
    pub events: BTreeMap<&'static str, u64>,
}

/// One entry of a signature database (UEFI 2.10, 32.4.1 `EFI_SIGNATURE_LIST`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SignatureEntry {
    /// Who put it there, as a GUID.
    pub owner: String,
    /// What it names.
    #[serde(flatten)]
    pub kind: SignatureKind,
}

/// What an entry of a signature database names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SignatureKind {
    /// A certificate.
    X509 {
        /// SHA-256 of its DER form.
        sha256: Sha256Digest,
        /// Its subject, if it can be read.
        subject: Option<String>,
        /// Its DER form.
        #[serde(skip)]
        der: Vec<u8>,
    },
    /// An image, by its Authenticode SHA-256.
    Sha256 {
        /// The digest.
        digest: Sha256Digest,
    },
    /// A certificate that is revoked, by SHA-256 of its to-be-signed part, whatever the time of revocation.
    X509Sha256 {
        /// The digest.
        digest: Sha256Digest,
    },
    /// Something else.
    Other {
        /// The GUID of its type.
        guid: String,
        /// Its length, in bytes.
        length: usize,
    },
}

/// What an image was verified by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authority {
    /// The event; the first is 1.
    pub event: u64,
    /// The variable that holds it: `db`, `MokList`, `Shim`, `SbatLevel` ...
    pub variable: String,
    /// The entry, when it is one of a signature database.
    pub entry: Option<SignatureEntry>,
}

/// What kind of image was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BootImageKind {
    /// `EV_EFI_BOOT_SERVICES_APPLICATION`: a boot loader, or a kernel with an EFI stub.
    Application,
    /// `EV_EFI_BOOT_SERVICES_DRIVER`: a driver or option ROM for the boot.
    BootDriver,
    /// `EV_EFI_RUNTIME_SERVICES_DRIVER`: a driver or option ROM that stays.
    RuntimeDriver,
    /// What GRUB or another loader measured as a file: modules, kernels.
    LoaderFile,
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootImage {
    /// The event; the first is 1.
    pub event: u64,
    /// The PCR that it was measured into.
    pub pcr: PcrIndex,
    /// What kind it is.
    pub kind: BootImageKind,
    /// Where it came from, as UEFI writes device paths, or the loader's name of the file.
    pub path: Option<String>,
    /// Its digests: Authenticode digests of images, plain ones of files.
    pub digests: BTreeMap<HashAlgorithm, PcrValue>,
    /// The place in [`SecureBoot::authorities`] of what the firmware, or shim, had verified it by, as far as the order of
    /// events tells.
    pub authority: Option<usize>,
}

/// A command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandLine {
    /// The event; the first is 1.
    pub event: u64,
    /// The PCR that it was measured into.
    pub pcr: PcrIndex,
    /// Who measured it.
    pub loader: Loader,
    /// The text, without the name that the loader puts before it. Empty where the log holds its digest alone.
    pub text: String,
    /// Where the log holds no text: the digests of what was measured. For the kernel's EFI stub that is the command line in
    /// UTF-16 with a NUL at its end, for a section `.cmdline` the section as it stands in the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<HashAlgorithm, PcrValue>,
}

/// Who measured a command line or an initrd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Loader {
    /// GRUB, a command of its own.
    Grub,
    /// GRUB, what it hands to the kernel.
    GrubKernel,
    /// systemd-boot or systemd-stub.
    Systemd,
    /// The kernel's own EFI stub.
    LinuxStub,
    /// The firmware, on behalf of who loads the kernel directly (QEMU's `-kernel`).
    Firmware,
}

/// An initial file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Initrd {
    /// The event; the first is 1.
    pub event: u64,
    /// The PCR that it was measured into.
    pub pcr: PcrIndex,
    /// Who measured it.
    pub loader: Loader,
    /// Its name, where the loader tells it.
    pub path: Option<String>,
    /// Its digests.
    pub digests: BTreeMap<HashAlgorithm, PcrValue>,
}

/// An entry of the boot menu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootOption {
    /// Its number: `Boot0001` is 1.
    pub number: u16,
    /// Its name, where the variable was measured.
    pub description: Option<String>,
    /// What it boots, as UEFI writes device paths, where the variable was measured.
    pub path: Option<String>,
}

/// A GUID partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartitionTable {
    /// The event; the first is 1.
    pub event: u64,
    /// The disk's GUID.
    pub disk: String,
    /// The partitions that are in use.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Its type, as a GUID.
    pub kind: String,
    /// Its own GUID.
    pub id: String,
    /// Its first block.
    pub first_lba: u64,
    /// Its last block.
    pub last_lba: u64,
    /// Its name.
    pub name: String,
}

/// How the boot services were left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitBootServices {
    /// The log does not say.
    #[default]
    Missing,
    /// It was tried, and it is not said how it went.
    Invoked,
    /// It failed.
    Failed,
    /// It went well.
    Succeeded,
}
