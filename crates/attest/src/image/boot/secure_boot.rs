//! Secure Boot against what the image expects of it.

use std::collections::BTreeSet;

use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrIndex, Sha256Digest};

use super::super::document::{BootSection, Enrolment, KeyId, RequiredDbx, SecureBootRule};
use super::{SECURE_BOOT, SHIM_KEYS};
use crate::eventlog::facts::{SecureBoot, SignatureEntry, SignatureKind};
use crate::secure_boot::{Lacking, SbatLevel};

/// How many missing revocations are told one by one.
const MAX_TOLD: usize = 8;

pub(super) fn compare(seen: &SecureBoot, boot: &BootSection, bank: HashAlgorithm) -> Vec<Finding> {
    let mut findings = Vec::new();
    if boot.secure_boot == SecureBootRule::On {
        findings.extend(not_enforced(seen, bank));
    }
    let keys = &boot.keys;
    let variables = [
        ("PK", SECURE_BOOT, &seen.pk, &keys.pk),
        ("KEK", SECURE_BOOT, &seen.kek, &keys.kek),
        ("db", SECURE_BOOT, &seen.db, &keys.db),
        ("MokList", SHIM_KEYS, &seen.mok_list, &keys.mok),
    ];
    for (variable, pcr, entries, enrolment) in variables {
        if let Some(enrolment) = enrolment {
            let differing = compare_keys(variable, entries, enrolment);
            findings.extend(differing.map(|finding| at(finding, seen, variable, bank, pcr)));
        }
    }
    findings.extend(boot.dbx.iter().filter_map(|required| outdated(seen, required, bank)));
    findings.extend(boot.sbat_level.iter().filter_map(|required| sbat_outdated(seen, required, bank)));
    findings
}

/// Why images were not verified by keys that only their owner can change.
fn not_enforced(seen: &SecureBoot, bank: HashAlgorithm) -> Option<Finding> {
    let (variable, found) = match seen {
        SecureBoot { enabled: None, .. } => ("SecureBoot", "not measured"),
        SecureBoot { enabled: Some(false), .. } => ("SecureBoot", "off"),
        SecureBoot { setup_mode: Some(true), .. } => ("SetupMode", "on, in setup mode: anyone may change the keys"),
        SecureBoot { audit_mode: Some(true), .. } => ("AuditMode", "on, in audit mode: what does not verify is booted"),
        _ => return None,
    };
    let finding = Finding::new(FindingCode::SecureBootOff).about("SecureBoot").with("on", found);
    Some(at(finding, seen, variable, bank, SECURE_BOOT))
}

fn compare_keys(
    variable: &'static str,
    entries: &[SignatureEntry],
    enrolment: &Enrolment,
) -> impl Iterator<Item = Finding> {
    let enrolled: BTreeSet<KeyId> = entries.iter().filter_map(|entry| key_id(&entry.kind)).collect();
    let is_unknown = |entry: &&SignatureEntry| key_id(&entry.kind).is_none_or(|key| !enrolment.contains_key(&key));
    let unknown = entries.iter().filter(is_unknown).map(move |entry| {
        let finding = Finding::new(FindingCode::SecureBootKeyUnknown).about(variable);
        finding.with("a key that the image lists", described(&entry.kind))
    });
    let missing = enrolment.iter().filter(move |(key, _)| !enrolled.contains(key)).map(move |(key, subject)| {
        let finding = Finding::new(FindingCode::SecureBootKeyMissing).about(variable);
        finding.with(format_args!("{subject} ({key})"), "not enrolled")
    });
    unknown.chain(missing)
}

/// What an image can list an entry as; revocations and unknown kinds have no place among keys.
pub(in super::super) fn key_id(kind: &SignatureKind) -> Option<KeyId> {
    match kind {
        SignatureKind::X509 { sha256, .. } => Some(KeyId::Certificate(*sha256)),
        SignatureKind::Sha256 { digest } => Some(KeyId::Image(*digest)),
        SignatureKind::X509Sha256 { .. } | SignatureKind::Other { .. } => None,
    }
}

fn described(kind: &SignatureKind) -> String {
    match kind {
        SignatureKind::X509 { sha256, subject, .. } => {
            format!("{} ({sha256})", subject.as_deref().unwrap_or("a certificate without a subject"))
        }
        SignatureKind::Sha256 { digest } => format!("an image with SHA-256 {digest}"),
        SignatureKind::X509Sha256 { digest } => format!("a revoked certificate {digest}"),
        SignatureKind::Other { guid, length } => format!("an entry of type {guid}, {length} bytes"),
    }
}

fn outdated(seen: &SecureBoot, required: &RequiredDbx, bank: HashAlgorithm) -> Option<Finding> {
    let mut enrolled: [BTreeSet<Sha256Digest>; 3] = Default::default();
    let [images, to_be_signed, certificates] = &mut enrolled;
    for entry in &seen.dbx {
        match entry.kind {
            SignatureKind::Sha256 { digest } => images.insert(digest),
            SignatureKind::X509Sha256 { digest } => to_be_signed.insert(digest),
            SignatureKind::X509 { sha256, .. } => certificates.insert(sha256),
            SignatureKind::Other { .. } => false,
        };
    }
    let missing: Vec<&Sha256Digest> = required
        .images
        .difference(images)
        .chain(required.to_be_signed.difference(to_be_signed))
        .chain(required.certificates.keys().filter(|digest| !certificates.contains(digest)))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let asked: usize = [required.images.len(), required.to_be_signed.len(), required.certificates.len()].iter().sum();
    let told: Vec<String> = missing.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    let finding = Finding::new(FindingCode::DbxOutdated).about("dbx");
    let found = format!("{} of them are missing: {}", missing.len(), told.join(" "));
    Some(at(finding.with(format_args!("{asked} revocations"), found), seen, "dbx", bank, SECURE_BOOT))
}

fn sbat_outdated(seen: &SecureBoot, required: &SbatLevel, bank: HashAlgorithm) -> Option<Finding> {
    let level = seen.sbat.as_ref();
    let nothing = SbatLevel::default();
    let lacking = level.unwrap_or(&nothing).lacks(required);
    if lacking.is_empty() {
        return None;
    }
    let told = lacking.iter().take(MAX_TOLD);
    let (mut wanted, mut found): (Vec<_>, Vec<_>) = told
        .map(|Lacking { name, wanted, found }| {
            let found = found.map_or_else(|| format!("no {name}"), |found| format!("{name} {found}"));
            (format!("{name} {wanted}"), found)
        })
        .unzip();
    if let Some(more @ 1..) = lacking.len().checked_sub(MAX_TOLD) {
        wanted.push(format!("{more} more"));
        found.push("others".to_owned());
    }
    let found = if level.is_some() { found.join(", ") } else { "none was measured".to_owned() };
    let finding = Finding::new(FindingCode::SbatOutdated).about("SbatLevel");
    let finding = finding.with(format_args!("at least {}", wanted.join(", ")), found);
    Some(at(finding, seen, "SbatLevel", bank, SECURE_BOOT))
}

/// The finding with the PCR, and the event of the variable that it is about.
fn at(finding: Finding, seen: &SecureBoot, variable: &str, bank: HashAlgorithm, pcr: u8) -> Finding {
    let (pcr, event) = (PcrIndex::new(pcr), seen.events.get(variable).copied());
    Finding { bank: pcr.and(Some(bank)), pcr, event, ..finding }
}
