//! What is known of devices, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use vouchsafe_model::DeviceId;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::changes::Changes;

/// The records of all devices. A decision sees every change that was applied before it was asked for.
///
/// Until a whole snapshot is in, nothing is known of any device, and every decision denies.
#[derive(Debug, Default)]
pub struct RecordTable {
    records: DashMap<DeviceId, Arc<DeviceRecord>>,
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
        for record in snapshot {
            self.records.insert(record.id, Arc::new(record));
        }
        self.loaded.store(true, Ordering::SeqCst);
        self.changes.tell_all();
    }

    /// Applies one change, and tells those who wait for it when it is to be seen.
    pub fn apply(&self, change: RecordChange) {
        let id = match change {
            RecordChange::Put(record) => {
                let id = record.id;
                self.records.insert(id, Arc::from(record));
                id
            }
            RecordChange::Remove(id) => {
                self.records.remove(&id);
                id
            }
        };
        self.changes.tell(&id);
    }

    /// Who is told of changes.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is known of a device now.
    pub fn get(&self, id: &DeviceId) -> Option<Arc<DeviceRecord>> {
        self.records.get(id).map(|record| Arc::clone(&record))
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
