use regorus::Engine;
use serde_json::json;

use super::super::finding::Severity;
use super::super::gate;
use super::super::names::Names;
use super::super::types::Program;
use super::{Programs, lint};

fn data() -> serde_json::Value {
    json!({"thresholds": {"minimum": 60, "written": "60", "by_prefix": {"db:": 70}}, "blocked": ["mallory"]})
}

/// What is said of a policy: severity, line and column, code, what to do.
fn said(policy: &str) -> Vec<(Severity, String, &'static str, String)> {
    said_of_files(&[&format!("package vouchsafe\n\n{policy}")])
}

/// The same of whole files.
fn said_of_files(files: &[&str]) -> Vec<(Severity, String, &'static str, String)> {
    let mut engine = Engine::new();
    for (number, file) in files.iter().enumerate() {
        engine.add_policy(format!("{number}.rego"), (*file).to_owned()).unwrap();
    }
    let schema = serde_json::from_str(vouchsafe_policies::INPUT_SCHEMA).unwrap();
    let modules = engine.get_modules();
    let inspected = gate::inspect(modules, &super::super::entry_point()).unwrap();
    let (names, data) = (Names::of(modules), data());
    let of_input = |schema| Program::new(modules, &names, schema, &data);
    let (decision, log) = (of_input(&schema), of_input(&super::super::anything()));
    let findings = lint(modules, &Programs { decision: &decision, log: &log }, &inspected.decides);
    let place = |finding: &super::Finding| {
        finding.location.as_ref().map(|at| format!("{}:{}", at.line, at.column)).unwrap_or_default()
    };
    findings
        .iter()
        .map(|finding| (finding.severity, place(finding), finding.code.name(), finding.instead.clone()))
        .collect()
}

/// What is said of a condition of the rule that decides, in short.
fn of_condition(condition: &str) -> Vec<String> {
    let severity = |severity| if severity == Severity::Error { "error" } else { "warning" };
    let policy =
        format!("decision := {{\"allow\": true}} if {{\n\t{condition}\n}}\n\nblocked(id) if id in data.blocked");
    said(&policy).into_iter().map(|(how, _, code, _)| format!("{} {code}", severity(how))).collect()
}

#[test]
fn a_field_that_the_input_does_not_have_is_named_with_the_one_that_was_meant() {
    let found = said("decision := {\"allow\": input.device.scor > 80}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, Severity::Error);
    assert_eq!((found[0].1.as_str(), found[0].2), ("3:36", "input.unknown_field"));
    assert_eq!(found[0].3, "did you mean 'score'?");
}

#[test]
fn fields_are_followed_through_imports_names_rules_and_loops() {
    for condition in [
        "input.devices",
        "input[\"device\"].scores",
        "device := input.device\n\tdevice.statee == \"active\"",
        "some finding in input.device.verdict.findings\n\tfinding.kode == \"pcr.mismatch\"",
        "input.device.verdict.findings[_].kode == \"pcr.mismatch\"",
        "input.device.verdict.findings[0].kode == \"pcr.mismatch\"",
        "every finding in input.device.verdict.findings {\n\t\tfinding.fail == false\n\t}",
        "count([code | some finding in input.device.verdict.findings; code := finding.kode]) == 0",
        "object.get(input.device, \"stat\", \"\") == \"active\"",
        "object.get(input, [\"device\", \"stat\"], \"\") == \"active\"",
        "input.request.resource.name == \"x\"",
        "finding = input.device.verdict.findings[0]\n\tfinding.kode == \"x\"",
    ] {
        assert_eq!(of_condition(condition), ["error input.unknown_field"], "{condition}");
    }
    for policy in [
        "import input.device as d\n\ndecision := d.stat",
        "import input.devices\n\ndecision := devices",
        "decision := flow.encryptd\n\nflow := input.network",
        "decision if {\n\tcodes[input.request.action]\n}\n\ncodes contains finding.kode if {\n\tsome finding in input.device.verdict.findings\n}",
    ] {
        let found = said(policy);
        assert_eq!(found.len(), 1, "{policy}: {found:?}");
        assert_eq!((found[0].0, found[0].2), (Severity::Error, "input.unknown_field"), "{policy}");
    }
}

#[test]
fn what_masks_the_log_may_look_at_all_of_an_entry() {
    let decision = "package vouchsafe\n\ndecision := {\"allow\": true}";
    let mask = "package vouchsafe.log\n\nimport input.question as q\n\n\
        mask contains \"/question/user/id\" if input.question.user.id in data.blocked\n\n\
        drop if q.request.resource == \"health\"";
    assert_eq!(said_of_files(&[decision, mask]), []);
    assert_eq!(said_of_files(&[decision, &mask.replace("vouchsafe.log", "vouchsafe.logs")]).len(), 2);
}

#[test]
fn what_the_decision_takes_from_the_log_s_package_is_held_against_its_input() {
    let decision = "package vouchsafe\n\ndecision := {\"allow\": data.vouchsafe.log.is_drop}";
    let found = said_of_files(&[decision, "package vouchsafe.log\n\nis_drop if input.decision.outcome == \"allow\""]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].2), (Severity::Error, "input.unknown_field"));
}

