//! The trust engine: its parts, and what all its operations share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use vouchsafe_attest::dsse::DsseKey;
use vouchsafe_attest::endorsement::TrustAnchors;
use vouchsafe_http::{Clock, Entropy};
use vouchsafe_model::spiffe::TrustDomain;
use vouchsafe_model::trust::TrustCurve;
use vouchsafe_model::{DeviceId, HashAlgorithm, Timestamp};
use vouchsafe_pki::Authority;
use vouchsafe_store::{DeviceFilter, Page, PageLimit, Standing, Store, StoreError, TrustRow};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::Challenge;
use vouchsafe_wire::v1::logs::KnownLogs;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

use crate::config::{InvalidConfig, TrustEngineConfig};
use crate::enrol::ticket::TicketSeal;
use crate::golden::Shelf;
use crate::nonce::NonceMint;
use crate::revocations::Revocations;
use crate::score::model_file::TrustModel;
use crate::score::schedule;
use crate::score::state::TrustState;
use crate::secrets::EngineSecret;

/// Where the records of devices go, so that decisions see every change at once.
///
/// `publish` returns when the change is visible to the next decision.
pub trait RecordSink: Send + Sync {
    /// Makes a change visible.
    fn publish(&self, change: RecordChange);
}

/// What a trust engine is made of.
pub struct Parts {
    /// Its settings.
    pub config: TrustEngineConfig,
    /// The trust model.
    pub model: TrustModel,
    /// What it remembers.
    pub store: Arc<dyn Store>,
    /// The certificate authority.
    pub authority: Arc<Authority>,
    /// The domain of the identities that it issues.
    pub trust_domain: TrustDomain,
    /// The makers of TPMs that it trusts.
    pub anchors: TrustAnchors,
    /// Who may sign golden images; when there is one, no other image is taken as a document.
    pub image_keys: Vec<DsseKey>,
    /// Its own secret.
    pub secret: EngineSecret,
    /// Where the records of devices go.
    pub records: Arc<dyn RecordSink>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// Where agents enrol and attest: written into join files.
    pub urls: PublicUrls,
}

/// Where agents reach the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrls {
    /// The enrolment door.
    pub enrol: String,
    /// The door of those who have a certificate.
    pub api: String,
}

/// Enrols devices, appraises their evidence and keeps their trust.
pub struct TrustEngine {
    pub(crate) parts: Parts,
    pub(crate) nonces: NonceMint,
    pub(crate) tickets: TicketSeal,
    /// The golden images that are in use.
    pub(crate) shelf: Shelf,
    /// What is revoked by the makers of boot loaders.
    pub(crate) revocations: Revocations,
    /// Whoever judges a whole list anew that is kept holds this.
    pub(crate) judging_anew: Mutex<()>,
    /// One for each group of devices: whoever publishes a record reads it and hands it on under this lock, so that no
    /// older record overtakes a newer one.
    publishing: Vec<Mutex<()>>,
}

/// A trust engine that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// Devices would be asked less often than the model pays for.
    #[error("attest.max_interval_secs is {interval_secs}, and the trust model's max_gap_secs only {gap_secs}")]
    IntervalBeyondGap {
        /// The longest interval.
        interval_secs: u64,
        /// The longest time between two attestations that earns in full.
        gap_secs: u64,
    },
    /// The cryptographic library refuses a key.
    #[error("the cryptographic library did not take the engine's key")]
    Crypto,
}

/// What can go wrong with any operation, whatever was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored trust state cannot be read, nor computed again from its history.
    #[error("the trust state of {device} cannot be read")]
    TrustState {
        /// Whose.
        device: DeviceId,
    },
    /// The IMA list that is kept of a device does not lead to where its quotes did.
    #[error("the IMA list that is kept of {device} does not replay to where a quote vouched for it")]
    KeptList {
        /// Whose.
        device: DeviceId,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    Entropy,
    /// Something that was made here does not fit what may travel.
    #[error("{what} does not fit its limit")]
    TooLarge {
        /// What.
        what: &'static str,
    },
    /// A computation was given up, as this process is about to end.
    #[error("the engine is stopping")]
    Stopped,
    /// Others changed the device again and again while this was being done.
    #[error("the device was changed by others again and again; try again")]
    Contended,
}

/// How often an operation starts over when others change the same device meanwhile.
pub(crate) const MAX_ATTEMPTS: usize = 8;
const PUBLISHING_LOCKS: usize = 64;

impl TrustEngine {
    /// Puts the parts together.
    ///
    /// # Errors
    /// A setting that is out of its range.
    pub fn new(parts: Parts) -> Result<Self, StartError> {
        parts.config.check()?;
        let (interval, gap) = (parts.config.attest.bounds().max_interval, parts.model.max_gap());
        if interval > gap {
            let (interval_secs, gap_secs) = (interval.as_secs(), gap.as_secs());
            return Err(StartError::IntervalBeyondGap { interval_secs, gap_secs });
        }
        Ok(Self {
            nonces: NonceMint::new(parts.secret.nonce_key(), parts.config.attest.nonce_ttl()),
            tickets: TicketSeal::new(&parts.secret).ok_or(StartError::Crypto)?,
            shelf: Shelf::default(),
            revocations: Revocations::default(),
            judging_anew: Mutex::new(()),
            publishing: (0..PUBLISHING_LOCKS).map(|_| Mutex::new(())).collect(),
            parts,
        })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.parts.store.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], EngineError> {
        let mut bytes = [0; N];
        self.parts.entropy.fill(&mut bytes).map_err(|_| EngineError::Entropy)?;
        Ok(bytes)
    }

