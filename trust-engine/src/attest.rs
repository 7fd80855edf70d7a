//! One attestation: evidence comes in; a verdict, a score and the next challenge go out.
//!
//! Whatever happens, it reaches the score: a verdict by being accepted, a forgery by being refused (threat 27). Both spend
//! the nonce in the transaction that stores them (threats 9 and 28).

use std::time::Duration;

use vouchsafe_attest::clock::ClockReading;
use vouchsafe_attest::ima::ImaState;
use vouchsafe_attest::key::{AkRejected, AttestationKey};
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, QuoteRejected, Sha1Bank};
use vouchsafe_attest::tpm::{DecodeError, PublicArea};
use vouchsafe_http::Peer;
use vouchsafe_model::{AttestationId, DeviceId, DeviceState, Image, Timestamp, Verdict};
use vouchsafe_store::{
    Acceptance, AcceptedAttestation, BootRecord, BootUpdate, ImaListChange, NonceUse, RefusalRecording,
    RefusedEvidence, Standing, StoredEvidence, TpmReading, TrustUpdate,
};
use vouchsafe_wire::v1::attest::{Appraised, Challenge, Evidence, EvidencePayload, evidence_binding};

use crate::appraise::{Appraisal, Context, appraise};
use crate::engine::{EngineError, MAX_ATTEMPTS, TrustEngine, bank, compute};
use crate::enrol::complete::json;
use crate::golden::{image_move, tell_move};
use crate::measured::{LogRejected, Progress, Received, kept};
use crate::nonce::{LiveNonce, NonceRejected, sha256};
use crate::score::event::TrustEvent;

