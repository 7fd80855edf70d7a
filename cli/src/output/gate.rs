//! What the gate has to say of a policy.

use vouchsafe_policy_engine::Severity;
use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_wire::v1::problem::ProblemFinding;

use super::{clean, line};

/// A report: what was found, which evaluator decides, how the tests went, and what it comes to.
pub(crate) fn report(report: &GateReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        describe(&mut text, severity, &finding.into());
    }
    if !report.findings.is_empty() {
        text.push('\n');
    }
    let died = report.findings.iter().any(|finding| finding.code.name() == "gate.died");
    if !died {
        line(&mut text, format_args!("evaluator  {}", report.evaluator.name()));
        for because in &report.because {
            line(&mut text, format_args!("           {}", clean(&because.to_string())));
        }
        let tests = &report.tests;
        let todo = if tests.todo > 0 { format!(", {} to do", tests.todo) } else { String::new() };
        line(
            &mut text,
            format_args!(
                "tests      {} pass, {} fail{todo}; {} inputs compared on both evaluators",
                tests.passed, tests.failed, tests.inputs_compared
            ),
        );
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let warned = format!("{warnings} warning{}", plural(warnings));
    if report.passed {
        line(&mut text, format_args!("ok: it may be put in charge; {warned}"));
    } else {
        line(&mut text, format_args!("REFUSED: {errors} error{}, {warned}", plural(errors)));
    }
    text
}

/// One finding: what is wrong, where, and what to write instead.
pub(super) fn describe(text: &mut String, severity: &str, finding: &ProblemFinding) {
    let place = finding.place.as_ref().map(|place| format!("{}: ", clean(place))).unwrap_or_default();
    line(text, format_args!("{place}{severity}: {} [{}]", clean(&finding.message), clean(&finding.code)));
    line(text, format_args!("  instead: {}", clean(&finding.instead)));
}
