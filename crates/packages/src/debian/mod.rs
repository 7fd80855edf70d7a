//! Debian repositories: `InRelease`, `Packages`, and what is to be fetched (Debian Repository Format).

mod index;
mod list;
mod release;
mod repository;
mod version;

pub use index::{Index, IndexEntry, IndexRejected};
pub use list::{ListError, PackageList, Wanted};
pub use release::{Freshness, IndexFile, Release, ReleaseRejected};
pub use repository::{Checks, DebianError, Repository, Sources, Trust};
pub use version::compare_versions;