/// Why evidence is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AttestRejected {
    /// The device is not known.
    #[error("the device {device} is not known")]
    Unknown {
        /// Which.
        device: DeviceId,
    },
    /// The device is revoked.
    #[error("the device {device} is revoked")]
    Revoked {
        /// Which.
        device: DeviceId,
    },
    /// The certificate is for a key that the device no longer has: it enrolled anew since.
    #[error("the certificate is of an earlier enrolment of the device")]
    StaleCertificate,
    /// The nonce is not good.
    #[error(transparent)]
    Nonce(#[from] NonceRejected),
    /// The nonce was used before.
    #[error("the nonce was used before")]
    NonceSpent,
    /// The payload is not what it must be.
    #[error("the payload is no evidence payload: {0}")]
    Payload(#[source] serde_json::Error),
    /// The quote is not authentic, or is not the one that was asked for.
    #[error("the quote is refused: {0}")]
    Quote(#[source] QuoteRejected),
    /// The stored AK cannot be read.
    #[error("the stored AK of {device} cannot be read")]
    StoredAk {
        /// Whose.
        device: DeviceId,
        /// Why.
        #[source]
        source: StoredAkError,
    },
    /// The logs cannot be looked at.
    #[error(transparent)]
    Logs(#[from] LogRejected),
    /// Something else went wrong.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Why a stored AK cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoredAkError {
    /// It is no public area.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is no attestation key.
    #[error(transparent)]
    Rejected(#[from] AkRejected),
}

/// What became of one attempt to store evidence.
enum Attempt {
    Accepted(Verdict),
    /// Others changed the device meanwhile.
    Again,
}

impl TrustEngine {
    /// Appraises evidence of the device whose certificate this is.
    ///
    /// # Errors
    /// The device may not take part, the nonce is not good, or the quote is not authentic.
    pub async fn attest(&self, peer: &Peer, device: DeviceId, evidence: Evidence) -> Result<Appraised, AttestRejected> {
        let received_at = self.now();
        for _ in 0..MAX_ATTEMPTS {
            let standing = self.active_standing(device, peer).await?;
            // On the heap, since it is large and whoever waits for it would be.
            let attempt = Box::pin(self.try_attest(standing, peer, &evidence, received_at));
            if let Attempt::Accepted(verdict) = attempt.await? {
                self.publish(device).await?;
                return self.appraised(device, verdict).await;
            }
        }
        Err(EngineError::Contended.into())
    }

    /// A challenge for a device that has none that is still good.
    ///
    /// # Errors
    /// The device may not take part.
    pub async fn fresh_challenge(&self, peer: &Peer, device: DeviceId) -> Result<Challenge, AttestRejected> {
        let standing = self.active_standing(device, peer).await?;
        Ok(self.challenge(&standing, Duration::ZERO).await?)
    }

    /// What is stored of a device that may take part and whose present key this certificate is for (threat 3).
    pub(crate) async fn active_standing(&self, device: DeviceId, peer: &Peer) -> Result<Standing, AttestRejected> {
        let standing = self.store().standing(device).await.map_err(EngineError::from)?;
        let standing = standing.ok_or(AttestRejected::Unknown { device })?;
        if standing.device.state == DeviceState::Revoked {
            return Err(AttestRejected::Revoked { device });
        }
        if standing.device.keys.tls_spki != peer.spki_der {
            return Err(AttestRejected::StaleCertificate);
        }
        Ok(standing)
    }

    async fn try_attest(
        &self,
        mut standing: Standing,
        peer: &Peer,
        evidence: &Evidence,
        now: Timestamp,
    ) -> Result<Attempt, AttestRejected> {
        let device = standing.device.id;
        let nonce = self.nonces.recognise(&device, evidence.nonce.as_slice(), now)?;
        let quote = match self.authenticate(&standing, peer, evidence) {
            Ok(quote) => quote,
            Err(rejected) => return Err(self.refuse(device, &nonce, rejected, now).await?),
        };
        let payload: EvidencePayload = serde_json::from_str(&evidence.payload).map_err(AttestRejected::Payload)?;

        let event_log = self.event_log(payload.event_log, &evidence.logs).await??;
        let assigned = standing.device.image.clone();
        if assigned.is_none() {
            let log = event_log.as_ref().map(|(_, bytes)| bytes.as_slice());
            standing.device.image = self.match_image(&quote, log).await?;
        }
        let valid = self.valid_for(&standing, now).await?;
        let (sent, is_first_use) = (evidence.logs.ima.as_ref(), assigned.is_none());
        let (record, ima) = self.receive_list(&standing, &payload, sent, &valid, is_first_use).await??;
        let received = Received { event_log, ima };
        let context = Context {
            attestation: AttestationId::new(now, &self.random()?),
            now,
            nonce_issued_at: nonce.issued_at(),
            previous: previous_reading(&standing),
            endorsement: standing.device.endorsement,
            delay_tolerance: Duration::from_secs(self.parts.config.attest.delay_tolerance_secs),
            assigned: standing.device.image.clone(),
            valid,
            dbx: self.dbx().await?,
        };
        let stored = stored(evidence, &quote, now);
        let tail = self.tail_of(device, received.ima.as_ref()).await?;
        let (Appraisal { verdict, ima, .. }, list, received, context) = compute(move || {
            let appraisal = appraise(&quote, &received, &context);
            let list = kept::change(received.ima.as_ref(), appraisal.taken, tail.as_ref());
            (appraisal, list, received, context)
        })
        .await?;
        let image = verdict.image().and_then(|id| context.valid.images.get(id)).map(|(image, _)| image);
        let event = TrustEvent::attested(&verdict, image, standing.device.certificate_expires_at);
        let accepted = AcceptedAttestation {
            device,
            enrolment: standing.device.keys.enrolment,
            nonce: nonce_use(&nonce),
            moves: image_move(assigned, &verdict),
            verdict: verdict.clone(),
            boot: boot_update(&standing, record.as_ref(), &payload, &received, (ima, list?), &stored)?,
            evidence: stored,
            facts: Some(payload.facts.sanitised()),
            trust: self.trust_update(&standing, &event, now).await?,
        };
        match self.store().accept_attestation(&accepted).await.map_err(EngineError::from)? {
            Acceptance::Accepted(_) => {
                accepted.moves.iter().for_each(|moved| tell_move(device, moved));
                Ok(Attempt::Accepted(verdict))
            }
            Acceptance::Superseded => Ok(Attempt::Again),
            Acceptance::NonceSpent => Err(AttestRejected::NonceSpent),
            Acceptance::DeviceUnknown => Err(AttestRejected::Unknown { device }),
            Acceptance::DeviceRevoked => Err(AttestRejected::Revoked { device }),
        }
    }

    /// Evidence → authentic quote: the AK of this device signed this nonce, this certificate and this payload.
    fn authenticate(
        &self,
        standing: &Standing,
        peer: &Peer,
        evidence: &Evidence,
    ) -> Result<AuthenticQuote, AttestRejected> {
        let device = &standing.device;
        let ak = PublicArea::parse_tpmt(&device.keys.ak_public)
            .map_err(StoredAkError::from)
            .and_then(|public| Ok(AttestationKey::from_public(public)?))
            .map_err(|source| AttestRejected::StoredAk { device: device.id, source })?;
        let payload = sha256(evidence.payload.as_bytes());
        let qualifying = sha256(&evidence_binding(evidence.nonce.as_slice(), &peer.certificate_digest, &payload));
        let check = QuoteCheck {
            ak: &ak,
            message: evidence.quote.message.as_slice(),
            signature: evidence.quote.signature.as_slice(),
            qualifying_data: qualifying.as_bytes(),
            selection: &self.parts.config.attest.selection(bank(device.sha1_consent)),
            pcrs: &evidence.quote.pcrs,
            sha1: if device.sha1_consent { Sha1Bank::Consented } else { Sha1Bank::Refused },
        };
        check.verify().map_err(AttestRejected::Quote)
    }

    /// Records evidence that is not authentic, burns its nonce and lets it count against the device.
    async fn refuse(
        &self,
        device: DeviceId,
        nonce: &LiveNonce,
        rejected: AttestRejected,
        now: Timestamp,
    ) -> Result<AttestRejected, AttestRejected> {
        let AttestRejected::Quote(reason) = &rejected else { return Ok(rejected) };
        let (code, detail) = (reason.code(), reason.to_string());
        tracing::warn!(device.id = %device, quote.refusal = code, "evidence refused: {detail}");
        metrics::counter!("evidence_refused_total", "code" => code).increment(1);
        let event = TrustEvent::evidence_refused(code);
        for _ in 0..MAX_ATTEMPTS {
            let standing = self.store().standing(device).await.map_err(EngineError::from)?;
            let standing = standing.ok_or(AttestRejected::Unknown { device })?;
            let refused = RefusedEvidence {
                device,
                nonce: Some(nonce_use(nonce)),
                code: code.to_owned(),
                detail: detail.clone(),
                at: now,
                trust: Some(self.trust_update(&standing, &event, now).await?),
            };
            let recording = self.store().refuse_evidence(&refused).await.map_err(EngineError::from)?;
            if let RefusalRecording::Recorded(_) = recording {
                self.publish(device).await?;
                return Ok(rejected);
            }
        }
        Err(EngineError::Contended.into())
    }

    pub(crate) async fn assigned_image(&self, standing: &Standing) -> Result<Option<Image>, EngineError> {
        match &standing.device.image {
            Some(id) => Ok(self.store().image(id).await?),
            None => Ok(None),
        }
    }

    pub(crate) async fn trust_update(
        &self,
        standing: &Standing,
        event: &TrustEvent,
        at: Timestamp,
    ) -> Result<TrustUpdate, EngineError> {
        let before = self.trust_state(standing.device.id, &standing.trust).await?;
        let after = before.absorb(&self.parts.model, event, at);
        Ok(TrustUpdate { follows: standing.trust.sequence, at, event: json(event)?, state: json(&after)? })
    }

    async fn appraised(&self, device: DeviceId, verdict: Verdict) -> Result<Appraised, AttestRejected> {
        let standing = self.store().standing(device).await.map_err(EngineError::from)?;
        let standing = standing.ok_or(AttestRejected::Unknown { device })?;
        let curve = self.curve(&standing).await?;
        let now = self.now();
        let life = standing.device.certificate_expires_at.since(now);
        let ttl = Duration::from_secs(self.parts.config.certificates.device_ttl_secs);
        metrics::counter!("attestations_total", "verdict" => verdict.status().name()).increment(1);
        tracing::info!(
            device.id = %device, attestation.id = %verdict.attestation(), verdict.status = %verdict.status(),
            trust.score = curve.score_at(now).points(), "evidence appraised"
        );
        Ok(Appraised {
            score: curve.score_at(now),
            challenge: self.challenge(&standing, self.due_in(&curve)?).await?,
            renew: life < ttl / 3,
            verdict,
        })
    }
}

fn nonce_use(nonce: &LiveNonce) -> NonceUse {
    NonceUse { digest: nonce.digest(), expires_at: nonce.expires_at() }
}

/// What the TPM last said of itself under the present AK.
fn previous_reading(standing: &Standing) -> Option<(ClockReading, Timestamp)> {
    let last = standing.attestation.as_ref()?;
    (last.enrolment == standing.device.keys.enrolment).then_some((
        ClockReading {
            clock_ms: last.tpm.clock_ms,
            reset_count: last.tpm.reset_count,
            restart_count: last.tpm.restart_count,
            safe: last.tpm.safe,
            firmware_version: last.tpm.firmware_version,
        },
        last.received_at,
    ))
}

/// What the evidence says of the host's present boot; nothing when it names none.
fn boot_update(
    standing: &Standing,
    record: Option<&BootRecord>,
    payload: &EvidencePayload,
    received: &Received,
    (ima, list): (Option<ImaState>, ImaListChange),
    stored: &StoredEvidence,
) -> Result<Option<BootUpdate>, EngineError> {
    if payload.boot.is_none() && payload.event_log.is_none() {
        return Ok(None);
    }
    let judged_by = received.ima.as_ref().map(|(resumed, _)| resumed.judged_by.clone()).unwrap_or_default();
    Ok(Some(BootUpdate {
        follows: record.map(|record| record.version),
        enrolment: standing.device.keys.enrolment,
        boot: payload.boot.as_ref().map(|boot| boot.as_str().to_owned()),
        reset_count: stored.tpm.reset_count,
        restart_count: stored.tpm.restart_count,
        event_log: received.event_log.as_ref().map(|(digest, _)| *digest),
        ima: ima.map(|state| json(&Progress::new(state, judged_by))).transpose()?,
        list,
        at: stored.received_at,
    }))
}

fn stored(evidence: &Evidence, quote: &AuthenticQuote, received_at: Timestamp) -> StoredEvidence {
    let clock = quote.clock();
    StoredEvidence {
        message: evidence.quote.message.as_slice().to_vec(),
        signature: evidence.quote.signature.as_slice().to_vec(),
        pcrs: quote.pcrs().clone(),
        tpm: TpmReading {
            clock_ms: clock.clock_ms,
            reset_count: clock.reset_count,
            restart_count: clock.restart_count,
            safe: clock.safe,
            firmware_version: clock.firmware_version,
        },
        received_at,
    }
}
