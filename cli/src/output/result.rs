//! Attestation results.

use serde::Serialize;
use vouchsafe_model::Timestamp;
use vouchsafe_model::finding::Severity;
use vouchsafe_model::vector::TrustClaim;
use vouchsafe_trust_engine::result::claims::{Appraisal, ToldFinding, aspects};
use vouchsafe_trust_engine::result::{EarClaims, TokenRejected};

use super::quote::{Checked, Reason};
use super::table::{Columns, Facts};
use super::{clean, instant, line};

/// Whether a token is authentic, and what it says.
#[derive(Debug, Serialize)]
pub(crate) struct ResultReport {
    pub(crate) authentic: bool,
    /// Why it is not.
    reason: Option<Reason>,
    /// What became of the nonce; `null` when the token is not authentic.
    nonce: Option<Checked>,
    /// What it says; `null` when it is not authentic: nothing of it is to be believed then.
    claims: Option<EarClaims>,
}

impl ResultReport {
    /// A token that was verified.
    pub(crate) fn authentic(claims: EarClaims, nonce_was_given: bool) -> Self {
        let nonce = if nonce_was_given { Checked::Matched } else { Checked::NotGiven };
        Self { authentic: true, reason: None, nonce: Some(nonce), claims: Some(claims) }
    }

    /// A token that was not.
    pub(crate) fn refused(rejected: &TokenRejected) -> Self {
        let reason = Reason { code: rejected.code(), message: rejected.to_string() };
        Self { authentic: false, reason: Some(reason), nonce: None, claims: None }
    }
}

/// The report as text.
pub(crate) fn report(report: &ResultReport, now: Timestamp) -> String {
    let mut text = String::new();
    match &report.reason {
        None => text.push_str("authentic: yes\n"),
        Some(reason) => {
            line(&mut text, format_args!("authentic: no\nreason: {} ({})", clean(&reason.message), reason.code));
        }
    }
    if report.nonce == Some(Checked::NotGiven) {
        text.push_str(
            "note: --nonce was not given, so that the token may have been fetched at any time before it ends\n",
        );
    }
    if let Some(claims) = &report.claims {
        text.push('\n');
        text.push_str(&self::claims(claims, now));
    }
    text
}

/// What a result says.
pub(crate) fn claims(claims: &EarClaims, now: Timestamp) -> String {
    let at = |secs| instant::with_distance(Timestamp::from_unix_secs(secs), now);
    let mut text = Facts::default()
        .with("device", &claims.subject)
        .with("status", claims.status)
        .with("appraised", at(claims.appraised_at))
        .with("good until", at(claims.expires_at))
        .with("signed by", format!("{} ({})", claims.issuer, claims.verifier.build))
        .with_some("nonce", claims.nonce.as_ref())
        .with("token", &claims.token_id)
        .text();
    for (name, appraisal) in &claims.submods {
        line(&mut text, format_args!("\nattester {}: {}", clean(name), appraisal.status));
        text.push_str(&self::appraisal(appraisal));
    }
    text
}

fn appraisal(appraisal: &Appraisal) -> String {
    let details = &appraisal.verifier_claims.vouchsafe;
    let compared = if appraisal.policies.is_empty() { "no image".to_owned() } else { appraisal.policies.join(", ") };
    let held_down = (!details.held_down_by.is_empty()).then(|| details.held_down_by.join(", "));
    let mut text = Facts::default()
        .with("  compared with", compared)
        .with("  quoted by", instant::plain(details.quoted_at))
        .with_some("  held down by", held_down)
        .text();
    text.push('\n');
    let mut columns = Columns::new(["ASPECT", "CLAIM", "TIER"]).right(1);
    for (aspect, claim) in aspects(appraisal.vector) {
        columns.row([aspect.to_owned(), claim.get().to_string(), tier(claim)]);
    }
    text.push_str(&columns.text("  "));
    if details.findings.is_empty() {
        text.push_str("\n  findings: none\n");
        return text;
    }
    text.push_str("\n  findings:\n");
    for finding in &details.findings {
        text.push_str(&self::finding(finding));
    }
    if details.findings_omitted > 0 {
        line(&mut text, format_args!("  and {} more, none of them worse", details.findings_omitted));
    }
    text
}

/// The tier of a claim (AR4SI, 2.3.2).
fn tier(claim: TrustClaim) -> String {
    claim.status().map_or_else(|| "none".to_owned(), |status| status.to_string())
}

fn finding(finding: &ToldFinding) -> String {
    let severity = match finding.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Failure => "failure",
    };
    let place = [
        finding.pcr.map(|pcr| format!(" PCR {pcr}")),
        finding.bank.map(|bank| format!(" ({bank})")),
        finding.event.map(|event| format!(" event {event}")),
        finding.entry.map(|entry| format!(" entry {entry}")),
    ];
    let place: String = place.into_iter().flatten().collect();
    let mut text = format!("    {severity}: {}{place}\n", clean(&finding.code));
    for (name, value) in [("path", &finding.path), ("expected", &finding.expected), ("found", &finding.found)] {
        if let Some(value) = value {
            line(&mut text, format_args!("      {name:8}  {}", clean(value)));
        }
    }
    line(&mut text, format_args!("      advice    {}", clean(&finding.advice)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_result_shows_its_vector_and_its_findings() {
        insta::assert_snapshot!(claims(&samples::result(), samples::now()));
    }

    #[test]
    fn a_result_that_affirms_says_of_what_nothing_is_claimed() {
        let report = ResultReport::authentic(samples::affirming_result(), false);
        insta::assert_snapshot!(self::report(&report, samples::now()));
    }
}
