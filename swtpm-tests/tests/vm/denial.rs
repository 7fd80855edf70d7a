//! A denial that says why.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use vouchsafe_swtpm_tests::guest::GuestWorld;

/// Waits until the guest's attestation fails for findings of exactly these codes. A decision must then be a denial that
/// names each of them. Returns what fails.
pub(crate) fn names(world: &GuestWorld, codes: &[&str]) -> Result<Vec<Value>> {
    let failures = world.patiently(&format!("the verdict fails for {codes:?}"), || {
        let failures = failures(world)?;
        let found: BTreeSet<&str> = failures.iter().filter_map(|finding| finding["code"].as_str()).collect();
        ensure!(found.iter().eq(codes), "it fails for {failures:#?}");
        Ok(failures)
    })?;
    let (outcome, answer) = world.engine.decide(&world.device)?;
    ensure!(outcome == "deny", "it is allowed: {answer}");
    let reasons = answer["reasons"].as_array().context("a denial has reasons")?;
    let reason = reasons.iter().find(|reason| reason["code"] == "device.contraindicated");
    let message = reason.and_then(|reason| reason["message"].as_str()).unwrap_or_default();
    ensure!(codes.iter().all(|code| message.contains(code)), "the denial does not say why: {answer}");
    Ok(failures)
}

/// The one finding of these that has this code.
pub(crate) fn only<'a>(findings: &'a [Value], code: &str) -> Result<&'a Value> {
    let mut found = findings.iter().filter(|finding| finding["code"] == code);
    let finding = found.next().with_context(|| format!("no {code}"))?;
    ensure!(found.next().is_none(), "more than one {code}: {findings:#?}");
    Ok(finding)
}

/// What a finding says in one of its texts.
pub(crate) fn told<'a>(finding: &'a Value, field: &str) -> &'a str {
    finding[field].as_str().unwrap_or_default()
}

/// The findings for which the last verdict fails.
pub(crate) fn failures(world: &GuestWorld) -> Result<Vec<Value>> {
    Ok(world.findings()?.into_iter().filter(|finding| finding["severity"] == "failure").collect())
}