#[test]
fn fields_that_are_there_are_not_complained_of() {
    for condition in [
        "input.device.verdict.findings[_].code == \"pcr.mismatch\"",
        "some i\n\tinput.device.factors[i].value > 0.5",
        "some kind\n\tinput[kind].id == \"x\"",
        "object.get(input.device, \"state\", \"\") == \"active\"",
        "object.get(input.user, \"id\", \"\") == \"x\"",
        "walk(input, [path, value])\n\tvalue == 1",
        "device := {\"x\": 1}\n\tdevice.x == 1",
        "data.thresholds.by_prefix[input.request.action] > 1",
        "count(input.user.roles) > 0",
    ] {
        assert_eq!(of_condition(condition), Vec::<String>::new(), "{condition}");
    }
}

#[test]
fn what_the_decision_does_not_need_may_be_asked_over_another_input() {
    let found = said("decision := {\"allow\": false}\n\nother := input.attributes.request.http.path");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].2), (Severity::Warning, "input.unknown_field"));
}

#[test]
fn data_that_the_bundle_does_not_have_is_warned_of() {
    assert_eq!(of_condition("input.user.id in data.bloked"), ["warning data.unknown"]);
    assert_eq!(of_condition("is_number(data.thresholds.minimun.x)"), ["warning data.unknown"]);
    assert!(of_condition("input.user.id in data.blocked").is_empty());
}

#[test]
fn a_negation_that_is_true_of_nothing_is_refused() {
    for condition in [
        "not startswith(input.user.id, \"admin\")",
        "not blocked(input.user.id)",
        "not blocked(lower(input.user.id))",
        "not \"guest\" in input.user.roles",
        "not input.user.id in data.blocked",
        "not input.device.score < 60",
        "not input.user.id != \"mallory\"",
        "not net.cidr_contains(\"192.0.2.0/24\", input.network.source_ip)",
        "input.network != null\n\tnot net.cidr_contains(\"192.0.2.0/24\", input.network.source_ip)",
        "ip := input.network.source_ip\n\tnot net.cidr_contains(\"192.0.2.0/24\", ip)",
    ] {
        assert_eq!(of_condition(condition), ["error negation.missing"], "{condition}");
    }
    for condition in [
        "not startswith(input.request.resource, \"admin:\")",
        "not blocked(input.request.action)",
        "not input.user",
        "not input.user.id == \"mallory\"",
        "id := input.user.id\n\tnot blocked(id)",
        "input.user.id != \"\"\n\tnot blocked(input.user.id)",
        "is_string(input.network.source_ip)\n\tnot net.cidr_contains(\"192.0.2.0/24\", input.network.source_ip)",
        "ip := input.network.source_ip\n\tip != null\n\tnot net.cidr_contains(\"192.0.2.0/24\", ip)",
        "not is_null(input.user)",
        "some role in input.user.roles\n\tnot role in data.blocked",
        "not blocked(input.user.id) with input as {\"user\": {\"id\": \"x\"}}",
    ] {
        assert!(of_condition(condition).is_empty(), "{condition}: {:?}", of_condition(condition));
    }
}

