//! A new certificate for the TLS key that a device has already.

use vouchsafe_http::Peer;
use vouchsafe_model::DeviceId;
use vouchsafe_pki::{Csr, CsrRejected, IssueError, Serial};
use vouchsafe_store::{CertificateRecording, IssuedCertificate};
use vouchsafe_wire::v1::enrol::{DeviceCertificate, Renew};

use crate::attest::AttestRejected;
use crate::engine::{EngineError, MAX_ATTEMPTS, TrustEngine};
use crate::score::event::TrustEvent;

/// Why a certificate is not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewRejected {
    /// The device may not take part.
    #[error(transparent)]
    Device(#[from] AttestRejected),
    /// The certificate request is refused.
    #[error("the certificate request is refused: {0}")]
    Csr(#[from] CsrRejected),
    /// The certificate request is for another key.
    #[error("the certificate request is for another key than the one that was enrolled")]
    OtherKey,
    /// No certificate could be issued.
    #[error("no certificate could be issued")]
    Issue(#[from] IssueError),
}

impl TrustEngine {
    /// Issues the next certificate of a device. The one before stays good until it ends, so that an answer that is lost
    /// costs nothing.
    ///
    /// # Errors
    /// The device may not take part, or the request is not for its TLS key.
    pub async fn renew(
        &self,
        peer: &Peer,
        device: DeviceId,
        message: Renew,
    ) -> Result<DeviceCertificate, RenewRejected> {
        let standing = self.active_standing(device, peer).await?;
        let request = Csr::verify(message.certificate_request.as_slice())?;
        if request.spki_der() != standing.device.keys.tls_spki {
            return Err(RenewRejected::OtherKey);
        }
        let now = self.now();
        let serial = Serial::from_entropy(self.random().map_err(AttestRejected::from)?);
        let issued = self.issue_device_certificate(device, &request, now, serial)?;
        let recorded = IssuedCertificate {
            digest: issued.digest,
            device,
            enrolment: standing.device.keys.enrolment,
            issued_at: now,
            expires_at: issued.not_after,
        };
        let recording = self.store().record_certificate(&recorded).await.map_err(EngineError::from);
        match recording.map_err(AttestRejected::from)? {
            CertificateRecording::Recorded => {}
            CertificateRecording::Superseded => return Err(AttestRejected::StaleCertificate.into()),
            CertificateRecording::Revoked => return Err(AttestRejected::Revoked { device }.into()),
        }
        self.append_trust(device, &TrustEvent::certificate_renewed(issued.not_after))
            .await
            .map_err(AttestRejected::from)?;
        tracing::info!(device.id = %device, certificate.expires_at = %issued.not_after, "certificate renewed");
        Ok(self.device_certificate(issued, now))
    }

    /// Lets something that is neither evidence nor a change of state count for a device's trust.
    pub(crate) async fn append_trust(&self, device: DeviceId, event: &TrustEvent) -> Result<(), EngineError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(standing) = self.store().standing(device).await? else { return Ok(()) };
            let update = self.trust_update(&standing, event, self.now()).await?;
            if let vouchsafe_store::TrustAppend::Appended(_) = self.store().append_trust(device, &update).await? {
                return self.publish(device).await;
            }
        }
        Err(EngineError::Contended)
    }
}
