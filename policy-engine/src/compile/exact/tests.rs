use regorus::Engine;
use serde_json::json;

use super::super::gate;
use super::super::names::Names;
use super::super::types::Program;
use super::inexact;

/// Why the fast evaluator would not do a policy.
fn why_not(policy: &str) -> Vec<String> {
    let mut engine = Engine::new();
    engine.add_policy("p.rego".to_owned(), format!("package vouchsafe\n\n{policy}")).unwrap();
    let modules = engine.get_modules();
    let (names, schema, data) =
        (Names::of(modules), super::super::input_schema(), json!({"known": {"x": 1, "xs": [1]}}));
    let decides = gate::inspect(modules, &super::super::entry_point()).unwrap().decides;
    let found = inexact(modules, &Program::new(modules, &names, schema, &data), &decides);
    found.into_iter().map(|inexact| inexact.message).collect()
}

fn is_fast(policy: &str) {
    assert_eq!(why_not(policy), Vec::<String>::new(), "{policy}");
}

fn is_not_fast(policy: &str, why: &str) {
    let told = why_not(policy);
    assert!(told.iter().any(|told| told.contains(why)), "{policy}: {told:?}");
}

/// A rule that decides, with this condition.
fn condition(condition: &str) -> String {
    format!(
        "decision := {{\"allow\": true}} if {{\n\t{condition}\n}}\n\nmaybe := 1 if input.user.id == \"x\"\n\ncertain := 1"
    )
}

#[test]
fn an_assignment_of_nothing_is_not_left_to_it() {
    let why = "holds even when there is nothing to assign";
    for body in [
        "x := input.user.id",
        "x := input.network.source_ip",
        "x := maybe",
        "x := [maybe]",
        "x := to_number(input.request.action)",
        "x := input.user.id\n\tnot x == \"mallory\"",
        "some finding in input.device.verdict.findings\n\tx := data.nothing[finding.code]",
        "every veto in input.device.vetoes {\n\t\tx := data.nothing[veto]\n\t\tveto != \"revoked\"\n\t}",
        "count([1 | x := maybe]) == 0",
        "count({1 | x := maybe}) == 0",
        "true\n}\n\nother := x if {\n\tx := maybe\n} else := 2\n\nmore if {\n\tother == 2",
    ] {
        let policy = condition(body).replace("if {\n\ttrue\n}", "if {\n\tmore\n}");
        is_not_fast(&policy, why);
    }
    for body in [
        "x := input.request.action",
        "x := certain",
        "x := data.known.x",
        "x := input.user.id\n\tstartswith(x, \"a\")",
        "x := input.user.id\n\ty := lower(x)\n\ty == \"alice\"",
        "x := input.user.id\n\tinput.user.id == \"alice\"",
        "x := maybe\n\tx > 0",
        "x := lower(input.request.action)",
        "count({x | x := maybe}) == 0",
        "[x, y] := input.user.roles",
    ] {
        is_fast(&condition(body));
    }
}

#[test]
fn elements_that_may_be_nothing_are_not_left_to_it() {
    for body in [
        "count([maybe | true]) == 0",
        "count([input.user.id | true]) == 0",
        "xs := {role: data.nothing[role] | some i, role in input.user.roles}\n\tcount(xs) == 0",
        "xs := {data.nothing[i]: 1 | some i, role in input.user.roles}\n\tcount(xs) == 0",
    ] {
        is_not_fast(&condition(body), "becomes an element even when it has no value");
    }
    is_not_fast("decision := p\n\np[i] := data.nothing[i] if some i, x in input.user.roles", "becomes an element");
    for body in [
        "count({maybe | true}) == 0",
        "some finding in input.device.verdict.findings\n\tcount([finding.code | true]) == 0",
        "input.user.id != \"\"\n\tcount([input.user.id | true]) == 1",
        "count([sprintf(\"%v\", [finding.pcr]) | some finding in input.device.verdict.findings]) == 0",
    ] {
        is_fast(&condition(body));
    }
}

