//! A denial that says why.

use anyhow::{Context as _, Result, ensure};
use vouchsafe_swtpm_tests::guest::GuestWorld;

/// Waits until the guest's attestation fails: exactly these PCRs must differ, and a decision be a denial that names them.
pub(crate) fn names(world: &GuestWorld, pcrs: &[u64]) -> Result<()> {
    world.until_status("contraindicated")?;
    let mismatched = world.mismatched_pcrs()?;
    ensure!(mismatched == pcrs, "the PCRs that differ are {mismatched:?}, not {pcrs:?}");
    let (outcome, answer) = world.engine.decide(&world.device)?;
    ensure!(outcome == "deny", "it is allowed: {answer}");
    let reasons = answer["reasons"].as_array().context("a denial has reasons")?;
    let reason = reasons.iter().find(|reason| reason["code"] == "device.pcr_mismatch");
    let message = reason.and_then(|reason| reason["message"].as_str()).unwrap_or_default();
    let numbers: Vec<&str> = message.split(|letter: char| !letter.is_ascii_digit()).collect();
    ensure!(pcrs.iter().all(|pcr| numbers.contains(&&*pcr.to_string())), "the denial does not say why: {answer}");
    Ok(())
}
