//! What the agent remembers between two starts.
//!
//! Secrets are not among it: the join token stays in its file, the opened credential in memory, and private keys in the
//! TPM. What is here is nevertheless nobody else's: see [`crate::state_directory`].

use serde::{Deserialize, Serialize};
use vouchsafe_model::{DeviceId, Timestamp};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::Challenge;
use vouchsafe_wire::v1::enrol::{DeviceCertificate, JoinFile};
use vouchsafe_wire::v1::limits;

use crate::tpm::{DeviceKeys, EkSource};

/// What the agent remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Where the engine is, and by what it is known.
    #[serde(default)]
    pub engine: Option<EngineAddress>,
    /// The device's keys.
    #[serde(default)]
    pub keys: Option<DeviceKeys>,
    /// An enrolment whose second message has not been answered.
    #[serde(default)]
    pub pending: Option<PendingEnrolment>,
    /// What the engine made of the device.
    #[serde(default)]
    pub membership: Option<Membership>,
}

/// Where an engine is, and by what it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineAddress {
    /// Where to enrol.
    pub enrol_url: String,
    /// Where to attest.
    pub attest_url: String,
    /// The roots by which it is known, PEM.
    pub trust_bundle_pem: String,
}

/// An enrolment between its two messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingEnrolment {
    /// The endorsement key that was shown.
    pub ek: EkSource,
    /// Its public area: `TPMT_PUBLIC`.
    pub ek_public: Bytes<{ limits::PUBLIC_AREA }>,
    /// The engine's ticket.
    pub ticket: Bytes<{ limits::TICKET }>,
    /// `TPM2B_ID_OBJECT`.
    pub credential: Bytes<{ limits::CREDENTIAL }>,
    /// `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted_secret: Bytes<{ limits::CREDENTIAL }>,
    /// Until when the engine takes the ticket, by its clock.
    pub expires_at: Timestamp,
}

/// A device's place among those that the engine knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Membership {
    /// Its name.
    pub device: DeviceId,
    /// Its certificate.
    pub certificate: DeviceCertificate,
    /// What to quote next; none while an answer is out.
    #[serde(default)]
    pub challenge: Option<Challenge>,
}

impl From<&JoinFile> for EngineAddress {
    fn from(join: &JoinFile) -> Self {
        Self {
            enrol_url: join.enrol_url.clone(),
            attest_url: join.attest_url.clone(),
            trust_bundle_pem: join.trust_bundle_pem.clone(),
        }
    }
}
