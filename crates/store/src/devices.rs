//! Devices: their keys, certificates, images and states.

use async_trait::async_trait;
use vouchsafe_model::device::HostFacts;
#[cfg(doc)]
use vouchsafe_model::token::JoinToken;
use vouchsafe_model::{Device, DeviceId, DeviceState, EnrolmentId, ImageId, Sha256Digest, Timestamp};

use crate::attestations::AttestationRecord;
use crate::enrolment::{EnrolmentOutcome, NewEnrolment};
use crate::error::StoreError;
use crate::page::{Page, PageLimit};
use crate::trust::{TrustRow, TrustSequence, TrustUpdate};

/// A device and all that is to be known for judging it, read at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The device.
    pub device: Device,
    /// The last row of its trust history.
    pub trust: TrustRow,
    /// The last of its attestations that was accepted.
    pub attestation: Option<AttestationRecord>,
}

/// Which devices are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Only those in this state.
    pub state: Option<DeviceState>,
    /// Only those that are compared with this image.
    pub image: Option<ImageId>,
}

/// A TLS certificate that a device was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// SHA-256 of the certificate (DER).
    pub digest: Sha256Digest,
    /// The device.
    pub device: DeviceId,
    /// The enrolment whose TLS key it is for.
    pub enrolment: EnrolmentId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What became of a certificate that was to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRecording {
    /// It is the device's present certificate.
    Recorded,
    /// The device has other keys by now. Nothing was changed.
    Superseded,
    /// The device is revoked. Nothing was changed.
    Revoked,
}

/// What became of a revocation or a restoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateChange {
    /// The device has the new state, and its trust this new row.
    Changed(TrustSequence),
    /// The device had that state already. Nothing was changed.
    Unchanged,
    /// Another trust update came between. Nothing was changed: the caller computes the update anew.
    Superseded,
}

/// Where devices are kept.
///
/// To implement: every operation that changes a device first locks its row, and reads again under that lock whatever it
/// depends on. Keys and certificates are added, never replaced, and the device points to the present ones; a device is
/// never deleted. Order and prefixes of ids are those of their bytes (`COLLATE "C"` in `PostgreSQL`).
#[async_trait]
pub trait Devices: Send + Sync {
    /// Stores what an enrolment proved, and counts its token, all in one transaction (threats 3 and 4).
    ///
    /// Under the lock, in this order: a revoked device is `Revoked`; an enrolment that is the device's present one is
    /// `Repeated`; when the device's present enrolment is not the one that this `replaces`, it is `Overtaken`; a token
    /// that lets nobody in by [`JoinToken::refusal`] is `Refused`; otherwise the token is counted and the device
    /// stored. Where rows are locked, the token's comes before the device's.
    ///
    /// # Errors
    /// `Conflict` when the device's id is not that of its EK, when the enrolment's id is known with other keys or of
    /// another device, or when the certificate was recorded before; `Missing` when its image does not exist; `TooLarge`
    /// when a key, the EK certificate, a fact or the trust exceeds its bound in [`limits`](crate::limits).
    async fn complete_enrolment(&self, enrolment: &NewEnrolment) -> Result<EnrolmentOutcome, StoreError>;

    /// The device of this name.
    ///
    /// # Errors
    /// Those of any operation.
    async fn device(&self, id: DeviceId) -> Result<Option<Device>, StoreError>;

    /// The device of this name with its trust and its last attestation, all as of one instant.
    ///
    /// # Errors
    /// Those of any operation.
    async fn standing(&self, id: DeviceId) -> Result<Option<Standing>, StoreError>;

    /// The devices whose names start so, in the order of their names: for people, who type the first characters.
    ///
    /// # Errors
    /// Those of any operation.
    async fn devices_by_prefix(&self, prefix: &str, limit: PageLimit) -> Result<Vec<Device>, StoreError>;

    /// The devices with their trust and their last attestations, in the order of their names. Each page is read at one
    /// instant; for the snapshot at start-up, read all.
    ///
    /// # Errors
    /// Those of any operation.
    async fn list_standings(&self, filter: &DeviceFilter, page: Page<DeviceId>) -> Result<Vec<Standing>, StoreError>;

    /// Compares the device with this image from now on, or with none. Evidence that is being compared with another
    /// meanwhile is superseded.
    ///
    /// # Errors
    /// `Missing` when the device or the image does not exist.
    async fn set_device_image(&self, id: DeviceId, image: Option<&ImageId>) -> Result<(), StoreError>;

    /// Revokes a device, for a reason in the operator's words.
    ///
    /// # Errors
    /// `Missing` when there is no such device, `TooLarge` when the reason is too long (see [`limits`](crate::limits)).
    async fn revoke_device(&self, id: DeviceId, reason: &str, trust: &TrustUpdate) -> Result<StateChange, StoreError>;

    /// Lets a revoked device take part again.
    ///
    /// # Errors
    /// `Missing` when there is no such device.
    async fn restore_device(&self, id: DeviceId, trust: &TrustUpdate) -> Result<StateChange, StoreError>;

    /// Records a renewed certificate as the device's present one. To record the same one twice is to record it once.
    ///
    /// # Errors
    /// `Missing` when there is no such device, `Conflict` when the certificate is recorded with other particulars.
    async fn record_certificate(&self, certificate: &IssuedCertificate) -> Result<CertificateRecording, StoreError>;

    /// The certificate with this digest, present or past.
    ///
    /// # Errors
    /// Those of any operation.
    async fn certificate(&self, digest: &Sha256Digest) -> Result<Option<IssuedCertificate>, StoreError>;

    /// Replaces what the host last said of itself.
    ///
    /// # Errors
    /// `Missing` when there is no such device, `TooLarge` when the facts are (see [`limits`](crate::limits)).
    async fn update_facts(&self, id: DeviceId, facts: &HostFacts) -> Result<(), StoreError>;
}
