//! Which policy decides, and what operators are told of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vouchsafe_model::{Reason, Sha256Digest, Timestamp};

/// `GET /v1/policy`: the policy that decides now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyStatus {
    /// Its hash, under which decisions are logged: over the policies, their data, and the data that operators wrote over it.
    pub policy: Sha256Digest,
    /// The hash of what its source gave, without data that operators wrote. The same as `policy` while there is none.
    pub bundle: Sha256Digest,
    /// The revision that a bundle says it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The evaluator that decides: `fast` or `reference`.
    pub evaluator: String,
    /// Why the fast evaluator does not decide, as far as that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
    /// Where it comes from.
    pub source: PolicySource,
    /// Since when it decides: since this server put it in charge or, when an operator activated it, since then.
    pub since: Timestamp,
    /// Whether it is too old to decide by, so that everything is denied until its source gives a newer one.
    pub stale: bool,
    /// Why everything is denied whatever the policy says, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Reason>,
    /// The policy on trial beside it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PolicySource {
    /// The program.
    BuiltIn,
    /// A folder of Rego and data on the server.
    Folder {
        /// The folder.
        path: String,
    },
    /// A bundle in a file on the server.
    BundleFile {
        /// The file.
        path: String,
    },
    /// A server of bundles.
    BundleUrl {
        /// Where.
        url: String,
    },
    /// An operator, who activated it.
    Activated(Activation),
}

/// Who put a policy in charge, and in place of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activation {
    /// The SPIFFE ID of the operator.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The hash of the policy that decided before.
    pub before: Sha256Digest,
    /// What the settings name, and is not read while this decides.
    pub in_place_of: String,
}

/// A policy on trial, and what it has come to since the server started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowStatus {
    /// Its hash.
    pub policy: Sha256Digest,
    /// The evaluator that it runs on.
    pub evaluator: String,
    /// How many decisions it makes the same.
    pub same: u64,
    /// How many it denies that were allowed.
    pub allow_to_deny: u64,
    /// How many it allows that were denied.
    pub deny_to_allow: u64,
    /// How many it was too slow for.
    pub dropped: u64,
}

impl PolicySource {
    /// Whether it is a bundle that the server follows, so that another policy is published there and not activated.
    pub fn is_followed(&self) -> bool {
        matches!(self, Self::BundleFile { .. } | Self::BundleUrl { .. })
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::Folder { path } => write!(f, "folder {path}"),
            Self::BundleFile { path } => write!(f, "bundle {path}"),
            Self::BundleUrl { url } => write!(f, "bundle {url}"),
            Self::Activated(activation) => write!(f, "activated by {}", activation.by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_object_with_its_kind() {
        let activation = Activation {
            by: "spiffe://example.org/operator/ada".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            before: Sha256Digest::new([1; 32]),
            in_place_of: "built in".to_owned(),
        };
        for (source, kind) in [
            (PolicySource::BuiltIn, "built_in"),
            (PolicySource::Folder { path: "/p".to_owned() }, "folder"),
            (PolicySource::BundleFile { path: "/p.tar.gz".to_owned() }, "bundle_file"),
            (PolicySource::BundleUrl { url: "https://b.example.org/p".to_owned() }, "bundle_url"),
            (PolicySource::Activated(activation), "activated"),
        ] {
            let json = serde_json::to_value(&source).unwrap();
            assert_eq!(json["kind"], kind);
            assert_eq!(serde_json::from_value::<PolicySource>(json).unwrap(), source);
        }
    }
}
