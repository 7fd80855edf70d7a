//! What is to be done: packages whose digests are signed for.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use vouchsafe_model::Sha256Digest;

use crate::fetch::{FetchError, Mirror};
use crate::package::{Format, PackageId};

/// Where a package is.
#[derive(Clone, Debug)]
pub enum Origin {
    /// In a repository.
    Mirror {
        /// The repository.
        mirror: Mirror,
        /// Where it is there.
        path: String,
    },
    /// In a file.
    File(PathBuf),
}

impl Origin {
    /// What it is called in messages.
    pub fn place(&self) -> String {
        match self {
            Self::Mirror { mirror, path } => mirror.place(path),
            Self::File(path) => path.display().to_string(),
        }
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Read + Send>, FetchError> {
        match self {
            Self::Mirror { mirror, path } => mirror.open_file(path),
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(FetchError::Read { place: self.place(), source }),
            },
        }
    }
}

/// A package whose bytes are known by length and digest before they come.
#[derive(Clone, Debug)]
pub struct PlannedPackage {
    /// What it must call itself.
    pub id: PackageId,
    /// How it is packed.
    pub format: Format,
    /// Its length, in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// Where it is.
    pub origin: Origin,
}

/// Packages to be read, by name.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    packages: Vec<PlannedPackage>,
}

impl Plan {
    /// These packages.
    pub fn new(packages: impl IntoIterator<Item = PlannedPackage>) -> Self {
        let mut packages: Vec<_> = packages.into_iter().collect();
        packages.sort_by(|one, other| (&one.id, one.sha256).cmp(&(&other.id, other.sha256)));
        packages.dedup_by(|one, other| one.sha256 == other.sha256);
        Self { packages }
    }

    /// The packages.
    pub fn packages(&self) -> &[PlannedPackage] {
        &self.packages
    }

    /// How many bytes they have together.
    pub fn len_bytes(&self) -> u64 {
        self.packages.iter().fold(0, |sum, package| sum.saturating_add(package.len))
    }

    /// The packages of this and of another plan.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self::new(self.packages.into_iter().chain(other.packages))
    }
}
