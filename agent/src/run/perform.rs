//! Doing what the machine asks for: on the TPM, then at the engine.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use vouchsafe_model::{HostFacts, Sha256Digest};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::{Challenge, Quote};
use vouchsafe_wire::v1::enrol::{
    BeginEnrolment, CompleteEnrolment, DeviceCertificate, EnrolmentChallenge, JoinSecret, Renew, tls_key_binding,
};
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::{InvalidBase64, v1::attest::Appraised};

use crate::client::{Client, ClientError};
use crate::clock;
use crate::evidence::{Attestation, Attested, Quoter};
use crate::facts;
use crate::logs::{HostLogs, LogPaths};
use crate::machine::{Action, Event, Failure};
use crate::state::{EngineAddress, PendingEnrolment, State};
use crate::tls::{TlsError, TpmSigningKey, for_device, for_enrolment, leaf_digest, sha256};
use crate::tpm::{
    AkAlgorithm, DeviceKeys, EkPreference, PublicArea, TpmError, TpmHandle, activate_credential, certificate_request,
    certify_tls_key, find_endorsement_key, make_device_keys, pcr_banks, quote,
};

/// What actions are performed with.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) tpm: TpmHandle,
    pub(super) ak: AkAlgorithm,
    pub(super) ek: EkPreference,
    pub(super) token: Option<JoinSecret>,
    pub(super) request_limit: Duration,
    pub(super) facts: HostFacts,
    tpm_manufacturer: OnceLock<String>,
    logs: Arc<HostLogs>,
    /// The last nonce, and until when parts of a list may go ahead of it.
    ahead: Mutex<Option<(Bytes<{ limits::NONCE }>, Duration)>>,
    /// The client of the present certificate.
    member: Mutex<Option<(String, Client)>>,
}

/// What an action came to: an event for the machine, and what is worth telling people.
#[derive(Debug)]
pub(super) struct Performed {
    pub(super) event: Event,
    pub(super) appraised: Option<Appraised>,
}

impl Shell {
    pub(super) fn new(
        tpm: TpmHandle,
        (ak, ek): (AkAlgorithm, EkPreference),
        token: Option<JoinSecret>,
        request_limit: Duration,
        logs: LogPaths,
    ) -> Self {
        let (tpm_manufacturer, ahead, member) = (OnceLock::new(), Mutex::new(None), Mutex::new(None));
        let (facts, logs) = (facts::of_host(), Arc::new(HostLogs::new(logs)));
        Self { tpm, ak, ek, token, request_limit, facts, tpm_manufacturer, logs, ahead, member }
    }

    /// Performs an action. Sleeping and stopping are not for here.
    pub(super) async fn perform(self: Arc<Self>, action: Action, state: State) -> Performed {
        let mut appraised = None;
        let event = match action {
            Action::MakeKeys => self.make_keys().await.map(Event::KeysMade),
            Action::BeginEnrolment => self.begin(&state).await.map(Event::EnrolmentBegan),
            Action::CompleteEnrolment(pending) => self.complete(&state, &pending).await,
            Action::FetchChallenge => self.challenge(&state).await.map(Event::Challenged),
            Action::Attest(challenge) => self.attest(&state, challenge).await.map(|attested| match attested {
                Attested::SentAhead => Event::SentAhead,
                Attested::Appraised(answer) => {
                    let event = Event::Appraised { challenge: answer.challenge.clone(), renew: answer.renew };
                    appraised = Some(*answer);
                    event
                }
            }),
            Action::Renew => self.renew(&state).await.map(Event::Renewed),
            Action::SleepUntil(_) | Action::Await | Action::Stop(_) => Ok(Event::Tick),
        };
        Performed { event: event.unwrap_or_else(Event::Failed), appraised }
    }

    async fn make_keys(&self) -> Result<DeviceKeys, Failure> {
        let algorithm = self.ak;
        Ok(self.tpm.run(move |tpm| make_device_keys(tpm, algorithm)).await?)
    }

    async fn begin(&self, state: &State) -> Result<PendingEnrolment, Failure> {
        let (keys, engine) = (keys(state)?, engine(state)?);
        let token = self.token.clone().ok_or_else(|| Failure::local("there is no join token"))?;
        let client = Client::new(&engine.enrol_url, for_enrolment(&engine.trust_bundle_pem)?, self.request_limit)?;
        let binding = *sha256(&tls_key_binding(&token)).as_bytes();
        let (preference, certifying, facts) = (self.ek, keys.clone(), self.facts.clone());
        let (ek, certified, banks, facts) = self
            .tpm
            .run(move |tpm| {
                let ek = find_endorsement_key(tpm, preference)?;
                let certified = certify_tls_key(tpm, &certifying, &binding)?;
                Ok((ek, certified, pcr_banks(tpm)?, facts::with_tpm(facts.clone(), tpm)?))
            })
            .await?;
        tracing::info!(
            ek.sha256 = ek.public.spki_digest().map(|digest| digest.to_string()),
            ek.certificate = ek.certificate.is_some(),
            engine.url = %engine.enrol_url,
            "enrolling"
        );
        let message = BeginEnrolment {
            token,
            ek_public: bytes(ek.public.tpmt())?,
            ek_certificate: ek.certificate.as_deref().map(bytes).transpose()?,
            ek_intermediates: ek.intermediates.iter().map(|der| bytes(der)).collect::<Result<_, _>>()?,
            ak_public: bytes(keys.ak.public_area()?.tpmt())?,
            tls_public: bytes(keys.tls.public_area()?.tpmt())?,
            tls_certify: bytes(&certified.message)?,
            tls_certify_signature: bytes(&certified.signature)?,
            pcr_banks: banks,
            facts,
        };
        let EnrolmentChallenge { ticket, credential, encrypted_secret, expires_at } =
            client.begin_enrolment(&message).await?;
        let ek_public = bytes(ek.public.tpmt())?;
        Ok(PendingEnrolment { ek: ek.source, ek_public, ticket, credential, encrypted_secret, expires_at })
    }

