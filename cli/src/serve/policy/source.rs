//! Where a policy comes from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use vouchsafe_policies::Bundle;
use vouchsafe_wire::v1::policy::PolicySource;

use super::super::config::{Layout, ServerConfig};
use crate::failure::Hint as _;

/// Where the policy of a server comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The program.
    BuiltIn,
    /// A folder of Rego and data.
    Folder {
        /// Where it is.
        path: PathBuf,
        /// What the settings say, which stays the same when the server's folder is moved.
        setting: String,
    },
}

impl Source {
    /// The one that the settings name.
    pub(super) fn of(layout: &Layout, config: &ServerConfig) -> Self {
        match &config.policy.dir {
            None => Self::BuiltIn,
            Some(dir) => Self::Folder { path: layout.resolve(dir), setting: format!("folder {}", dir.display()) },
        }
    }

    /// What the settings say of it.
    pub(super) fn setting(&self) -> &str {
        match self {
            Self::BuiltIn => "built in",
            Self::Folder { setting, .. } => setting,
        }
    }

    /// What operators are told of it.
    pub(super) fn told(&self) -> PolicySource {
        match self {
            Self::BuiltIn => PolicySource::BuiltIn,
            Self::Folder { path, .. } => PolicySource::Folder { path: path.display().to_string() },
        }
    }

    /// The policy as it is there now.
    pub(super) fn read(&self) -> anyhow::Result<Bundle> {
        match self {
            Self::BuiltIn => vouchsafe_policies::default_bundle().context("the built-in policy cannot be read"),
            Self::Folder { path, .. } => read_folder(path),
        }
    }
}

/// The policy that lies in a folder.
pub(super) fn read_folder(path: &Path) -> anyhow::Result<Bundle> {
    Bundle::from_dir(path)
        .with_context(|| format!("cannot read the policy in {}", path.display()))
        .hint("`vouchsafe policy check DIR` tries a policy before a server uses it")
}
