//! An engine, its surroundings, and devices.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, PublicKeyData, SigningKey};
use tempfile::TempDir;
use vouchsafe_attest::dsse::DsseKey;
use vouchsafe_attest::endorsement::TrustAnchors;
use vouchsafe_attest::forge::{ForgedTpm, SoftwareKey};
use vouchsafe_http::{Clock, ManualClock, OsEntropy, Peer};
use vouchsafe_model::{DeviceId, PcrIndex, PcrSelection, Sha256Digest, Timestamp};
use vouchsafe_pki::{Authority, PeerCertificate, Serial, pem};
use vouchsafe_store::{SqliteOptions, SqliteStore};
use vouchsafe_trust_engine::attest::AttestRejected;
use vouchsafe_trust_engine::config::MinimumEndorsement;
use vouchsafe_trust_engine::enrol::begin::BeginRejected;
use vouchsafe_trust_engine::enrol::complete::CompleteRejected;
use vouchsafe_trust_engine::score::model_file::TrustModel;
use vouchsafe_trust_engine::{EngineSecret, Parts, PublicUrls, RecordSink, TrustEngine, TrustEngineConfig};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::{Appraised, Challenge, Evidence, Quote, evidence_binding};
use vouchsafe_wire::v1::enrol::{
    BeginEnrolment, CompleteEnrolment, Enrolled, EnrolmentChallenge, JoinSecret, tls_key_binding,
};
use vouchsafe_wire::v1::logs::SentLogs;
use vouchsafe_wire::v1::operate::CreateToken;
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

/// What decisions would see.
#[derive(Default)]
pub(crate) struct Records(Mutex<HashMap<DeviceId, DeviceRecord>>);

impl RecordSink for Records {
    fn publish(&self, change: RecordChange) {
        let mut records = self.0.lock().unwrap();
        match change {
            RecordChange::Put(record) => drop(records.insert(record.id, *record)),
            RecordChange::Remove(id) => drop(records.remove(&id)),
        }
    }
}

/// An engine that can be restarted, over a store in a file.
pub(crate) struct World {
    dir: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) records: Arc<Records>,
    pub(crate) config: TrustEngineConfig,
    image_keys: Vec<DsseKey>,
    /// What opens its store.
    store: SqliteOptions,
    pub(crate) engine: TrustEngine,
}

pub(crate) const START: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

impl World {
    /// An engine that takes devices that nobody vouches for: forged TPMs have no makers.
    pub(crate) async fn new() -> Self {
        Self::with_image_keys(Vec::new()).await
    }

    /// The same, and only these keys may sign images.
    pub(crate) async fn with_image_keys(image_keys: Vec<DsseKey>) -> Self {
        let mut config = TrustEngineConfig::default();
        config.enrol.minimum_endorsement = MinimumEndorsement::DangerNone;
        Self::made_of(config, image_keys, SqliteOptions::default()).await
    }

    /// The same, with so much room for the IMA lists of all devices, in bytes.
    pub(crate) async fn with_room_for_lists(bytes: u64) -> Self {
        let mut config = TrustEngineConfig::default();
        config.enrol.minimum_endorsement = MinimumEndorsement::DangerNone;
        let store = SqliteOptions { ima_lists_bytes: bytes, ..SqliteOptions::default() };
        Self::made_of(config, Vec::new(), store).await
    }

    pub(crate) async fn with(config: TrustEngineConfig) -> Self {
        Self::made_of(config, Vec::new(), SqliteOptions::default()).await
    }

    async fn made_of(config: TrustEngineConfig, image_keys: Vec<DsseKey>, store: SqliteOptions) -> Self {
        let dir = TempDir::new().unwrap();
        let serials = [Serial::from_entropy([1; 20]), Serial::from_entropy([2; 20])];
        Authority::create(&dir.path().join("ca"), &"test.example".parse().unwrap(), START, serials).unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let records = Arc::new(Records::default());
        let engine = Self::engine(&dir, &clock, &records, &config, &image_keys, store).await;
        Self { dir, clock, records, config, image_keys, store, engine }
    }

