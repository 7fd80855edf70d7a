//! A server and policies that would harm it: none comes into charge, none is an allow, and the server lives.

use std::time::Duration;

use crate::server::{Server, until};

const ALLOW: &str = "decision := {\"allow\": true}";
const DENY: &str = "decision := {\"allow\": false, \"reasons\": [{\"code\": \"closed\", \"message\": \"Closed.\"}]}";

/// Policies that would end their evaluator or never end, each with the code that it is refused for.
const HARMFUL: [(&str, &str, &str); 5] = [
    ("decision := {\"allow\": x}\n\nx if y\n\ny if x", "", "rule.recursion"),
    ("decision := {\"allow\": count(numbers.range(1, 100000000)) > 1}", "", "builtin.unbounded"),
    ("decision := {\"allow\": false}\n\nx := [[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]", "", "expression.too_deep"),
    ("decision := {\"allow\": input.device.scor > 1}", "", "input.unknown_field"),
    (
        ALLOW,
        "test_x if {\n\tevery a in numbers.range(1, 10000) {\n\t\tevery b in numbers.range(1, 10000) { a + b > 0 }\n\t}\n}",
        "test.failed",
    ),
];

#[test]
fn a_server_does_not_start_with_a_policy_that_does_not_pass_and_says_why() {
    let server = Server::init("dir = \"policies\"");
    for (policy, test, code) in HARMFUL {
        server.write_policy(policy, test);
        assert_eq!(server.start_in_vain(), Some(2), "{policy}");
        let log = server.log();
        assert!(log.contains(&format!("[{code}]\n  instead: ")), "{log}");
        assert!(log.contains("REFUSED: "), "{log}");
    }
}

#[test]
fn a_policy_that_takes_the_place_of_another_passes_the_gate_or_changes_nothing() {
    let mut server = Server::init("dir = \"policies\"");
    server.write_policy(ALLOW, "");
    server.start();
    assert_eq!(server.metric("policy_evaluator{evaluator=\"fast\"}").as_deref(), Some("1"));
    assert_eq!(server.decide("db:orders"), ("allow".to_owned(), vec![]));

    for (number, (policy, test, code)) in HARMFUL.into_iter().enumerate() {
        server.write_policy(policy, test);
        server.hang_up();
        // Others are answered meanwhile.
        assert_eq!(server.decide("db:orders"), ("allow".to_owned(), vec![]), "{policy}");
        server.until_logged("the policy before stays in charge", number + 1);
        assert!(server.log().contains(code), "{code}");
        assert_eq!(server.metric("policy_refused").as_deref(), Some("1"));
        assert_eq!(server.decide("db:orders"), ("allow".to_owned(), vec![]), "{policy}");
        assert!(server.is_alive());
    }

    server.write_policy(DENY, "");
    server.hang_up();
    assert!(until(|| server.decide("db:orders") == ("deny".to_owned(), vec!["closed".to_owned()])), "{}", server.log());
    assert!(until(|| server.metric("policy_refused").as_deref() == Some("0")));
    assert_eq!(server.metric("policy_reloads_total{outcome=\"refused\"}").as_deref(), Some("5"));
}

#[test]
fn what_the_fast_evaluator_would_do_otherwise_is_done_by_the_other_one_and_everybody_can_see_it() {
    let mut server = Server::init("dir = \"policies\"");
    server.write_policy(
        "decision := {\"allow\": x} if {\n\tx := true\n\tinput.request.action == \"read\" with input.x as 1\n}",
        "",
    );
    server.start();
    assert_eq!(server.metric("policy_evaluator{evaluator=\"reference\"}").as_deref(), Some("1"));
    assert_eq!(server.metric("policy_evaluator{evaluator=\"fast\"}").as_deref(), Some("0"));
    server.until_logged("the fast evaluator does not decide", 1);
    assert_eq!(server.decide("db:orders").0, "allow");
}

/// What goes wrong while a decision is made denies that one, and everybody else is answered.
#[test]
fn a_decision_that_goes_wrong_is_a_deny_and_ends_nothing() {
    let bad =
        |how: &str| format!("decision := {{\"allow\": value}} if {{\n\tinput.request.resource == \"bad\"\n\t{how}\n}}");
    let good = "decision := {\"allow\": true} if input.request.resource == \"good\"";
    let deep: Vec<_> = (1..28).map(|n| format!("r{n} := {}r{}{}", "(".repeat(15), n + 1, " + 1)".repeat(15))).collect();
    let last = "r28 := 1 if input.request.resource == \"bad\" with input.x as 1";
    let deep = format!("{}\n\n{last}", deep.join("\n\n"));
    for (how, rules, code) in [
        ("value := strings.count(input.request.action, \"\") >= 0", "", Some("policy.error")),
        (
            "value := count([1 | some a in numbers.range(1, 10000); some b in numbers.range(1, 10000); a + b < 0]) == 0",
            "",
            Some("policy.timeout"),
        ),
        ("value := input.device.score > 0", "", Some("policy.undefined")),
        // As deep as a policy may be, on the evaluator that recurses: that is no harm.
        ("value := r1 > 400", deep.as_str(), None),
    ] {
        let mut server = Server::init("dir = \"policies\"\ncompare_one_in = 1");
        server.write_policy(&format!("{good}\n\n{}\n\n{rules}", bad(how)), "");
        server.start();
        std::thread::scope(|scope| {
            let bad: Vec<_> = (0..2).map(|_| scope.spawn(|| server.decide("bad"))).collect();
            assert_eq!(server.decide("good"), ("allow".to_owned(), vec![]), "{how}");
            for asked in bad {
                let (outcome, codes) = asked.join().unwrap();
                match code {
                    Some(code) => assert_eq!((outcome.as_str(), codes), ("deny", vec![code.to_owned()]), "{how}"),
                    None => assert_eq!(outcome, "allow", "{how}"),
                }
            }
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(server.is_alive());
        assert_eq!(server.metric("policy_evaluators_differ_total"), None, "{how}");
    }
}