    /// What is known of all devices: for whoever decides, before the first decision.
    ///
    /// # Errors
    /// The store cannot be read, or holds what cannot be read.
    pub async fn snapshot(&self) -> Result<Vec<DeviceRecord>, EngineError> {
        let mut records = Vec::new();
        let mut page = Page::first(PageLimit::default());
        loop {
            let standings = self.store().list_standings(&DeviceFilter::default(), page).await?;
            let Some(last) = standings.last().map(|standing| standing.device.id) else { return Ok(records) };
            for standing in standings {
                records.push(self.record(standing).await?);
            }
            page = Page::after(last, PageLimit::default());
        }
    }

    /// Makes what is stored of a device visible to decisions.
    pub(crate) async fn publish(&self, device: DeviceId) -> Result<(), EngineError> {
        let _order = self.publishing_lock(device).lock().await;
        let change = match self.store().standing(device).await? {
            Some(standing) => RecordChange::Put(Box::new(self.record(standing).await?)),
            None => RecordChange::Remove(device),
        };
        self.parts.records.publish(change);
        Ok(())
    }

    #[expect(clippy::indexing_slicing, reason = "the index is a remainder of the length")]
    fn publishing_lock(&self, device: DeviceId) -> &Mutex<()> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        device.hash(&mut hasher);
        &self.publishing[usize::try_from(hasher.finish() % PUBLISHING_LOCKS as u64).unwrap_or(0)]
    }

    async fn record(&self, standing: Standing) -> Result<DeviceRecord, EngineError> {
        let curve = self.curve(&standing).await?;
        let Standing { device, attestation, .. } = standing;
        Ok(DeviceRecord {
            id: device.id,
            state: device.state,
            endorsement: device.endorsement,
            enrolled_at: device.enrolled_at,
            image: device.image,
            certificate_digest: device.certificate_digest,
            certificate_expires_at: device.certificate_expires_at,
            verdict: attestation.map(|attestation| attestation.verdict),
            curve,
            facts: device.facts,
        })
    }

    /// The score of a device over time.
    pub(crate) async fn curve(&self, standing: &Standing) -> Result<TrustCurve, EngineError> {
        Ok(self.trust_state(standing.device.id, &standing.trust).await?.curve(&self.parts.model))
    }

    /// The trust state of a row; computed again from the device's history when another model made it.
    pub(crate) async fn trust_state(&self, device: DeviceId, row: &TrustRow) -> Result<TrustState, EngineError> {
        let state: TrustState = serde_json::from_str(&row.state).map_err(|_| EngineError::TrustState { device })?;
        if state.model() == self.parts.model.hash() {
            return Ok(state);
        }
        self.recompute(device, row).await
    }

    /// Replays a device's history, up to and including `until`, by the present model.
    async fn recompute(&self, device: DeviceId, until: &TrustRow) -> Result<TrustState, EngineError> {
        let (first, last) = (Timestamp::from_unix_millis(i64::MIN), Timestamp::from_unix_millis(i64::MAX));
        let mut state: Option<TrustState> = None;
        let mut page = Page::first(PageLimit::default());
        loop {
            let rows = self.store().trust_history(device, first, last, page).await?;
            let Some(end) = rows.last().map(|row| row.sequence) else { break };
            for row in rows.iter().filter(|row| row.sequence <= until.sequence) {
                let event = serde_json::from_str(&row.event).map_err(|_| EngineError::TrustState { device })?;
                let before = match state.take() {
                    Some(before) => before,
                    None => TrustState::begin(&self.parts.model, row.at),
                };
                state = Some(before.absorb(&self.parts.model, &event, row.at));
            }
            page = Page::after(end, PageLimit::default());
        }
        state.ok_or(EngineError::TrustState { device })
    }

    /// What a device is to quote next, when, and what it need not send along.
    pub(crate) async fn challenge(&self, standing: &Standing, due_in: Duration) -> Result<Challenge, EngineError> {
        let logs = self.known_logs(standing).await?;
        self.first_challenge(standing.device.id, bank(standing.device.sha1_consent), due_in, logs)
    }

    /// The same for a device of whose logs this is known.
    pub(crate) fn first_challenge(
        &self,
        device: DeviceId,
        bank: HashAlgorithm,
        due_in: Duration,
        logs: KnownLogs,
    ) -> Result<Challenge, EngineError> {
        let now = self.now();
        let nonce = self.nonces.issue(&device, now, &self.random()?);
        Ok(Challenge {
            nonce: Bytes::new(nonce).map_err(|_| EngineError::TooLarge { what: "a nonce" })?,
            selection: self.parts.config.attest.selection(bank),
            due_at: now.plus(due_in),
            due_in_ms: u64::try_from(due_in.as_millis()).unwrap_or(u64::MAX),
            expires_at: self.nonces.expiry(now),
            logs,
        })
    }

    /// How long until a device with this curve is to attest again.
    pub(crate) fn due_in(&self, curve: &TrustCurve) -> Result<Duration, EngineError> {
        let attest = &self.parts.config.attest;
        let jitter = u64::from_be_bytes(self.random()?);
        Ok(schedule::next_due(curve, attest.keep_above, self.now(), &attest.bounds(), jitter))
    }
}

/// The bank in which a device is quoted.
pub(crate) fn bank(sha1: bool) -> HashAlgorithm {
    if sha1 { HashAlgorithm::Sha1 } else { HashAlgorithm::Sha256 }
}

/// Computes beside the tasks that answer requests: logs may be long, and a decision must not wait for one.
pub(crate) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| EngineError::Stopped)
}
