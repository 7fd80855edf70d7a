//! A device as it is known at one moment: its record, which revision of it that is, and what follows from it alone.
//!
//! What follows is worked out when it is first needed and then kept with the record; another revision begins without it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use vouchsafe_model::{Timestamp, TrustScore};
use vouchsafe_wire::v1::record::DeviceRecord;

use crate::log::facts;

/// The most crossings that are kept of one revision: a policy that needs more scores of one device pays for each anew.
const MAX_CROSSINGS: usize = 8;

/// One revision of a device's record.
#[derive(Debug)]
pub struct KnownDevice {
    record: DeviceRecord,
    revision: u64,
    crossings: Mutex<Vec<Crossing>>,
    steady_facts: OnceLock<Box<[u8]>>,
}

/// What a policy saw besides the question.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Nothing: it was not asked.
    Nothing,
    /// No device: none was named, or none of that name is known.
    NoDevice,
    /// This one.
    Device(Arc<KnownDevice>),
}

impl Seen {
    /// The device, if there was one.
    pub fn device(&self) -> Option<&KnownDevice> {
        match self {
            Self::Device(known) => Some(known),
            Self::Nothing | Self::NoDevice => None,
        }
    }
}

impl From<Option<Arc<KnownDevice>>> for Seen {
    fn from(known: Option<Arc<KnownDevice>>) -> Self {
        known.map_or(Self::NoDevice, Self::Device)
    }
}

/// When the score falls below a threshold.
#[derive(Clone, Copy, Debug)]
struct Crossing {
    threshold: TrustScore,
    at: Option<Timestamp>,
}

impl KnownDevice {
    pub(crate) fn new(record: DeviceRecord, revision: u64) -> Self {
        Self { record, revision, crossings: Mutex::default(), steady_facts: OnceLock::new() }
    }

    /// What is known of it.
    pub fn record(&self) -> &DeviceRecord {
        &self.record
    }

    /// Which revision of the record this is: a later one has a greater number, whatever the device, as long as the table
    /// lives.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// When the score, which is not below the threshold now, will fall below it; `None` when it never does, or already has.
    ///
    /// To find it takes forty scores, 8 µs. A curve never rises, so what was found once holds until it comes.
    pub fn crossing(&self, threshold: TrustScore, now: Timestamp) -> Option<Timestamp> {
        let is_ahead = |at: &Timestamp| *at > now;
        // Nothing that can panic runs under the lock.
        let known = self.kept().iter().find(|crossing| crossing.threshold == threshold).copied();
        if let Some(Crossing { at, .. }) = known {
            return at.filter(is_ahead);
        }
        let at = self.record.curve.first_below(threshold, now);
        // What is below already was so from some earlier instant on, which is not known: it is of no use to others.
        if at.is_none_or(|at| is_ahead(&at)) {
            let mut kept = self.kept();
            if kept.len() < MAX_CROSSINGS {
                kept.push(Crossing { threshold, at });
            }
        }
        at.filter(is_ahead)
    }

    /// The facts that follow from the record alone, as the log begins them.
    pub(crate) fn steady_facts(&self) -> &[u8] {
        self.steady_facts.get_or_init(|| facts::steady(&self.record))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Crossing>> {
        self.crossings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