#[test]
fn an_order_of_what_is_no_number_is_refused() {
    for condition in [
        "input.request.action > 80",
        "input.device.score >= \"80\"",
        "input.device.score >= data.thresholds.written",
        "input.device.verdict.findings[_].pcr < 8",
        "some finding in input.device.verdict.findings\n\tfinding.pcr < 8",
        "input.network.encrypted > 0",
        "input.device.verdict.age_secs <= null",
        "least := \"80\"\n\tinput.device.score >= least",
        "split(input.request.resource, \":\")[1] > 5",
    ] {
        assert_eq!(of_condition(condition), ["error comparison.not_numbers"], "{condition}");
    }
    assert_eq!(of_condition("input.now < \"2027-01-01T00:00:00Z\""), ["warning comparison.not_numbers"]);
    assert_eq!(
        of_condition("input.device.score >= data.thresholds.minimun"),
        ["warning comparison.unknown_type", "warning data.unknown"]
    );
    for condition in [
        "input.device.score >= 80",
        "input.device.score >= data.thresholds.minimum",
        "input.device.score + 5 >= data.thresholds.by_prefix[\"db:\"]",
        "some prefix, least in data.thresholds.by_prefix\n\tinput.device.score >= least",
        "count(input.user.roles) > 0",
        "some finding in input.device.verdict.findings\n\tis_number(finding.pcr)\n\tfinding.pcr < 8",
        "pcr := input.device.verdict.findings[0].pcr\n\tis_number(pcr)\n\tpcr < 8",
        "to_number(input.request.action) > 80",
        "time.parse_rfc3339_ns(input.now) > 1767225600000000000",
        "\"a\" < \"b\"",
    ] {
        assert!(of_condition(condition).is_empty(), "{condition}: {:?}", of_condition(condition));
    }
}

#[test]
fn a_text_that_the_input_never_is_is_warned_of() {
    for condition in [
        "input.device.state == \"activ\"",
        "input.device.state != \"Active\"",
        "input.device.verdict.status in {\"affirming\", \"warn\"}",
        "\"certificate-expired\" in input.device.vetoes",
        "some finding in input.device.verdict.findings\n\tfinding.code == \"pcr.missmatch\"",
    ] {
        assert_eq!(of_condition(condition), ["warning comparison.never_equal"], "{condition}");
    }
    let found = said("decision := input.device.state == \"activ\"");
    assert_eq!(found[0].3, "did you mean \"active\"?");
    assert!(of_condition("input.device.state == \"active\"").is_empty());
    assert!(of_condition("input.request.action == \"activ\"").is_empty());
}

#[test]
fn a_line_that_begins_with_a_parenthesis_is_refused() {
    let found = said("decision if {\n\tx := input.device.score\n\tx\n\t(1 + 1) == 2\n}");
    let joined: Vec<_> = found.iter().filter(|(_, _, code, _)| *code == "layout.joined_line").collect();
    assert_eq!(joined.len(), 1, "{found:?}");
    assert_eq!((joined[0].0, joined[0].1.as_str()), (Severity::Error, "5:2"));
    assert!(of_condition("count(\n\t\tinput.user.roles\n\t) > 0").is_empty());
}

#[test]
fn functions_that_are_not_there_are_named_with_what_to_do_instead() {
    for (call, advice) in [
        ("io.jwt.decode_verify(input.request.action, {})", "credentials are verified before a decision"),
        ("crypto.x509.parse_certificates(\"\")", "credentials are verified before a decision"),
        ("crypto.sha256(\"\") == \"\"", "policies compute no digests"),
        ("http.send({\"url\": \"x\"})", "policies ask nobody"),
        ("net.cidr_merge([])", "use net.cidr_contains"),
        ("startwith(input.request.action, \"x\")", "did you mean startswith?"),
        ("wholly_unheard_of(1)", "define it"),
        ("data.lib.f(1)", "define it"),
        ("rego.metadata.rule()", "policies do not look at the engine"),
    ] {
        let policy = format!("decision if {{\n\t{call}\n}}");
        let found = said(&policy);
        let unknown: Vec<_> = found.iter().filter(|(_, _, code, _)| *code == "builtin.unknown").collect();
        assert_eq!(unknown.len(), 1, "{call}: {found:?}");
        assert_eq!((unknown[0].0, unknown[0].1.as_str()), (Severity::Error, "4:2"), "{call}");
        assert!(unknown[0].3.starts_with(advice), "{call}: {}", unknown[0].3);
    }
    assert_eq!(of_condition("time.now_ns() > 0"), ["warning builtin.nondeterministic"]);
    assert!(of_condition("blocked(\"x\")").is_empty());
    assert_eq!(of_condition("strings.count(input.request.action, \"a\") > 1"), ["warning builtin.differs"]);
}

#[test]
fn the_default_policy_has_nothing_to_be_said_of_it() {
    let bundle = vouchsafe_policies::default_bundle().unwrap();
    let mut engine = Engine::new();
    for file in bundle.policies() {
        engine.add_policy(file.path().to_owned(), file.text().to_owned()).unwrap();
    }
    let decides = gate::inspect(engine.get_modules(), &super::super::entry_point()).unwrap().decides;
    assert!(decides.len() > 5, "{decides:?}");
    assert_eq!(super::super::lint(&bundle).unwrap(), []);
}