    async fn engine(
        dir: &TempDir,
        clock: &Arc<ManualClock>,
        records: &Arc<Records>,
        config: &TrustEngineConfig,
        image_keys: &[DsseKey],
        store: SqliteOptions,
    ) -> TrustEngine {
        let store = SqliteStore::open(&dir.path().join("test.db"), store).await.unwrap();
        TrustEngine::new(Parts {
            config: config.clone(),
            model: TrustModel::builtin().unwrap(),
            store: Arc::new(store),
            authority: Arc::new(Authority::open(&dir.path().join("ca")).unwrap()),
            trust_domain: "test.example".parse().unwrap(),
            anchors: TrustAnchors::default(),
            image_keys: image_keys.to_vec(),
            secret: EngineSecret::new([7; 32]),
            records: records.clone(),
            clock: clock.clone(),
            entropy: Arc::new(OsEntropy),
            urls: PublicUrls { enrol: "https://localhost:8441".into(), api: "https://localhost:8443".into() },
        })
        .unwrap()
    }

    /// The same engine after its process died: what was in memory is gone.
    pub(crate) async fn restart(&mut self) {
        self.records = Arc::new(Records::default());
        self.engine =
            Self::engine(&self.dir, &self.clock, &self.records, &self.config, &self.image_keys, self.store).await;
        for record in self.engine.snapshot().await.unwrap() {
            self.records.publish(RecordChange::Put(Box::new(record)));
        }
    }

    pub(crate) fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub(crate) async fn token(&self, asked: CreateToken) -> JoinSecret {
        self.engine.create_token(asked).await.unwrap().join.token
    }

    /// What a decision would see of a device.
    pub(crate) fn record(&self, device: DeviceId) -> DeviceRecord {
        self.records.0.lock().unwrap().get(&device).expect("the device is published").clone()
    }

    /// The score that a decision would see now.
    pub(crate) fn score(&self, device: DeviceId) -> f64 {
        self.record(device).curve.score_at(self.clock.now()).points()
    }

    /// A device that has enrolled.
    pub(crate) async fn enrolled(&self) -> Device {
        let token = self.token(token_for(1)).await;
        Host::new().enrol(&self.engine, &token).await.unwrap()
    }

    /// A device that has enrolled, and whose state is golden.
    pub(crate) async fn golden(&self) -> Device {
        let mut device = self.enrolled().await;
        device.attest(&self.engine).await.unwrap();
        let asked = vouchsafe_wire::v1::operate::CaptureImage {
            id: format!("golden-{}@1", device.id).parse().unwrap(),
            device: device.id,
            ignore: vouchsafe_model::pcr::PcrSet::EMPTY,
            assign: true,
        };
        self.engine.capture_image(asked).await.unwrap();
        self.step(&mut device, 60);
        device.attest(&self.engine).await.unwrap();
        device
    }

    /// Lets time pass, for the engine and for a TPM.
    pub(crate) fn step(&self, device: &mut Device, secs: u64) {
        self.advance(secs);
        device.host.tpm.advance(secs * 1000);
    }
}

pub(crate) fn token_for(max_uses: u32) -> CreateToken {
    CreateToken { label: "test".into(), ttl_secs: 3600, max_uses, pinned_ek: None, image: None, danger_sha1: false }
}

/// A host with its TPM.
pub(crate) struct Host {
    pub(crate) tpm: ForgedTpm,
}

/// A host that has enrolled.
pub(crate) struct Device {
    pub(crate) host: Host,
    pub(crate) id: DeviceId,
    pub(crate) peer: Peer,
    pub(crate) challenge: Challenge,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { tpm: ForgedTpm::new() }
    }

    /// What an honest agent says first.
    pub(crate) fn begin(&self, token: &JoinSecret) -> BeginEnrolment {
        let certification = self.tpm.certify(sha256(&tls_key_binding(token)).as_bytes());
        BeginEnrolment {
            token: token.clone(),
            ek_public: bytes(self.tpm.ek_public().as_tpmt()),
            ek_certificate: None,
            ek_intermediates: Vec::new(),
            ak_public: bytes(self.tpm.ak_public().as_tpmt()),
            tls_public: bytes(self.tpm.device_key_public().as_tpmt()),
            tls_certify: bytes(&certification.attest),
            tls_certify_signature: bytes(&certification.signature),
            pcr_banks: Vec::new(),
            facts: vouchsafe_model::HostFacts { hostname: "host".into(), ..Default::default() },
        }
    }

    /// What an honest agent says second.
    pub(crate) fn complete(&self, answer: &EnrolmentChallenge) -> CompleteEnrolment {
        let opened = self.tpm.activate_credential(answer.credential.as_slice(), answer.encrypted_secret.as_slice());
        CompleteEnrolment {
            ticket: answer.ticket.clone(),
            activated_secret: bytes(&opened.expect("the TPM opens what was made for it")),
            certificate_request: bytes(&certificate_request(self.tpm.device_key())),
        }
    }

    pub(crate) async fn enrol(self, engine: &TrustEngine, token: &JoinSecret) -> Result<Device, EnrolError> {
        let answer = engine.begin_enrolment(self.begin(token)).await.map_err(EnrolError::Begin)?;
        let enrolled = engine.complete_enrolment(self.complete(&answer)).await.map_err(EnrolError::Complete)?;
        Ok(Device::new(self, enrolled))
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "shown by Debug when a test fails")]
pub(crate) enum EnrolError {
    Begin(BeginRejected),
    Complete(CompleteRejected),
}

