//! The line between the firmware and what it starts: in each PCR from 0 to 7 one separator, and behind it no event of the
//! firmware but those that belong to the start itself (threat 14; PFP, 3.3.4 and 10.4.1).

use vouchsafe_model::{Finding, FindingCode, PcrIndex, Severity};

use super::allowed::graded;
use super::event::{Event, EventType};
use super::{EventLog, firmware_pcrs};

/// What a separator holds that reports an error.
pub(super) const ERROR: [u8; 4] = [1, 0, 0, 0];
/// What a good separator holds: zeros, or all ones from a BIOS.
const GOOD: [[u8; 4]; 2] = [[0; 4], [0xFF; 4]];

/// What is wrong with the separators, and with the order of events around them.
pub(super) fn check(log: &EventLog<'_>, findings: &mut Vec<Finding>) {
    for pcr in firmware_pcrs() {
        check_pcr(log, pcr, findings);
    }
}

fn check_pcr(log: &EventLog<'_>, pcr: PcrIndex, findings: &mut Vec<Finding>) {
    let finding = |code: FindingCode, event: &Event<'_>| {
        Finding { pcr: Some(pcr), ..Finding::new(code) }.at_event(event.number).about(event.kind)
    };
    let mut separator: Option<&Event<'_>> = None;
    let mut late_options: Option<(u64, u64)> = None;
    for event in log.extending(pcr) {
        match (event.kind, separator) {
            (EventType::SEPARATOR, Some(first)) => {
                let repeated = finding(FindingCode::SeparatorRepeated, event);
                findings.push(repeated.with("one separator", format!("another at event {}", first.number)));
            }
            (EventType::SEPARATOR, None) => {
                separator = Some(event);
                findings.extend(
                    value(event)
                        .map(|(expected, found)| finding(FindingCode::SeparatorError, event).with(expected, found)),
                );
            }
            (_, None) => {}
            (kind, Some(_)) if may_follow(kind, pcr, event) => {}
            // Firmware of one large vendor measures the boot menu once it is about to boot.
            (EventType::EFI_VARIABLE_BOOT | EventType::EFI_VARIABLE_BOOT2, Some(_)) if pcr.get() == 1 => {
                late_options =
                    Some(late_options.map_or((event.number, 1), |(first, count)| (first, count.saturating_add(1))));
            }
            (_, Some(_)) => findings.push(finding(FindingCode::EventAfterSeparator, event)),
        }
    }
    if separator.is_none() {
        findings.push(Finding { pcr: Some(pcr), ..Finding::new(FindingCode::SeparatorMissing) });
    }
    if let Some((first, count)) = late_options {
        let late = Finding { pcr: Some(pcr), ..Finding::new(FindingCode::EventAfterSeparator) }.at_event(first);
        let found = format!("{count} variables of the boot menu behind it");
        findings.push(graded(late.with("nothing behind the separator", found), Severity::Info));
    }
}

/// What is wrong with a separator's value: what is expected, and what was found.
fn value(event: &Event<'_>) -> Option<(&'static str, String)> {
    if GOOD.iter().any(|good| good == event.data) {
        return None;
    }
    let found = if event.data == ERROR { "an error".to_owned() } else { super::bytes::any_text(event.data) };
    Some(("00000000 or ffffffff", found))
}

/// Whether an event belongs behind its PCR's separator.
fn may_follow(kind: EventType, pcr: PcrIndex, event: &Event<'_>) -> bool {
    match (pcr.get(), kind) {
        // Images that are started, attempts to start them, and what a boot loader measures of itself.
        (4, EventType::EFI_ACTION | EventType::ACTION | EventType::IPL | EventType::COMPACT_HASH) => true,
        (4, EventType::OMIT_BOOT_DEVICE_EVENTS) => true,
        (4, kind) => kind.is_image(),
        // The disks that are booted from, settings of boot loaders, the end of the boot services.
        (5, kind) => kind != EventType::EFI_VARIABLE_DRIVER_CONFIG,
        // What images are verified by. A new state of Secure Boot is none of it.
        (7, EventType::EFI_VARIABLE_AUTHORITY | EventType::EFI_SPDM_DEVICE_AUTHORITY) => true,
        // Steps that have a name, such as a debugger that is attached, are always told.
        (_, EventType::EFI_ACTION) => !event.data.is_empty(),
        _ => false,
    }
}
