//! The certificates of real vendors.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use vouchsafe_attest::endorsement::{
    AnchorRefusalReason, AnchorRole, AnchorSource, ChainNote, EkCertificate, Endorsement, EndorsementClaim,
    TpmIdentity, TrustAnchors, grade,
};
use vouchsafe_model::{EndorsementGrade, Timestamp};

use crate::certificates::{Ca, Ek, now};
use crate::ek_templates::{LOW_RANGE, area_of_spki};
use crate::endorsement_encodings::signed_parts;

fn data() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// A file's certificates as DER, whether it is DER or PEM.
fn certificates_in(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    match pem::parse_many(&bytes) {
        Ok(sections) if !sections.is_empty() => sections.into_iter().map(pem::Pem::into_contents).collect(),
        _ => vec![bytes],
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    files
}

/// Certificates to mutate: real ones where they are there, else of a vendor that does not exist.
pub(crate) fn sample_certificates() -> &'static [Vec<u8>] {
    static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut samples = vec![Ca::root("Root").der, Ca::root("Root").certify(&Ek::generate())];
        if let Some(data) = data() {
            let folders = ["ek-certs", "vendor-cas/GCE", "vendor-cas/extra"].map(|folder| data.join(folder));
            samples.extend(folders.iter().flat_map(|folder| files_in(folder)).flat_map(|file| certificates_in(&file)));
            samples.extend(certificates_in(&data.join("vendor-cas/roots.pem")));
        }
        samples
    });
    &SAMPLES
}

/// Everything under vendor-cas, each file by its name, and in which role.
fn load_all(data: &Path) -> (TrustAnchors, Vec<(String, AnchorRefusalReason)>) {
    let vendors = data.join("vendor-cas");
    let mut files = vec![
        (vendors.join("roots.pem"), AnchorRole::Root),
        (vendors.join("intermediates.pem"), AnchorRole::Intermediate),
    ];
    for file in [files_in(&vendors.join("GCE")), files_in(&vendors.join("extra"))].concat() {
        let is_root = file.file_name().unwrap().to_string_lossy().contains("_root");
        files.push((file, if is_root { AnchorRole::Root } else { AnchorRole::Intermediate }));
    }
    let read = files
        .into_iter()
        .map(|(file, role)| {
            (file.file_name().unwrap().to_string_lossy().into_owned(), role, std::fs::read(&file).unwrap())
        })
        .collect::<Vec<_>>();
    let sources = read.iter().map(|(name, role, bytes)| AnchorSource { name, role: *role, bytes }).collect::<Vec<_>>();
    let (anchors, refusals) = TrustAnchors::load(&sources);
    (anchors, refusals.into_iter().map(|refusal| (refusal.source_name, refusal.reason)).collect())
}

fn graded(certificate: &[u8], anchors: &TrustAnchors, now: Timestamp) -> Endorsement {
    let ek = area_of_spki(EkCertificate::parse(certificate).unwrap().spki_der(), LOW_RANGE);
    let claim =
        EndorsementClaim { ek_public: &ek, ek_certificate: Some(certificate), extra_intermediates: &[], pinned: None };
    grade(claim, anchors, now).unwrap()
}

#[test]
fn every_vendor_certificate_loads_but_a_ca_for_attestation_keys() {
    let Some(data) = data() else { return };
    let (anchors, refusals) = load_all(&data);
    // This one issues certificates of attestation keys (tcg-kp-AIKCertificate) and of nothing else.
    let aik_ca = "WUS-IFX-KEYID-EFFEEC5E01610082C0E311CBD07A3204408B32B8.cer".to_owned();
    assert_eq!(refusals, [(aik_ca, AnchorRefusalReason::OtherUsage)]);
    // 26 and 2; 143, 3 and 4, of which two are in the bundle as well.
    assert_eq!(format!("{anchors:?}"), "TrustAnchors(28 roots, 148 intermediates)");
}

/// An intermediate taken for an EK certificate climbs through the same links that it would be on the way of.
#[test]
fn every_vendor_intermediate_leads_to_a_root() {
    let Some(data) = data() else { return };
    let (anchors, _) = load_all(&data);
    let mut stranded = Vec::new();
    for certificate in certificates_in(&data.join("vendor-cas/intermediates.pem")) {
        let endorsement = graded(&certificate, &anchors, now());
        if endorsement.grade != EndorsementGrade::Vendor {
            stranded.push(endorsement.notes);
        }
    }
    assert!(stranded.is_empty(), "{stranded:#?}");
}