impl Device {
    pub(crate) fn new(host: Host, enrolled: Enrolled) -> Self {
        Self { host, id: enrolled.device, peer: peer(&enrolled.certificate.chain_pem), challenge: enrolled.challenge }
    }

    /// Honest evidence for the present challenge.
    pub(crate) fn evidence(&self) -> Evidence {
        self.evidence_of(&self.challenge, r#"{"facts":{"hostname":"host"}}"#)
    }

    pub(crate) fn evidence_of(&self, challenge: &Challenge, payload: &str) -> Evidence {
        let binding =
            evidence_binding(challenge.nonce.as_slice(), &self.peer.certificate_digest, &sha256(payload.as_bytes()));
        let quote = self.host.tpm.quote(&challenge.selection, sha256(&binding).as_bytes());
        Evidence {
            nonce: challenge.nonce.clone(),
            quote: Quote { message: bytes(&quote.message), signature: bytes(&quote.signature), pcrs: quote.pcrs },
            payload: payload.to_owned(),
            logs: SentLogs::default(),
        }
    }

    /// One honest attestation; the challenge of its answer becomes the present one.
    pub(crate) async fn attest(&mut self, engine: &TrustEngine) -> Result<Appraised, AttestRejected> {
        let appraised = engine.attest(&self.peer, self.id, self.evidence()).await?;
        self.challenge = appraised.challenge.clone();
        Ok(appraised)
    }

    pub(crate) fn extend(&mut self, pcr: u8, data: &str) {
        self.host.tpm.extend(PcrIndex::new(pcr).unwrap(), data.as_bytes());
    }
}

/// The peer that a door makes of a certificate.
pub(crate) fn peer(chain_pem: &str) -> Peer {
    let chain = pem::decode_certificates(chain_pem.as_bytes()).unwrap();
    Peer::from(PeerCertificate::identify(&chain[0]).unwrap())
}

pub(crate) fn bytes<const MAX: usize>(bytes: &[u8]) -> Bytes<MAX> {
    Bytes::new(bytes).unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest::new(digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap())
}

/// A PKCS#10 request for a forged TPM's key.
pub(crate) fn certificate_request(key: &SoftwareKey) -> Vec<u8> {
    let spki = key.public().to_spki_der();
    let signer = Signer { key, point: spki[spki.len() - 65..].to_vec() };
    CertificateParams::default().serialize_request(&signer).unwrap().der().to_vec()
}

struct Signer<'a> {
    key: &'a SoftwareKey,
    point: Vec<u8>,
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let raw = self.key.sign_raw(message);
        let (r, s) = raw.split_at(raw.len() / 2);
        let body = [integer(r), integer(s)].concat();
        Ok([vec![0x30, u8::try_from(body.len()).unwrap()], body].concat())
    }
}

/// A DER INTEGER that is not negative.
pub(crate) fn integer(magnitude: &[u8]) -> Vec<u8> {
    let first = magnitude.iter().position(|byte| *byte != 0).unwrap_or(magnitude.len() - 1);
    let mut content = magnitude[first..].to_vec();
    if content[0] & 0x80 != 0 {
        content.insert(0, 0);
    }
    [vec![0x02, u8::try_from(content.len()).unwrap()], content].concat()
}

/// Other PCRs than the engine asks for.
pub(crate) fn selection(text: &str) -> PcrSelection {
    text.parse().unwrap()
}
