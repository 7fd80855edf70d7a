//! Configuration: defaults, then a TOML file, then `VOUCHSAFE_AGENT_*` variables, then flags. The later wins.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};
use vouchsafe_wire::v1::enrol::JoinFile;
use zeroize::Zeroizing;

use crate::logs::LogPaths;
use crate::state_directory::{StateError, read_bounded};
use crate::tpm::{AkAlgorithm, EkPreference, HierarchyAuth, Tcti, TpmConfig};

/// Where the configuration is when nobody says.
pub const DEFAULT_FILE: &str = "/etc/vouchsafe/agent.toml";
const ENVIRONMENT: &str = "VOUCHSAFE_AGENT_";

/// The configuration of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the agent keeps its state.
    pub state_dir: PathBuf,
    /// The way to the TPM.
    pub tcti: Tcti,
    /// What to enrol with, while the device is not enrolled.
    pub join: Option<PathBuf>,
    /// The algorithm of the attestation key. It is chosen when the keys are made.
    pub ak: AkAlgorithm,
    /// The endorsement key to show.
    pub ek: EkPreference,
    /// A file with the TPM owner's password, if there is one.
    pub owner_auth_file: Option<PathBuf>,
    /// A file with the endorsement hierarchy's password, if there is one.
    pub endorsement_auth_file: Option<PathBuf>,
    /// The boot event log.
    pub event_log: PathBuf,
    /// The IMA list.
    pub ima_log: PathBuf,
    /// The file that names the boot.
    pub boot_id_file: PathBuf,
    /// How long one request to the engine may take.
    pub request_timeout_secs: u16,
    /// What to log: `info`, `debug`, or more finely `warn,vouchsafe_agent=debug`.
    pub log_level: String,
    /// How to log it.
    pub log_format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let LogPaths { event_log, ima: ima_log, boot_id: boot_id_file } = LogPaths::default();
        Self {
            event_log,
            ima_log,
            boot_id_file,
            state_dir: PathBuf::from("/var/lib/vouchsafe-agent"),
            tcti: Tcti::default(),
            join: None,
            ak: AkAlgorithm::default(),
            ek: EkPreference::default(),
            owner_auth_file: None,
            endorsement_auth_file: None,
            request_timeout_secs: 30,
            log_level: "info".to_owned(),
            log_format: LogFormat::default(),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is wrong, or a key unknown.
    #[error("the configuration cannot be used: {0}")]
    Value(Box<figment::Error>),
    /// The file that was named is not there.
    #[error("there is no configuration file {}", .0.display())]
    NoFile(PathBuf),
    /// A path must be absolute, so that it does not depend on where the agent is started.
    #[error("{key} must be an absolute path, and '{}' is none", path.display())]
    RelativePath {
        /// Which setting.
        key: &'static str,
        /// What was given.
        path: PathBuf,
    },
    /// A request must be given some time, and not all of it.
    #[error("request_timeout_secs must be 1 to {MAX_REQUEST_TIMEOUT_SECS}, and {0} is not")]
    RequestTimeout(u16),
    /// A file with a password or a join token cannot be read.
    #[error(transparent)]
    File(#[from] StateError),
    /// A file that was named is not there.
    #[error("there is no {what} {}", path.display())]
    Missing {
        /// What it should hold.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// A password is longer than a TPM takes.
    #[error("the password in {} is longer than {} bytes", .0.display(), HierarchyAuth::MAX_LEN)]
    Password(PathBuf),
    /// A join file is damaged. What is wrong is not shown: it may be the token.
    #[error("{} is no join file: it is wrong at line {line}, column {column}", path.display())]
    JoinFile {
        /// Which.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// And where in that.
        column: usize,
    },
}

/// The longest that a request may take.
const MAX_REQUEST_TIMEOUT_SECS: u16 = 600;

impl Config {
    /// Reads the configuration. `file`: the one that was named, if one was. `flags`: what else was said.
    ///
    /// # Errors
    /// When a file that was named is missing, or a value is wrong.
    pub fn read(file: Option<&Path>, flags: &impl Serialize) -> Result<Self, ConfigError> {
        Self::read_from(file, Env::prefixed(ENVIRONMENT).ignore(&["config"]), flags)
    }

    fn read_from(file: Option<&Path>, environment: Env, flags: &impl Serialize) -> Result<Self, ConfigError> {
        if let Some(file) = file.filter(|file| !file.exists()) {
            return Err(ConfigError::NoFile(file.to_owned()));
        }
        // The default file need not be there; one that was named must.
        let file = file.unwrap_or(Path::new(DEFAULT_FILE));
        let defaults = Figment::from(Serialized::defaults(Self::default()));
        let with_file = if file.exists() { defaults.merge(Toml::file_exact(file)) } else { defaults };
        let config: Self = with_file
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| ConfigError::Value(Box::new(error)))?;
        for (key, path) in [
            ("state_dir", &config.state_dir),
            ("event_log", &config.event_log),
            ("ima_log", &config.ima_log),
            ("boot_id_file", &config.boot_id_file),
        ] {
            if !path.is_absolute() {
                return Err(ConfigError::RelativePath { key, path: path.clone() });
            }
        }
        if !(1..=MAX_REQUEST_TIMEOUT_SECS).contains(&config.request_timeout_secs) {
            return Err(ConfigError::RequestTimeout(config.request_timeout_secs));
        }
        Ok(config)
    }

    /// How to reach the TPM, passwords included.
    ///
    /// # Errors
    /// When a password cannot be read.
    pub fn tpm(&self) -> Result<TpmConfig, ConfigError> {
        Ok(TpmConfig {
            tcti: self.tcti.clone(),
            owner_auth: password(self.owner_auth_file.as_deref())?,
            endorsement_auth: password(self.endorsement_auth_file.as_deref())?,
        })
    }

    /// Where the host's measurement logs are.
    pub fn logs(&self) -> LogPaths {
        LogPaths { event_log: self.event_log.clone(), ima: self.ima_log.clone(), boot_id: self.boot_id_file.clone() }
    }

    /// How long one request may take.
    pub fn request_limit(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs.into())
    }
}

