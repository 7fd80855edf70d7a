//! Attestation: one request each. `POST /v1/attest` carries evidence; its answer carries the next challenge.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::{HostFacts, PcrBank, PcrSelection, Sha256Digest, Timestamp, TrustScore, Verdict};

use super::limits;
use super::logs::{BootId, KnownLogs, SentLogs};
use crate::bytes::Bytes;

/// What the engine wants quoted next, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// Good for one piece of evidence of this device.
    pub nonce: Bytes<{ limits::NONCE }>,
    /// The PCRs to quote.
    pub selection: PcrSelection,
    /// When to send the evidence. Before is no use, long after costs trust.
    pub due_at: Timestamp,
    /// How long that is from the answer on, for hosts whose clock is wrong.
    pub due_in_ms: u64,
    /// Until when the nonce is good.
    pub expires_at: Timestamp,
    /// What the engine knows of the host's logs already.
    #[serde(default)]
    pub logs: KnownLogs,
}

/// What the TPM signed, with what it takes to check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// `TPMS_ATTEST`.
    pub message: Bytes<{ limits::ATTEST_STRUCTURE }>,
    /// `TPMT_SIGNATURE` over it.
    pub signature: Bytes<{ limits::SIGNATURE }>,
    /// The values of the PCRs that were quoted.
    pub pcrs: PcrBank,
}

/// Evidence (RFC 9334, 8.1): a quote, and the payload that the quote's qualifying data binds.
///
/// The payload is carried as the very text that was hashed, so that nobody has to agree on how JSON is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The nonce of the challenge that this answers.
    pub nonce: Bytes<{ limits::NONCE }>,
    /// What the TPM signed.
    pub quote: Quote,
    /// An [`EvidencePayload`] in JSON.
    #[schema(max_length = 131_072)]
    pub payload: String,
    /// The logs that explain the PCRs, as far as the engine does not know them.
    #[serde(default)]
    pub logs: SentLogs,
}

/// What travels with a quote and is bound by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidencePayload {
    /// What the host says of itself.
    #[serde(default)]
    pub facts: HostFacts,
    /// Which boot of the host this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// SHA-256 of the boot event log; absent when the host has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_log: Option<Sha256Digest>,
}

/// What the engine made of the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Appraised {
    /// What it concluded.
    pub verdict: Verdict,
    /// The device's score at this instant.
    pub score: TrustScore,
    /// What to quote next.
    pub challenge: Challenge,
    /// Whether the certificate should be renewed now.
    pub renew: bool,
}

/// What a quote is bound to: its qualifying data is SHA-256 over this.
///
/// The nonce makes it fresh, the certificate (SHA-256 of the DER leaf with which the agent authenticates) ties it to the
/// connection's key, and the payload (SHA-256 of its text) to what travels with it. Every part has one length but the
/// nonce, whose length is written before it, so that no two inputs share a text.
pub fn evidence_binding(nonce: &[u8], certificate: &Sha256Digest, payload: &Sha256Digest) -> Vec<u8> {
    let nonce_len = u32::try_from(nonce.len()).unwrap_or(u32::MAX).to_be_bytes();
    [
        b"vouchsafe evidence v1\0".as_slice(),
        &nonce_len,
        nonce,
        certificate.as_bytes().as_slice(),
        payload.as_bytes().as_slice(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_binding_matters() {
        let (one, two) = (Sha256Digest::new([1; 32]), Sha256Digest::new([2; 32]));
        let binding = evidence_binding(b"nonce", &one, &one);
        assert_ne!(binding, evidence_binding(b"nonc2", &one, &one));
        assert_ne!(binding, evidence_binding(b"nonce", &two, &one));
        assert_ne!(binding, evidence_binding(b"nonce", &one, &two));
        assert_ne!(evidence_binding(b"", &one, &one), evidence_binding(b"\x01", &one, &one));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<EvidencePayload>(r#"{"facts":{},"verdict":"affirming"}"#).is_err());
    }
}
