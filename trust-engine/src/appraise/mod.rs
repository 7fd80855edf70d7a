//! Evidence → verdict: what an authentic quote, and the logs that explain it, say when they are held against what is known
//! of the device.
//!
//! Pure, and the only place where a [`Verdict`] is made. What an image does not speak of costs nothing; what it speaks of
//! and cannot be seen fails.

mod boot;
mod runtime;

pub(crate) use runtime::not_judged;

use std::sync::Arc;
use std::time::Duration;

use vouchsafe_attest::clock::{self, ClockReading};
use vouchsafe_attest::ima::ImaState;
use vouchsafe_attest::image::Compiled;
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_attest::reference;
use vouchsafe_attest::secure_boot::Dbx;
use vouchsafe_model::{
    AttestationId, Coverage, EndorsementGrade, Finding, FindingCode, ImageId, Severity, Timestamp, Verdict,
};
use vouchsafe_wire::v1::operate::Judged;

use crate::golden::ValidImages;
use crate::measured::{KeptList, Received};

/// The most findings of one verdict. The failures come first.
pub(crate) const MAX_FINDINGS: usize = Verdict::MAX_FINDINGS;

/// What is known when a quote is appraised.
#[derive(Debug)]
pub(crate) struct Context {
    /// The attestation's name.
    pub(crate) attestation: AttestationId,
    /// The present instant, at which the evidence was received.
    pub(crate) now: Timestamp,
    /// When the nonce of the quote was issued: the quote is no older.
    pub(crate) nonce_issued_at: Timestamp,
    /// What the TPM said of itself in the last attestation by the same AK, and when that was received. Readings under
    /// different keys do not compare (TPM 2.0 Part 1, 36.7: they may be obfuscated).
    pub(crate) previous: Option<(ClockReading, Timestamp)>,
    /// How well the device's TPM is vouched for.
    pub(crate) endorsement: EndorsementGrade,
    /// How much older than its round trip a quote may be.
    pub(crate) delay_tolerance: Duration,
    /// The image that the device is assigned.
    pub(crate) assigned: Option<ImageId>,
    /// The images that are valid for it.
    pub(crate) valid: ValidImages,
    /// What the makers of boot loaders revoked.
    pub(crate) dbx: Arc<Dbx>,
}

/// What was concluded.
#[derive(Debug)]
pub(crate) struct Appraisal {
    /// The verdict. Its image is the one that the boot meets, or else the assigned one.
    pub(crate) verdict: Verdict,
    /// How far the IMA list is replayed now; `None` when there is none.
    pub(crate) ima: Option<ImaState>,
    /// How many bytes of the part that came were taken in for it; `None` when the quote vouches neither for any of them nor
    /// for what came ahead.
    pub(crate) taken: Option<usize>,
}

/// Concludes from an authentic quote and the logs that came with it.
pub(crate) fn appraise(quote: &AuthenticQuote, received: &Received, context: &Context) -> Appraisal {
    let mut findings = context.valid.findings.clone();
    let previous = context.previous.as_ref();
    if let Some((reading, _)) = previous {
        findings.extend(clock::compare(reading, quote.clock()).findings);
    }
    let age = clock::quote_age(
        previous.map(|(reading, received_at)| (reading, *received_at)),
        quote.clock(),
        context.nonce_issued_at,
        context.now,
        context.delay_tolerance,
    );
    findings.extend(age.finding);

    let event_log = received.event_log.as_ref().map(|(_, bytes)| bytes.as_slice());
    let booted = boot::compare(quote, event_log, &context.valid, &context.dbx);
    let compared = booted.image.clone().or_else(|| context.assigned.clone());
    findings.extend(booted.findings);
    let met = booted.image.filter(|_| booted.is_met);
    // Who runs what superseded the assigned image has moved, however late.
    findings.extend(context.valid.superseded.clone().filter(|_| met.is_none()));
    match &compared {
        None => {
            findings.extend(reference::weak_bank(quote));
            findings.push(Finding::new(FindingCode::ImageUnassigned));
        }
        Some(id) => findings.extend(of_image(id, context)),
    }
    let run = runtime::compare(quote, received.ima.as_ref(), &context.valid, compared.as_ref());
    findings.extend(run.findings);

    let coverage = Coverage { endorsement: context.endorsement, boot: booted.is_covered, runtime: run.is_covered };
    let findings = bounded(findings);
    let image = met.or_else(|| context.assigned.clone());
    let verdict = Verdict::new(context.attestation, context.now, age.quoted_at, image, coverage, findings);
    Appraisal { verdict, ima: run.state, taken: run.taken }
}

