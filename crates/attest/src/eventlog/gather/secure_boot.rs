//! Secure Boot as the variables of PCR 7 tell it.

use super::super::bytes::utf8_text;
use super::super::event::Event;
use super::super::facts::{Authority, SecureBoot, SignatureEntry};
use super::super::signatures::{authority as signed_by, signature_lists};
use super::super::variable::Variable;

/// The most authorities that are told; a boot has five or so.
const MAX_AUTHORITIES: usize = 256;

/// Takes a variable that configures Secure Boot.
///
/// Where one is measured twice, keys are those of the last, and Secure Boot is on only if both say so.
pub(super) fn config(facts: &mut SecureBoot, event: &Event<'_>) {
    let Some(variable) = Variable::parse(event.data) else { return };
    let flag = |before: &mut Option<bool>, worse: bool| {
        if let Some(value) = variable.flag() {
            *before = Some(before.map_or(value, |before| if worse { before || value } else { before && value }));
        }
    };
    match () {
        // A variable that does not exist is measured without a value: firmware without Secure Boot.
        () if variable.is("SecureBoot") && variable.data.is_empty() => facts.enabled = Some(false),
        () if variable.is("SecureBoot") => flag(&mut facts.enabled, false),
        () if variable.is("SetupMode") => flag(&mut facts.setup_mode, true),
        () if variable.is("AuditMode") => flag(&mut facts.audit_mode, true),
        () if variable.is("DeployedMode") => flag(&mut facts.deployed_mode, false),
        () => databases(facts, &variable),
    }
}

fn databases(facts: &mut SecureBoot, variable: &Variable<'_>) {
    let lists: [(&[&str], &mut Vec<SignatureEntry>); 6] = [
        (&["PK"], &mut facts.pk),
        (&["KEK"], &mut facts.kek),
        (&["db"], &mut facts.db),
        (&["dbx"], &mut facts.dbx),
        (&["MokList", "MokListRT"], &mut facts.mok_list),
        (&["MokListX", "MokListXRT"], &mut facts.mok_list_x),
    ];
    for (_, list) in lists.into_iter().filter(|(names, _)| names.iter().any(|name| variable.is(name))) {
        *list = signature_lists(variable.data).unwrap_or_default();
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
            facts.sbat = Some(utf8_text(variable.data));
            true
        }
        "MokListTrusted" => {
            facts.mok_list_trusted = variable.flag();
            true
        }
        "MokList" | "MokListRT" | "MokListX" | "MokListXRT"
            if signature_lists(variable.data).is_ok_and(|lists| !lists.is_empty()) =>
        {
            databases(facts, &variable);
            true
        }
        "MokSBState" | "MokSBStateRT" | "MokDBState" | "MokPolicy" | "HSIStatus" => true,
        _ => false,
    };
    let entry = if is_setting { None } else { signed_by(&variable.vendor, variable.data) };
    facts.authorities.push(Authority { event: event.number(), variable: name, entry });
    (!is_setting).then(|| facts.authorities.len().saturating_sub(1))
}