#[test]
fn a_value_that_may_be_nothing_before_an_else_is_not_left_to_it() {
    is_not_fast("decision := input.user.id if {\n\ttrue\n} else := 3", "what stands behind 'else' is not tried");
    is_fast("decision := input.request.action if {\n\ttrue\n} else := 3");
}

#[test]
fn what_every_passes_over_is_not_left_to_it() {
    is_not_fast(&condition("every role in input.user.roles { not role == \"x\" }"), "'every' passes over negations");
    is_not_fast(&condition("every role in input.user.roles { data.nothing[role] }"), "compare it with true");
    is_fast(&condition("every role in input.user.roles { role != \"x\" }"));
    is_fast(&condition("every role in input.user.roles { startswith(role, \"x\") }"));
}

#[test]
fn several_values_of_one_rule_are_not_left_to_it() {
    let why = "it takes the last";
    for policy in [
        "decision := {\"allow\": value} if some value in input.user.roles",
        "decision := {\"allow\": input.user.roles[_]}",
        "decision := {\"allow\": x} if {\n\tsome i\n\tx := input.user.roles[i]\n}",
        "decision := {\"allow\": x} if {\n\tx = input.user.roles[i]\n}",
        "decision := f(1)\n\nf(n) := role if some role in input.user.roles",
        "decision := {\"allow\": x} if {\n\tsome role in input.user.roles\n\tx := count(role)\n}",
        "decision := {role: 1 | some role in input.user.roles}[input.user.id]\n\nx := {role: i | some i, role in input.user.roles}",
        "decision := {role: i | some i, role in input.user.roles}",
        "decision := p\n\np[role] := i if some i, role in input.user.roles",
        "decision := 1 if { false } else := role if some role in input.user.roles",
    ] {
        if policy.contains("role: 1 |") {
            is_fast(policy);
        } else {
            is_not_fast(policy, why);
        }
    }
    for policy in [
        "decision := {\"allow\": true} if some value in input.user.roles",
        "decision := {i: role | some i, role in input.user.roles}",
        "decision := p\n\np[i] := role if some i, role in input.user.roles",
        "decision := max([count(role) | some role in input.user.roles])",
        "decision := {\"allow\": x} if {\n\tsome role in input.user.roles\n\tx := input.device.score\n}",
        "decision := input.user.roles[i] if i := 0",
        "decision := f(0)\n\nf(i) := input.user.roles[i]",
        "decision := rank[input.request.action]\n\nrank := {\"x\": 1}",
    ] {
        is_fast(policy);
    }
}

#[test]
fn rules_that_may_contradict_themselves_are_not_left_to_it_where_that_matters() {
    let level = |first: &str, second: &str| format!("level := 1 if {first}\n\nlevel := 2 if {second}");
    let uses = [
        "decision := {\"allow\": true} if not level == 2",
        "decision := {\"allow\": count([x | x := level; x > 0]) == 0}",
        "decision := {\"allow\": count(reasons) == 0}\n\nreasons contains \"x\" if level > 1",
        "decision := {\"allow\": allow}\n\ndefault allow := true\n\nallow := false if level > 1",
        "decision := {\"allow\": high} if true\n\nhigh := false if { level == 1 } else := true",
        "decision := {\"allow\": not_low}\n\nnot_low if not low\n\nlow if level < 2",
    ];
    for usage in uses {
        let may = level("input.request.action == \"x\"", "input.request.resource == \"y\"");
        is_not_fast(&format!("{usage}\n\n{may}"), "may be worth two things at once");
        for (first, second) in [
            ("input.request.action == \"x\"", "input.request.action == \"y\""),
            ("input.request.action == \"x\"", "input.request.action != \"x\""),
            ("input.device.score >= 80", "input.device.score < 80"),
            ("80 <= input.device.score", "80 > input.device.score"),
            ("count(input.user.roles) == 0", "count(input.user.roles) > 0"),
            ("input.network.encrypted", "not input.network.encrypted"),
            ("input.network.encrypted == true", "not input.network.encrypted"),
            ("startswith(input.request.resource, \"a\")", "not startswith(input.request.resource, \"a\")"),
        ] {
            is_fast(&format!("{usage}\n\n{}", level(first, second)));
        }
    }
    for (first, second) in [
        ("input.device.score >= 80", "input.device.score <= 80"),
        ("input.device.score >= 80", "input.device.score < 81"),
        ("input.request.action == \"x\"", "input.request.action == \"x\""),
        ("some x in input.user.roles\n\tx == \"a\"", "some x in input.user.roles\n\tx == \"b\""),
        ("input.user.roles[_] == \"a\"", "input.user.roles[_] == \"b\""),
    ] {
        let policy = format!("{}\n\nlevel := 1 if {{\n\t{first}\n}}\n\nlevel := 2 if {{\n\t{second}\n}}", uses[0]);
        is_not_fast(&policy, "may be worth two things at once");
    }
    // What fails with the rule, and the same value twice.
    is_fast(&format!(
        "decision := {{\"allow\": level == 1}}\n\n{}",
        level("input.user.id == \"x\"", "input.user.id in [\"x\"]")
    ));
    is_fast(&format!("{}\n\nlevel := 1 if input.user.id == \"x\"\n\nlevel := 1 if input.user.id in [\"x\"]", uses[0]));
}

