//! Attestation: one request each. `POST /v1/attest` carries evidence; its answer carries the next challenge.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::{HostFacts, PcrBank, PcrSelection, Sha256Digest, Timestamp, TrustScore, Verdict};

use super::limits;
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
}

/// What travels with a quote and is bound by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidencePayload {
    /// What the host says of itself.
    #[serde(default)]
    pub facts: HostFacts,
    /// The boot event log, where the engine asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_log: Option<LogPart>,
    /// The IMA measurement list, where the engine asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ima_log: Option<LogPart>,
}

/// A part of a measurement log: where it begins, and what of the log it is.
///
/// Its place in the payload is kept; agents of this version send none, and engines of this version ask for none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogPart {
    /// SHA-256 of the whole log up to the end of this part.
    pub digest: Sha256Digest,
    /// Where this part begins, in bytes.
    pub offset: u64,
    /// Its length, in bytes; the bytes themselves travel apart.
    pub length: u64,
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
