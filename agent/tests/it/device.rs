//! A device without a TPM: the machine on a clock of its own, evidence as the agent makes it, logs in a folder, and quotes
//! that say what they are asked for.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe_agent::client::Client;
use vouchsafe_agent::clock;
use vouchsafe_agent::evidence::{Attestation, Attested, Quoter};
use vouchsafe_agent::logs::{HostLogs, LogPaths};
use vouchsafe_agent::machine::{Action, Event, Failure, Machine, Now};
use vouchsafe_agent::state::{Membership, State};
use vouchsafe_model::{HashAlgorithm, HostFacts, PcrBank, Sha256Digest, Timestamp};
use vouchsafe_wire::Bytes;
use vouchsafe_wire::v1::attest::{Challenge, Quote};

use crate::engine::{CERTIFICATE, Engine};
use crate::server::{Authority, Server};

/// A folder with the logs of a host.
pub(crate) struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    /// A host with a short event log, an empty list, and a boot.
    pub(crate) fn new() -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        host.boots("boot-1", b"event log of the first boot");
        host
    }

    pub(crate) fn boots(&self, id: &str, event_log: &[u8]) {
        fs::write(self.boot_id(), format!("{id}\n")).unwrap();
        fs::write(self.event_log(), event_log).unwrap();
        fs::write(self.ima(), "").unwrap();
    }

    pub(crate) fn boot_id(&self) -> PathBuf {
        self.dir.path().join("boot_id")
    }

    pub(crate) fn event_log(&self) -> PathBuf {
        self.dir.path().join("event_log")
    }

    pub(crate) fn ima(&self) -> PathBuf {
        self.dir.path().join("ima")
    }

    /// The list grows by so many bytes, half of which do not shrink.
    pub(crate) fn measures(&self, len: u64) {
        grow(&self.ima(), len);
    }

    pub(crate) fn list(&self) -> Vec<u8> {
        fs::read(self.ima()).unwrap()
    }

    pub(crate) fn logs(&self) -> Arc<HostLogs> {
        let (event_log, ima, boot_id) = (self.event_log(), self.ima(), self.boot_id());
        Arc::new(HostLogs::new(LogPaths { event_log, ima, boot_id }))
    }
}

fn grow(path: &Path, len: u64) {
    let mut file = File::options().append(true).open(path).unwrap();
    let from = file.metadata().unwrap().len();
    file.write_all(&(from..from + len).map(byte_at).collect::<Vec<_>>()).unwrap();
}

/// Eight bytes as of a digest, then eight as of a path.
pub(crate) fn byte_at(place: u64) -> u8 {
    let mixed = (place ^ 0x5555).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    if place % 16 < 8 { (mixed ^ (mixed >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes()[0] } else { b'/' }
}

/// A TPM that quotes anything, while the list grows.
#[derive(Default)]
pub(crate) struct Quotes {
    /// By how much the list grows while the next quotes are made.
    pub(crate) meanwhile: Mutex<VecDeque<(PathBuf, u64)>>,
    /// The nonces of the quotes that were made.
    pub(crate) made: Mutex<Vec<Vec<u8>>>,
}

impl Quoter for Quotes {
    async fn quote(&self, challenge: &Challenge, qualifying: Sha256Digest) -> Result<Quote, Failure> {
        self.made.lock().unwrap().push(challenge.nonce.as_slice().to_vec());
        if let Some((path, len)) = self.meanwhile.lock().unwrap().pop_front() {
            grow(&path, len);
        }
        let pcrs = PcrBank { bank: HashAlgorithm::Sha256, values: std::collections::BTreeMap::new() };
        Ok(Quote { message: Bytes::new(*qualifying.as_bytes()).unwrap(), signature: Bytes::default(), pcrs })
    }
}

/// A member device.
pub(crate) struct Device {
    machine: Machine,
    pub(crate) client: Client,
    pub(crate) logs: Arc<HostLogs>,
    pub(crate) quotes: Quotes,
    /// How long parts may go ahead of one nonce.
    pub(crate) patience: Duration,
    /// The device's own clock: it sleeps in no time.
    pub(crate) boot: Duration,
    /// What came of every request.
    pub(crate) life: Vec<String>,
}

/// A device with an engine of its own.
pub(crate) async fn world(host: &Host) -> (Engine, Server, Device) {
    let engine = Engine::default();
    let server = Authority::new().serve(engine.router(), None).await;
    let device = Device::new(host, &server);
    (engine, server, device)
}

impl Device {
    /// A device that has just started, and has to ask for a challenge.
    pub(crate) fn new(host: &Host, server: &Server) -> Self {
        let machine = Machine::new(member(), false, now(Duration::ZERO), 0);
        Self {
            machine,
            client: server.stranger(),
            logs: host.logs(),
            quotes: Quotes::default(),
            patience: Duration::from_secs(600),
            boot: Duration::ZERO,
            life: Vec::new(),
        }
    }

    /// Lives until evidence was appraised, for at most so many requests.
    pub(crate) async fn attests(&mut self, requests: usize) -> bool {
        let mut event = Event::Tick;
        let mut done = 0;
        loop {
            let appraised = matches!(event, Event::Appraised { .. });
            let action = self.machine.step(event, now(self.boot), 0).action;
            if appraised || done == requests {
                return appraised;
            }
            event = match action {
                Action::SleepUntil(at) => {
                    self.boot = at;
                    Event::Tick
                }
                Action::FetchChallenge => {
                    done += 1;
                    self.client.challenge().await.map_or_else(|error| Event::Failed(error.into()), Event::Challenged)
                }
                Action::Attest(challenge) => {
                    done += 1;
                    self.attest(challenge).await
                }
                other => unreachable!("{other:?}"),
            };
            self.life.push(match &event {
                Event::Tick => continue,
                Event::Failed(failure) => failure.text.clone(),
                Event::Challenged(_) => "challenged".to_owned(),
                Event::SentAhead => "sent ahead".to_owned(),
                _ => "appraised".to_owned(),
            });
        }
    }

    async fn attest(&self, challenge: Challenge) -> Event {
        match self.perform(challenge).await {
            Ok(Attested::SentAhead) => Event::SentAhead,
            Ok(Attested::Appraised(answer)) => Event::Appraised { challenge: answer.challenge, renew: answer.renew },
            Err(failure) => Event::Failed(failure),
        }
    }

    pub(crate) async fn perform(&self, challenge: Challenge) -> Result<Attested, Failure> {
        let until = clock::now().boot + self.patience;
        let (facts, certificate) = (HostFacts::default(), CERTIFICATE);
        let (client, quoter, logs) = (&self.client, &self.quotes, &self.logs);
        Attestation { client, quoter, logs, certificate, facts, until }.perform(challenge).await
    }
}

fn now(boot: Duration) -> Now {
    Now { boot, wall: Timestamp::from_unix_secs(1_770_000_000).plus(boot) }
}

fn member() -> State {
    let certificate = serde_json::json!({
        "chain_pem": "", "trust_bundle_pem": "", "expires_at": "2036-01-01T00:00:00Z", "renew_at": "2035-01-01T00:00:00Z",
    });
    let device = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf".parse().unwrap();
    let certificate = serde_json::from_value(certificate).unwrap();
    State { membership: Some(Membership { device, certificate, challenge: None }), ..State::default() }
}
