//! Who vouches for a TPM.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How well a device's endorsement key is vouched for. Policy sees the grade and may ask for more.
///
/// Ordered: a higher grade is a better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndorsementGrade {
    /// Nobody: any program can make such a key. Its TPM may be software.
    None,
    /// An operator, who named this very key beforehand.
    Pinned,
    /// The maker of the TPM, by a certificate chain to a root that the operator trusts.
    Vendor,
}

impl EndorsementGrade {
    /// Its name, as policies spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pinned => "pinned",
            Self::Vendor => "vendor",
        }
    }
}

impl std::fmt::Display for EndorsementGrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
