//! The server's settings: defaults, then `vouchsafe.toml`, then the environment.

mod bundle;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use vouchsafe_journal::JournalSettings;
use vouchsafe_model::spiffe::TrustDomain;
use vouchsafe_policy_engine::EntryPoint;
use vouchsafe_policy_engine::doors::PointSettings;
use vouchsafe_policy_engine::written::DataPath;
use vouchsafe_store::SqliteOptions;
use vouchsafe_trust_engine::TrustEngineConfig;

pub(crate) use bundle::BundleConfig;

/// The bytes of a MiB.
const MIB: u64 = 1024 * 1024;

/// The settings of `vouchsafe serve`. Paths are relative to the folder of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    /// The domain of the identities that are issued.
    pub(crate) trust_domain: TrustDomain,
    /// Where to listen.
    pub(crate) listen: ListenConfig,
    /// How agents reach those addresses.
    pub(crate) public: PublicConfig,
    /// The trust engine.
    #[serde(default)]
    pub(crate) trust: TrustEngineConfig,
    /// The policy.
    #[serde(default)]
    pub(crate) policy: PolicyConfig,
    /// Enforcement points that have a key, or are believed in what they pass on.
    #[serde(default)]
    pub(crate) points: Vec<PointSettings>,
    /// The trust model.
    #[serde(default)]
    pub(crate) model: ModelConfig,
    /// Golden images.
    #[serde(default)]
    pub(crate) images: ImagesConfig,
    /// The store.
    #[serde(default)]
    pub(crate) store: StoreConfig,
    /// The decision log.
    #[serde(default)]
    pub(crate) decision_log: DecisionLogConfig,
    /// The log.
    #[serde(default)]
    pub(crate) log: LogConfig,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenConfig {
    /// Hosts that have no identity yet.
    pub(crate) enrol: SocketAddr,
    /// Everyone who has one.
    pub(crate) api: SocketAddr,
    /// Probes and scrapers on this machine: plain HTTP.
    pub(crate) ops: SocketAddr,
    /// Enforcement points that have a key in place of a certificate; nowhere if it is not set.
    #[serde(default)]
    pub(crate) points: Option<SocketAddr>,
    /// Whether that door has TLS. Without, it may be on this machine alone.
    #[serde(default = "yes")]
    pub(crate) points_tls: bool,
}

fn yes() -> bool {
    true
}

/// How agents reach the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublicConfig {
    /// The enrolment door: `https://engine.example.org:8441`.
    pub(crate) enrol: String,
    /// The door of those who have an identity: `https://engine.example.org:8443`.
    pub(crate) api: String,
    /// The door of points that have a key, if it is open: `https://engine.example.org:8445`.
    #[serde(default)]
    pub(crate) points: Option<String>,
}

/// The policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicyConfig {
    /// A folder of Rego and data; the built-in policy if none is named.
    pub(crate) dir: Option<PathBuf>,
    /// A signed bundle in place of either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bundle: Option<BundleConfig>,
    /// Rules that callers of OPA's Data API may ask about besides the one that decides.
    pub(crate) entry_points: Vec<EntryPoint>,
    /// Paths below which operators may write data that no bundle brought.
    pub(crate) danger_writable_data: Vec<DataPath>,
    /// One in so many decisions of the fast evaluator is compared with the reference evaluator's; 0 compares none.
    pub(crate) compare_one_in: u32,
    /// A folder with another policy that makes every decision once more and answers nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shadow: Option<PathBuf>,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            dir: None,
            bundle: None,
            entry_points: Vec::new(),
            danger_writable_data: Vec::new(),
            compare_one_in: 1000,
            shadow: None,
        }
    }
}

/// The trust model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModelConfig {
    /// A TOML file; the built-in model if none is named.
    pub(crate) file: Option<PathBuf>,
}

/// Golden images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImagesConfig {
    /// Public keys (PEM): images are imported only when one of these signed them. Without any, unsigned ones are.
    pub(crate) keys: Vec<PathBuf>,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreConfig {
    /// The SQLite file.
    pub(crate) file: PathBuf,
    /// For how long attestations and trust histories are kept, in days; 0 is for ever.
    pub(crate) attestation_days: u32,
    /// How much the IMA lists of all devices may take, in MiB; 0 keeps none.
    pub(crate) ima_lists_mib: u32,
}

impl StoreConfig {
    /// How the file is opened.
    pub(crate) fn options(&self) -> SqliteOptions {
        let ima_lists_bytes = u64::from(self.ima_lists_mib).saturating_mul(1024 * 1024);
        SqliteOptions { ima_lists_bytes, ..SqliteOptions::default() }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { file: "vouchsafe.db".into(), attestation_days: 365, ima_lists_mib: 8192 }
    }
}

