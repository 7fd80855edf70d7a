//! What the makers of boot loaders revoked: dbx updates that an operator imported.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_attest::secure_boot::{Dbx, DbxUpdate};
use vouchsafe_model::Timestamp;

use crate::engine::{EngineError, TrustEngine};

/// How long another replica's import may stay unnoticed.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// What was last read from the store, and when.
#[derive(Debug, Default)]
pub(crate) struct Revocations(Mutex<Option<(Timestamp, Arc<Dbx>)>>);

impl Revocations {
    /// Forgets it, after an import.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Timestamp, Arc<Dbx>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrustEngine {
    /// All that is revoked, of every architecture.
    pub(crate) async fn dbx(&self) -> Result<Arc<Dbx>, EngineError> {
        let now = self.now();
        let is_fresh = |read_at: Timestamp| read_at <= now && now.since(read_at) < FRESH_FOR;
        if let Some((_, dbx)) = self.revocations.lock().as_ref().filter(|(read_at, _)| is_fresh(*read_at)) {
            return Ok(Arc::clone(dbx));
        }
        let mut dbx = Dbx::default();
        for stored in self.store().dbx().await? {
            match DbxUpdate::parse(&stored.bytes) {
                Ok(update) => dbx.extend(&update.entries),
                Err(error) => tracing::error!(dbx.arch = stored.arch, "the stored dbx cannot be read: {error}"),
            }
        }
        let dbx = Arc::new(dbx);
        *self.revocations.lock() = Some((now, Arc::clone(&dbx)));
        Ok(dbx)
    }
}
