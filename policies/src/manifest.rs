//! `.manifest`: what a bundle says of itself.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vouchsafe_model::Timestamp;

/// Where the manifest lies in a bundle.
pub const MANIFEST_PATH: &str = ".manifest";
/// The longest revision, in bytes.
pub const MAX_REVISION_LEN: usize = 128;

/// What a bundle says of itself, in OPA's words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which of the bundles of one kind it is: here a number that grows.
    #[serde(default)]
    pub revision: String,
    /// The places below `data` that it gives; all of them if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<Vec<String>>,
    /// The edition of the language that it is written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego_version: Option<u8>,
    /// The editions that files are written in that are not written in that one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub file_rego_versions: Map<String, Value>,
    /// Compiled modules, which nothing here runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wasm: Vec<Value>,
    /// What else somebody wanted to say. `expires_at` is the instant (RFC 3339) from which on it counts no more.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// Why a manifest cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON of its shape.
    #[error("it is no manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// The revision is too long.
    #[error("the revision is longer than {MAX_REVISION_LEN} bytes, or has control characters")]
    Revision,
    /// It is written in an edition that is not run here.
    #[error("it is written in Rego v0; rewrite it with `opa fmt --v0-v1`")]
    RegoVersion,
    /// It brings compiled modules.
    #[error("it brings Wasm modules, which are not run here")]
    Wasm,
    /// Data or a package lies outside of its roots.
    #[error("{place} lies outside of its roots")]
    OutsideRoots {
        /// What.
        place: String,
    },
    /// Its expiry is no instant.
    #[error("metadata.expires_at is no instant of RFC 3339")]
    Expiry,
}

impl Manifest {
    pub(crate) fn read(content: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(content)?;
        if manifest.revision.len() > MAX_REVISION_LEN || manifest.revision.chars().any(char::is_control) {
            return Err(ManifestError::Revision);
        }
        let is_old = |version: &Value| version.as_u64() != Some(1);
        if manifest.rego_version.is_some_and(|version| version != 1) || manifest.file_rego_versions.values().any(is_old)
        {
            return Err(ManifestError::RegoVersion);
        }
        if !manifest.wasm.is_empty() {
            return Err(ManifestError::Wasm);
        }
        manifest.expires_at()?;
        Ok(manifest)
    }

    /// Its revision as a number, if it is one.
    pub fn revision_number(&self) -> Option<u64> {
        self.revision.parse().ok()
    }

    /// From when on it counts no more, if it says so.
    ///
    /// # Errors
    /// When what it says is no instant.
    pub fn expires_at(&self) -> Result<Option<Timestamp>, ManifestError> {
        match self.metadata.get("expires_at") {
            None => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| ManifestError::Expiry),
            Some(_) => Err(ManifestError::Expiry),
        }
    }

    /// Whether a place below `data`, `a/b`, is one that it gives.
    pub(crate) fn gives(&self, place: &str) -> bool {
        let Some(roots) = &self.roots else { return true };
        roots.iter().any(|root| {
            let root = root.trim_matches('/');
            root.is_empty() || place.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::read(text.as_bytes())
    }

    #[test]
    fn opas_manifests_are_understood() {
        let text = r#"{"revision":"7","roots":["vouchsafe","a/b"],"rego_version":1,"metadata":{"by":"ci"},"new":1}"#;
        let manifest = read(text).unwrap();
        assert_eq!((manifest.revision_number(), manifest.expires_at().unwrap()), (Some(7), None));
        for (place, gives) in
            [("vouchsafe", true), ("vouchsafe/x", true), ("vouchsafes", false), ("a", false), ("a/b/c", true)]
        {
            assert_eq!(manifest.gives(place), gives, "{place}");
        }
        assert!(read("{}").unwrap().gives("anything"));
        assert!(read(r#"{"roots":[""]}"#).unwrap().gives("anything"));
        assert_eq!(read(r#"{"revision":"1a2b"}"#).unwrap().revision_number(), None);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        assert!(matches!(read(r#"{"rego_version":0}"#), Err(ManifestError::RegoVersion)));
        assert!(matches!(read(r#"{"file_rego_versions":{"/a.rego":0}}"#), Err(ManifestError::RegoVersion)));
        assert!(matches!(read(r#"{"wasm":[{"module":"/policy.wasm"}]}"#), Err(ManifestError::Wasm)));
        assert!(matches!(read(r#"{"metadata":{"expires_at":"soon"}}"#), Err(ManifestError::Expiry)));
        assert!(matches!(read(r#"{"metadata":{"expires_at":1}}"#), Err(ManifestError::Expiry)));
        assert!(matches!(read("1"), Err(ManifestError::Json(_))));
        let revision = |length: usize| read(&format!(r#"{{"revision":"{}"}}"#, "x".repeat(length)));
        assert!(revision(MAX_REVISION_LEN).is_ok());
        assert!(matches!(revision(MAX_REVISION_LEN + 1), Err(ManifestError::Revision)));
        let expiring = read(r#"{"metadata":{"expires_at":"2027-01-01T00:00:00Z"}}"#).unwrap();
        assert!(expiring.expires_at().unwrap().is_some());
    }
}
