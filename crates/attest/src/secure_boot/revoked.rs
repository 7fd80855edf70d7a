//! Whether a boot used what is revoked.

use aws_lc_rs::digest::SHA256;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrIndex, Sha256Digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;

use super::Dbx;
use crate::digest::digest_of;
use crate::eventlog::facts::{BootFacts, BootImage, SignatureEntry, SignatureKind};

/// How many issuers of a certificate are looked at, and how many certificates are tried as one.
const MAX_ISSUERS: usize = 8;
/// Where the firmware and shim measure what images were verified by (TCG PFP 2.3.4.8).
const AUTHORITIES: u8 = 7;

/// The images, drivers and authorities of a boot that are revoked: by the image's own Authenticode SHA-256, by the
/// certificate that it was verified by, or by an issuer of that one.
///
/// This is stricter than firmware, which looks at signatures alone and only while Secure Boot is on. All digests of the
/// log count, proven or not: a claim that is to one's own disadvantage may be believed.
pub fn revoked(facts: &BootFacts, dbx: &Dbx) -> Vec<Finding> {
    let known: Vec<&[u8]> = known_certificates(facts, dbx);
    let authorities = &facts.secure_boot.authorities;
    let of_authority: Vec<Option<String>> = authorities
        .iter()
        .map(|authority| authority.entry.as_ref().and_then(|entry| why_revoked(entry, dbx, &known)))
        .collect();
    let mut is_told = vec![false; of_authority.len()];
    let mut findings = Vec::new();
    for image in &facts.boot_chain {
        if let Some(place) = image.authority.filter(|place| of_authority.get(*place).is_some_and(Option::is_some)) {
            is_told.get_mut(place).into_iter().for_each(|told| *told = true);
        }
        let by_signer = || of_authority.get(image.authority?)?.clone();
        let by_digest = revoked_digest(image, dbx).map(|digest| format!("an image that is revoked: SHA-256 {digest}"));
        if let Some(found) = by_digest.or_else(by_signer) {
            findings
                .push(finding(Some(image.pcr), image.event, found).about(image.path.as_deref().unwrap_or("an image")));
        }
    }
    // An authority of which it is not known what it verified was used all the same.
    for ((authority, why), _) in authorities.iter().zip(&of_authority).zip(is_told).filter(|(_, told)| !told) {
        if let Some(found) = why {
            findings
                .push(finding(PcrIndex::new(AUTHORITIES), authority.event, found.clone()).about(&authority.variable));
        }
    }
    findings
}

fn finding(pcr: Option<PcrIndex>, event: u64, found: String) -> Finding {
    Finding { pcr, ..Finding::new(FindingCode::BootImageRevoked) }.at_event(event).with("nothing that dbx lists", found)
}

/// Files of a boot loader have plain digests, which dbx does not list.
fn revoked_digest(image: &BootImage, dbx: &Dbx) -> Option<Sha256Digest> {
    let digest = image.digests.get(&HashAlgorithm::Sha256)?;
    let digest = Sha256Digest::new(digest.as_bytes().try_into().ok()?);
    dbx.images().contains(&digest).then_some(digest)
}

fn why_revoked(entry: &SignatureEntry, dbx: &Dbx, known: &[&[u8]]) -> Option<String> {
    match &entry.kind {
        SignatureKind::Sha256 { digest } => {
            dbx.images().contains(digest).then(|| format!("verified by its digest, which is revoked: {digest}"))
        }
        SignatureKind::X509 { sha256, subject, der } => {
            let subject = subject.as_deref().unwrap_or("a certificate without a subject");
            if dbx.certificates().contains_key(sha256) {
                return Some(format!("verified by {subject} ({sha256}), which is revoked"));
            }
            revoked_issuer(der, dbx, known).map(|issuer| format!("verified by {subject}: {issuer} is revoked"))
        }
        SignatureKind::X509Sha256 { .. } | SignatureKind::Other { .. } => None,
    }
}

/// The first certificate that is revoked, from this one up. It begins with the certificate itself, which may be listed by
/// its to-be-signed part.
fn revoked_issuer(der: &[u8], dbx: &Dbx, known: &[&[u8]]) -> Option<String> {
    let mut current = der;
    for _ in 0..MAX_ISSUERS {
        let (_, certificate) = X509Certificate::from_der(current).ok()?;
        if is_listed(current, &certificate, dbx) {
            return Some(certificate.subject().to_string());
        }
        let candidates = known.iter().copied().filter(|candidate| *candidate != current);
        let issuers: Vec<&[u8]> = candidates.filter(|candidate| may_have_issued(candidate, &certificate)).collect();
        // Of several that bear the name, one that is revoked decides.
        let is_bad = |der: &&&[u8]| {
            X509Certificate::from_der(der).is_ok_and(|(_, certificate)| is_listed(der, &certificate, dbx))
        };
        current = issuers.iter().take(MAX_ISSUERS).find(is_bad).or(issuers.first())?;
    }
    None
}

fn is_listed(der: &[u8], certificate: &X509Certificate<'_>, dbx: &Dbx) -> bool {
    dbx.certificates().contains_key(&sha256(der))
        || dbx.to_be_signed().contains(&sha256(certificate.tbs_certificate.as_ref()))
}

/// By name and key identifier. Its signature is not asked for: some are made with SHA-1, and a false alarm takes someone
/// who enrolled a second CA under a revoked one's name.
fn may_have_issued(candidate: &[u8], certificate: &X509Certificate<'_>) -> bool {
    let Ok((_, issuer)) = X509Certificate::from_der(candidate) else { return false };
    let wanted = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    });
    let offered = issuer.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    let same_key = wanted.zip(offered).is_none_or(|(wanted, offered)| wanted == offered);
    same_key && issuer.subject().as_raw() == certificate.issuer().as_raw()
}

/// The certificates among which issuers are looked for: those that are enrolled, and those that are revoked.
fn known_certificates<'a>(facts: &'a BootFacts, dbx: &'a Dbx) -> Vec<&'a [u8]> {
    let enrolled = [&facts.secure_boot.db, &facts.secure_boot.mok_list, &facts.secure_boot.dbx].into_iter().flatten();
    let enrolled = enrolled.filter_map(|entry| match &entry.kind {
        SignatureKind::X509 { der, .. } => Some(der.as_slice()),
        _ => None,
    });
    dbx.certificates().values().map(|certificate| certificate.der.as_slice()).chain(enrolled).collect()
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut digits = [0; 32];
    digits.iter_mut().zip(digest_of(&SHA256, [bytes]).as_ref()).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(digits)
}
