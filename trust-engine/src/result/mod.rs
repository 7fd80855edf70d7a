//! The verdict as an attestation result for relying parties: an EAR token (draft-ietf-rats-ear-04, a profile of EAT, RFC
//! 9711), as a JWT that the engine signs.
//!
//! A result never affirms more than a decision would find at the same instant: what holds the device's score down (a
//! revocation, evidence that was refused after the verdict) lowers the status, and a verdict whose quote is too old is not
//! exported at all. [`claims`] concludes, [`keys`] signs and publishes, [`verify`] is the relying party's side. None of
//! them reads a clock; the token is no secret, and no permit either: it says what was found, not what is allowed.

pub mod claims;
pub mod keys;
pub mod nonce;
pub mod verify;

use std::time::Duration;

use vouchsafe_http::Peer;
use vouchsafe_model::{DeviceId, Timestamp};
use vouchsafe_store::Standing;

use crate::attest::AttestRejected;
use crate::engine::{EngineError, TrustEngine};
use crate::operate::OperateRejected;

pub use claims::{EAR_PROFILE, EarClaims};
pub use keys::{KeySet, ResultKeys};
pub use nonce::ResultNonce;
pub use verify::{Expected, TokenRejected, UnverifiedToken};

use claims::Concluded;

/// The media type of a result (RFC 9782, 6).
pub const MEDIA_TYPE: &str = "application/eat+jwt";
/// The same as the `typ` of a JWS header, which leaves out `application/` (RFC 7515, 4.1.9).
pub const TOKEN_TYPE: &str = "eat+jwt";
/// The longest token that is made or read, in bytes: [`claims::MAX_FINDINGS`] findings whose every byte JSON has to escape.
pub const MAX_TOKEN_LEN: usize = 4 * 1024 * 1024;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ResultRejected {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] OperateRejected),
    /// The device that asks for its own may not take part.
    #[error(transparent)]
    Own(#[from] AttestRejected),
    /// There is no verdict since the device enrolled.
    #[error("the device {device} has not vouched for itself yet")]
    NotVouched {
        /// Which.
        device: DeviceId,
    },
    /// The last verdict is about a quote that is too old.
    #[error("the last quote of {device} is of {quoted_at}, and a result is good for {max_age_secs} s after it")]
    TooOld {
        /// Which.
        device: DeviceId,
        /// The latest instant that the quote speaks for.
        quoted_at: Timestamp,
        /// How long a result is good.
        max_age_secs: u64,
    },
    /// The key did not sign.
    #[error("the attestation result could not be signed")]
    Sign(#[from] keys::SignFailed),
    /// Something else went wrong.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl TrustEngine {
    /// The attestation result of a device, signed, at this instant.
    ///
    /// A revoked device has one as well, and it is contraindicated: a relying party that holds an older token learns more
    /// from that than from a refusal.
    ///
    /// # Errors
    /// There is no such device, it has not vouched for itself, or its last quote is too old.
    pub async fn result_of(
        &self,
        device: DeviceId,
        nonce: Option<&ResultNonce>,
        keys: &ResultKeys,
    ) -> Result<String, ResultRejected> {
        let standing = self.store().standing(device).await.map_err(EngineError::from)?;
        let not_found = || OperateRejected::NotFound { what: "device", id: device.to_string() };
        self.signed_result(&standing.ok_or_else(not_found)?, nonce, keys).await
    }

    /// The attestation result of the device that asks, to be shown to others.
    ///
    /// # Errors
    /// As [`Self::result_of`], and when the device is revoked or has enrolled anew since its certificate was issued.
    pub async fn own_result(
        &self,
        peer: &Peer,
        device: DeviceId,
        nonce: Option<&ResultNonce>,
        keys: &ResultKeys,
    ) -> Result<String, ResultRejected> {
        self.signed_result(&self.active_standing(device, peer).await?, nonce, keys).await
    }

    async fn signed_result(
        &self,
        standing: &Standing,
        nonce: Option<&ResultNonce>,
        keys: &ResultKeys,
    ) -> Result<String, ResultRejected> {
        let device = standing.device.id;
        let verdict = &standing.attestation.as_ref().ok_or(ResultRejected::NotVouched { device })?.verdict;
        let now = self.now();
        let ceilings = self.curve(standing).await?.explain_at(now).ceilings;
        let vetoes: Vec<_> = ceilings.iter().map(|part| (part.veto, part.ceiling)).collect();
        let max_age_secs = self.parts.config.result.max_age_secs;
        let concluded = Concluded {
            trust_domain: &self.parts.trust_domain,
            device,
            verdict,
            vetoes: &vetoes,
            max_age: Duration::from_secs(max_age_secs),
            token_id: self.random()?,
            nonce,
        };
        let claims = concluded.claims(now).map_err(|refused| match refused {
            claims::Refused::NotVouched => ResultRejected::NotVouched { device },
            claims::Refused::TooOld => ResultRejected::TooOld { device, quoted_at: verdict.quoted_at(), max_age_secs },
        })?;
        let token = keys.sign(&claims)?;
        tracing::info!(
            device.id = %device, result.id = claims.token_id, result.status = %claims.status,
            "attestation result issued"
        );
        Ok(token)
    }
}
