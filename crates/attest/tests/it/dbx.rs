//! Updates of `dbx`, and boots that use what they revoke.

use std::path::PathBuf;

use vouchsafe_attest::eventlog::SignatureListError;
use vouchsafe_attest::eventlog::facts::{Authority, BootFacts, BootImageKind, SignatureEntry, SignatureKind};
use vouchsafe_attest::secure_boot::{Dbx, DbxUpdate, MAX_UPDATE_LEN, UpdateError, revoked};
use vouchsafe_model::{Finding, FindingCode, Sha256Digest};
use x509_parser::prelude::FromDer as _;

use crate::image_boot::{hashed, image};

fn shared(name: &str) -> Option<Vec<u8>> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation/secure-boot").join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return Some(bytes);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// A certificate of the shared data in DER.
fn certificate(name: &str) -> Option<Vec<u8>> {
    let bytes = shared(name)?;
    Some(if bytes.starts_with(b"-----") { pem::parse(&bytes).unwrap().into_contents() } else { bytes })
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest::new(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().try_into().unwrap())
}

fn entry(der: &[u8]) -> SignatureEntry {
    let kind = SignatureKind::X509 { sha256: sha256(der), subject: Some("CN=a".to_owned()), der: der.to_vec() };
    SignatureEntry { owner: "owner".to_owned(), kind }
}

const SHA256_LIST: [u8; 16] =
    [0x26, 0x16, 0xC4, 0xC1, 0x4C, 0x50, 0x92, 0x40, 0xAC, 0xA9, 0x41, 0xF9, 0x36, 0x93, 0x43, 0x28];

/// A list of SHA-256 digests.
fn list(digests: &[[u8; 32]]) -> Vec<u8> {
    let len = u32::try_from(28 + digests.len() * 48).unwrap();
    let mut list = [&SHA256_LIST[..], &len.to_le_bytes(), &0u32.to_le_bytes(), &48u32.to_le_bytes()].concat();
    digests.iter().for_each(|digest| list.extend([&[0xAA; 16][..], digest].concat()));
    list
}

/// The head of a signed update with a signature of so many bytes.
fn head(signature: usize) -> Vec<u8> {
    let time = [0xDA, 0x07, 3, 6, 19, 17, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let len = u32::try_from(24 + signature).unwrap();
    let guid = [0x9D, 0xD2, 0xAF, 0x4A, 0xDF, 0x68, 0xEE, 0x49, 0x8A, 0xA9, 0x34, 0x7D, 0x37, 0x56, 0x65, 0xA7];
    [&time[..], &len.to_le_bytes(), &[0, 2, 0xF1, 0x0E], &guid, &vec![0x30; signature]].concat()
}

#[test]
fn published_updates_are_read_whole() {
    for (name, images, certificates) in [
        ("dbxupdate-2014-08-11.bin", 13, 0),
        ("dbxupdate_x64-2020-10-12.bin", 183, 3),
        ("dbxupdate_x64-2021-04-29.bin", 211, 0),
    ] {
        let Some(bytes) = shared(name) else { return };
        let update = DbxUpdate::parse(&bytes).unwrap();
        assert_eq!(update.timestamp.unwrap().to_string(), "2010-03-06T19:17:21.000Z", "{name}: all bear this one");
        let dbx = update.dbx();
        assert_eq!((dbx.images().len(), dbx.certificates().len(), dbx.to_be_signed().len()), (images, certificates, 0));
        assert_eq!((dbx.len(), dbx.is_empty()), (images + certificates, false));
        let lists = bytes.len() - 48 * images - 28;
        let bare = DbxUpdate::parse(&bytes[lists..]);
        if certificates == 0 {
            let attributes = [&[0x27, 0, 0, 0][..], &bytes[lists..]].concat();
            assert_eq!(bare.unwrap().entries, update.entries);
            let variable = DbxUpdate::parse(&attributes).unwrap();
            assert_eq!((variable.entries, variable.timestamp), (update.entries, None));
        }
    }
}

#[test]
fn the_certificates_of_boothole_are_revoked_by_the_update_of_that_year() {
    let Some(update) = shared("dbxupdate_x64-2020-10-12.bin") else { return };
    let dbx = DbxUpdate::parse(&update).unwrap().dbx();
    for name in ["canonical-boothole.crt", "cisco-boothole.crt", "debian-boothole.crt"] {
        let der = certificate(name).unwrap();
        assert!(dbx.certificates().contains_key(&sha256(&der)), "{name}");
        let findings = revoked(&booted(&der), &dbx);
        assert_eq!(findings.len(), 1, "{name}");
        assert_eq!((findings[0].code, findings[0].event), (FindingCode::BootImageRevoked, Some(2)));
        assert_eq!(findings[0].path.as_deref(), Some("/grubx64.efi"));
        assert!(findings[0].found.as_ref().unwrap().contains("which is revoked"), "{findings:?}");
    }
    let good = certificate("MicCorUEFCA2011_2011-06-27.crt").unwrap();
    assert_eq!(revoked(&booted(&good), &dbx), []);
}

/// A boot of one image that this certificate verified.
fn booted(der: &[u8]) -> BootFacts {
    let mut facts = BootFacts::default();
    facts.secure_boot.authorities = vec![Authority { event: 1, variable: "db".to_owned(), entry: Some(entry(der)) }];
    facts.boot_chain = vec![image(2, BootImageKind::Application, "/grubx64.efi", "9999")];
    facts.boot_chain[0].authority = Some(0);
    facts
}

fn found(facts: &BootFacts, dbx: &Dbx) -> Vec<String> {
    revoked(facts, dbx).iter().map(|finding: &Finding| finding.found.clone().unwrap()).collect()
}

#[test]
fn an_image_is_revoked_by_its_digest() {
    let boot_chain = vec![
        image(7, BootImageKind::Application, "/old-shim.efi", "bad"),
        image(8, BootImageKind::BootDriver, "card", "c0"),
        image(9, BootImageKind::Application, "/fine.efi", "c1"),
    ];
    let facts = BootFacts { boot_chain, ..BootFacts::default() };
    let listed = |hex: &str| hashed(crate::image_boot::digest(hex));
    let dbx: Dbx = [listed("bad"), listed("c0")].iter().collect();
    let findings = revoked(&facts, &dbx);
    assert_eq!(findings.iter().map(|finding| finding.event).collect::<Vec<_>>(), [Some(7), Some(8)]);
    assert_eq!(revoked(&facts, &Dbx::default()), []);
}

#[test]
fn a_certificate_is_revoked_by_its_to_be_signed_part_and_through_its_issuer() {
    let issuer = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Vendor CA");
    let ca = params.self_signed(&issuer).unwrap();
    let signer = rcgen::Issuer::from_params(&params, &issuer);
    let mut leaf = rcgen::CertificateParams::default();
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "Vendor Signer");
    let leaf = leaf.signed_by(&rcgen::KeyPair::generate().unwrap(), &signer).unwrap();
    let tbs = |der: &[u8]| {
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).unwrap();
        let kind = SignatureKind::X509Sha256 { digest: sha256(certificate.tbs_certificate.as_ref()) };
        SignatureEntry { owner: String::new(), kind }
    };
    let mut facts = booted(leaf.der());
    let by_tbs: Dbx = [tbs(leaf.der())].iter().collect();
    assert_eq!(found(&facts, &by_tbs).len(), 1);
    // The issuer is listed whole: no need to know it from elsewhere.
    let by_issuer: Dbx = [entry(ca.der())].iter().collect();
    assert!(found(&facts, &by_issuer)[0].contains("CN=Vendor CA is revoked"), "{:?}", found(&facts, &by_issuer));
    // Listed by its to-be-signed part alone it is found when it is enrolled.
    let by_issuer_tbs: Dbx = [tbs(ca.der())].iter().collect();
    assert_eq!(found(&facts, &by_issuer_tbs).len(), 0);
    facts.secure_boot.db.push(entry(ca.der()));
    assert_eq!(found(&facts, &by_issuer_tbs).len(), 1);
    // An authority that cannot be tied to an image was used all the same.
    facts.boot_chain[0].authority = None;
    assert_eq!(revoked(&facts, &by_issuer_tbs)[0].event, Some(1));
    // A certificate that issued itself ends the search.
    assert_eq!(found(&booted(ca.der()), &by_tbs).len(), 0);
}

