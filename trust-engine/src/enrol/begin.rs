//! The first message: EK, AK and TLS key are shown; a credential goes back that only their TPM can open.

use std::time::Duration;

use vouchsafe_attest::certify::{self, CertifiedKey, CertifyRejected};
use vouchsafe_attest::credential::{self, CredentialEntropy, CredentialError};
use vouchsafe_attest::endorsement::{self, Endorsement, EndorsementClaim, EndorsementRejected};
use vouchsafe_attest::key::{AkRejected, AttestationKey, DeviceKey, DeviceKeyRejected};
use vouchsafe_attest::tpm::{DecodeError, PublicArea};
use vouchsafe_model::token::{JoinToken, TokenRefusal};
use vouchsafe_model::{DeviceId, DeviceState, EndorsementGrade, EnrolmentId, HashAlgorithm, Sha256Digest, Timestamp};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::enrol::{BeginEnrolment, EnrolmentChallenge, JoinSecret, tls_key_binding};
use vouchsafe_wire::v1::limits;

use super::ticket::Ticket;
use crate::engine::{EngineError, TrustEngine};
use crate::nonce::sha256;

/// Why an enrolment does not begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginRejected {
    /// The token lets nobody in.
    #[error(transparent)]
    Token(TokenRefusal),
    /// A key is no TPM public area.
    #[error("{field} is no TPMT_PUBLIC")]
    Malformed {
        /// Which key.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Too many intermediate certificates came along.
    #[error("{count} intermediate certificates; at most {} are read", limits::EK_INTERMEDIATES)]
    TooManyIntermediates {
        /// How many.
        count: usize,
    },
    /// What vouches for the EK contradicts it.
    #[error("the endorsement of the EK is refused: {0}")]
    Endorsement(#[source] EndorsementRejected),
    /// Not enough vouches for the EK.
    #[error("the EK is endorsed by {grade}, and {minimum} is the least that may enrol (EK digest {ek_digest})")]
    EndorsementTooLow {
        /// What vouches for it.
        grade: EndorsementGrade,
        /// What has to.
        minimum: EndorsementGrade,
        /// Which EK: for the operator who would pin it.
        ek_digest: Sha256Digest,
    },
    /// The AK is no attestation key.
    #[error("the AK is refused: {0}")]
    Ak(#[source] AkRejected),
    /// The TLS key is none that stays in its TPM.
    #[error("the TLS key is refused: {0}")]
    TlsKey(#[source] DeviceKeyRejected),
    /// The AK does not vouch for the TLS key.
    #[error("the certification of the TLS key is refused: {0}")]
    Certify(#[source] CertifyRejected),
    /// No credential can be made for this EK.
    #[error("no credential can be made for the EK: {0}")]
    Credential(#[source] CredentialError),
    /// Its TPM keeps no PCRs in a bank that is accepted.
    #[error("the TPM has no SHA-256 bank of PCRs, and the join token does not consent to SHA-1")]
    NoBank,
    /// The device is revoked.
    #[error("the device {device} is revoked; an operator has to restore it first")]
    Revoked {
        /// Which.
        device: DeviceId,
    },
    /// Something else went wrong.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// How long a secret inside a credential is, in bytes: as much as the smallest nameAlg of an EK can carry.
const SECRET_LEN: usize = 32;
/// How often a scalar is drawn for an elliptic curve EK. Even twice happens once in four thousand million times.
const SCALAR_DRAWS: usize = 4;

impl TrustEngine {
    /// Checks what a host shows and makes the credential that proves it.
    ///
    /// Nothing is stored: what has to be remembered goes into the ticket.
    ///
    /// # Errors
    /// The token lets nobody in; or a key, its attributes, its endorsement or its certification is not as it must be.
    pub async fn begin_enrolment(&self, message: BeginEnrolment) -> Result<EnrolmentChallenge, BeginRejected> {
        let now = self.now();
        let token = self.join_token(&message.token, now).await?;
        let keys = ShownKeys::parse(&message)?;
        let endorsement = self.endorse(&message, &keys.ek, &token, now)?;
        let certified = keys.certify(&message)?;
        let sha1_bank = sha1_bank(&message.pcr_banks, &token)?;
        let device = DeviceId::from_ek_digest(&endorsement.ek_digest);
        let replaces = self.present_enrolment(device).await?;

        let secret: [u8; SECRET_LEN] = self.random()?;
        let credential = self.seal_secret(&keys.ek, keys.ak.name().as_bytes(), &secret)?;
        let expires_at = now.plus(Duration::from_secs(self.parts.config.enrol.ticket_ttl_secs));
        let ticket = Ticket {
            enrolment: EnrolmentId::new(now, &self.random()?),
            token: token.id,
            replaces,
            expires_at,
            secret_digest: sha256(&secret),
            endorsement: endorsement.grade,
            ek_digest: endorsement.ek_digest,
            ek_certificate: message.ek_certificate,
            ak_public: message.ak_public,
            tls_public: fit(certified.device_key().public().as_tpmt())?,
            sha1_bank,
            image: token.image,
            facts: message.facts.sanitised(),
        };
        let sealed = self.tickets.seal(&ticket, self.random()?).and_then(|sealed| Bytes::new(sealed).ok());
        tracing::info!(
            enrolment.id = %ticket.enrolment, device.id = %device, token.id = %ticket.token,
            device.endorsement = %ticket.endorsement, "enrolment began"
        );
        Ok(EnrolmentChallenge {
            ticket: sealed.ok_or(EngineError::TooLarge { what: "a ticket" })?,
            credential: fit(&credential.id_object)?,
            encrypted_secret: fit(&credential.encrypted_secret)?,
            expires_at,
        })
    }

    async fn join_token(&self, secret: &JoinSecret, now: Timestamp) -> Result<JoinToken, BeginRejected> {
        let digest = sha256(secret.expose().as_bytes());
        let token = self.store().token_by_secret_digest(&digest).await.map_err(EngineError::from)?;
        let token = token.ok_or(BeginRejected::Token(TokenRefusal::Unknown))?;
        match token.refusal(now) {
            // A used-up token may belong to an enrolment that is being repeated; completing it counts no further use.
            // A new enrolment is refused when it completes, by the store, which alone can count.
            None => Ok(token),
            Some(refusal) => Err(BeginRejected::Token(refusal)),
        }
    }

    fn endorse(
        &self,
        message: &BeginEnrolment,
        ek: &PublicArea,
        token: &JoinToken,
        now: Timestamp,
    ) -> Result<Endorsement, BeginRejected> {
        let count = message.ek_intermediates.len();
        if count > limits::EK_INTERMEDIATES {
            return Err(BeginRejected::TooManyIntermediates { count });
        }
        let extra_intermediates: Vec<Vec<u8>> =
            message.ek_intermediates.iter().map(|intermediate| intermediate.as_slice().to_vec()).collect();
        let claim = EndorsementClaim {
            ek_public: ek,
            ek_certificate: message.ek_certificate.as_ref().map(Bytes::as_slice),
            extra_intermediates: &extra_intermediates,
            pinned: token.pinned_ek.as_ref(),
        };
        let endorsement = endorsement::grade(claim, &self.parts.anchors, now).map_err(BeginRejected::Endorsement)?;
        for note in &endorsement.notes {
            tracing::info!(ek.digest = %endorsement.ek_digest, note.code = note.code(), "endorsement: {note}");
        }
        let minimum = self.parts.config.enrol.minimum_endorsement.grade();
        if endorsement.grade < minimum {
            return Err(BeginRejected::EndorsementTooLow {
                grade: endorsement.grade,
                minimum,
                ek_digest: endorsement.ek_digest,
            });
        }
        Ok(endorsement)
    }

    /// The enrolment whose keys a known device has; `None` for a new one.
    async fn present_enrolment(&self, device: DeviceId) -> Result<Option<EnrolmentId>, BeginRejected> {
        match self.store().device(device).await.map_err(EngineError::from)? {
            Some(known) if known.state == DeviceState::Revoked => Err(BeginRejected::Revoked { device }),
            known => Ok(known.map(|known| known.keys.enrolment)),
        }
    }

    fn seal_secret(
        &self,
        ek: &PublicArea,
        ak_name: &[u8],
        secret: &[u8],
    ) -> Result<credential::Credential, BeginRejected> {
        let mut made = Err(CredentialError::ScalarOutOfRange);
        for _ in 0..SCALAR_DRAWS {
            made = credential::make_credential(ek, ak_name, secret, &CredentialEntropy::new(self.random()?));
            if !matches!(made, Err(CredentialError::ScalarOutOfRange)) {
                break;
            }
        }
        made.map_err(BeginRejected::Credential)
    }
}

/// The three keys of a first message.
struct ShownKeys {
    ek: PublicArea,
    ak: AttestationKey,
    tls: DeviceKey,
}

impl ShownKeys {
    fn parse(message: &BeginEnrolment) -> Result<Self, BeginRejected> {
        Ok(Self {
            ek: public_area("ek_public", &message.ek_public)?,
            ak: AttestationKey::from_public(public_area("ak_public", &message.ak_public)?)
                .map_err(BeginRejected::Ak)?,
            tls: DeviceKey::from_public(public_area("tls_public", &message.tls_public)?)
                .map_err(BeginRejected::TlsKey)?,
        })
    }

    /// That the TLS key lives in the TPM of the AK, by the AK's word, given for this token (threat 3).
    fn certify(&self, message: &BeginEnrolment) -> Result<CertifiedKey, BeginRejected> {
        let binding = sha256(&tls_key_binding(&message.token));
        let (attest, signature) = (message.tls_certify.as_slice(), message.tls_certify_signature.as_slice());
        certify::verify(&self.ak, attest, signature, &self.tls, binding.as_bytes()).map_err(BeginRejected::Certify)
    }
}

fn public_area<const MAX: usize>(field: &'static str, bytes: &Bytes<MAX>) -> Result<PublicArea, BeginRejected> {
    PublicArea::parse_tpmt(bytes.as_slice()).map_err(|source| BeginRejected::Malformed { field, source })
}

/// Whether the device is to be quoted in the SHA-1 bank (threat 11): only if it has no other, and its token consents.
fn sha1_bank(banks: &[HashAlgorithm], token: &JoinToken) -> Result<bool, BeginRejected> {
    if banks.is_empty() || banks.contains(&HashAlgorithm::Sha256) {
        Ok(false)
    } else if banks.contains(&HashAlgorithm::Sha1) && token.sha1_consent {
        Ok(true)
    } else {
        Err(BeginRejected::NoBank)
    }
}

fn fit<const MAX: usize>(bytes: &[u8]) -> Result<Bytes<MAX>, EngineError> {
    Bytes::new(bytes).map_err(|_| EngineError::TooLarge { what: "an enrolment's answer" })
}
