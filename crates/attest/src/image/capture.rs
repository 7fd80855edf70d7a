//! An image from a device whose state is known to be good.
//!
//! What a log explains is kept as facts, since these survive an update as a diff of a few lines, and a finding can name
//! them; what it does not explain is kept as the value of its PCR, where that value is the same after each boot:
//!
//! | PCR | measured there | kept as |
//! |---|---|---|
//! | 0 | firmware code | value: changes with the firmware alone |
//! | 1 | settings, boot order, serial numbers, microcode | nothing: differs between equal hosts, and by the boot menu |
//! | 2 | option ROMs, drivers | value and list: the list names what changed |
//! | 3 | their settings | value: nothing but a separator on most machines |
//! | 4 | boot loaders, kernels | list; value only when the log names no image |
//! | 5 | partition table, leaving the boot services | nothing: disks have identifiers |
//! | 6 | what the maker likes | value, if it is the separator alone; some makers count wake-ups here |
//! | 7 | Secure Boot | keys, dbx and SBAT level, "at least"; value only when the log does not tell the variables |
//! | 8, 9, 12 | command lines, files, initrds | lists; value when something was measured that the log does not explain |
//! | 10 | IMA | never: the runtime section |
//! | 11, 13, 15 on | phases of the running system, extensions, secrets of the machine | nothing: changes while the host runs |
//! | 14 | shim's keys | list; value when the log does not tell them |

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{HashAlgorithm, ImageId, PcrBank, PcrIndex, Timestamp};

use super::boot::command_line::Texts;
use super::boot::secure_boot::key_id;
use super::boot::{command_line::is_of_kernel, is_driver, is_file, is_image};
use super::document::{
    AllowedCommandLine, BootItem, BootSection, CommandText, Enrolment, GoldenImage, RequiredDbx, SecureBootRule,
};
use crate::digest::{algorithm, digest_of};
use crate::eventlog::facts::{BootFacts, BootImage, Loader, SignatureEntry, SignatureKind};
use crate::ima::RuntimeSection;

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Capture<'a> {
    /// Its name and version.
    pub id: &'a ImageId,
    /// When it is made.
    pub now: Timestamp,
    /// What the event log said, as far as the quote proves it; `None` for PCR values alone.
    pub facts: Option<&'a BootFacts>,
    /// The quoted values.
    pub pcrs: &'a PcrBank,
    /// PCRs that the operator wants left out.
    pub ignored: PcrSet,
}

/// The PCRs of which nothing is kept, with or without a log.
const NEVER_HELD: [u8; 12] = [1, 5, 10, 11, 13, 15, 16, 17, 18, 19, 20, 23];

/// Makes an image, with the digests of a runtime section if there are some: `ima` gives path and `ALGORITHM:HEX`.
pub fn capture(from: &Capture<'_>, ima: impl IntoIterator<Item = (String, String)>) -> GoldenImage {
    let mut image = GoldenImage::new(from.id.clone(), from.now);
    let boot = from.facts.map(|facts| boot_section(facts, from.pcrs.bank));
    let explained = from.facts.zip(boot.as_ref()).map_or(PcrSet::EMPTY, |(facts, boot)| explained(facts, boot));
    let separator_only = separator_value(from.pcrs.bank);
    let is_stable = |pcr: PcrIndex, value: &PcrValue| match pcr.get() {
        0 | 2 | 3 => true,
        6 => Some(value) == separator_only.as_ref(),
        // Nothing was measured there; that nothing ever will be is more than is known.
        8.. => value.as_bytes().iter().any(|byte| *byte != 0),
        _ => true,
    };
    let never: PcrSet = NEVER_HELD.iter().filter_map(|pcr| PcrIndex::new(*pcr)).collect();
    let mut held = BTreeMap::new();
    for (pcr, value) in &from.pcrs.values {
        let is_left_out = from.ignored.contains(*pcr) || never.contains(*pcr) || !is_stable(*pcr, value);
        if is_left_out {
            image.ignored_pcrs.insert(*pcr);
        } else if !explained.contains(*pcr) {
            held.insert(*pcr, BTreeSet::from([value.clone()]));
        }
    }
    if !held.is_empty() {
        image.pcrs.insert(from.pcrs.bank, held);
    }
    image.boot = boot;
    image.runtime = runtime_section(ima);
    image
}

fn boot_section(facts: &BootFacts, bank: HashAlgorithm) -> BootSection {
    let secure_boot = &facts.secure_boot;
    let is_on = secure_boot.enabled == Some(true) && secure_boot.setup_mode != Some(true);
    let chain = |is_kind: fn(&BootImage) -> bool, required: bool| {
        let loaded = facts.boot_chain.iter().filter(|image| is_kind(image));
        items(loaded.map(|image| (image.path.as_deref(), &image.digests)), bank, required)
    };
    let initrds = facts.initrds.iter().map(|initrd| (initrd.path.as_deref(), &initrd.digests));
    let mut boot = BootSection {
        secure_boot: if is_on { SecureBootRule::On } else { SecureBootRule::Any },
        command_lines: command_lines(facts, bank),
        images: some(chain(is_image, true)),
        option_roms: Some(chain(is_driver, false)),
        files: some(chain(is_file, false)),
        initrds: some(items(initrds, bank, false)),
        ..BootSection::default()
    };
    boot.keys.pk = enrolment(&secure_boot.pk);
    boot.keys.kek = enrolment(&secure_boot.kek);
    boot.keys.db = enrolment(&secure_boot.db);
    boot.keys.mok = enrolment(&secure_boot.mok_list);
    boot.dbx = Some(required_dbx(&secure_boot.dbx)).filter(|dbx| !dbx.is_empty());
    boot.sbat_level = secure_boot.sbat.clone().filter(|level| !level.is_empty());
    boot
}

