//! The runtime section of a golden image, as it is written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What may run, as text: `[runtime]` of a golden image. One line for each path, so that two versions can be compared.
///
/// ```toml
/// [runtime]
/// keys = ["-----BEGIN CERTIFICATE-----\n…"]
/// exclude = ["/var/log/**", "/tmp/*.sock"]
/// rules = ["memfd=runc_cloned:* -> /usr/bin/runc", "initramfs=/etc/fstab"]
///
/// [runtime.digests]
/// "/usr/bin/ls" = ["sha256:…", "sha256:…"]
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeSection {
    /// Keys that may sign files, in PEM: certificates or bare public keys. A file with a valid signature of one needs no
    /// digest here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Keys that may be loaded on a keyring while the host runs, in PEM. A certificate of a CA allows all that it signed.
    /// From the entry on that tells of its loading on `.ima`, such a key may sign files, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keyring_keys: Vec<String>,
    /// Paths that may hold anything: whole paths with `*`, `?` and, between slashes, `**`. Violations there are summed up
    /// rather than held against the host; as the kernel does not bind a violation's path to the TPM, let this be few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Rules for names that are no paths of the host: `memfd`, `memfd=NAME`, `memfd=NAME -> PATH` (with the content of
    /// PATH), `initramfs=MARKER` (until MARKER is measured first), `overlay=FROM -> TO` (files below FROM are listed below
    /// TO), `buffers` (what the kernel measures besides files and keys). Each use of one is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The digests that a path may have: `sha256:…`, or `verity:sha256:…` for the root of an fs-verity tree.
    pub digests: BTreeMap<String, Vec<String>>,
}
