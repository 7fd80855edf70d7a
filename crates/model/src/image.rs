//! Golden images: the reference values that a device's evidence is compared with.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::hash::Sha256Digest;
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, ToSchema)]
pub struct Image {
    /// Its name and version.
    pub id: ImageId,
    /// When it was made. Its age costs trust.
    pub created_at: Timestamp,
    /// The PCR values that it expects. An image that is described by a document may expect none.
    pub reference: ReferenceValues,
    /// When it was withdrawn, if it was.
    pub retired_at: Option<Timestamp>,
    /// When this engine took it: the overlap with those that it supersedes begins here. What was written before there
    /// was this field reads as [`Self::created_at`].
    pub activated_at: Timestamp,
    /// The document that describes it; `None` when it is known by its PCR values alone.
    pub document: Option<ImageDocument>,
}

/// What is to be known of an image's document without reading it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct ImageDocument {
    /// SHA-256 of the document's text.
    pub digest: Sha256Digest,
    /// The images whose place it takes. This engine need not have all of them.
    #[serde(default)]
    pub supersedes: Vec<ImageId>,
    /// For how long after its activation they are still valid, in seconds: hosts that have not rebooted yet are no alarm.
    pub overlap_secs: u64,
    /// How old it may become, in seconds; `None` is no bound.
    pub max_age_secs: Option<u64>,
    /// The name of the key that signed it; `None` when nobody did.
    pub signed_by: Option<String>,
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The fields as they may have been written.
        #[derive(Deserialize)]
        struct Written {
            id: ImageId,
            created_at: Timestamp,
            reference: ReferenceValues,
            retired_at: Option<Timestamp>,
            activated_at: Option<Timestamp>,
            document: Option<ImageDocument>,
        }
        let Written { id, created_at, reference, retired_at, activated_at, document } =
            Written::deserialize(deserializer)?;
        Ok(Self { id, created_at, reference, retired_at, activated_at: activated_at.unwrap_or(created_at), document })
    }
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

    #[test]
    fn an_image_of_before_it_had_a_document_was_activated_when_it_was_made() {
        let old = r#"{"id":"web@1","created_at":"2026-01-31T12:00:00Z","reference":{"banks":[],"ignored":[]}}"#;
        let read: Image = serde_json::from_str(old).unwrap();
        assert_eq!((read.activated_at, read.retired_at, &read.document), (read.created_at, None, &None));
    }

    #[test]
    fn an_image_survives_being_written_and_read() {
        let document = ImageDocument {
            digest: Sha256Digest::new([7; 32]),
            supersedes: vec!["web@1".parse().unwrap()],
            overlap_secs: 86_400,
            max_age_secs: Some(u64::MAX),
            signed_by: Some("release".to_owned()),
        };
        let image = Image {
            id: "web@2".parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            reference: ReferenceValues { banks: Vec::new(), ignored: PcrSet::from_bits(0).unwrap() },
            retired_at: None,
            activated_at: Timestamp::from_unix_secs(1),
            document: Some(document),
        };
        let text = serde_json::to_string(&image).unwrap();
        assert_eq!(serde_json::from_str::<Image>(&text).unwrap(), image);
    }

    #[test]
    fn a_document_without_a_digest_is_refused() {
        let error = serde_json::from_str::<ImageDocument>(r#"{"overlap_secs":0}"#).unwrap_err();
        assert!(error.to_string().contains("digest"), "{error}");
    }
}
