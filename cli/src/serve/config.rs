//! The server's settings: defaults, then `vouchsafe.toml`, then the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use vouchsafe_model::spiffe::TrustDomain;
use vouchsafe_trust_engine::TrustEngineConfig;

/// The settings of `vouchsafe serve`. Paths are relative to the folder of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The domain of the identities that are issued.
    pub trust_domain: TrustDomain,
    /// Where to listen.
    pub listen: ListenConfig,
    /// How agents reach those addresses.
    pub public: PublicConfig,
    /// The trust engine.
    #[serde(default)]
    pub trust: TrustEngineConfig,
    /// The policy.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// The trust model.
    #[serde(default)]
    pub model: ModelConfig,
    /// The store.
    #[serde(default)]
    pub store: StoreConfig,
    /// The log.
    #[serde(default)]
    pub log: LogConfig,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// Hosts that have no identity yet.
    pub enrol: SocketAddr,
    /// Everyone who has one.
    pub api: SocketAddr,
    /// Probes and scrapers on this machine: plain HTTP.
    pub ops: SocketAddr,
}

/// How agents reach the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicConfig {
    /// The enrolment door: `https://engine.example.org:8441`.
    pub enrol: String,
    /// The door of those who have an identity: `https://engine.example.org:8443`.
    pub api: String,
}

/// The policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// A folder of Rego and data; the built-in policy if none is named.
    pub dir: Option<PathBuf>,
}

/// The trust model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A TOML file; the built-in model if none is named.
    pub file: Option<PathBuf>,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The SQLite file.
    pub file: PathBuf,
    /// For how long decisions are kept, in days; 0 is for ever.
    pub decision_days: u32,
    /// For how long attestations and trust histories are kept, in days; 0 is for ever.
    pub attestation_days: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { file: "vouchsafe.db".into(), decision_days: 90, attestation_days: 365 }
    }
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// What is logged: `info`, or a filter such as `info,vouchsafe_trust_engine=debug`.
    pub level: String,
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
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
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// The layout of this folder.
    pub fn of(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server's settings.
    pub fn config(&self) -> PathBuf {
        self.dir.join("vouchsafe.toml")
    }

    /// The certificate authority's folder.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// The server's private key.
    pub fn server_key(&self) -> PathBuf {
        self.dir.join("server.key")
    }

    /// The server's certificate and its intermediate.
    pub fn server_certificate(&self) -> PathBuf {
        self.dir.join("server.crt")
    }

    /// The engine's own secret.
    pub fn engine_secret(&self) -> PathBuf {
        self.dir.join("engine.secret")
    }

    /// The certificates of the makers of TPMs that are trusted.
    pub fn ek_roots(&self) -> PathBuf {
        self.dir.join("ek-roots")
    }

    /// Certificates that lead from a TPM's to one of those.
    pub fn ek_intermediates(&self) -> PathBuf {
        self.ek_roots().join("intermediates")
    }

    /// The roots by which the server is known.
    pub fn trust_bundle(&self) -> PathBuf {
        self.dir.join("trust-bundle.pem")
    }

    /// A path of the settings, made absolute.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }
}

impl ServerConfig {
    /// Reads the settings of a folder. `VOUCHSAFE_SERVER_LISTEN__API=…` overrides `api` of `[listen]`.
    ///
    /// # Errors
    /// A file that cannot be read, or a setting that is unknown or of the wrong kind, by its path.
    #[expect(clippy::result_large_err, reason = "the error ends the program")]
    pub fn read(layout: &Layout) -> Result<Self, figment::Error> {
        let defaults = Serialized::default("trust", TrustEngineConfig::default());
        Figment::new()
            .merge(defaults)
            .merge(Toml::file_exact(layout.config()))
            .merge(Env::prefixed("VOUCHSAFE_SERVER_").split("__"))
            .extract()
    }
}
