//! What the gate has to say of a policy.

use vouchsafe_policy_engine::gate::GateReport;
use vouchsafe_policy_engine::{Finding, Severity};

use super::{clean, line};

/// A report: what was found, which evaluator decides, how the tests went, and what it comes to.
pub(crate) fn report(report: &GateReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        describe(&mut text, finding);
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

fn describe(text: &mut String, finding: &Finding) {
    let place = finding.location.as_ref().map(|location| format!("{location}: ")).unwrap_or_default();
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let message = clean(&finding.message);
    line(text, format_args!("{}{severity}: {message} [{}]", clean(&place), finding.code.name()));
    line(text, format_args!("  instead: {}", clean(&finding.instead)));
}