    async fn complete(&self, state: &State, pending: &PendingEnrolment) -> Result<Event, Failure> {
        let (keys, engine) = (keys(state)?.clone(), engine(state)?);
        let client = Client::new(&engine.enrol_url, for_enrolment(&engine.trust_bundle_pem)?, self.request_limit)?;
        let ek_public =
            PublicArea::from_tpmt(pending.ek_public.as_slice()).map_err(|error| Failure::local(error.to_string()))?;
        let (source, credential, secret) = (pending.ek, pending.credential.clone(), pending.encrypted_secret.clone());
        let (opened, request) = self
            .tpm
            .run(move |tpm| {
                let ek = (source, &ek_public);
                let opened = activate_credential(tpm, &keys, ek, credential.as_slice(), secret.as_slice())?;
                Ok((opened, certificate_request(tpm, &keys)?))
            })
            .await?;
        let message = CompleteEnrolment {
            ticket: pending.ticket.clone(),
            activated_secret: bytes(&opened)?,
            certificate_request: bytes(&request)?,
        };
        Ok(Event::Enrolled(client.complete_enrolment(&message).await?))
    }

    async fn challenge(&self, state: &State) -> Result<Challenge, Failure> {
        Ok(self.member(state)?.challenge().await?)
    }

    async fn attest(&self, state: &State, challenge: Challenge) -> Result<Attested, Failure> {
        let client = self.member(state)?;
        let keys = keys(state)?;
        let facts = HostFacts { tpm_manufacturer: self.tpm_manufacturer().await?, ..self.facts.clone() };
        let certificate = leaf_digest(&membership(state)?.chain_pem)?;
        let quoter = &DeviceQuoter { tpm: &self.tpm, keys };
        let until = self.ahead_until(&challenge);
        Attestation { client: &client, quoter, logs: &self.logs, certificate, facts, until }.perform(challenge).await
    }

    /// Half of the nonce's life from when it was first tried, however often it is tried again.
    fn ahead_until(&self, challenge: &Challenge) -> Duration {
        let mut kept = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some((nonce, until)) if *nonce == challenge.nonce => *until,
            _ => {
                let until = clock::now().boot + challenge.expires_at.since(challenge.due_at) / 2;
                *kept = Some((challenge.nonce.clone(), until));
                until
            }
        }
    }

    async fn renew(&self, state: &State) -> Result<DeviceCertificate, Failure> {
        let (client, keys) = (self.member(state)?, keys(state)?.clone());
        let request = self.tpm.run(move |tpm| certificate_request(tpm, &keys)).await?;
        Ok(client.renew(&Renew { certificate_request: bytes(&request)? }).await?)
    }

    /// The TPM's maker does not change while the agent runs, and a TPM is slow.
    async fn tpm_manufacturer(&self) -> Result<String, TpmError> {
        if let Some(known) = self.tpm_manufacturer.get() {
            return Ok(known.clone());
        }
        let asked = self.tpm.run(|tpm| facts::with_tpm(HostFacts::default(), tpm)).await?.tpm_manufacturer;
        Ok(self.tpm_manufacturer.get_or_init(|| asked).clone())
    }

    /// The client that authenticates by the present certificate.
    fn member(&self, state: &State) -> Result<Client, Failure> {
        let (keys, engine, certificate) = (keys(state)?, engine(state)?, membership(state)?);
        let mut kept = self.member.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((chain, client)) = kept.as_ref()
            && *chain == certificate.chain_pem
        {
            return Ok(client.clone());
        }
        let key = Arc::new(TpmSigningKey::new(self.tpm.clone(), keys.clone()));
        let tls = for_device(&engine.trust_bundle_pem, &certificate.chain_pem, key)?;
        let client = Client::new(&engine.attest_url, tls, self.request_limit)?;
        *kept = Some((certificate.chain_pem.clone(), client.clone()));
        Ok(client)
    }
}

/// The device's attestation key, in its TPM.
struct DeviceQuoter<'a> {
    tpm: &'a TpmHandle,
    keys: &'a DeviceKeys,
}

impl Quoter for DeviceQuoter<'_> {
    async fn quote(&self, challenge: &Challenge, qualifying: Sha256Digest) -> Result<Quote, Failure> {
        let (keys, selection) = (self.keys.clone(), challenge.selection.clone());
        let quoted = self.tpm.run(move |tpm| quote(tpm, &keys, &selection, qualifying.as_bytes())).await?;
        Ok(Quote { message: bytes(&quoted.message)?, signature: bytes(&quoted.signature)?, pcrs: quoted.pcrs })
    }
}

fn keys(state: &State) -> Result<&DeviceKeys, Failure> {
    state.keys.as_ref().ok_or_else(|| Failure::local("the state has no keys"))
}

fn engine(state: &State) -> Result<&EngineAddress, Failure> {
    state.engine.as_ref().ok_or_else(|| Failure::local("the state names no engine"))
}

fn membership(state: &State) -> Result<&DeviceCertificate, Failure> {
    state
        .membership
        .as_ref()
        .map(|membership| &membership.certificate)
        .ok_or_else(|| Failure::local("the state has no certificate"))
}

fn bytes<const MAX: usize>(bytes: &[u8]) -> Result<Bytes<MAX>, Failure> {
    Bytes::new(bytes).map_err(|error: InvalidBase64| Failure::local(error.to_string()))
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Failure::local(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::local(error.to_string())
    }
}