/// The decision log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DecisionLogConfig {
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// A segment that would be larger is ended before.
    pub(crate) segment_mib: u32,
    /// A segment that was begun so long ago is ended.
    pub(crate) segment_hours: u32,
    /// The oldest segments are removed while all together are larger; 0 is never.
    pub(crate) keep_mib: u32,
    /// For how long decisions are kept, in days; 0 is for ever.
    pub(crate) keep_days: u32,
    /// How long after the first decision that none covers a checkpoint is signed.
    pub(crate) checkpoint_secs: u32,
    /// How long a decision may wait to be on record, before it is not answered.
    pub(crate) max_wait_ms: u32,
    /// Whether decisions are printed to standard output, too.
    pub(crate) stdout: bool,
    /// Where decisions are posted to, if anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<HttpSinkConfig>,
}

/// A server that takes decisions in the form of OPA's decision logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpSinkConfig {
    /// Where to: `https://`, or `http://` on this machine.
    pub(crate) url: String,
    /// A file that holds the bearer token.
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates (PEM) by which the server is known; the system's own if none are named.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// What is said of this log in every event.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

impl Default for DecisionLogConfig {
    fn default() -> Self {
        Self {
            dir: "decisions".into(),
            segment_mib: 64,
            segment_hours: 24,
            keep_mib: 16 * 1024,
            keep_days: 90,
            checkpoint_secs: 1,
            max_wait_ms: 2_000,
            stdout: false,
            http: None,
        }
    }
}

impl DecisionLogConfig {
    /// How the log is kept.
    pub(crate) fn settings(&self) -> JournalSettings {
        let unless_zero = |number: u32| (number > 0).then(|| u64::from(number));
        JournalSettings {
            max_segment_bytes: u64::from(self.segment_mib) * MIB,
            max_segment_age: Duration::from_secs(u64::from(self.segment_hours) * 3600),
            max_total_bytes: unless_zero(self.keep_mib).map(|mib| mib * MIB),
            max_age: unless_zero(self.keep_days).map(|days| Duration::from_secs(days * 86_400)),
            checkpoint_interval: Duration::from_secs(self.checkpoint_secs.into()),
            ..JournalSettings::default()
        }
    }
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// For people or for programs.
    pub(crate) format: LogFormat,
    /// What is logged: `info`, or a filter such as `info,vouchsafe_trust_engine=debug`.
    pub(crate) level: String,
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// The folder of a server, and what is where in it. `vouchsafe init` makes it.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout of this folder.
    pub(crate) fn of(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server's settings.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("vouchsafe.toml")
    }

    /// The certificate authority's folder.
    pub(crate) fn authority(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// The server's private key.
    pub(crate) fn server_key(&self) -> PathBuf {
        self.dir.join("server.key")
    }

    /// The server's certificate and its intermediate.
    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.dir.join("server.crt")
    }

    /// The engine's own secret.
    pub(crate) fn engine_secret(&self) -> PathBuf {
        self.dir.join("engine.secret")
    }

    /// The key that attestation results are signed with.
    pub(crate) fn result_key(&self) -> PathBuf {
        self.dir.join("result.key")
    }

    /// The key that signed them before, if there is one: it is still published.
    pub(crate) fn former_result_key(&self) -> PathBuf {
        self.dir.join("result.previous.key")
    }

    /// The key that checkpoints of the decision log are signed with.
    pub(crate) fn log_key(&self) -> PathBuf {
        self.dir.join("log.key")
    }

    /// Its public half.
    pub(crate) fn log_public_key(&self) -> PathBuf {
        self.dir.join("log.pub")
    }

    /// The certificates of the makers of TPMs that are trusted.
    pub(crate) fn ek_roots(&self) -> PathBuf {
        self.dir.join("ek-roots")
    }

    /// Certificates that lead from a TPM's to one of those.
    pub(crate) fn ek_intermediates(&self) -> PathBuf {
        self.ek_roots().join("intermediates")
    }

    /// The roots by which the server is known.
    pub(crate) fn trust_bundle(&self) -> PathBuf {
        self.dir.join("trust-bundle.pem")
    }

    /// The last bundle of the policy that was good.
    pub(crate) fn last_bundle(&self) -> PathBuf {
        self.dir.join("policy.last.tar.gz")
    }

    /// What is remembered of it.
    pub(crate) fn last_bundle_state(&self) -> PathBuf {
        self.dir.join("policy.last.json")
    }

    /// The policy that an operator activated, and who did.
    pub(crate) fn activated_policy(&self) -> PathBuf {
        self.dir.join("policy.activated.json")
    }

    /// A path of the settings, made absolute.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }
}

impl ServerConfig {
    /// Reads the settings of a folder. `VOUCHSAFE_SERVER_LISTEN__API=…` overrides `api` of `[listen]`.
    ///
    /// # Errors
    /// A file that cannot be read, or a setting that is unknown or of the wrong kind, by its path.
    #[expect(clippy::result_large_err, reason = "the error ends the program")]
    pub(crate) fn read(layout: &Layout) -> Result<Self, figment::Error> {
        let defaults = Serialized::default("trust", TrustEngineConfig::default());
        Figment::new()
            .merge(defaults)
            .merge(Toml::file_exact(layout.config()))
            .merge(Env::prefixed("VOUCHSAFE_SERVER_").split("__"))
            .extract()
    }
}
