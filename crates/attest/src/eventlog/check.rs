//! Whether an event's digest is that of its data, wherever the type says of what it is (threat 16).
//!
//! What was hashed is tried in the order of likelihood, so that one pass over the data is the rule. Types whose data only
//! describes what was measured (code of the firmware, images by their Authenticode digest, files) are not looked at: their
//! data is vouched for by nobody.

use aws_lc_rs::digest::{Context, digest as hash};
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::{Finding, FindingCode, PcrIndex, Severity};

use super::bytes::{any_text, is_utf16, utf16_text, without_nuls};
use super::event::{Digests, EventType};
use super::loader::{Ipl, Tagged, is_systemd_archive};
use super::separators;
use super::variable::Variable;
use crate::digest;

/// A way in which real firmware hashes something else than what the type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quirk {
    /// The value of a variable without its name: the log could give it another name.
    ValueAlone,
    /// Bytes behind the structure, not all of which are hashed. Early versions of shim write them.
    LooseEnd,
}

/// What may have been hashed.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    data: &'a [u8],
    /// Zeros that were hashed and not written.
    suffix: &'static [u8],
    quirk: Option<Quirk>,
}

const fn plain(data: &[u8]) -> Candidate<'_> {
    Candidate { data, suffix: &[], quirk: None }
}

const fn and_nul(data: &[u8]) -> Candidate<'_> {
    Candidate { data, suffix: &[0], quirk: None }
}

type Candidates<'a> = [Option<Candidate<'a>>; 4];

const ANYTHING: Candidates<'static> = [None; 4];

/// An event, as far as its digest depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) kind: EventType,
    pub(super) pcr: PcrIndex,
    pub(super) data: &'a [u8],
    /// Whether this is the first event with this data in this PCR: systemd-stub measures a section's name, then the section.
    pub(super) is_first: bool,
}

/// Recomputes the digests; a finding for each bank whose digest is another one.
pub(super) fn check(subject: Subject<'_>, digests: &Digests<'_>, findings: &mut Vec<Finding>) {
    let candidates = candidates(subject);
    if candidates.iter().all(Option::is_none) {
        return;
    }
    // Banks are filled with digests of the same bytes: what fits one is tried first for the next.
    let mut likely = 0;
    let mut quirk = None;
    for (bank, found) in digests.iter() {
        let Some(algorithm) = digest::algorithm(bank) else { continue };
        let mut expected = None;
        let places = (likely..candidates.len()).chain(0..likely);
        let fitting = places.filter_map(|place| Some((place, candidates.get(place).copied().flatten()?))).find(
            |(_, candidate)| {
                let computed = computed(algorithm, candidate);
                let fits = computed.as_ref() == found;
                expected.get_or_insert(computed);
                fits
            },
        );
        match (fitting, expected) {
            (Some((place, candidate)), _) => {
                likely = place;
                quirk = quirk.or(candidate.quirk.map(|quirk| (bank, quirk)));
            }
            (None, Some(expected)) => {
                let mut finding = Finding::new(FindingCode::EventDigestMismatch).at_pcr(bank, subject.pcr);
                if subject.kind == EventType::S_CRTM_VERSION {
                    // Some firmware describes the version in other words than those that it measures.
                    finding.severity = Severity::Warning;
                }
                findings.push(finding.about(name(subject)).with(to_hex(expected.as_ref()), to_hex(found)));
            }
            (None, None) => {}
        }
    }
    if let Some((bank, quirk)) = quirk {
        findings.push(deviation(quirk, subject).at_pcr(bank, subject.pcr));
    }
}

fn computed(algorithm: &'static aws_lc_rs::digest::Algorithm, candidate: &Candidate<'_>) -> aws_lc_rs::digest::Digest {
    if candidate.suffix.is_empty() {
        return hash(algorithm, candidate.data);
    }
    let mut context = Context::new(algorithm);
    context.update(candidate.data);
    context.update(candidate.suffix);
    context.finish()
}

fn deviation(quirk: Quirk, subject: Subject<'_>) -> Finding {
    let (code, severity, expected, found) = match quirk {
        Quirk::ValueAlone => (
            FindingCode::EventDigestMismatch,
            Severity::Warning,
            "the digest of the whole variable",
            "the digest of its value alone",
        ),
        Quirk::LooseEnd => (
            FindingCode::EventDataMalformed,
            Severity::Info,
            "nothing behind the variable",
            "bytes behind it, not all of which are measured",
        ),
    };
    Finding { severity, ..Finding::new(code) }.about(name(subject)).with(expected, found)
}

/// What a finding about an event is told to be about.
pub(super) fn name(subject: Subject<'_>) -> String {
    let variable = if subject.kind.is_variable() { Variable::parse(subject.data) } else { None };
    match variable {
        Some(variable) => variable.name(),
        None if matches!(subject.kind, EventType::IPL | EventType::ACTION | EventType::EFI_ACTION) => {
            any_text(subject.data)
        }
        None => subject.kind.to_string(),
    }
}

