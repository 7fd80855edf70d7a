//! What was loaded against what may be.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::hash::to_hex;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrIndex};

use super::super::compiled::Index;
use super::super::document::{BootItem, Signer};
use crate::eventlog::facts::{Authority, BootImage, Initrd, SignatureEntry, SignatureKind};

/// One thing that was loaded.
pub(super) struct Seen<'a> {
    event: u64,
    pcr: PcrIndex,
    path: Option<&'a str>,
    digests: &'a BTreeMap<HashAlgorithm, PcrValue>,
    authority: Option<&'a SignatureEntry>,
}

/// One list of the boot section, and how to speak of it.
pub(super) struct List<'a> {
    items: &'a [BootItem],
    index: &'a Index,
    unknown: FindingCode,
    what: &'static str,
    ordered: bool,
}

/// How many items a finding names as those that would have been expected.
const MAX_NAMED: usize = 8;

impl<'a> Seen<'a> {
    pub(super) fn image(image: &'a BootImage, authorities: &'a [Authority]) -> Self {
        let BootImage { event, pcr, path, digests, authority, .. } = image;
        let authority = authority.and_then(|place| authorities.get(place)?.entry.as_ref());
        Self { event: *event, pcr: *pcr, path: path.as_deref(), digests, authority }
    }

    pub(super) fn initrd(initrd: &'a Initrd) -> Self {
        let Initrd { event, pcr, path, digests, .. } = initrd;
        Self { event: *event, pcr: *pcr, path: path.as_deref(), digests, authority: None }
    }

    fn finding(&self, code: FindingCode, bank: HashAlgorithm) -> Finding {
        let finding = Finding::new(code).at_pcr(bank, self.pcr).at_event(self.event);
        self.path.map_or(finding.clone(), |path| finding.about(path))
    }

    /// Its digest, and by whom it was verified.
    fn described(&self, bank: HashAlgorithm) -> String {
        let digest = self
            .digests
            .get(&bank)
            .map_or_else(|| format!("no {bank} digest"), |digest| format!("{bank} {}", to_hex(digest.as_bytes())));
        match self.authority.map(|entry| &entry.kind) {
            Some(SignatureKind::X509 { sha256, subject, .. }) => {
                let subject = subject.as_deref().unwrap_or("a certificate without a subject");
                format!("{digest}, verified by {subject} ({sha256})")
            }
            _ => digest,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn images(items: &'a [BootItem], index: &'a Index, ordered: bool) -> Self {
        Self { items, index, unknown: FindingCode::BootImageUnknown, what: "an image", ordered }
    }

    pub(super) fn option_roms(items: &'a [BootItem], index: &'a Index) -> Self {
        Self { items, index, unknown: FindingCode::OptionRomUnknown, what: "an option ROM", ordered: false }
    }

    pub(super) fn files(items: &'a [BootItem], index: &'a Index) -> Self {
        Self { items, index, unknown: FindingCode::BootImageUnknown, what: "a file", ordered: false }
    }

    pub(super) fn initrds(items: &'a [BootItem], index: &'a Index) -> Self {
        Self { items, index, unknown: FindingCode::InitrdUnknown, what: "an initrd", ordered: false }
    }

    /// What was loaded and is not listed, came out of order, or is required and was not loaded.
    pub(super) fn compare(&self, loaded: impl Iterator<Item = Seen<'a>>, bank: HashAlgorithm) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut met = BTreeSet::new();
        let mut furthest: Option<usize> = None;
        for seen in loaded {
            let places = self.find(&seen, bank);
            let in_order = |place: &&usize| furthest.is_none_or(|before| **place >= before);
            let Some(place) = places.iter().find(in_order).or(places.first()).copied() else {
                let finding = seen.finding(self.unknown, bank);
                findings.push(finding.with(self.expected(&seen, bank), seen.described(bank)));
                continue;
            };
            met.extend(places);
            if let Some(before) = furthest.filter(|before| self.ordered && place < *before) {
                let (name, before) = (self.name(place), self.name(before));
                let finding = seen.finding(self.unknown, bank);
                findings
                    .push(finding.with(format_args!("'{name}' before '{before}'"), format_args!("'{name}' after it")));
            }
            furthest = furthest.max(Some(place));
        }
        let is_missing = |(place, item): &(usize, &BootItem)| item.required && !met.contains(place);
        let missing = self.items.iter().enumerate().filter(is_missing);
        findings.extend(missing.map(|(_, item)| {
            let finding = Finding::new(FindingCode::BootImageMissing).about(&item.name);
            finding.with(format_args!("{}: {}", self.what, accepted_by(item, bank)), "a boot without it")
        }));
        findings
    }

    /// The places of the items that it may be, ascending: by digest, or else by who verified it.
    fn find(&self, seen: &Seen<'_>, bank: HashAlgorithm) -> Vec<usize> {
        let by_digest = seen.digests.get(&bank).map_or(&[][..], |digest| self.index.find(bank, digest));
        if !by_digest.is_empty() {
            return by_digest.to_vec();
        }
        let Some(authority) = seen.authority else { return Vec::new() };
        let is_signed = |item: &BootItem| item.signers.iter().any(|signer| is_signer(signer, authority));
        self.items.iter().enumerate().filter(|(_, item)| is_signed(item)).map(|(place, _)| place).collect()
    }

    /// What is expected: the item of this name, where there is one, or else any of those that are listed.
    fn expected(&self, seen: &Seen<'_>, bank: HashAlgorithm) -> String {
        let is_named = |item: &&BootItem| seen.path.is_some_and(|path| is_path_of(path, &item.name));
        if let Some(item) = self.items.iter().find(is_named) {
            return format!("'{}': {}", item.name, accepted_by(item, bank));
        }
        let mut names: Vec<String> = self.items.iter().take(MAX_NAMED).map(|item| format!("'{}'", item.name)).collect();
        match self.items.len().saturating_sub(MAX_NAMED) {
            0 => {}
            more => names.push(format!("{more} more")),
        }
        if names.is_empty() { "none at all".to_owned() } else { format!("one of {}", names.join(", ")) }
    }

    fn name(&self, place: usize) -> &str {
        self.items.get(place).map_or("", |item| item.name.as_str())
    }
}

/// Whether a path ends in this name, as `\EFI\debian\shimx64.efi` does in `shimx64.efi`.
fn is_path_of(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with(['/', '\\', ')']))
}

/// What an item is known by, in words.
fn accepted_by(item: &BootItem, bank: HashAlgorithm) -> String {
    let digests = item.digests.get(&bank).into_iter().flatten();
    let known: Vec<String> = digests
        .map(|digest| format!("{bank} {}", to_hex(digest.as_bytes())))
        .chain(item.signers.iter().map(|signer| format!("signed by {signer}")))
        .collect();
    if known.is_empty() { format!("a digest, of which the image lists none in {bank}") } else { known.join(" or ") }
}

fn is_signer(signer: &Signer, authority: &SignatureEntry) -> bool {
    match (signer, &authority.kind) {
        (Signer::Certificate(digest), SignatureKind::X509 { sha256, .. }) => digest == sha256,
        (Signer::Subject(wanted), SignatureKind::X509 { subject, .. }) => subject.as_ref() == Some(wanted),
        _ => false,
    }
}
