//! An image that is ready to be compared with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, Timestamp};

use super::check::Inconsistency;
use super::document::{BootItem, GoldenImage};
use crate::ima::{RuntimePolicy, RuntimePolicyError};

/// An image with everything looked up and prepared, behind an [`Arc`]: all devices of the image share one.
#[derive(Debug)]
pub struct Compiled {
    document: GoldenImage,
    images: Option<Index>,
    option_roms: Option<Index>,
    files: Option<Index>,
    initrds: Option<Index>,
    runtime: Option<RuntimePolicy>,
}

/// Why an image cannot be held against anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Parts of it contradict each other.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistency),
    /// A line of its runtime section cannot be used.
    #[error("runtime: {0}")]
    Runtime(RuntimePolicyError),
}

/// Where to find the item that has a digest.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_digest: HashMap<HashAlgorithm, HashMap<PcrValue, Vec<usize>>>,
}

impl Compiled {
    /// Prepares an image.
    ///
    /// # Errors
    /// When parts of it contradict each other, which they do not in an image that was parsed, or when a line of its
    /// runtime section cannot be used.
    pub fn new(mut document: GoldenImage) -> Result<Arc<Self>, CompileError> {
        document.check()?;
        let runtime =
            document.runtime.as_ref().map(RuntimePolicy::compile).transpose().map_err(CompileError::Runtime)?;
        // The policy holds the digests in a fraction of the memory; nobody needs them twice.
        document.runtime.iter_mut().for_each(|runtime| runtime.digests = BTreeMap::new());
        let boot = document.boot.as_ref();
        let index = |items: Option<&Vec<BootItem>>| items.map(|items| Index::new(items));
        let (images, option_roms, files, initrds) = (
            index(boot.and_then(|boot| boot.images.as_ref())),
            index(boot.and_then(|boot| boot.option_roms.as_ref())),
            index(boot.and_then(|boot| boot.files.as_ref())),
            index(boot.and_then(|boot| boot.initrds.as_ref())),
        );
        Ok(Arc::new(Self { document, images, option_roms, files, initrds, runtime }))
    }

    /// What may run; `None` when the image does not speak of it.
    pub fn runtime(&self) -> Option<&RuntimePolicy> {
        self.runtime.as_ref()
    }

    /// What it was made from, without the digests of paths, which [`Self::runtime`] holds.
    pub fn document(&self) -> &GoldenImage {
        &self.document
    }

    /// Until when the images that this one supersedes stay valid, when it was activated at that instant.
    pub fn superseded_valid_until(&self, activated_at: Timestamp) -> Timestamp {
        self.document.overlap.map_or(activated_at, |overlap| activated_at.plus(overlap.duration()))
    }

    /// The warning about an image that has outlived what it says that it may.
    pub fn too_old(&self, now: Timestamp) -> Option<Finding> {
        let max_age = self.document.max_age?;
        let due = self.document.created_at.plus(max_age.duration());
        let finding = || Finding::new(FindingCode::ImageTooOld).about(&self.document.id);
        (now > due).then(|| finding().with(format_args!("an image of {max_age} at most, until {due}"), now))
    }

    pub(super) fn images(&self) -> Option<&Index> {
        self.images.as_ref()
    }

    pub(super) fn option_roms(&self) -> Option<&Index> {
        self.option_roms.as_ref()
    }

    pub(super) fn files(&self) -> Option<&Index> {
        self.files.as_ref()
    }

    pub(super) fn initrds(&self) -> Option<&Index> {
        self.initrds.as_ref()
    }
}

impl Index {
    fn new(items: &[BootItem]) -> Self {
        let mut index = Self::default();
        for (position, item) in items.iter().enumerate() {
            for (algorithm, digests) in &item.digests {
                let of_algorithm = index.by_digest.entry(*algorithm).or_default();
                for digest in digests {
                    of_algorithm.entry(digest.clone()).or_default().push(position);
                }
            }
        }
        index
    }

    /// The places of the items with this digest, ascending: a kernel may be listed under two names.
    pub(super) fn find(&self, algorithm: HashAlgorithm, digest: &PcrValue) -> &[usize] {
        self.by_digest.get(&algorithm).and_then(|digests| digests.get(digest)).map_or(&[], Vec::as_slice)
    }
}
