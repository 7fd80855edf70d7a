//! Attestations: evidence that was appraised, evidence that was refused, and the nonces that both spend.

use async_trait::async_trait;
use vouchsafe_model::device::HostFacts;
use vouchsafe_model::{AttestationId, DeviceId, EnrolmentId, ImageId, PcrBank, Sha256Digest, Timestamp, Verdict};

use crate::error::StoreError;
use crate::logs::BootUpdate;
use crate::page::Page;
use crate::trust::{TrustSequence, TrustUpdate};

/// A nonce that is used, and thereby spent: the engine issued it to the device that uses it, and checked that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceUse {
    /// SHA-256 of the nonce.
    pub digest: Sha256Digest,
    /// When the nonce ends by itself, and need not be remembered any longer.
    pub expires_at: Timestamp,
}

/// What became of a nonce that was to be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceSpending {
    /// It is spent now.
    Spent,
    /// It was spent before, or is so old that this is no longer known.
    AlreadySpent,
}

/// What a TPM says of itself in a quote (TPM 2.0 Part 2, 10.12.8 `TPMS_ATTEST`, 10.11.1 `TPMS_CLOCK_INFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TpmReading {
    /// Milliseconds that the TPM was powered, since it was last cleared.
    pub clock_ms: u64,
    /// How often it was reset since then.
    pub reset_count: u32,
    /// How often it was restarted since the reset.
    pub restart_count: u32,
    /// Whether no later value of the clock was reported before.
    pub safe: bool,
    /// The version of its firmware, as its maker numbers it.
    pub firmware_version: u64,
}

/// A quote as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvidence {
    /// What the TPM signed: `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// Its signature: `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
    /// The values of the PCRs that it is about.
    pub pcrs: PcrBank,
    /// What the message says of the TPM.
    pub tpm: TpmReading,
    /// When it came.
    pub received_at: Timestamp,
}

/// That a device is compared with another image from now on, as its evidence says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageMove {
    /// The image that it was assigned when the evidence was appraised, if any.
    pub from: Option<ImageId>,
    /// The image that it is assigned now: that of the verdict.
    pub to: ImageId,
}

/// Evidence that is authentic, with what the engine concluded from it: ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedAttestation {
    /// The device.
    pub device: DeviceId,
    /// The enrolment whose attestation key signed.
    pub enrolment: EnrolmentId,
    /// The nonce that it answers.
    pub nonce: NonceUse,
    /// What the engine concluded. Its image is the one that the device is compared with.
    pub verdict: Verdict,
    /// The image that it moves to, if it does; `None` leaves it with the one that it is assigned.
    pub moves: Option<ImageMove>,
    /// What it concluded this from.
    pub evidence: StoredEvidence,
    /// What the host says of itself, if it says so now.
    pub facts: Option<HostFacts>,
    /// What it does to the device's trust.
    pub trust: TrustUpdate,
    /// What it says of the device's present boot; `None` leaves what is known of it as it is.
    pub boot: Option<BootUpdate>,
}

/// What became of accepted evidence. Unless it was stored, nothing was: the nonce is not spent either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is stored, and the device's trust has this new row.
    Accepted(TrustSequence),
    /// The nonce was used before, or is so old that this is no longer known (threat 9).
    NonceSpent,
    /// Something that the verdict or the trust was computed from changed meanwhile: the trust, by another attestation
    /// or otherwise; the device's keys; its image, so that an operator who assigned another one wins; its boot record. The
    /// caller reads the [`Standing`](crate::Standing) and the [`BootRecord`](crate::BootRecord) and appraises anew.
    Superseded,
    /// There is no such device.
    DeviceUnknown,
    /// The device is revoked.
    DeviceRevoked,
}

/// Evidence that was refused: nothing can be concluded from it about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEvidence {
    /// The device that sent it.
    pub device: DeviceId,
    /// The nonce that it burns; `None` when it named none that the engine issued to this device.
    pub nonce: Option<NonceUse>,
    /// Why, in a word for programs.
    pub code: String,
    /// Why, in words for people.
    pub detail: String,
    /// When.
    pub at: Timestamp,
    /// What it does to the device's trust, if anything.
    pub trust: Option<TrustUpdate>,
}

/// What became of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalRecording {
    /// It is recorded.
    Recorded(RefusalNumber),
    /// Another trust update came between. Nothing was changed: the caller computes the update anew.
    Superseded,
}

