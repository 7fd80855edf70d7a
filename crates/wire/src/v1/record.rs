//! Device records: what the trust engine tells policy engines, so that these can decide from memory.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::trust::TrustCurve;
use vouchsafe_model::{DeviceId, DeviceState, EndorsementGrade, HostFacts, ImageId, Sha256Digest, Timestamp, Verdict};

/// All that decisions need to know of a device. The score is not here but its curve is: a score is computed at the
/// instant of the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceRecord {
    /// Its name.
    pub id: DeviceId,
    /// Whether it may take part.
    pub state: DeviceState,
    /// How well its EK is vouched for.
    pub endorsement: EndorsementGrade,
    /// When it first enrolled.
    pub enrolled_at: Timestamp,
    /// The golden image that it is compared with.
    pub image: Option<ImageId>,
    /// SHA-256 of its present TLS certificate.
    pub certificate_digest: Sha256Digest,
    /// When that certificate ends.
    pub certificate_expires_at: Timestamp,
    /// What its last evidence came to.
    pub verdict: Option<Verdict>,
    /// Its score over time.
    pub curve: TrustCurve,
    /// What it last said of itself.
    pub facts: HostFacts,
}

/// A change of what is known of devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordChange {
    /// This is now known of the device.
    Put(Box<DeviceRecord>),
    /// The device is no longer known.
    Remove(DeviceId),
}
