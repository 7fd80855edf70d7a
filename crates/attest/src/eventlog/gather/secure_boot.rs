//! Secure Boot as the variables of PCR 7 tell it.

use super::super::event::Event;
use super::super::facts::{Authority, SecureBoot, SignatureEntry};
use super::super::signatures::{authority as signed_by, signature_lists};
use super::super::variable::Variable;
use crate::secure_boot::SbatLevel;

/// The most authorities that are told; a boot has five or so.
const MAX_AUTHORITIES: usize = 256;

/// Takes a variable that configures Secure Boot.
///
/// Where one is measured twice, keys are those of the last, and Secure Boot is on only if both say so.
pub(super) fn config(facts: &mut SecureBoot, event: &Event<'_>) {
    let Some(variable) = Variable::parse(event.data) else { return };
    // A variable that does not exist is measured without a value: firmware without Secure Boot.
    let is_absent = variable.is("SecureBoot") && variable.data.is_empty();
    let value = if is_absent { Some(false) } else { variable.flag() };
    let SecureBoot { enabled, setup_mode, audit_mode, deployed_mode, events, .. } = facts;
    for (name, told, worse) in [
        ("SecureBoot", enabled, false),
        ("SetupMode", setup_mode, true),
        ("AuditMode", audit_mode, true),
        ("DeployedMode", deployed_mode, false),
    ] {
        if !variable.is(name) {
            continue;
        }
        if let Some(value) = value.filter(|value| told.is_none() || *value == worse) {
            *told = Some(value);
            events.insert(name, event.number);
        }
        return;
    }
    databases(facts, &variable, event.number);
}

fn databases(facts: &mut SecureBoot, variable: &Variable<'_>, event: u64) {
    let SecureBoot { pk, kek, db, dbx, mok_list, mok_list_x, events, .. } = facts;
    let lists: [(&[&str], &'static str, &mut Vec<SignatureEntry>); 6] = [
        (&["PK"], "PK", pk),
        (&["KEK"], "KEK", kek),
        (&["db"], "db", db),
        (&["dbx"], "dbx", dbx),
        (&["MokList", "MokListRT"], "MokList", mok_list),
        (&["MokListX", "MokListXRT"], "MokListX", mok_list_x),
    ];
    for (_, name, list) in lists.into_iter().filter(|(names, ..)| names.iter().any(|name| variable.is(name))) {
        *list = signature_lists(variable.data).unwrap_or_default();
        events.insert(name, event);
    }
}

/// Takes what an image was verified by, and gives its place; `None` for a variable that shim measures as a setting of its
/// own, which verifies nothing.
pub(super) fn authority(facts: &mut SecureBoot, event: &Event<'_>) -> Option<usize> {
    let variable = Variable::parse(event.data)?;
    if facts.authorities.len() >= MAX_AUTHORITIES {
        return None;
    }
    let name = variable.name();
    let is_setting = match name.as_str() {
        "SbatLevel" => {
            // The first is shim's own. Whoever was started by it may extend the PCR by another.
            if facts.sbat.is_none() && event.pcr().is_some_and(|pcr| pcr.get() == 7) {
                facts.sbat = Some(SbatLevel::parse(variable.data));
                facts.events.insert("SbatLevel", event.number());
            }
            true
        }
        "MokListTrusted" => {
            facts.mok_list_trusted = variable.flag();
            true
        }
        "MokList" | "MokListRT" | "MokListX" | "MokListXRT"
            if signature_lists(variable.data).is_ok_and(|lists| !lists.is_empty()) =>
        {
            databases(facts, &variable, event.number());
            true
        }
        "MokSBState" | "MokSBStateRT" | "MokDBState" | "MokPolicy" | "HSIStatus" => true,
        _ => false,
    };
    let entry = if is_setting { None } else { signed_by(&variable.vendor, variable.data) };
    facts.authorities.push(Authority { event: event.number(), variable: name, entry });
    (!is_setting).then(|| facts.authorities.len().saturating_sub(1))
}