/// What is found of a boot alone, whatever runs.
pub(crate) fn of_boot(
    quote: &AuthenticQuote,
    event_log: Option<&[u8]>,
    valid: &ValidImages,
    dbx: &Dbx,
) -> Vec<Finding> {
    bounded(boot::compare(quote, event_log, valid, dbx).findings)
}

/// What an image would make of a device.
#[derive(Debug)]
pub(crate) struct Trial {
    /// Whether what it booted was held against the image.
    pub(crate) boot: Judged,
    /// Whether what it runs was.
    pub(crate) runtime: Judged,
    /// What was found.
    pub(crate) findings: Vec<Finding>,
}

/// Holds what is known of a device against an image that it is not assigned.
pub(crate) fn try_image(
    quote: &AuthenticQuote,
    event_log: Option<&[u8]>,
    list: &KeptList,
    image: &Arc<Compiled>,
    dbx: &Dbx,
) -> Trial {
    let booted = boot::compare(quote, event_log, &ValidImages::of_candidate(Arc::clone(image)), dbx);
    let (run, runtime) = runtime::compare_kept(quote, list, image);
    let boot = if booted.is_covered { Judged::Judged } else { Judged::NotAsked };
    Trial { boot, runtime, findings: bounded(booted.findings.into_iter().chain(run).collect()) }
}

/// What is to be said of the image itself.
fn of_image(id: &ImageId, context: &Context) -> Vec<Finding> {
    let Some((image, ready)) = context.valid.images.get(id) else { return Vec::new() };
    let retired = image.retired_at.is_some_and(|retired_at| retired_at <= context.now);
    let retired = retired.then(|| Finding::new(FindingCode::ImageRetired));
    retired.into_iter().chain(ready.too_old(context.now)).collect()
}

/// Findings about what no image speaks of: told, at no cost.
fn at_no_cost(findings: Vec<Finding>) -> Vec<Finding> {
    findings.into_iter().map(Finding::at_no_cost).collect()
}

/// The first of so many findings, the worst before all others, and how many more there are.
fn bounded(mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() <= MAX_FINDINGS {
        return findings;
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let left_out = findings.split_off(MAX_FINDINGS - 1);
    let worst = left_out.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
    let found = Some(format!("{} more findings", left_out.len()));
    findings.push(Finding { severity: worst, found, ..Finding::new(FindingCode::ImaMore) });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_findings_are_told_and_the_rest_is_counted() {
        let mut findings = vec![Finding::new(FindingCode::TpmReset); MAX_FINDINGS + 44];
        assert_eq!(bounded(findings[..MAX_FINDINGS].to_vec()).len(), MAX_FINDINGS);
        findings.push(Finding::new(FindingCode::FileChanged));
        let told = bounded(findings);
        assert_eq!(told.len(), MAX_FINDINGS);
        assert_eq!(told[0].code, FindingCode::FileChanged);
        let last = told.last().unwrap();
        assert_eq!((last.severity, last.found.as_deref()), (Severity::Info, Some("46 more findings")));
        let failures = bounded(vec![Finding::new(FindingCode::FileChanged); MAX_FINDINGS + 1]);
        assert_eq!(failures.last().unwrap().severity, Severity::Failure);
    }
}