/// Reads a join file.
///
/// # Errors
/// When it is missing or damaged.
pub fn join_file(path: &Path) -> Result<JoinFile, ConfigError> {
    let content = secret_file("join file", path)?;
    serde_json::from_slice(&content).map_err(|error| ConfigError::JoinFile {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    })
}

fn password(path: Option<&Path>) -> Result<HierarchyAuth, ConfigError> {
    let Some(path) = path else { return Ok(HierarchyAuth::default()) };
    let mut content = secret_file("password file", path)?;
    // An editor ends the line; the password does not.
    while content.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        content.pop();
    }
    HierarchyAuth::new(content).ok_or_else(|| ConfigError::Password(path.to_owned()))
}

fn secret_file(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    use std::os::unix::fs::PermissionsExt as _;
    let content = read_bounded(path)?.map(Zeroizing::new);
    let content = content.ok_or_else(|| ConfigError::Missing { what, path: path.to_owned() })?;
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!(file = %path.display(), "this file holds a secret, and others may read it; chmod 600");
    }
    Ok(content)
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Variables of no other test: the environment is shared, so these are made up rather than set.
    fn read(toml: &str, flags: &BTreeMap<&str, &str>) -> Result<Config, ConfigError> {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("agent.toml");
        std::fs::write(&file, toml).unwrap();
        Config::read_from(Some(&file), Env::prefixed("VOUCHSAFE_AGENT_TEST_NOTHING_"), flags)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let toml = "tcti = \"swtpm:port=2321\"\nek = \"ecc\"\nrequest_timeout_secs = 5\n";
        let config = read(toml, &BTreeMap::from([("ek", "rsa")])).unwrap();
        assert_eq!(config.tcti.to_string(), "swtpm:port=2321");
        assert_eq!((config.ek, config.ak), (EkPreference::Rsa, AkAlgorithm::Ecc));
        assert_eq!(config.request_limit(), Duration::from_secs(5));
        assert_eq!(config.state_dir, Path::new("/var/lib/vouchsafe-agent"));
        assert_eq!(config.logs(), LogPaths::default());
    }

    #[test]
    fn logs_may_be_elsewhere() {
        let toml = "event_log = \"/a\"\nima_log = \"/b\"\nboot_id_file = \"/c\"\n";
        let logs = read(toml, &BTreeMap::from([("ima_log", "/d")])).unwrap().logs();
        assert_eq!(logs, LogPaths { event_log: "/a".into(), ima: "/d".into(), boot_id: "/c".into() });
    }

    #[test]
    fn wrong_values_and_unknown_keys_are_named() {
        for (toml, named) in [
            ("tcti = \"mssim:port=1\"", "mssim"),
            ("ek = \"dsa\"", "dsa"),
            ("danger = true", "danger"),
            ("request_timeout_secs = 0", "request_timeout_secs"),
            ("request_timeout_secs = 601", "request_timeout_secs"),
            ("state_dir = \"state\"", "state_dir must be an absolute path"),
            ("ima_log = \"list\"", "ima_log must be an absolute path"),
            ("event_log = \"\"", "event_log must be an absolute path"),
            ("boot_id_file = \"x\"", "boot_id_file must be an absolute path"),
            ("log_format = \"xml\"", "xml"),
        ] {
            let error = read(toml, &BTreeMap::new()).unwrap_err().to_string();
            assert!(error.contains(named), "{toml}: {error}");
        }
        assert!(Config::read(None, &BTreeMap::<&str, &str>::new()).is_ok(), "the default file need not be there");
        let missing = Config::read(Some(Path::new("/nonexistent/agent.toml")), &BTreeMap::<&str, &str>::new());
        assert!(matches!(missing, Err(ConfigError::NoFile(_))));
    }

    #[test]
    fn a_damaged_join_file_does_not_give_its_token_away() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("join.json");
        std::fs::write(&path, r#"{"enrol_url":"https://e","expires_at":"vs1-abcdefghijklmnop"}"#).unwrap();
        let error = join_file(&path).unwrap_err();
        assert!(matches!(error, ConfigError::JoinFile { line: 1, .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("vs1-"), "{error:?}");
        assert!(matches!(join_file(Path::new("/nonexistent")), Err(ConfigError::Missing { .. })));
    }

    #[test]
    fn passwords_end_before_the_end_of_the_line() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("auth");
        std::fs::write(&path, "secret\r\n").unwrap();
        let config = Config { owner_auth_file: Some(path.clone()), ..Config::default() };
        assert_eq!(format!("{:?}", config.tpm().unwrap().owner_auth), "HierarchyAuth(…)");
        std::fs::write(&path, "x".repeat(HierarchyAuth::MAX_LEN + 1)).unwrap();
        assert!(matches!(config.tpm(), Err(ConfigError::Password(_))));
    }
}
