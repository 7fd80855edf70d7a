//! Where a policy comes from.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context as _;
use vouchsafe_policies::Bundle;

use super::super::config::{Layout, ServerConfig};
use crate::failure::Hint as _;

/// Where the policy of a server comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The program.
    BuiltIn,
    /// A folder of Rego and data.
    Folder(PathBuf),
}

impl Source {
    /// The one that the settings name.
    pub(super) fn of(layout: &Layout, config: &ServerConfig) -> Self {
        match &config.policy.dir {
            None => Self::BuiltIn,
            Some(dir) => Self::Folder(layout.resolve(dir)),
        }
    }

    /// The policy as it is there now.
    pub(super) fn read(&self) -> anyhow::Result<Bundle> {
        match self {
            Self::BuiltIn => vouchsafe_policies::default_bundle().context("the built-in policy cannot be read"),
            Self::Folder(dir) => Bundle::from_dir(dir)
                .with_context(|| format!("cannot read the policy in {}", dir.display()))
                .hint("`vouchsafe policy check DIR` tries a policy before a server uses it"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Folder(dir) => write!(f, "{}", dir.display()),
        }
    }
}
