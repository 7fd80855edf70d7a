//! The runtime section: what the IMA list may hold.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::read;

/// What may run, as it is written in an image. What it means is for [`crate::ima`] to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSection {
    /// Certificates whose signatures are good for a file.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Keys that may be loaded on a keyring.
    #[serde(default)]
    pub keyring_keys: Vec<String>,
    /// Paths that are not looked at.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Named rules for paths that match by nature of the kernel only.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The digests of each path, as `sha256:hex`; each of them will do.
    #[serde(default, deserialize_with = "read::path_digests")]
    pub digests: BTreeMap<String, Vec<String>>,
}
