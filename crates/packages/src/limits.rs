//! How much of anything is read.
//!
//! A package is authentic before its content is read, so that these bounds protect from mistakes and from a distribution
//! gone bad, not from the network. What the network alone can say (indexes, signatures, sizes) has the tighter ones.

/// The longest `InRelease`, `Release` or list of digests, in bytes. Debian's is 150 kB.
pub const MAX_RELEASE_LEN: u64 = 16 * 1024 * 1024;
/// The longest detached signature, in bytes.
pub const MAX_SIGNATURE_LEN: u64 = 256 * 1024;
/// The longest keyring, in bytes. Debian's is 60 kB.
pub const MAX_KEYRING_LEN: u64 = 16 * 1024 * 1024;
/// The most signatures that one document may bear.
pub const MAX_SIGNATURES: usize = 32;
/// The most keys in the keyrings of one run.
pub const MAX_KEYS: usize = 1024;
/// The longest `Packages`, compressed or not, in bytes. Debian's is 50 MB.
pub const MAX_INDEX_LEN: u64 = 512 * 1024 * 1024;
/// The most packages of one plan.
pub const MAX_PACKAGES: usize = 200_000;
/// The longest list of packages that is read, in bytes.
pub const MAX_LIST_LEN: u64 = 16 * 1024 * 1024;
/// The longest path, in bytes: `PATH_MAX` of Linux, less its NUL.
pub const MAX_PATH_LEN: usize = 4095;
/// The longest `control` of a package, in bytes.
pub const MAX_CONTROL_LEN: u64 = 1024 * 1024;
/// The longest `control.tar`, in bytes. Checksums and scripts make it: 2 MB in the largest of Debian.
pub const MAX_CONTROL_TAR_LEN: u64 = 64 * 1024 * 1024;
/// The most memory that decompressing one xz stream may take, in KiB. `xz -9` takes 65 MiB.
pub const MAX_XZ_MEMORY_KIB: u32 = 160 * 1024;
/// The largest window of a zstd frame, in bytes. `zstd --ultra -22` has this one.
pub const MAX_ZSTD_WINDOW: u64 = 128 * 1024 * 1024;
/// The most entries of an RPM header, and the most bytes behind them (rpm's own bounds, lib/header.c).
pub const MAX_RPM_HEADER_ENTRIES: u32 = 64 * 1024;
/// The most bytes of values in an RPM header.
pub const MAX_RPM_HEADER_LEN: u32 = 256 * 1024 * 1024;
/// How deep folders are searched.
pub const MAX_FOLDER_DEPTH: usize = 16;

/// What one package may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest package, in bytes.
    pub package_len: u64,
    /// The most bytes that its files may have together, with what an archive puts around them.
    pub unpacked_len: u64,
    /// The most files.
    pub files: usize,
}

impl Default for Limits {
    /// Four times what the largest packages of Debian and Fedora have (debug symbols of browsers and kernels).
    fn default() -> Self {
        Self { package_len: 8 << 30, unpacked_len: 32 << 30, files: 1_000_000 }
    }
}
