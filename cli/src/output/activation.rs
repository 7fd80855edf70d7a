//! A policy that comes into charge.

use serde::Serialize;
use vouchsafe_model::Sha256Digest;
use vouchsafe_wire::v1::policy::PolicyStatus;
use vouchsafe_wire::v1::problem::Problem;

use super::replay::ReplayReport;
use super::{clean, gate, line};

/// What came into charge, and what it changes.
#[derive(Debug, Serialize)]
pub(crate) struct ActivationReport<'a> {
    pub(crate) comparison: &'a ReplayReport,
    /// The policy that decided before.
    pub(crate) before: Sha256Digest,
    /// The one that decides now.
    pub(crate) policy: &'a PolicyStatus,
}

/// What is asked before anything is changed.
pub(crate) fn question(candidate: Sha256Digest, before: &PolicyStatus) -> String {
    let source = clean(&before.source.to_string());
    format!("\nin charge  {} ({source})\ncandidate  {candidate}\nActivate? [y/N] ", before.policy)
}

/// What was done.
pub(crate) fn done(report: &ActivationReport<'_>) -> String {
    let PolicyStatus { policy, source, .. } = report.policy;
    let source = clean(&source.to_string());
    format!("policy {policy} decides now ({source}), in place of {}\n", report.before)
}

/// Why the server does not put it in charge.
pub(crate) fn refused(problem: &Problem) -> String {
    let mut text = String::new();
    for finding in &problem.findings {
        gate::describe(&mut text, "error", finding);
    }
    line(&mut text, format_args!("REFUSED by the server: {}", clean(&problem.to_string())));
    text
}