#[test]
fn an_stm_certificate_from_nv_is_vouched_for_by_stm() {
    let Some(data) = data() else { return };
    let (anchors, _) = load_all(&data);
    let padded = std::fs::read(data.join("ek-certs/st_sha256_with_rsa_der.der")).unwrap();
    assert!(padded.ends_with(&[0xFF; 100]));
    let certificate = EkCertificate::parse(&padded).unwrap();
    let identity = TpmIdentity {
        manufacturer: Some("STM".to_owned()),
        model: Some("ST33HTPHAHB4".to_owned()),
        version: Some("id:00490004".to_owned()),
    };
    assert_eq!(certificate.identity(), &identity);
    assert!(certificate.has_ek_usage());
    assert_eq!((certificate.subject().as_str(), certificate.der().len()), ("(empty name)", padded.len() - 431));
    let endorsement = graded(&padded, &anchors, now());
    assert_eq!((endorsement.grade, endorsement.notes), (EndorsementGrade::Vendor, Vec::new()));
    assert_eq!(endorsement.manufacturer.as_deref(), Some("STM"));
    let later: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let expired = graded(&padded, &anchors, later);
    assert_eq!(expired.grade, EndorsementGrade::Vendor);
    assert_eq!(expired.notes[0], ChainNote::LeafExpired { not_after: certificate.not_after() });
}

#[test]
fn cloud_certificates_are_vouched_for_by_their_cloud() {
    let Some(data) = data() else { return };
    let (anchors, _) = load_all(&data);
    for name in ["pca_tpm_ecc_enc_cert", "pca_tpm_ecc_sign_cert", "pca_tpm_rsa_enc_cert", "pca_tpm_rsa_sign_cert"] {
        let certificate = certificates_in(&data.join(format!("ek-certs/{name}.pem"))).remove(0);
        let endorsement = graded(&certificate, &anchors, now());
        assert_eq!(endorsement.grade, EndorsementGrade::Vendor, "{name}");
        assert_eq!(endorsement.root.as_deref().map(|root| root.ends_with("CN=EK/AK CA Root")), Some(true));
        assert_eq!(endorsement.notes, [ChainNote::MissingEkUsage, ChainNote::MissingTpmIdentity], "{name}");
        assert_eq!(endorsement.manufacturer, None);
    }
}

#[test]
fn certificates_of_other_vendors_and_for_other_uses_are_read() {
    let Some(data) = data() else { return };
    let read = |name: &str| EkCertificate::parse(&std::fs::read(data.join("ek-certs").join(name)).unwrap()).unwrap();
    let nuvoton = read("nuvoton_ecdsa_sha256_der.der");
    let name = "CN=Nuvoton TPM Root CA 2110+O=Nuvoton Technology Corporation+C=TW";
    assert_eq!((nuvoton.subject().as_str(), nuvoton.issuer().as_str()), (name, name));
    assert!(!nuvoton.has_ek_usage() && !nuvoton.is_for_other_uses());
    let (anchors, _) = load_all(&data);
    let endorsement = graded(nuvoton.der(), &anchors, now());
    assert_eq!(endorsement.grade, EndorsementGrade::None);
    assert_eq!(endorsement.notes.last(), Some(&ChainNote::UntrustedRoot { subject: name.to_owned() }));
    let source = AnchorSource { name: "nuvoton", role: AnchorRole::Root, bytes: nuvoton.der() };
    let (its_own, refusals) = TrustAnchors::load(&[source]);
    assert_eq!((its_own.root_count(), refusals), (1, Vec::new()));
    let endorsement = graded(nuvoton.der(), &its_own, now());
    assert_eq!(endorsement.grade, EndorsementGrade::Vendor);
    assert!(endorsement.notes.contains(&ChainNote::LeafIsCa));
    for name in ["iak_der.der", "idevid_der.der"] {
        let certificate = read(name);
        assert!(certificate.is_for_other_uses());
        assert!(certificate.issuer().ends_with("CN=Isaac HPE Intermediate CA"));
        let endorsement = graded(certificate.der(), &anchors, now());
        assert_eq!(endorsement.grade, EndorsementGrade::None);
    }
    let chain = certificates_in(&data.join("ek-certs/iak_idevid_chain.pem"));
    let sources =
        chain.iter().map(|bytes| AnchorSource { name: "chain", role: AnchorRole::Root, bytes }).collect::<Vec<_>>();
    let (anchors, refusals) = TrustAnchors::load(&sources);
    assert_eq!(refusals, []);
    let endorsement = graded(read("iak_der.der").der(), &anchors, now());
    assert_eq!((endorsement.grade, endorsement.notes.last()), (EndorsementGrade::None, Some(&ChainNote::OtherUsage)));
}

#[test]
fn a_real_certificate_with_any_signed_byte_changed_is_not_vouched_for() {
    let Some(data) = data() else { return };
    let (anchors, _) = load_all(&data);
    let padded = std::fs::read(data.join("ek-certs/st_sha256_with_rsa_der.der")).unwrap();
    let original = EkCertificate::parse(&padded).unwrap();
    let ek = area_of_spki(original.spki_der(), LOW_RANGE);
    for index in 0..original.der().len() {
        let mut changed = original.der().to_vec();
        changed[index] ^= 0x41;
        let claim =
            EndorsementClaim { ek_public: &ek, ek_certificate: Some(&changed), extra_intermediates: &[], pinned: None };
        if grade(claim, &anchors, now()).is_ok_and(|endorsement| endorsement.grade > EndorsementGrade::None) {
            assert_eq!(signed_parts(&changed), signed_parts(original.der()), "byte {index}");
        }
    }
}