#[test]
fn every_truncation_is_refused_or_ends_between_two_lists() {
    let signed = [head(100), list(&[[1; 32], [2; 32]]), list(&[[3; 32]])].concat();
    assert_eq!(DbxUpdate::parse(&signed).unwrap().entries.len(), 3);
    let between = signed.len() - list(&[[3; 32]]).len();
    for len in 0..signed.len() {
        let parsed = DbxUpdate::parse(&signed[..len]);
        assert_eq!(parsed.is_ok(), len == between, "{len}: {parsed:?}");
    }
    for len in 0..list(&[[1; 32]]).len() {
        assert!(DbxUpdate::parse(&list(&[[1; 32]])[..len]).is_err(), "{len}");
    }
    assert!(DbxUpdate::parse(&[&signed[..], &[0]].concat()).is_err(), "a trailing byte");
}

#[test]
fn what_is_no_update_says_why() {
    let lists = list(&[[1; 32]]);
    let changed = |at: usize, to: u8| {
        let mut bytes = [head(8), lists.clone()].concat();
        bytes[at] = to;
        DbxUpdate::parse(&bytes).map(|_| ())
    };
    assert_eq!(changed(0, 0xDA), Ok(()));
    for (at, to) in
        [(2, 13), (2, 0), (3, 32), (4, 24), (5, 60), (6, 61), (7, 1), (8, 1), (12, 1), (15, 1), (1, 0), (1, 0x7F)]
    {
        assert_eq!(changed(at, to), Err(UpdateError::BadTime), "byte {at}");
    }
    assert_eq!(changed(16, 23), Err(UpdateError::BadCertificateLength { len: 23, left: 32 + lists.len() }));
    assert!(matches!(changed(19, 0xFF), Err(UpdateError::BadCertificateLength { .. })));
    assert_eq!(changed(21, 1), Err(UpdateError::UnknownForm));
    assert_eq!(changed(24, 0), Err(UpdateError::OtherCertificate));
    let error = SignatureListError::BadLengths { offset: 0 };
    assert_eq!(changed(48 + 24, 47), Err(UpdateError::Lists { start: 48, error }));
    assert_eq!(DbxUpdate::parse(&head(0)), Err(UpdateError::Empty));
    assert_eq!(DbxUpdate::parse(b""), Err(UpdateError::UnknownForm));
    assert_eq!(DbxUpdate::parse(b"a text that is longer than any header of an update"), Err(UpdateError::UnknownForm));
    assert_eq!(DbxUpdate::parse(&list(&[])), Err(UpdateError::Empty));
    let len = MAX_UPDATE_LEN + 1;
    assert_eq!(DbxUpdate::parse(&vec![0; len]), Err(UpdateError::TooLong { len }));
    assert_eq!(DbxUpdate::parse(&vec![0; len - 1]), Err(UpdateError::UnknownForm));
}