fn candidates(subject: Subject<'_>) -> Candidates<'_> {
    let data = subject.data;
    match subject.kind {
        EventType::SEPARATOR => separator(subject),
        EventType::S_CRTM_VERSION => [Some(plain(data)), shorter(data), None, None],
        EventType::ACTION | EventType::EFI_ACTION | EventType::OMIT_BOOT_DEVICE_EVENTS => {
            [Some(plain(without_nuls(data))), with_nuls(data), None, None]
        }
        EventType::EFI_VARIABLE_BOOT | EventType::EFI_VARIABLE_BOOT2 => {
            let value = Variable::parse(data).map(|variable| plain(variable.data));
            [value, Some(plain(data)), None, None]
        }
        kind if kind.is_variable() => variable(data),
        EventType::EFI_GPT_EVENT
        | EventType::EFI_GPT_EVENT2
        | EventType::EFI_SPDM_FIRMWARE_BLOB
        | EventType::EFI_SPDM_FIRMWARE_CONFIG => [Some(plain(data)), None, None, None],
        EventType::EVENT_TAG => tagged(subject),
        EventType::IPL => ipl(subject),
        _ => ANYTHING,
    }
}

/// A separator that reports an error may describe it in its data (PFP, 10.4.1).
fn separator(subject: Subject<'_>) -> Candidates<'_> {
    let error = (subject.pcr.get() <= 7).then_some(plain(&separators::ERROR));
    [Some(plain(subject.data)), error, None, None]
}

fn variable(data: &[u8]) -> Candidates<'_> {
    let Some(variable) = Variable::parse(data) else { return [Some(plain(data)), None, None, None] };
    let value = Candidate { quirk: Some(Quirk::ValueAlone), ..plain(variable.data) };
    let last = data.len().saturating_sub(1);
    let loose = |len: usize| data.get(..len).map(|data| Candidate { quirk: Some(Quirk::LooseEnd), ..plain(data) });
    let all_but_one = (last >= variable.len).then(|| loose(last)).flatten();
    let structure = (last > variable.len).then(|| loose(variable.len)).flatten();
    [Some(plain(data)), all_but_one, structure, Some(value)]
}

fn tagged(subject: Subject<'_>) -> Candidates<'_> {
    let whole = Some(plain(subject.data));
    match Tagged::parse(subject.data) {
        Some(tagged) if tagged.is_name(subject.pcr.get()) => ANYTHING,
        Some(tagged) => [whole, Some(plain(tagged.data)), None, None],
        None => [whole, None, None, None],
    }
}

/// GRUB hashes the text behind its prefix, most versions without the NUL. PCR 8 holds nothing but texts, so that no digest
/// in it goes unexplained; in PCRs 9 and 14 are files and variables by their name.
fn ipl(subject: Subject<'_>) -> Candidates<'_> {
    let data = subject.data;
    match (subject.pcr.get(), Ipl::of(data)) {
        (_, Ipl::GrubCommand(text) | Ipl::GrubKernel(text)) => {
            let bare = without_nuls(text);
            [Some(plain(bare)), Some(and_nul(bare)), with_nuls(data), None]
        }
        (8, _) => [Some(plain(data)), Some(and_nul(data)), shorter(data), None],
        (11, _) if subject.is_first && is_section(data) => section_name(data),
        (12 | 13, Ipl::Utf16(text)) if !is_systemd_archive(&utf16_text(text)) => {
            let bare = text.strip_suffix(&[0, 0]);
            [Some(plain(text)), bare.map(plain), Some(and_nul(text)), None]
        }
        _ => ANYTHING,
    }
}

/// Whether this is the name of a section of a unified kernel image, as systemd-stub writes it: ASCII as it measures it, or
/// the same in UTF-16 for the log.
pub(super) fn is_section(data: &[u8]) -> bool {
    data.first() == Some(&b'.') && data.len() <= 64
}

/// The name in ASCII with its NUL, whichever way it is written: one of the names that there are.
fn section_name(data: &[u8]) -> Candidates<'static> {
    const SECTIONS: [&[u8]; 12] = [
        b".linux\0",
        b".osrel\0",
        b".cmdline\0",
        b".initrd\0",
        b".ucode\0",
        b".splash\0",
        b".dtb\0",
        b".dtbauto\0",
        b".uname\0",
        b".sbat\0",
        b".pcrpkey\0",
        b".profile\0",
    ];
    let written = any_text(data);
    let known = SECTIONS.into_iter().find(|section| without_nuls(section) == written.as_bytes());
    [known.map(plain), None, None, None]
}

/// The data without the NULs at its end, if it has any.
fn shorter(data: &[u8]) -> Option<Candidate<'_>> {
    let bare = without_nuls(data);
    (bare.len() < data.len() && !is_utf16(data)).then_some(plain(bare))
}

/// The data with the NULs at its end, if it has any.
fn with_nuls(data: &[u8]) -> Option<Candidate<'_>> {
    (without_nuls(data).len() < data.len()).then_some(plain(data))
}