/// The PCRs of which the section says all that matters.
fn explained(facts: &BootFacts, boot: &BootSection) -> PcrSet {
    let mut explained = PcrSet::EMPTY;
    let mut add = |pcr: u8, is_explained: bool| {
        PcrIndex::new(pcr).filter(|_| is_explained).into_iter().for_each(|pcr| explained.insert(pcr));
    };
    add(4, boot.images.is_some());
    add(7, facts.secure_boot.enabled.is_some() && boot.keys.db.is_some() && boot.keys.pk.is_some());
    add(14, boot.keys.mok.is_some());
    for pcr in [8, 9, 12] {
        let has_line = facts.command_lines.iter().any(|line| line.pcr.get() == pcr);
        let has_initrd = facts.initrds.iter().any(|initrd| initrd.pcr.get() == pcr);
        let has_file = facts.boot_chain.iter().any(|image| is_file(image) && image.pcr.get() == pcr);
        add(pcr, has_line || has_initrd || has_file);
    }
    explained
}

/// Everything that was loaded, once by name: what bears the same name has its digests together.
fn items<'a>(
    loaded: impl Iterator<Item = (Option<&'a str>, &'a BTreeMap<HashAlgorithm, PcrValue>)>,
    bank: HashAlgorithm,
    required: bool,
) -> Vec<BootItem> {
    let mut items: Vec<BootItem> = Vec::new();
    for (place, (path, digests)) in loaded.enumerate() {
        let Some(digest) = digests.get(&bank) else { continue };
        // Firmware and shim may both measure a kernel, one of them without its path.
        if items.iter().any(|item| item.digests.get(&bank).is_some_and(|known| known.contains(digest))) {
            continue;
        }
        let name = path.map_or_else(|| format!("unnamed {}", place.saturating_add(1)), short_name);
        if !items.iter().any(|item| item.name == name) {
            items.push(BootItem { name: name.clone(), required, ..BootItem::default() });
        }
        if let Some(item) = items.iter_mut().find(|item| item.name == name) {
            item.digests.entry(bank).or_default().insert(digest.clone());
        }
    }
    items
}

/// The end of a path, as much as a document takes.
fn short_name(path: &str) -> String {
    let chars: Vec<char> = path.chars().rev().take(super::MAX_NAME_LEN / 4).collect();
    chars.into_iter().rev().collect()
}

fn command_lines(facts: &BootFacts, bank: HashAlgorithm) -> Option<Vec<AllowedCommandLine>> {
    let texts = Texts::new(&facts.command_lines, &[], bank);
    let mut lines: Vec<AllowedCommandLine> = Vec::new();
    for line in &facts.command_lines {
        let text = match (texts.of(line, bank), line.digests.get(&bank)) {
            (Some(text), _) => CommandText::Exact(text.to_owned()),
            (None, Some(digest)) => CommandText::Measured([(bank, [digest.clone()].into())].into()),
            (None, None) => continue,
        };
        let allowed = AllowedCommandLine { loader: Some(line.loader), text };
        if !lines.contains(&allowed) {
            lines.push(allowed);
        }
    }
    // GRUB's scripts alone say nothing of what the kernel gets.
    let tells_kernel = facts.command_lines.iter().any(is_of_kernel);
    if !tells_kernel {
        lines.retain(|line| line.loader == Some(Loader::Grub));
    }
    some(lines)
}

/// The entries of a variable; `None` when it was not measured, or has an entry that an image cannot list.
fn enrolment(entries: &[SignatureEntry]) -> Option<Enrolment> {
    if entries.is_empty() {
        return None;
    }
    let subject = |kind: &SignatureKind| match kind {
        SignatureKind::X509 { subject, .. } => subject.clone().unwrap_or_default(),
        _ => "an image".to_owned(),
    };
    entries.iter().map(|entry| Some((key_id(&entry.kind)?, subject(&entry.kind)))).collect()
}

fn required_dbx(entries: &[SignatureEntry]) -> RequiredDbx {
    let mut dbx = RequiredDbx::default();
    for entry in entries {
        match &entry.kind {
            SignatureKind::Sha256 { digest } => {
                dbx.images.insert(*digest);
            }
            SignatureKind::X509Sha256 { digest } => {
                dbx.to_be_signed.insert(*digest);
            }
            SignatureKind::X509 { sha256, subject, .. } => {
                dbx.certificates.insert(*sha256, subject.clone().unwrap_or_default());
            }
            SignatureKind::Other { .. } => {}
        }
    }
    dbx
}

fn runtime_section(ima: impl IntoIterator<Item = (String, String)>) -> Option<RuntimeSection> {
    let mut digests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, digest) in ima {
        digests.entry(path).or_default().insert(digest);
    }
    let digests: BTreeMap<_, _> =
        digests.into_iter().map(|(path, digests)| (path, digests.into_iter().collect())).collect();
    (!digests.is_empty()).then(|| RuntimeSection { digests, ..RuntimeSection::default() })
}

/// What a PCR is when nothing but a separator of four zero bytes was measured.
fn separator_value(bank: HashAlgorithm) -> Option<PcrValue> {
    let hash = algorithm(bank)?;
    let separator = digest_of(hash, [[0u8; 4].as_slice()]);
    let zero = vec![0; bank.digest_len()];
    PcrValue::new(digest_of(hash, [zero.as_slice(), separator.as_ref()]).as_ref().to_vec())
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}
