//! What a run found: every path with the digests that it may have.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vouchsafe_model::Sha256Digest;

use crate::contents::{Contents, ShippedFile};
use crate::digest::FileDigest;
use crate::package::{Format, PackageId};
use crate::plan::PlannedPackage;

/// Which files are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All. Kernels with `ima_policy=tcb` measure every file that root reads.
    #[default]
    All,
    /// Those that can come to run: programs, libraries, scripts, modules, firmware. Enough for policies that measure
    /// what is executed, mapped for execution, or loaded by the kernel.
    Executable,
}

/// Under which paths files are written that are shipped below `/bin`, `/sbin` and `/lib*`.
///
/// On a merged system these are links into `/usr`, and a kernel measures `/usr/bin/x` for what a package ships as `/bin/x`;
/// on another it measures `/bin/x`. Package names do not tell which of them a host is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsrMerge {
    /// Under both. Right on every host, and admits nothing but the same content under its other name.
    #[default]
    Both,
    /// Below `/usr` alone: for merged systems, where the other half is dead weight.
    Merged,
    /// As shipped.
    AsShipped,
}

/// The folders that merged systems have below `/usr` (file-hierarchy(7), "usrmerge").
const MERGED: [&str; 7] = ["/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libo32/", "/libx32/"];

impl UsrMerge {
    fn paths(self, path: String) -> [Option<String>; 2] {
        if !MERGED.iter().any(|folder| path.starts_with(folder)) {
            return [Some(path), None];
        }
        let merged = || format!("/usr{path}");
        match self {
            Self::Both => [Some(merged()), Some(path)],
            Self::Merged => [Some(merged()), None],
            Self::AsShipped => [Some(path), None],
        }
    }
}

/// What is known of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRecord {
    /// The digests that its content may have.
    pub digests: BTreeSet<FileDigest>,
    /// Which packages ship it: places in [`Inventory::packages`].
    pub owners: BTreeSet<usize>,
}

/// A package that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageRecord {
    /// What it is called.
    #[serde(flatten)]
    pub id: PackageId,
    /// How it is packed.
    pub format: Format,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// How many files it ships.
    pub files: usize,
}

/// Counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Packages.
    pub packages: usize,
    /// Of these, packages whose digests were known from earlier.
    pub cached_packages: usize,
    /// Bytes of packages that were fetched.
    pub fetched_bytes: u64,
    /// Files that packages ship.
    pub files: usize,
    /// Bytes that these files have.
    pub file_bytes: u64,
    /// Of the files, those that were left out because only executables are kept.
    pub left_out: usize,
    /// Of the files, those that were left out because their names are no UTF-8.
    pub unnamed: usize,
}

/// Every path with the digests that it may have, and where this is known from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The files, by path.
    pub files: BTreeMap<String, FileRecord>,
    /// The packages, by name.
    pub packages: Vec<PackageRecord>,
    /// Counts.
    pub statistics: Statistics,
}

impl Inventory {
    /// Takes in what a package ships.
    pub(crate) fn add(&mut self, package: &PlannedPackage, contents: Contents, keep: Keep, usr_merge: UsrMerge) {
        let owner = self.packages.len();
        self.packages.push(PackageRecord {
            id: package.id.clone(),
            format: package.format,
            sha256: package.sha256,
            files: contents.files.len(),
        });
        let statistics = &mut self.statistics;
        statistics.packages = statistics.packages.saturating_add(1);
        statistics.unnamed = statistics.unnamed.saturating_add(usize::try_from(contents.unnamed).unwrap_or(usize::MAX));
        for ShippedFile { path, size, kind, digests } in contents.files {
            statistics.files = statistics.files.saturating_add(1);
            statistics.file_bytes = statistics.file_bytes.saturating_add(size);
            if keep == Keep::Executable && !kind.is_executable() {
                statistics.left_out = statistics.left_out.saturating_add(1);
                continue;
            }
            for path in usr_merge.paths(path).into_iter().flatten() {
                let record = self.files.entry(path).or_default();
                record.digests.extend(digests.iter().cloned());
                record.owners.insert(owner);
            }
        }
    }

    /// The packages that ship a path.
    pub fn owners(&self, path: &str) -> impl Iterator<Item = &PackageRecord> {
        let owners = self.files.get(path).into_iter().flat_map(|record| &record.owners);
        owners.filter_map(|owner| self.packages.get(*owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_merged_folder_has_both_its_names() {
        let both = |path: &str| UsrMerge::Both.paths(path.to_owned()).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(both("/bin/ls"), ["/usr/bin/ls", "/bin/ls"]);
        assert_eq!(both("/lib64/ld.so"), ["/usr/lib64/ld.so", "/lib64/ld.so"]);
        for path in ["/usr/bin/ls", "/binary", "/opt/bin/ls", "/etc/passwd"] {
            assert_eq!(both(path), [path]);
        }
        let only = |merge: UsrMerge| merge.paths("/bin/ls".to_owned()).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(only(UsrMerge::Merged), ["/usr/bin/ls"]);
        assert_eq!(only(UsrMerge::AsShipped), ["/bin/ls"]);
    }
}
