//! A device as the engine knows it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::endorsement::EndorsementGrade;
use crate::hash::Sha256Digest;
use crate::id::{DeviceId, EnrolmentId};
use crate::image::ImageId;
use crate::time::Timestamp;

/// Whether a device may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It may.
    Active,
    /// It may not, until an operator restores it. Every score of it is zero.
    Revoked,
}

impl DeviceState {
    /// Its name, as policies spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }
}

impl std::fmt::Display for DeviceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a host says of itself. Nothing here is proven; policies may use it to deny, never to allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// Its name.
    #[serde(default)]
    pub hostname: String,
    /// Its operating system: `PRETTY_NAME` of os-release.
    #[serde(default)]
    pub os: String,
    /// Its kernel's release.
    #[serde(default)]
    pub kernel: String,
    /// Its processor architecture.
    #[serde(default)]
    pub architecture: String,
    /// The maker of its TPM, as the TPM spells it: `STM `, `IBM`.
    #[serde(default)]
    pub tpm_manufacturer: String,
    /// The version of its agent.
    #[serde(default)]
    pub agent_version: String,
}

impl HostFacts {
    /// The longest fact, in bytes.
    pub const MAX_LEN: usize = 256;

    /// The facts, each cut at [`Self::MAX_LEN`] and freed of control characters, so that they can be shown and logged.
    #[must_use]
    pub fn sanitised(self) -> Self {
        let clean = |fact: String| -> String {
            let mut cleaned = String::new();
            for character in fact.chars().filter(|character| !character.is_control()) {
                if cleaned.len() + character.len_utf8() > Self::MAX_LEN {
                    break;
                }
                cleaned.push(character);
            }
            cleaned
        };
        Self {
            hostname: clean(self.hostname),
            os: clean(self.os),
            kernel: clean(self.kernel),
            architecture: clean(self.architecture),
            tpm_manufacturer: clean(self.tpm_manufacturer),
            agent_version: clean(self.agent_version),
        }
    }
}

/// The keys that a device proved to hold in one TPM, all of one enrolment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKeys {
    /// The enrolment that proved them.
    pub enrolment: EnrolmentId,
    /// SHA-256 of the EK's SubjectPublicKeyInfo.
    pub ek_digest: Sha256Digest,
    /// The EK certificate (DER), if there was one.
    pub ek_certificate: Option<Vec<u8>>,
    /// The attestation key: `TPMT_PUBLIC`.
    pub ak_public: Vec<u8>,
    /// The attestation key's TPM name: algorithm and digest.
    pub ak_name: Vec<u8>,
    /// The TLS key: DER SubjectPublicKeyInfo.
    pub tls_spki: Vec<u8>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name, derived from its EK.
    pub id: DeviceId,
    /// Whether it may take part.
    pub state: DeviceState,
    /// Why it may not, in the operator's words.
    pub revocation_reason: Option<String>,
    /// How well its EK is vouched for.
    pub endorsement: EndorsementGrade,
    /// Whether it is quoted in the SHA-1 bank: its TPM has no better one, and its join token consented.
    pub sha1_consent: bool,
    /// When it first enrolled.
    pub enrolled_at: Timestamp,
    /// The golden image that it is compared with.
    pub image: Option<ImageId>,
    /// When its present TLS certificate ends.
    pub certificate_expires_at: Timestamp,
    /// SHA-256 of its present TLS certificate (DER).
    pub certificate_digest: Sha256Digest,
    /// The keys of its latest enrolment.
    pub keys: DeviceKeys,
    /// What it last said of itself.
    pub facts: HostFacts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_cut_and_freed_of_control_characters() {
        let facts = HostFacts {
            hostname: format!("evil\r\n\x1b[2Jhost{}", "x".repeat(300)),
            kernel: "é".repeat(200),
            ..HostFacts::default()
        }
        .sanitised();
        assert!(facts.hostname.starts_with("evil[2Jhostxxx"));
        assert_eq!(facts.hostname.len(), HostFacts::MAX_LEN);
        assert_eq!(facts.kernel.len(), HostFacts::MAX_LEN);
    }

    #[test]
    fn unknown_facts_are_refused() {
        assert!(serde_json::from_str::<HostFacts>(r#"{"hostname":"a","score":100}"#).is_err());
    }
}
