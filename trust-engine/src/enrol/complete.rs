//! The second message: the opened secret proves that EK, AK and TLS key are in one TPM; the device gets its name.

use subtle::ConstantTimeEq;
use vouchsafe_attest::tpm::{DecodeError, PublicArea};
use vouchsafe_model::device::DeviceKeys;
use vouchsafe_model::token::TokenRefusal;
use vouchsafe_model::{Device, DeviceId, DeviceState, Timestamp};
use vouchsafe_pki::{Csr, CsrRejected, IssueError, IssuedCertificate, Serial};
use vouchsafe_store::{EnrolmentOutcome, InitialTrust, NewEnrolment, Standing};
use vouchsafe_wire::v1::enrol::{CompleteEnrolment, Enrolled};

use super::ticket::{Ticket, TicketRejected};
use crate::engine::{EngineError, TrustEngine};
use crate::nonce::sha256;
use crate::score::event::TrustEvent;
use crate::score::state::TrustState;

/// Why an enrolment does not complete.
#[derive(Debug, thiserror::Error)]
pub enum CompleteRejected {
    /// The ticket is not honoured.
    #[error(transparent)]
    Ticket(#[from] TicketRejected),
    /// The secret is not the one in the credential: this is not the TPM whose EK was shown.
    #[error("the activated secret is not the one that was sent: the credential was not opened by the EK's TPM")]
    WrongSecret,
    /// The certificate request is refused.
    #[error("the certificate request is refused: {0}")]
    Csr(#[from] CsrRejected),
    /// The certificate request is for another key than the certified one.
    #[error("the certificate request is for another key than the TLS key that the AK certified")]
    OtherKey,
    /// A key in the ticket cannot be read.
    #[error("the ticket holds a key that cannot be read")]
    Key(#[source] DecodeError),
    /// No certificate could be issued.
    #[error("no certificate could be issued")]
    Issue(#[from] IssueError),
    /// The token lets nobody in any more.
    #[error(transparent)]
    Token(TokenRefusal),
    /// Another enrolment of the device completed since this one began.
    #[error("another enrolment of this device completed since this one began")]
    Overtaken,
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

impl TrustEngine {
    /// Checks the proof, names the device, issues its certificate and its first challenge.
    ///
    /// Sent again with the same ticket, it does the same once: an answer that was lost costs nothing.
    ///
    /// # Errors
    /// The ticket, the secret or the request is not as it must be; or the token was used up, or the device enrolled or
    /// revoked, since the enrolment began.
    pub async fn complete_enrolment(&self, message: CompleteEnrolment) -> Result<Enrolled, CompleteRejected> {
        let now = self.now();
        let ticket = self.tickets.open(message.ticket.as_slice(), now)?;
        let opened = sha256(message.activated_secret.as_slice());
        if !bool::from(opened.as_bytes().ct_eq(ticket.secret_digest.as_bytes())) {
            return Err(CompleteRejected::WrongSecret);
        }
        let request = Csr::verify(message.certificate_request.as_slice())?;
        let tls = PublicArea::parse_tpmt(ticket.tls_public.as_slice()).map_err(CompleteRejected::Key)?;
        if request.spki_der() != tls.to_spki_der() {
            return Err(CompleteRejected::OtherKey);
        }

        let device = DeviceId::from_ek_digest(&ticket.ek_digest);
        let issued = self.issue_device_certificate(device, &request, now, Serial::from_entropy(self.random()?))?;
        let enrolment = self.new_enrolment(ticket, request.spki_der().to_vec(), &issued, now)?;
        let outcome = self.store().complete_enrolment(&enrolment).await.map_err(EngineError::from)?;
        let is_new = matches!(outcome, EnrolmentOutcome::Enrolled(_));
        let standing = enrolled_standing(outcome, device)?;
        if is_new || vouched_with_present_keys(&standing) {
            self.publish(device).await?;
        } else {
            // Known devices keep their history, and their trust waits until the new keys have vouched. Said again for an
            // enrolment that is repeated, in case the engine died before it was said the first time.
            let event = TrustEvent::enrolled(standing.device.endorsement, issued.not_after);
            self.append_trust(device, &event).await?;
        }
        metrics::counter!("enrolments_total", "outcome" => "enrolled").increment(1);
        Ok(Enrolled {
            device,
            certificate: self.device_certificate(issued, now),
            challenge: self.challenge(&standing, std::time::Duration::ZERO).await?,
        })
    }

    fn new_enrolment(
        &self,
        ticket: Ticket,
        tls_spki: Vec<u8>,
        issued: &IssuedCertificate,
        now: Timestamp,
    ) -> Result<NewEnrolment, CompleteRejected> {
        let ak = PublicArea::parse_tpmt(ticket.ak_public.as_slice()).map_err(CompleteRejected::Key)?;
        let event = TrustEvent::enrolled(ticket.endorsement, issued.not_after);
        let state = TrustState::begin(&self.parts.model, now).absorb(&self.parts.model, &event, now);
        let device = Device {
            id: DeviceId::from_ek_digest(&ticket.ek_digest),
            state: DeviceState::Active,
            revocation_reason: None,
            endorsement: ticket.endorsement,
            sha1_consent: ticket.sha1_bank,
            enrolled_at: now,
            image: ticket.image,
            certificate_expires_at: issued.not_after,
            certificate_digest: issued.digest,
            keys: DeviceKeys {
                enrolment: ticket.enrolment,
                ek_digest: ticket.ek_digest,
                ek_certificate: ticket.ek_certificate.map(vouchsafe_wire::Bytes::into_vec),
                ak_name: ak.name().as_bytes().to_vec(),
                ak_public: ticket.ak_public.into_vec(),
                tls_spki,
            },
            facts: ticket.facts,
        };
        Ok(NewEnrolment {
            device,
            token: ticket.token,
            replaces: ticket.replaces,
            now,
            trust: InitialTrust { event: json(&event)?, state: json(&state)? },
        })
    }
}

fn enrolled_standing(outcome: EnrolmentOutcome, device: DeviceId) -> Result<Standing, CompleteRejected> {
    let (standing, how) = match outcome {
        EnrolmentOutcome::Enrolled(standing) => (standing, "enrolled"),
        EnrolmentOutcome::Reenrolled(standing) => (standing, "enrolled again, with new keys"),
        EnrolmentOutcome::Repeated(standing) => (standing, "asked for its enrolment's answer again"),
        EnrolmentOutcome::Overtaken => return Err(CompleteRejected::Overtaken),
        EnrolmentOutcome::Refused(refusal) => return Err(CompleteRejected::Token(refusal)),
        EnrolmentOutcome::Revoked => return Err(CompleteRejected::Revoked { device }),
    };
    tracing::info!(
        device.id = %device, enrolment.id = %standing.device.keys.enrolment,
        device.endorsement = %standing.device.endorsement, "device {how}"
    );
    Ok(*standing)
}

fn vouched_with_present_keys(standing: &Standing) -> bool {
    let present = standing.device.keys.enrolment;
    standing.attestation.as_ref().is_some_and(|attestation| attestation.enrolment == present)
}

/// What the store keeps of events and states.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, EngineError> {
    serde_json::to_string(value).map_err(|_| EngineError::TooLarge { what: "a trust state" })
}
