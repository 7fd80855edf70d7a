//! Policies as code: the default policy beside its tests, and bundles of policies as they lie in a folder or come packed and
//! signed.
//!
//! A bundle is source text and data, checked for form and size and named by its hash. Nothing here evaluates Rego: the
//! policy engine does.

mod archive;
mod bundle;
mod data;
mod folder;
pub mod limits;
mod manifest;
mod packed;
mod signature;

pub use archive::ArchiveError;
pub use bundle::{Bundle, BundleError, SourceFile};
pub use data::{DataDocument, DataError};
pub use folder::{FolderError, read_folder};
pub use manifest::{MANIFEST_PATH, MAX_REVISION_LEN, Manifest, ManifestError};
pub use packed::{PackError, PackedBundle, PackedError, Signer, Trust};
pub use signature::{
    Algorithm, KeyError, SIGNATURES_PATH, SignatureError, SigningFailed, SigningKey, VerifyingKey, VerifyingKeys,
};

/// The rule that decides: a policy answers `{"allow": bool, "reasons": [{"code", "message", "fix"}], "obligations": [{"code",
/// "message", "parameters"}], "needs": {"score": number}}`, all but `allow` optional.
pub const ENTRY_POINT: &str = "data.vouchsafe.decision";

/// The JSON Schema (2020-12) of what a policy decides over. Generated from the wire types, and kept the same by a test of
/// the policy engine.
pub const INPUT_SCHEMA: &str = include_str!("../input.schema.json");

const DEFAULT_FILES: [(&str, &str); 3] = [
    ("data.json", include_str!("../default/data.json")),
    ("policy.rego", include_str!("../default/policy.rego")),
    ("policy_test.rego", include_str!("../default/policy_test.rego")),
];

/// The default policy with its thresholds and its tests.
///
/// # Errors
/// None that a build with passing tests can meet: the files are part of the program.
pub fn default_bundle() -> Result<Bundle, BundleError> {
    Bundle::from_files(DEFAULT_FILES.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_bundle_is_the_default_folder() {
        let folder = Bundle::from_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/default")).unwrap();
        assert_eq!(default_bundle().unwrap(), folder);
    }

    #[test]
    fn the_default_bundle_holds_policy_tests_and_thresholds() {
        let bundle = default_bundle().unwrap();
        assert_eq!(bundle.policies().iter().map(SourceFile::path).collect::<Vec<_>>(), ["policy.rego"]);
        assert_eq!(bundle.tests().iter().map(SourceFile::path).collect::<Vec<_>>(), ["policy_test.rego"]);
        assert_eq!(bundle.data()["thresholds"]["minimum_score"], 60);
    }

    #[test]
    fn the_input_schema_is_a_schema() {
        let schema: serde_json::Value = serde_json::from_str(INPUT_SCHEMA).unwrap();
        assert_eq!(schema["$id"], "urn:vouchsafe:schema:policy-input:v1");
    }
}
