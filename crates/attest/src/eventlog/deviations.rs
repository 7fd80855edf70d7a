//! All that is wrong or out of place with a log, named and graded, by event (threats 13 to 18).

use vouchsafe_model::{Finding, FindingCode};

use super::allowed;
use super::check::{self, Subject};
use super::event::{Event, EventType};
use super::variable::{FLAGS, Variable};
use super::{EventLog, MAX_DEVIATIONS, separators};
use crate::eventlog::facts::ExitBootServices;
use crate::eventlog::gather::exit_step;

/// Names every deviation.
pub(super) fn deviations(log: &EventLog<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_uefi = log.is_uefi();
    let mut sections: Vec<&[u8]> = Vec::new();
    for event in &log.events {
        let from = findings.len();
        findings.extend(allowed::place(event, is_uefi));
        findings.extend(allowed::shape(event));
        if let Some(pcr) = event.extends() {
            let is_first = !sections.contains(&event.data);
            // Sections of one kernel image are few, and a log that claims more of them is misplaced anyway.
            if event.kind == EventType::IPL && check::is_section(event.data) && is_first && sections.len() < 64 {
                sections.push(event.data);
            }
            let subject = Subject { kind: event.kind, pcr, data: event.data, is_first };
            check::check(subject, &event.digests, &mut findings);
        }
        for finding in findings.iter_mut().skip(from) {
            finding.event = Some(event.number);
        }
        if findings.len() > MAX_DEVIATIONS {
            break;
        }
    }
    separators::check(log, &mut findings);
    if is_uefi {
        findings.extend(exit_boot_services(log));
    }
    secure_boot(log, &mut findings);
    findings.sort_by_key(|finding| finding.event.unwrap_or(u64::MAX));
    if findings.len() > MAX_DEVIATIONS {
        findings.truncate(MAX_DEVIATIONS);
        findings.push(Finding::new(FindingCode::EventLogMore));
    }
    findings
}

/// How the boot services were left, if that is not as it should be.
fn exit_boot_services(log: &EventLog<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut last = ExitBootServices::Missing;
    for event in &log.events {
        let Some(step) = exit_step(event) else { continue };
        last = step;
        if step == ExitBootServices::Failed {
            findings.push(
                Finding { pcr: event.pcr, ..Finding::new(FindingCode::ExitBootServicesFailed) }.at_event(event.number),
            );
        }
    }
    let found = match last {
        ExitBootServices::Missing => "neither that it was tried nor that it went well",
        ExitBootServices::Invoked => "that it was tried, and not how it went",
        ExitBootServices::Failed | ExitBootServices::Succeeded => return findings,
    };
    findings.push(Finding::new(FindingCode::ExitBootServicesMissing).with("that the boot services were left", found));
    findings
}

/// Contradictions between the variables of Secure Boot (UEFI 2.10, 32.3; threat 18).
fn secure_boot(log: &EventLog<'_>, findings: &mut Vec<Finding>) {
    let mut told: [Option<(bool, &Event<'_>)>; FLAGS.len()] = [None; FLAGS.len()];
    let mut contradictions = 0usize;
    let mut platform_key: Option<(bool, &Event<'_>)> = None;
    for event in log.events.iter().filter(|event| is_secure_boot(event)) {
        let Some(variable) = Variable::parse(event.data) else { continue };
        if variable.is("PK") {
            platform_key = Some((!variable.data.is_empty(), event));
        }
        let Some(value) = variable.flag() else { continue };
        for (name, slot) in FLAGS.iter().zip(&mut told).filter(|(name, _)| variable.is(name)) {
            match slot {
                Some((before, first)) if *before != value && contradictions < MAX_DEVIATIONS => {
                    contradictions = contradictions.saturating_add(1);
                    let found = format!("{} at event {}, {} here", u8::from(*before), first.number, u8::from(value));
                    findings.push(contradiction(event, name, "one value", found));
                }
                Some(_) => {}
                None => *slot = Some((value, event)),
            }
        }
    }
    let [secure_boot, setup, audit, deployed] = told;
    let both = |first: Option<(bool, _)>, second: Option<(bool, _)>| {
        matches!((first, second), (Some((true, _)), Some((true, _))))
    };
    let on = [(secure_boot, "SecureBoot"), (deployed, "DeployedMode")];
    for ((mode, name), (flag, state)) in
        [(setup, "SetupMode"), (audit, "AuditMode")].into_iter().flat_map(|mode| on.map(|on| (mode, on)))
    {
        if let Some((_, event)) = flag.filter(|_| both(mode, flag)) {
            findings.push(contradiction(event, state, format!("{state} 0 where {name} is 1"), "both 1".to_owned()));
        }
    }
    if let (Some((true, event)), Some((false, _))) = (secure_boot, platform_key) {
        findings.push(contradiction(event, "SecureBoot", "0 where there is no platform key", "1".to_owned()));
    }
}

fn is_secure_boot(event: &Event<'_>) -> bool {
    event.kind == EventType::EFI_VARIABLE_DRIVER_CONFIG && event.extends().is_some_and(|pcr| pcr.get() == 7)
}

fn contradiction(event: &Event<'_>, name: &str, expected: impl ToString, found: String) -> Finding {
    let finding = Finding { pcr: event.pcr, ..Finding::new(FindingCode::SecureBootContradiction) };
    finding.at_event(event.number).about(name).with(expected, found)
}
