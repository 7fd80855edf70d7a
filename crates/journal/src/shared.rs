//! What the thread that writes tells everybody else.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::checkpoint::SignedCheckpoint;
use crate::segment::SegmentInfo;
use crate::writer::WriteFailed;

/// What the thread that writes tells everybody else.
#[derive(Debug)]
pub(crate) struct Shared {
    folder: PathBuf,
    present: Mutex<Present>,
    /// How many entries are on the disk.
    size: watch::Sender<u64>,
}

/// The log as it is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) sealed: Arc<Vec<SegmentInfo>>,
    pub(crate) active: SegmentInfo,
    pub(crate) checkpoint: Option<Arc<SignedCheckpoint>>,
    /// Why it is not written at present.
    pub(crate) trouble: Option<Arc<WriteFailed>>,
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, present: Present) -> Self {
        let size = watch::Sender::new(present.active.next);
        Self { folder, present: Mutex::new(present), size }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn present(&self) -> Present {
        self.lock().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.size.subscribe()
    }

    /// More of the active segment is on the disk.
    pub(crate) fn grew(&self, active: SegmentInfo) {
        self.lock().active = active;
        self.size.send_replace(active.next);
    }

    /// Segments were begun or removed.
    pub(crate) fn rearranged(&self, sealed: &[SegmentInfo], active: SegmentInfo) {
        let mut present = self.lock();
        present.sealed = Arc::new(sealed.to_vec());
        present.active = active;
    }

    pub(crate) fn signed(&self, checkpoint: SignedCheckpoint) {
        self.lock().checkpoint = Some(Arc::new(checkpoint));
    }

    pub(crate) fn set_trouble(&self, trouble: Option<Arc<WriteFailed>>) {
        self.lock().trouble = trouble;
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        // Nothing that can panic runs under the lock.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
