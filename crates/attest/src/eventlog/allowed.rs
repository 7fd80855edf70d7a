//! Which events belong in which PCRs, and what their data looks like (threats 13 and 17; PFP, 3.3.4 and 10.4.1).

use vouchsafe_model::{Finding, FindingCode, PcrIndex, Severity};

use super::bytes::Bytes;
use super::check::{self, Subject};
use super::event::{Event, EventType};
use super::gpt;
use super::loader::{Ipl, Tagged};
use super::replay::locality_of;
use super::signatures;
use super::variable::{DATABASES, FLAGS, Variable};

/// The length of a `UEFI_IMAGE_LOAD_EVENT` before its device path, in bytes.
pub(super) const IMAGE_HEADER_LEN: usize = 32;

/// What is wrong with an event's place.
pub(super) fn place(event: &Event<'_>, is_uefi: bool) -> Option<Finding> {
    let pcr = event.pcr?;
    let misplaced = |expected: &str, found: String| {
        let finding = Finding { pcr: Some(pcr), ..Finding::new(FindingCode::EventMisplaced) };
        Some(finding.about(event.kind).with(expected, found))
    };
    if event.kind == EventType::NO_ACTION {
        let is_zero = event.digests().all(|(_, digest)| digest.iter().all(|byte| *byte == 0));
        return if is_zero {
            None
        } else {
            misplaced("no digest", "one of something that it does not name".to_owned())
        };
    }
    let Some(allowed) = event.kind.pcrs() else {
        let finding = Finding { pcr: Some(pcr), ..Finding::new(FindingCode::EventTypeUnknown) };
        return Some(finding.about(event.kind));
    };
    // A UEFI boot loader is an image by its type; texts and names in PCRs 4 and 5 are those of a BIOS.
    let allowed = if event.kind == EventType::IPL && is_uefi { allowed & !0xFF } else { allowed };
    if allowed >> pcr.get() & 1 == 0 {
        return misplaced(&pcrs_text(allowed), format!("PCR {pcr}"));
    }
    // The prefix is not measured: a kernel's command line must not pass for a command.
    match Ipl::of(event.data) {
        Ipl::GrubCommand(text) if event.kind == EventType::IPL && begins_as_path(text) => {
            misplaced("a command", "a path, as the command line of a kernel begins".to_owned())
        }
        _ => None,
    }
}

/// No command of GRUB begins as its names of files and blocks do.
fn begins_as_path(text: &[u8]) -> bool {
    text.first().is_some_and(|first| matches!(first, b'/' | b'(') || first.is_ascii_digit())
}

fn pcrs_text(allowed: u32) -> String {
    let pcrs: Vec<_> = PcrIndex::all().filter(|pcr| allowed >> pcr.get() & 1 == 1).map(|pcr| pcr.to_string()).collect();
    if pcrs.is_empty() { "no PCR".to_owned() } else { format!("PCR {}", pcrs.join(" or ")) }
}

/// What is wrong with the shape of an event's data.
pub(super) fn shape(event: &Event<'_>) -> Option<Finding> {
    let expected = match event.kind {
        EventType::NO_ACTION => startup_locality(event),
        kind if kind.is_variable() => variable(event),
        kind if kind.is_image() => (!is_image(event.data)).then_some("an image's place, and its device path"),
        EventType::EFI_GPT_EVENT | EventType::EFI_GPT_EVENT2 => {
            (!gpt::is_one(event.data)).then_some("a partition table")
        }
        EventType::EVENT_TAG => Tagged::parse(event.data).is_none().then_some("a tagged structure"),
        _ => None,
    }?;
    let finding = Finding { pcr: event.pcr, ..Finding::new(FindingCode::EventDataMalformed) };
    let name = event.pcr.map(|pcr| check::name(Subject { kind: event.kind, pcr, data: event.data, is_first: true }));
    Some(finding.about(name.unwrap_or_default()).with(expected, format!("{} bytes of another shape", event.data.len())))
}

fn startup_locality(event: &Event<'_>) -> Option<&'static str> {
    let is_bad = locality_of(event).is_some_and(|locality| !matches!(locality, 0 | 3 | 4));
    is_bad.then_some("locality 0, 3 or 4")
}

fn variable(event: &Event<'_>) -> Option<&'static str> {
    let Some(variable) = Variable::parse(event.data) else { return Some("a variable") };
    if event.kind != EventType::EFI_VARIABLE_DRIVER_CONFIG {
        return None;
    }
    let (is_flag, is_database) =
        (FLAGS.iter().any(|name| variable.is(name)), DATABASES.iter().any(|name| variable.is(name)));
    // A variable that does not exist is measured without a value.
    match () {
        () if variable.data.is_empty() => None,
        () if is_flag && variable.flag().is_none() => Some("0 or 1"),
        () if is_database && signatures::count(variable.data).is_err() => Some("lists of signatures"),
        () => None,
    }
}

/// Shim and GRUB write no device path for the images that they load, and some bytes instead.
fn is_image(data: &[u8]) -> bool {
    image_path(data).is_some()
}

/// The device path of a `UEFI_IMAGE_LOAD_EVENT` (PFP, 10.2.3); empty when the loader does not tell it.
pub(super) fn image_path(data: &[u8]) -> Option<&[u8]> {
    let mut bytes = Bytes::new(data);
    bytes.take(IMAGE_HEADER_LEN.saturating_sub(8))?;
    let len = bytes.len64()?;
    bytes.take(len)
}

/// A finding of less weight than its code has.
pub(super) fn graded(finding: Finding, severity: Severity) -> Finding {
    Finding { severity, ..finding }
}
