//! Golden images: the reference values that a device's evidence is compared with.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{InvalidId, text_schema, text_serde};
use crate::pcr::{PcrBank, PcrSet};
use crate::time::Timestamp;

/// A golden image: `web-server@2026.1`.
///
/// Name and version are each 1 to 64 characters of a-z, A-Z, 0-9, '.', '_', '+' and '-', the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId {
    name: String,
    version: String,
}

impl ImageId {
    /// The longest name and the longest version, in bytes.
    pub const MAX_PART_LEN: usize = 64;
    const EXPECTED: &str = "NAME@VERSION, each 1 to 64 of a-z A-Z 0-9 . _ + - after a letter or digit";

    /// What images of one line share.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of them this is.
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn is_part(text: &str) -> bool {
    text.len() <= ImageId::MAX_PART_LEN
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.name, self.version))
    }
}

impl FromStr for ImageId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('@')
            .filter(|(name, version)| is_part(name) && is_part(version))
            .map(|(name, version)| Self { name: name.to_owned(), version: version.to_owned() })
            .ok_or_else(|| InvalidId::new("image", Self::EXPECTED, text))
    }
}

text_serde!(ImageId);
text_schema!(ImageId, "A golden image: NAME@VERSION.", "image-id");

/// What is expected of PCRs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ReferenceValues {
    /// The values, one list for each bank.
    pub banks: Vec<PcrBank>,
    /// PCRs that may have any value.
    pub ignored: PcrSet,
}

/// A golden image: a state in which a device is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Image {
    /// Its name and version.
    pub id: ImageId,
    /// When it was made. Its age costs trust.
    pub created_at: Timestamp,
    /// What it expects.
    pub reference: ReferenceValues,
    /// When it was withdrawn, if it was.
    pub retired_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_name_at_version() {
        let id: ImageId = "web-server@2026.1+b2".parse().unwrap();
        assert_eq!((id.name(), id.version()), ("web-server", "2026.1+b2"));
        assert_eq!(id.to_string(), "web-server@2026.1+b2");
    }

    #[test]
    fn refuses_what_could_be_a_path_or_a_second_version() {
        let long = format!("{}@1", "n".repeat(ImageId::MAX_PART_LEN + 1));
        for text in ["web", "@1", "web@", "a@b@c", "../x@1", "-x@1", "a b@1", "a/b@1", "a\0@1", long.as_str()] {
            assert!(text.parse::<ImageId>().is_err(), "{text:?}");
        }
    }
}
