use super::*;
use vouchsafe_policies::limits;

fn bundle(policy: &str, data: &str) -> Bundle {
    let files = [("policy.rego", policy), ("data.json", data)];
    Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))).unwrap()
}

fn refusal(policy: &str) -> String {
    match compile(&bundle(policy, "{}"), 1, Choose::ByThePolicy) {
        Ok(_) => panic!("compiled"),
        Err(error) => format!("{:#}", anyhow_like(&error)),
    }
}

/// An error and its causes in one line.
fn anyhow_like(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn the_default_policy_compiles_to_programs_that_share_nothing() {
    let bundle = vouchsafe_policies::default_bundle().unwrap();
    let runnable = compile(&bundle, 2, Choose::ByThePolicy).unwrap();
    assert_eq!(runnable.because, []);
    let Executable::Fast { spare, own } = runnable.program else { panic!("not compiled") };
    assert_eq!(own.len(), 2);
    assert!(!Arc::ptr_eq(&own[0].program, &own[1].program));
    assert!(!Arc::ptr_eq(&own[0].program, &spare.program));
    let reference = compile(&bundle, 2, Choose::Reference).unwrap();
    assert_eq!(reference.program.kind(), EvaluatorKind::Reference);
}

#[test]
fn what_is_no_rego_is_refused_with_its_place() {
    let error = refusal("package vouchsafe\n\ndecision := {");
    assert!(error.starts_with("policy.rego cannot be parsed: "), "{error}");
    assert!(error.contains("policy.rego:3:"), "{error}");
}

#[test]
fn a_policy_that_decides_nothing_is_refused() {
    assert_eq!(refusal("package other\n\ndecision := 1"), "no policy defines data.vouchsafe.decision");
}

#[test]
fn data_in_the_place_of_a_rule_is_refused() {
    let bundle = bundle("package vouchsafe\n\ndecision := 1", r#"{"vouchsafe": {"decision": {"allow": true}}}"#);
    assert!(matches!(compile(&bundle, 1, Choose::ByThePolicy), Err(CompileError::Data { .. })));
}

#[test]
fn what_the_machine_cannot_run_the_interpreter_runs() {
    let bundle = bundle("package vouchsafe\n\ndecision := x if x := input.y with input.y as 1", "{}");
    let runnable = compile(&bundle, 1, Choose::ByThePolicy).unwrap();
    assert_eq!(runnable.program.kind(), EvaluatorKind::Reference);
    assert_eq!(runnable.because[0].message, "it does not know 'with'");
    assert!(matches!(compile_for_fast(&bundle), Err(CompileError::Compile { .. })));
}

#[test]
fn a_sum_of_half_a_million_terms_is_refused_and_not_the_end() {
    // As many as a file has room for.
    let line = format!("{}\n", "1+".repeat(510));
    let sum = line.repeat(limits::FILE_BYTES / line.len() - 1);
    let error = refusal(&format!("package vouchsafe\n\ndecision := 1 +\n{sum} 1"));
    assert!(error.contains("nested deeper than"), "{error}");
}

#[test]
fn a_panic_while_compiling_is_an_error() {
    let outcome: Result<(), _> = apart(|| panic!("no such opcode"));
    assert!(matches!(outcome, Err(CompileError::Panicked { message }) if message == "no such opcode"));
}
