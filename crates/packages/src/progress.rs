//! How far a run is.

use crate::package::PackageId;

/// What hears how far a run is. It is called from many threads.
pub trait Progress: Sync {
    /// There are so many packages to do, of so many bytes together.
    fn planned(&self, packages: usize, bytes: u64);

    /// So many more bytes of packages came in.
    fn fetched(&self, bytes: u64);

    /// A package is done: by reading it, or, when `cached` says how long it is, without fetching it.
    fn done(&self, package: &PackageId, cached: Option<u64>);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn planned(&self, _packages: usize, _bytes: u64) {}

    fn fetched(&self, _bytes: u64) {}

    fn done(&self, _package: &PackageId, _cached: Option<u64>) {}
}
