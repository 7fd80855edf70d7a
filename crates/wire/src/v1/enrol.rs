//! Enrolment, in two messages.
//!
//! `POST /v1/enrol/begin`: the agent shows its EK, AK and TLS key; the engine answers a credential that only the TPM with
//! this EK can open, and only for this AK (TPM 2.0 Part 1, 24 "Credential Protection").
//! `POST /v1/enrol/complete`: the agent brings the opened secret and a certificate request; the engine answers a name, a
//! certificate and the first challenge.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::{DeviceId, HashAlgorithm, HostFacts, Timestamp};

use super::attest::Challenge;
use super::limits;
use crate::bytes::Bytes;

/// The first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginEnrolment {
    /// What lets the device in.
    pub token: JoinSecret,
    /// The EK: `TPMT_PUBLIC`.
    pub ek_public: Bytes<{ limits::PUBLIC_AREA }>,
    /// The EK certificate from the TPM's NV memory, as it was found (DER, padding included).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_certificate: Option<Bytes<{ limits::CERTIFICATE }>>,
    /// Intermediate certificates that the TPM carries (DER).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ek_intermediates: Vec<Bytes<{ limits::CERTIFICATE }>>,
    /// The attestation key: `TPMT_PUBLIC`.
    pub ak_public: Bytes<{ limits::PUBLIC_AREA }>,
    /// The TLS key: `TPMT_PUBLIC`.
    pub tls_public: Bytes<{ limits::PUBLIC_AREA }>,
    /// `TPMS_ATTEST` of `TPM2_Certify` over the TLS key, its qualifying data [`tls_key_binding`] hashed with SHA-256.
    pub tls_certify: Bytes<{ limits::ATTEST_STRUCTURE }>,
    /// The AK's signature over it: `TPMT_SIGNATURE`.
    pub tls_certify_signature: Bytes<{ limits::SIGNATURE }>,
    /// The banks in which its TPM keeps PCRs. None named means SHA-256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pcr_banks: Vec<HashAlgorithm>,
    /// What the host says of itself.
    #[serde(default)]
    pub facts: HostFacts,
}

/// A join token as it is handed to a device. Never shown by Debug.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 256)]
pub struct JoinSecret(String);

/// A text that cannot be a join token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a join token is 16 to {} printable characters without spaces", limits::JOIN_TOKEN)]
pub struct InvalidJoinSecret;

impl JoinSecret {
    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JoinSecret {
    type Error = InvalidJoinSecret;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let valid = (16..=limits::JOIN_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(text)) } else { Err(InvalidJoinSecret) }
    }
}

impl std::fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JoinSecret(…)")
    }
}

/// The answer to the first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentChallenge {
    /// To be brought back unread with the second message.
    pub ticket: Bytes<{ limits::TICKET }>,
    /// `TPM2B_ID_OBJECT`: for `TPM2_ActivateCredential`.
    pub credential: Bytes<{ limits::CREDENTIAL }>,
    /// `TPM2B_ENCRYPTED_SECRET`: for the same.
    pub encrypted_secret: Bytes<{ limits::CREDENTIAL }>,
    /// Until when the ticket is good.
    pub expires_at: Timestamp,
}

/// The second message. Sent again, with the same ticket, it has the same effect once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompleteEnrolment {
    /// The ticket of the first answer.
    pub ticket: Bytes<{ limits::TICKET }>,
    /// What the TPM found in the credential.
    pub activated_secret: Bytes<{ limits::ACTIVATED_SECRET }>,
    /// PKCS#10 request for the TLS key (DER). Its names are not read: the engine names the device.
    pub certificate_request: Bytes<{ limits::CERTIFICATE }>,
}

impl std::fmt::Debug for CompleteEnrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompleteEnrolment").finish_non_exhaustive()
    }
}

/// The answer to the second message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// The device's name.
    pub device: DeviceId,
    /// Its certificate.
    pub certificate: DeviceCertificate,
    /// What to quote first.
    pub challenge: Challenge,
}

/// A device's certificate with all that it takes to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceCertificate {
    /// The certificate and its intermediates, PEM.
    pub chain_pem: String,
    /// The roots by which the engine is known, PEM.
    pub trust_bundle_pem: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When to ask for the next.
    pub renew_at: Timestamp,
}

/// `POST /v1/renew`: a new certificate for the same TLS key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// PKCS#10 request for the TLS key (DER).
    pub certificate_request: Bytes<{ limits::CERTIFICATE }>,
}

/// What an operator hands to a device so that it can enrol: one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinFile {
    /// Where to enrol: `https://engine.example.org:8441`.
    pub enrol_url: String,
    /// Where to attest: `https://engine.example.org:8443`.
    pub attest_url: String,
    /// The roots by which the engine is known, PEM.
    pub trust_bundle_pem: String,
    /// What lets the device in. A secret.
    pub token: JoinSecret,
    /// Until when.
    pub expires_at: Timestamp,
}

/// What the AK's certification of the TLS key is bound to: hash this with SHA-256 for the qualifying data.
pub fn tls_key_binding(token: &JoinSecret) -> Vec<u8> {
    [b"vouchsafe tls key v1\0".as_slice(), token.expose().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_token_is_never_shown() {
        let secret = JoinSecret::try_from("vs1-abcdefghijklmnop".to_owned()).unwrap();
        assert_eq!(format!("{secret:?}"), "JoinSecret(…)");
    }

    #[test]
    fn refuses_join_tokens_that_are_short_long_or_unprintable() {
        for text in
            ["short".to_owned(), "x".repeat(limits::JOIN_TOKEN + 1), format!("{} {}", "x".repeat(10), "y".repeat(10))]
        {
            assert_eq!(JoinSecret::try_from(text), Err(InvalidJoinSecret));
        }
    }
}
