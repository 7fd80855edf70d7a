//! Measurement logs: the event logs of boots, and the IMA list of each device with how far it is replayed.

use async_trait::async_trait;
use vouchsafe_model::{DeviceId, EnrolmentId, Sha256Digest, Timestamp};

use crate::error::StoreError;
use crate::ima_lists::{ImaAheadPart, ImaList, ImaListChange, ImaListPart};

/// Which state of a device's boot record this is. Every change has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootVersion(u64);

impl BootVersion {
    /// The first of a device.
    pub const FIRST: Self = Self(1);

    /// The version of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for BootVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// What is known of a device's present boot.
///
/// A device may send parts of its IMA list ahead before any of its quotes came with a boot. Its record then has its enrolment
/// of that time, counters of 0, neither `boot` nor `event_log` nor `ima`, and says nothing of the host but `ahead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootRecord {
    /// Which state of the record this is.
    pub version: BootVersion,
    /// The enrolment whose attestation key signed the quote that this was accepted with. Counters compare only within
    /// one (threat 10); a device that enrols anew keeps its record.
    pub enrolment: EnrolmentId,
    /// The host's name of its boot, if it has one.
    pub boot: Option<String>,
    /// How often the TPM had been reset.
    pub reset_count: u32,
    /// How often it had been restarted since.
    pub restart_count: u32,
    /// SHA-256 of the boot event log, which is stored.
    pub event_log: Option<Sha256Digest>,
    /// How far the IMA list is replayed, as JSON: a quote vouched for it.
    pub ima: Option<String>,
    /// How far it is replayed beyond that, if parts came ahead of their quote. It is of the boot that it names, which need
    /// not be that of the record.
    pub ahead: Option<ImaAhead>,
    /// When the quote came that this was last accepted with.
    pub at: Timestamp,
}

/// How far the IMA list of a boot is replayed by parts of it that no quote has vouched for yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImaAhead {
    /// The host's name of the boot.
    pub boot: String,
    /// How many bytes of the list were taken.
    pub offset: u64,
    /// The replay's state, as JSON.
    pub state: String,
    /// When the last part came.
    pub at: Timestamp,
}

/// What accepted evidence says of the device's present boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootUpdate {
    /// The record that it was computed from; `None` when there was none.
    pub follows: Option<BootVersion>,
    /// The enrolment whose attestation key signed.
    pub enrolment: EnrolmentId,
    /// The host's name of its boot, if it has one.
    pub boot: Option<String>,
    /// How often the TPM was reset.
    pub reset_count: u32,
    /// How often it was restarted since.
    pub restart_count: u32,
    /// SHA-256 of the boot event log, which is stored.
    pub event_log: Option<Sha256Digest>,
    /// How far the IMA list is replayed, as JSON.
    pub ima: Option<String>,
    /// What changes of the list that is kept.
    pub list: ImaListChange,
    /// When the evidence came.
    pub at: Timestamp,
}

/// What became of a part of an IMA list that came ahead of its quote. Unless it was stored, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AheadOutcome {
    /// It is stored, and the record has this version now.
    Stored(BootVersion),
    /// The record is another by now: the caller reads it and replays anew.
    Superseded,
    /// There is no such device.
    DeviceUnknown,
    /// The device is revoked.
    DeviceRevoked,
}

/// Where measurement logs are kept.
///
/// To implement: a boot record is changed by compare and set under the device's lock, and each change gives it the version
/// after its last; the record is never deleted, so that no version comes twice. It changes with accepted evidence in the
/// transaction of [`accept_attestation`](crate::Attestations::accept_attestation) alone, so that no state of a replay is
/// ahead of the quotes that vouch for it, or behind (threats 19, 21 and 28). So does the IMA list that is kept; when it does
/// not fit into its bounds that is noted and the evidence is stored all the same. An event log is stored once for all devices. As
/// long as the record of any device names it, it cannot be purged; when the last one stops, that instant is noted.
#[async_trait]
pub trait Logs: Send + Sync {
    /// Stores a boot event log under its SHA-256, which the caller computed. One that is stored already is of use again
    /// from this instant on, and else as it was: see [`RetentionPolicy`](crate::RetentionPolicy) for how long it waits for
    /// a boot that names it.
    ///
    /// # Errors
    /// `TooLarge` when it exceeds [`MAX_EVENT_LOG_BYTES`](crate::limits::MAX_EVENT_LOG_BYTES).
    async fn put_event_log(&self, digest: Sha256Digest, bytes: &[u8], now: Timestamp) -> Result<(), StoreError>;

    /// The boot event log of this digest.
    ///
    /// # Errors
    /// Those of any operation.
    async fn event_log(&self, digest: Sha256Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// What is known of the device's present boot, all as of one instant.
    ///
    /// # Errors
    /// Those of any operation.
    async fn boot(&self, device: DeviceId) -> Result<Option<BootRecord>, StoreError>;

    /// Replaces what came ahead of its quote, if the record is still the one that this follows, and keeps the part. What
    /// quotes vouched for stays as it is. A part that does not fit into the bounds of a list is taken all the same: it is
    /// noted that what came ahead is not kept.
    ///
    /// Under a lock on the device, in this order: `DeviceUnknown`, `DeviceRevoked`, `Superseded`.
    ///
    /// # Errors
    /// `Conflict` when the part is empty; `TooLarge` when state, name or part exceeds its bound in
    /// [`limits`](crate::limits).
    async fn put_ima_ahead(
        &self,
        device: DeviceId,
        follows: Option<BootVersion>,
        ahead: &ImaAhead,
        part: &ImaAheadPart,
    ) -> Result<AheadOutcome, StoreError>;

    /// What is kept of the IMA list of the device's present boot, all as of one instant; `None` while nothing is known of
    /// any boot of it. It may be as large as [`limits`](crate::limits) let it.
    ///
    /// # Errors
    /// Those of any operation.
    async fn ima_list(&self, device: DeviceId) -> Result<Option<ImaList>, StoreError>;

    /// Where the list that quotes vouched for ends, in bytes; 0 when none is kept.
    ///
    /// # Errors
    /// Those of any operation.
    async fn ima_list_end(&self, device: DeviceId) -> Result<u64, StoreError>;

    /// The last part of the list that quotes vouched for, if it is of at most `max_len` bytes: so small that it is put
    /// together with what follows.
    ///
    /// # Errors
    /// Those of any operation.
    async fn ima_list_tail(&self, device: DeviceId, max_len: u64) -> Result<Option<ImaListPart>, StoreError>;
}
