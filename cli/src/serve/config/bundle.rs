//! `[policy.bundle]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A policy that comes as a bundle in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BundleConfig {
    /// The file.
    pub(crate) file: Option<PathBuf>,
    /// Or where it is asked for: `https://`, or `http://` on this machine.
    pub(crate) url: Option<String>,
    /// The keys that may have signed it.
    pub(crate) keys: Vec<BundleKeyConfig>,
    /// Whether it need not be signed.
    pub(crate) danger_unsigned: bool,
    /// Whether an older revision may take the place of a newer one.
    pub(crate) danger_allow_rollback: bool,
    /// How often it is looked for; 60 if not set.
    pub(crate) poll_secs: Option<u32>,
    /// How long a server may wait before it answers that there is nothing new; 0 asks it not to wait.
    pub(crate) long_poll_secs: u32,
    /// How long after it was last looked for in vain everything is denied; 0 is never.
    pub(crate) max_age_secs: u32,
    /// A file that holds the bearer token.
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates (PEM) by which the server is known; the system's own if none are named.
    pub(crate) ca_file: Option<PathBuf>,
    /// The certificate (PEM) by which this server is known to it.
    pub(crate) client_certificate_file: Option<PathBuf>,
    /// Its key.
    pub(crate) client_key_file: Option<PathBuf>,
}

/// A key that may sign bundles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleKeyConfig {
    /// The name under which bundles name it.
    pub(crate) id: String,
    /// The public key (PEM).
    pub(crate) file: PathBuf,
    /// What bundles have to be signed for.
    #[serde(default)]
    pub(crate) scope: String,
}
