use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use super::*;
use crate::signature::VerifyingKey;

fn files(named: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    named.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

const POLICY: [(&str, &str); 3] = [
    ("policy.rego", "package vouchsafe\n\ndecision := {\"allow\": false}\n"),
    ("policy_test.rego", "package vouchsafe_test\n\ntest_x := true\n"),
    ("thresholds/data.json", "{\"minimum\": 60}"),
];

fn manifest(revision: &str) -> Manifest {
    Manifest { revision: revision.to_owned(), rego_version: Some(1), ..Manifest::default() }
}

fn key() -> (SigningKey, VerifyingKeys) {
    let key = Ed25519KeyPair::generate().unwrap();
    let pem = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der)).into_bytes();
    let mut keys = VerifyingKeys::default();
    let public = pem("PUBLIC KEY", key.public_key().as_der().unwrap().as_ref());
    keys.insert("ci", VerifyingKey::from_pem(&public, "").unwrap());
    (SigningKey::from_pem(&pem("PRIVATE KEY", key.to_pkcs8v1().unwrap().as_ref())).unwrap(), keys)
}

fn read(named: &[(&str, &str)]) -> Result<PackedBundle, PackedError> {
    let packed = crate::archive::pack(&files(named).into_iter().collect()).unwrap();
    PackedBundle::read(&packed, Trust::DangerUnsigned)
}

#[test]
fn a_packed_bundle_is_that_of_its_folder() {
    let (key, keys) = key();
    let signer = Signer { key: &key, id: "ci", scope: "" };
    let packed = PackedBundle::pack(files(&POLICY), &manifest("7"), Some(&signer)).unwrap();
    let read = PackedBundle::read(&packed, Trust::SignedBy(&keys)).unwrap();
    assert_eq!(read.bundle(), &Bundle::from_files(files(&POLICY)).unwrap());
    assert_eq!((read.manifest().revision_number(), read.signed_by()), (Some(7), Some("ci")));
    let unsigned = PackedBundle::pack(files(&POLICY), &manifest("7"), None).unwrap();
    let outcome = PackedBundle::read(&unsigned, Trust::SignedBy(&keys));
    assert!(matches!(outcome, Err(PackedError::Signature(SignatureError::Missing))), "{outcome:?}");
    assert_eq!(PackedBundle::read(&unsigned, Trust::DangerUnsigned).unwrap().signed_by(), None);
    // Without a key nobody can have signed.
    assert!(PackedBundle::read(&packed, Trust::SignedBy(&VerifyingKeys::default())).is_err());
}

#[test]
fn data_and_packages_lie_within_the_roots() {
    let roots = |roots: &[&str]| {
        let manifest = json!({"roots": roots}).to_string();
        let mut all = POLICY.to_vec();
        all.push((".manifest", &manifest));
        read(&all)
    };
    assert!(roots(&[""]).is_ok());
    assert!(roots(&["vouchsafe", "thresholds"]).is_ok());
    assert!(roots(&["vouchsafe", "thresholds/minimum"]).is_ok());
    for (given, place) in
        [(&["vouchsafe"][..], "thresholds/minimum"), (&["thresholds"], "vouchsafe"), (&[], "vouchsafe")]
    {
        match roots(given) {
            Err(PackedError::Manifest(ManifestError::OutsideRoots { place: outside })) => assert_eq!(outside, place),
            other => panic!("{given:?}: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_snapshot_of_this_edition_is_refused() {
    assert!(matches!(read(&[("patch.json", "{\"data\": []}")]), Err(PackedError::Delta)));
    let old = [POLICY[0], (".manifest", "{\"rego_version\": 0}")];
    assert!(matches!(read(&old), Err(PackedError::Manifest(ManifestError::RegoVersion))));
    assert!(matches!(read(&[("data.json", "{}")]), Err(PackedError::Bundle(BundleError::NoPolicy))));
    assert!(matches!(read(&[("data.yaml", "a: 1"), POLICY[0]]), Err(PackedError::Bundle(BundleError::Yaml { .. }))));
    let expiring = [POLICY[0], (".manifest", "{\"metadata\": {\"expires_at\": \"2027-01-01T00:00:00Z\"}}")];
    assert!(read(&expiring).unwrap().expires_at().is_some());
}
