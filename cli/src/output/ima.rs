//! What an IMA list tells.

use vouchsafe_attest::ima::ListReport;
use vouchsafe_model::{Finding, Severity};

use super::line;
use super::table::{Columns, Facts};

/// The most entry numbers that are told in one line.
const MAX_NUMBERS: usize = 20;
/// The most findings that are told to people.
const MAX_FINDINGS: usize = 100;

/// The report as text.
pub(crate) fn view(report: &ListReport) -> String {
    let templates: Vec<_> = report.templates.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let signatures = &report.signatures;
    let counted = format!(
        "{} valid, {} invalid{}, {} of unknown keys, {} entries without",
        signatures.valid,
        signatures.invalid.len(),
        numbers(&signatures.invalid),
        signatures.unknown_key,
        signatures.unsigned
    );
    let mismatches = &report.template_hash_mismatches;
    let mut facts = Facts::default()
        .with("entries", report.entries)
        .with("templates", templates.join(", "))
        .with("violations", report.violations)
        .with("forged", format!("{} template hashes do not recompute{}", mismatches.len(), numbers(mismatches)))
        .with("signatures", counted);
    for (bank, value) in &report.pcr10 {
        facts = facts.with("PCR 10", format!("{value} ({bank})"));
    }
    let mut text = facts.text();
    text.push('\n');
    text.push_str(&view_findings(&report.findings));
    text
}

fn view_findings(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return "no findings\n".to_owned();
    }
    let mut columns = Columns::new(["SEVERITY", "ENTRY", "FINDING", "PATH"]).right(1);
    for finding in findings.iter().take(MAX_FINDINGS) {
        let severity = match finding.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Failure => "failure",
        };
        let told = match (&finding.expected, &finding.found) {
            (Some(expected), Some(found)) => format!("{}: {found}, expected {expected}", finding.code),
            (None, Some(found)) => format!("{}: {found}", finding.code),
            _ => finding.code.to_string(),
        };
        let path = super::or_dash(finding.path.as_ref());
        columns.row([severity.to_owned(), super::or_dash(finding.entry), told, path]);
    }
    let mut text = columns.text("");
    if let Some(more) = findings.len().checked_sub(MAX_FINDINGS).filter(|more| *more > 0) {
        line(&mut text, format_args!("and {more} more (--format json tells all)"));
    }
    text
}

/// `: 1, 7, 9 …`.
fn numbers(entries: &[u64]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let first: Vec<_> = entries.iter().take(MAX_NUMBERS).map(ToString::to_string).collect();
    let more = if entries.len() > MAX_NUMBERS { " …" } else { "" };
    format!(" (entry {}{more})", first.join(", "))
}
