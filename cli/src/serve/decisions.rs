//! The decision log of this server: a journal in its folder, signed by its own key.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vouchsafe_http::{Clock, Entropy};
use vouchsafe_journal::{
    CheckpointKey, Journal, JournalParts, KeyRejected, OpenError, Origin, SignCheckpoint, SigningFailed, SystemDisk,
    Writing,
};
use vouchsafe_pki::{IssuerKey as _, LocalKey, pem};
use vouchsafe_policy_engine::log::{JournalLog, LogState, MaskedLog};
use vouchsafe_policy_engine::{Decider, PolicyEngine};

use super::config::{Layout, ServerConfig};
use super::{files, sinks};
use crate::failure::with_hint;

/// The bytes that tell the log of one server from those of others in the same trust domain.
const NAME_LEN: usize = 8;

/// Signs checkpoints with a key from a file.
#[derive(Debug)]
pub(super) struct LogSigner {
    key: LocalKey,
    public: CheckpointKey,
    public_pem: String,
}

/// The log, as the rest of the server has it.
#[derive(Clone)]
pub(super) struct Log {
    journal: Journal,
    max_wait: Duration,
    key_pem: Arc<str>,
}

/// What writes the log and hands its decisions on.
pub(super) struct Logging {
    writing: Writing,
    sinks: Vec<JoinHandle<()>>,
}

impl Logging {
    /// Waits until all is written and signed. The sinks end when the server stops.
    pub(super) async fn finish(self) -> anyhow::Result<()> {
        for sink in self.sinks {
            sink.await.context("what hands decisions on failed")?;
        }
        tokio::task::spawn_blocking(move || self.writing.finish()).await.context("the decision log failed")
    }
}

impl LogSigner {
    /// Signs with this key.
    pub(super) fn new(key: LocalKey) -> Result<Self, KeyRejected> {
        let spki = key.spki_der().map_err(|_| KeyRejected)?;
        Ok(Self { public: CheckpointKey::from_spki_der(&spki)?, public_pem: pem::encode_public_key(&spki), key })
    }

    /// The public half in PEM.
    pub(super) fn public_pem(&self) -> &str {
        &self.public_pem
    }
}

impl SignCheckpoint for LogSigner {
    fn public_key(&self) -> &CheckpointKey {
        &self.public
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.key.sign(text).map_err(|_| SigningFailed)
    }
}

impl Log {
    /// Opens the log, or begins one, and starts what hands its decisions on.
    pub(super) fn open(
        layout: &Layout,
        config: &ServerConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(Self, Logging)> {
        let signer = files::log_signer(layout)?;
        let key_pem = signer.public_pem().into();
        let folder = layout.resolve(&config.decision_log.dir);
        let opened = Journal::open(JournalParts {
            folder: folder.clone(),
            new_origin: new_origin(config, &*entropy)?,
            settings: config.decision_log.settings(),
            signer: Arc::new(signer),
            disk: Arc::new(SystemDisk),
            now: Arc::new(move || clock.now()),
        });
        let (journal, writing) = opened.map_err(|error| explained(error, &folder))?;
        let entries = journal.view().entries();
        tracing::info!(
            decision_log.dir = %folder.display(), decision_log.first = entries.start, decision_log.next = entries.end,
            "decision log opened"
        );
        let sinks = sinks::start(&config.decision_log, layout, &journal, entropy, shutdown)?;
        let max_wait = Duration::from_millis(config.decision_log.max_wait_ms.into());
        Ok((Self { journal, max_wait, key_pem }, Logging { writing, sinks }))
    }

    /// The log itself.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The way from questions to answers by this engine, whose policy may leave out parts of what it logs.
    pub(super) fn decider(
        &self,
        engine: Arc<PolicyEngine>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Decider {
        let journal = Arc::new(JournalLog::new(self.journal.clone(), self.max_wait));
        let log = Arc::new(MaskedLog::new(engine.clone(), journal));
        Decider { engine, log, clock, entropy }
    }

    /// The log for those who ask about it.
    pub(super) fn state(&self) -> LogState {
        LogState::new(self.journal.clone(), self.key_pem.clone())
    }
}

/// The identity of a log that is begun now.
fn new_origin(config: &ServerConfig, entropy: &dyn Entropy) -> anyhow::Result<Origin> {
    let mut name = [0; NAME_LEN];
    entropy.fill(&mut name)?;
    let origin = format!("{}/decisions/{}", config.trust_domain, vouchsafe_model::hash::to_hex(&name));
    origin.parse().with_context(|| format!("the decision log cannot be named {origin}"))
}

fn explained(error: OpenError, folder: &std::path::Path) -> anyhow::Error {
    let dir = folder.display();
    let hint = match &error {
        OpenError::Damaged { .. } => format!(
            "nothing was changed: look at it with `vouchsafe log verify {dir}`, and restore it from a copy; to go on with a \
             new log, move the folder away and keep it"
        ),
        OpenError::InUse { .. } => "is another server running on the same folder?".to_owned(),
        OpenError::Settings(_) => "see [decision_log] in vouchsafe.toml".to_owned(),
        _ => return anyhow::Error::new(error).context("cannot open the decision log"),
    };
    with_hint(anyhow::Error::new(error).context("cannot open the decision log"), hint)
}