#[test]
fn functions_that_may_contradict_themselves_are_seen_by_their_arguments() {
    let uses = "decision := {\"allow\": true} if not f(input.request.action) == 2\n\n";
    is_not_fast(&format!("{uses}f(\"x\") := 1\n\nf(x) := 2"), "may be worth two things at once");
    is_fast(&format!("{uses}f(\"x\") := 1\n\nf(\"y\") := 2"));
    is_fast(&format!("{uses}f(x) := 1 if x == \"a\"\n\nf(x) := 2 if x == \"b\""));
    is_not_fast(&format!("{uses}f(x) := 1 if x == \"a\"\n\nf(x) := 2 if startswith(x, \"a\")"), "may be worth two");
}

#[test]
fn words_that_it_does_not_know_are_not_left_to_it() {
    for (policy, why) in [
        ("decision := x if x := input.user.id with input as {}", "it does not know 'with'"),
        ("decision := true if print(\"x\")", "it does not know 'print'"),
        ("decision := [x | walk(input, x)]", "it does not know 'walk'"),
        ("decision := p.a\n\np.a := 1", "whose name has several parts"),
        ("decision := p\n\np[\"a\"] := 1", "whose name has several parts"),
        ("decision := p\n\np.a contains 1", "whose name has several parts"),
        ("decision := p\n\np[x][y] := 1 if { some x in [1]; some y in [1] }", "whose name has several parts"),
        ("decision := p\n\ndefault p := [x | x := 1]", "a default that is not written out"),
        ("decision := f(1)\n\ndefault f(x) := 1", "defaults of functions"),
    ] {
        is_not_fast(policy, why);
    }
    let mut engine = Engine::new();
    engine.add_policy("a.rego".to_owned(), "package vouchsafe\n\ndecision := data.lib".to_owned()).unwrap();
    engine.add_policy("b.rego".to_owned(), "package lib\n\nx := 1".to_owned()).unwrap();
    let modules = engine.get_modules();
    let (names, data) = (Names::of(modules), json!({}));
    let program = Program::new(modules, &names, super::super::input_schema(), &data);
    let found = inexact(modules, &program, &gate::inspect(modules, &super::super::entry_point()).unwrap().decides);
    assert_eq!(found[0].message, "rules are not found by what they lie in: data.lib");
    assert_eq!(found[0].location.as_ref().unwrap().to_string(), "a.rego:3:13");
}

#[test]
fn rules_that_the_decision_does_not_need_do_not_matter() {
    is_fast("decision := {\"allow\": false}\n\nother := x if x := input.user.id with input as {}");
}