/// The number of a refusal; later ones have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusalNumber(u64);

impl RefusalNumber {
    /// The refusal of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A refusal as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRecord {
    /// Its number.
    pub number: RefusalNumber,
    /// The device whose evidence was refused.
    pub device: DeviceId,
    /// Why, in a word for programs.
    pub code: String,
    /// Why, in words for people.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// An attestation as it was stored, without the quote's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestationRecord {
    /// The device.
    pub device: DeviceId,
    /// The enrolment whose attestation key signed. Clocks and counters compare only within one (threat 10).
    pub enrolment: EnrolmentId,
    /// What the engine concluded, and the attestation's id.
    pub verdict: Verdict,
    /// What the TPM said of itself.
    pub tpm: TpmReading,
    /// When the evidence came.
    pub received_at: Timestamp,
}

impl AttestationRecord {
    /// Its name.
    pub fn id(&self) -> AttestationId {
        self.verdict.attestation()
    }
}

/// Where attestations are kept.
///
/// To implement: an acknowledged write survives the death of the process and of the machine at any instant, so every
/// commit waits for the disk; attestations that come at the same time may share one. A nonce is inserted under a unique
/// key, in the transaction that depends on it. Nonces are forgotten in the order in which they expire, and the highest
/// expiry ever forgotten is remembered: a nonce that expires no later counts as spent, so that a request that straddles a
/// purge cannot use one twice (threats 9 and 28).
#[async_trait]
pub trait Attestations: Send + Sync {
    /// Stores accepted evidence: spends its nonce, adds attestation and trust row, makes both the device's latest, moves it
    /// to another image, and replaces its facts. What it says of the boot replaces the boot record, what it vouches for of
    /// the IMA list is kept, and what came ahead of it is done with. All of it or none.
    ///
    /// Under a lock on the device, in this order: `DeviceUnknown`, `DeviceRevoked`, `NonceSpent`, `Superseded`.
    ///
    /// # Errors
    /// `Conflict` when the attestation's id is taken, when the boot is of another enrolment, or when the image that the
    /// device moves to is not that of the verdict, or when the part of the IMA list is empty or begins elsewhere than the
    /// change says; `Missing` when the boot's event log or that image is not stored;
    /// `TooLarge` when a part exceeds its bound in [`limits`](crate::limits).
    async fn accept_attestation(&self, accepted: &AcceptedAttestation) -> Result<Acceptance, StoreError>;

    /// Records that evidence was refused, burns its nonce and updates the device's trust. All of it or none.
    ///
    /// A nonce that was spent before stays so, and the refusal is recorded all the same.
    ///
    /// # Errors
    /// `Missing` when there is no such device, `TooLarge` when code, detail or trust exceeds its bound in
    /// [`limits`](crate::limits).
    async fn refuse_evidence(&self, refused: &RefusedEvidence) -> Result<RefusalRecording, StoreError>;

    /// Spends a nonce by itself.
    ///
    /// # Errors
    /// `Missing` when there is no such device.
    async fn spend_nonce(&self, device: DeviceId, nonce: &NonceUse) -> Result<NonceSpending, StoreError>;

    /// The last attestation of a device.
    ///
    /// # Errors
    /// Those of any operation.
    async fn latest_attestation(&self, device: DeviceId) -> Result<Option<AttestationRecord>, StoreError>;

    /// The attestation of this name.
    ///
    /// # Errors
    /// Those of any operation.
    async fn attestation(&self, id: AttestationId) -> Result<Option<AttestationRecord>, StoreError>;

    /// The quote of the attestation of this name.
    ///
    /// # Errors
    /// Those of any operation.
    async fn evidence(&self, id: AttestationId) -> Result<Option<StoredEvidence>, StoreError>;

    /// The attestations of a device, the last first.
    ///
    /// # Errors
    /// Those of any operation.
    async fn attestation_history(
        &self,
        device: DeviceId,
        page: Page<AttestationId>,
    ) -> Result<Vec<AttestationRecord>, StoreError>;

    /// The refusals of a device, the last first.
    ///
    /// # Errors
    /// Those of any operation.
    async fn refusal_history(
        &self,
        device: DeviceId,
        page: Page<RefusalNumber>,
    ) -> Result<Vec<RefusalRecord>, StoreError>;
}
