//! What became of a policy's tests, and the text of policies.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use vouchsafe_model::Sha256Digest;
use vouchsafe_policies::{Bundle, INPUT_SCHEMA};
use vouchsafe_policy_engine::Location;
use vouchsafe_policy_engine::testing::{self, FastResult, TestOutcome, TestReport, TestResult};

use super::{clean, line};

/// What the tests of a policy came to.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Whether all is as it should be.
    pub(crate) passed: bool,
    tests: Vec<Test>,
    /// How many inputs that tests state were given to both evaluators.
    inputs_compared: usize,
    differences: Vec<Difference>,
}

/// One test.
#[derive(Debug, Serialize)]
struct Test {
    name: String,
    location: String,
    result: TestResult,
    /// What the evaluator that decides makes of it.
    fast: FastResult,
    duration_us: u64,
    prints: Vec<String>,
}

/// An input for which the two evaluators differ.
#[derive(Debug, Serialize)]
struct Difference {
    location: String,
    input: serde_json::Value,
    reference: String,
    fast: String,
}

impl Report {
    /// Names what a run came to.
    pub(crate) fn of(report: &TestReport) -> Self {
        let place = |location: &Location| location.to_string();
        let test = |test: &TestOutcome| Test {
            name: test.name.clone(),
            location: place(&test.location),
            result: test.result.clone(),
            fast: test.fast.clone(),
            duration_us: u64::try_from(test.duration.as_micros()).unwrap_or(u64::MAX),
            prints: test.prints.clone(),
        };
        let difference = |difference: &testing::Difference| Difference {
            location: place(&difference.location),
            input: difference.input.clone(),
            reference: difference.reference.clone(),
            fast: difference.fast.clone(),
        };
        Self {
            passed: report.passed(),
            tests: report.tests.iter().map(test).collect(),
            inputs_compared: report.inputs_compared,
            differences: report.differences.iter().map(difference).collect(),
        }
    }
}

/// A run of tests: what is not as it should be, then the sum.
pub(crate) fn results(report: &Report) -> String {
    let mut text = String::new();
    for test in &report.tests {
        text.push_str(&describe(test));
    }
    for difference in &report.differences {
        line(
            &mut text,
            format_args!(
                "DIFFERS {}\n  the two evaluators answer this input differently\n  reference  {}\n  fast       {}\n  input      {}",
                difference.location,
                clean(&difference.reference),
                clean(&difference.fast),
                clean(&difference.input.to_string()),
            ),
        );
    }
    let count = |wanted: fn(&TestResult) -> bool| report.tests.iter().filter(|test| wanted(&test.result)).count();
    let todo = count(|result| matches!(result, TestResult::Todo));
    line(
        &mut text,
        format_args!(
            "{}: {} of {} tests pass{}; {} inputs compared on both evaluators, {} differ",
            if report.passed { "ok" } else { "FAILED" },
            count(|result| matches!(result, TestResult::Passed)),
            report.tests.len() - todo,
            if todo > 0 { format!(", {todo} to do") } else { String::new() },
            report.inputs_compared,
            report.differences.len(),
        ),
    );
    text
}

/// A test that is not simply passed, with all there is to know of it.
fn describe(outcome: &Test) -> String {
    let head = |word: &str| format!("{word} {} ({})\n", clean(&outcome.name), outcome.location);
    let mut text = match &outcome.result {
        TestResult::Passed => String::new(),
        TestResult::Failed => head("FAILED"),
        TestResult::Errored(error) => format!("{}  {}\n", head("ERROR"), clean(error)),
        TestResult::Todo => head("TODO"),
    };
    if let FastResult::Differs(answer) = &outcome.fast {
        text.push_str(&head("DIFFERS"));
        line(&mut text, format_args!("  the evaluator that decides makes it {}", clean(answer)));
    }
    if !text.is_empty() {
        for printed in &outcome.prints {
            line(&mut text, format_args!("  printed: {}", clean(printed)));
        }
    }
    text
}

/// The files of a policy.
#[derive(Debug, Serialize)]
pub(crate) struct Sources {
    /// The name under which decisions by it are logged.
    hash: Sha256Digest,
    /// Each file's text, by its path.
    pub(crate) files: BTreeMap<String, String>,
}

impl Sources {
    /// The files of a bundle, and the schema of what it decides over.
    pub(crate) fn of(bundle: &Bundle) -> anyhow::Result<Self> {
        let rego = bundle.policies().iter().chain(bundle.tests());
        let mut files: BTreeMap<String, String> =
            rego.map(|file| (file.path().to_owned(), file.text().to_owned())).collect();
        files.insert("data.json".to_owned(), super::json(bundle.data())?);
        files.insert("input.schema.json".to_owned(), INPUT_SCHEMA.to_owned());
        Ok(Self { hash: bundle.hash(), files })
    }
}

/// The files one after another, each under its name.
pub(crate) fn sources(sources: &Sources) -> String {
    let mut text = format!("# The built-in policy, {}\n", sources.hash);
    for (path, content) in &sources.files {
        line(&mut text, format_args!("\n# ---- {path} ----\n"));
        text.push_str(content);
        if !content.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// What was written, and what comes next.
pub(crate) fn written(dir: &Path, sources: &Sources) -> String {
    let dir = dir.display();
    let mut text = String::from("The built-in policy is in\n");
    for path in sources.files.keys() {
        line(&mut text, format_args!("  {dir}/{path}"));
    }
    line(
        &mut text,
        format_args!(
            "\nNext:\n  1. Change it, and its tests with it.\n  2. Test it:    vouchsafe policy test {dir}\n  \
         3. Use it:     [policy] dir = \"…\" in vouchsafe.toml, and restart the server, or send it SIGHUP"
        ),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, result: TestResult, fast: FastResult) -> Test {
        let prints = vec!["score 59".to_owned()];
        Test { name: name.into(), location: "a_test.rego:7:1".into(), result, fast, duration_us: 12, prints }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_told_with_its_place() {
        let difference = Difference {
            location: "a_test.rego:9:3".into(),
            input: serde_json::json!({"device": null}),
            reference: "{allow: false}".into(),
            fast: "<undefined>".into(),
        };
        let failed = Report {
            passed: false,
            tests: vec![
                test("data.t.test_good", TestResult::Passed, FastResult::NotRun),
                test("data.t.test_bad", TestResult::Failed, FastResult::Same),
                test("data.t.test_error", TestResult::Errored("it took longer than 10 s".into()), FastResult::NotRun),
                test("data.t.test_odd", TestResult::Passed, FastResult::Differs("<undefined>".into())),
                test("data.t.todo_test_later", TestResult::Todo, FastResult::NotRun),
            ],
            inputs_compared: 12,
            differences: vec![difference],
        };
        insta::assert_snapshot!(results(&failed));
    }
}
