//! What is known of devices, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use vouchsafe_model::DeviceId;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::changes::Changes;
use crate::known::KnownDevice;

/// The records of all devices. A decision sees every change that was applied before it was asked for.
///
/// Until a whole snapshot is in, nothing is known of any device, and every decision denies.
#[derive(Debug, Default)]
pub struct RecordTable {
    records: DashMap<DeviceId, Arc<KnownDevice>>,
    /// The revision that was given last.
    revision: AtomicU64,
    loaded: AtomicBool,
    changes: Changes,
}

impl RecordTable {
    /// A table that is not loaded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces everything by a snapshot, and is ready when it is in.
    ///
    /// One feed writes to a table: a snapshot, then the changes since, in their order. Were a snapshot loaded after a
    /// change that it does not know of, it would undo it, a revocation like any other.
    pub fn load(&self, snapshot: impl IntoIterator<Item = DeviceRecord>) {
        self.loaded.store(false, Ordering::SeqCst);
        self.records.clear();
        let revision = self.next_revision();
        for record in snapshot {
            self.records.insert(record.id, Arc::new(KnownDevice::new(record, revision)));
        }
        self.loaded.store(true, Ordering::SeqCst);
        self.changes.tell_all();
    }

    /// Applies one change, and tells those who wait for it when it is to be seen.
    pub fn apply(&self, change: RecordChange) {
        let id = match change {
            RecordChange::Put(record) => {
                let id = record.id;
                self.records.insert(id, Arc::new(KnownDevice::new(*record, self.next_revision())));
                id
            }
            RecordChange::Remove(id) => {
                self.records.remove(&id);
                id
            }
        };
        self.changes.tell(&id);
    }

    /// One more than any before. All records of a snapshot have one, and each change since has its own; a table that is made
    /// anew begins anew.
    fn next_revision(&self) -> u64 {
        self.revision.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Who is told of changes.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is known of a device now.
    pub fn get(&self, id: &DeviceId) -> Option<Arc<KnownDevice>> {
        self.records.get(id).map(|known| Arc::clone(&known))
    }

    /// Whether a snapshot is in.
    pub fn is_ready(&self) -> bool {
        self.loaded.load(Ordering::SeqCst)
    }

    /// How many devices are known.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no device is known.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
