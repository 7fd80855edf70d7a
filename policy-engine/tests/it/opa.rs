//! OPA's Data API, as its clients see it.

use std::sync::Arc;

use axum::http::{Request, StatusCode};
use insta::assert_snapshot;
use serde_json::{Value, json};
use vouchsafe_model::{Outcome, Sha256Digest};
use vouchsafe_policies::{Bundle, default_bundle};
use vouchsafe_policy_engine::{DataApi, EngineSettings, PolicyEngine, RecordTable};
use vouchsafe_wire::v1::limits::DATA_BODY;
use vouchsafe_wire::v1::opa::DataQuery;

use crate::doors::{Answer, Caller, EDGE, MUTE, MemoryLog, OPERATOR, STRANGER, World};
use crate::fixtures::{default_engine, good_ask, good_record, limits};

/// Rules that may be asked about, and one that may not.
const RULES: &str = r#"package authz

allow if input.user in data.bans.not == false

allow if {
	not input.user in data.bans.users
	input.user != "mallory"
}

score := input.vouchsafe.device.score

seen := input

answer := {"allow": input.ok, "n": count(data.bans.users)}

maybe := null if input.null

slow := count([1 |
	some a in numbers.range(1, 9999)
	some b in numbers.range(1, 9999)
	a * b == -1
])

fails := 1 if input.a
fails := 2 if input.b

secret := "hidden"

noted if {
	print("asked by", input.user)
	input.user in data.bans.users
	input.vouchsafe.device.state == "lost"
	input.request
}
"#;

fn bundle() -> Bundle {
    let decides = "package vouchsafe\n\ndecision := {\"allow\": \"ops\" in input.user.roles}\n";
    let data = r#"{"bans": {"users": ["eve"], "not": {"nobody": true}}}"#;
    let files = [("decision.rego", decides), ("rules.rego", RULES), ("data.json", data)];
    Bundle::from_files(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))).unwrap()
}

fn engine(records: RecordTable) -> PolicyEngine {
    let rules = ["allow", "score", "seen", "answer", "maybe", "slow", "fails", "noted"];
    let data_api = DataApi {
        entry_points: rules.map(|rule| format!("data.authz.{rule}").parse().unwrap()).to_vec(),
        danger_writable: vec!["bans".parse().unwrap()],
    };
    let settings = EngineSettings { limits: limits(), threads: 2 };
    PolicyEngine::with_data_api(&bundle(), Arc::new(records), settings, data_api).unwrap()
}

fn world() -> World {
    let records = RecordTable::new();
    records.load([good_record(1)]);
    World::new(engine(records))
}

async fn ask(world: &World, rule: &str, input: &Value) -> Answer {
    world.post(&format!("/v1/data/authz/{rule}"), EDGE, &json!({"input": input}).to_string()).await
}

fn question() -> Value {
    serde_json::to_value(good_ask(1)).unwrap()
}

fn shown(answer: &Answer, world: &World) -> String {
    let policy = world.doors.decider.engine.policy().to_string();
    let body = serde_json::to_string_pretty(&answer.json()).unwrap().replace(&policy, "[policy]");
    let head = [answer.header("content-type"), answer.header("cache-control")].join("\n");
    format!("{}\n{head}\n\n{body}", answer.status)
}

#[tokio::test]
async fn the_rule_that_decides_takes_a_question_of_ours_and_joins_the_device() {
    let world = World::new(default_engine());
    let body = json!({"input": question()}).to_string();
    assert_snapshot!(shown(&world.post("/v1/data/vouchsafe/decision", EDGE, &body).await, &world), @r#"
    200 OK
    application/json
    no-store

    {
      "decision_id": "019c13ec-9e00-7100-8000-000000000000",
      "result": {
        "allow": true,
        "needs": {
          "score": 60.0
        },
        "obligations": [],
        "reasons": []
      }
    }
    "#);
    let mut other = good_ask(2);
    other.user = None;
    let body = json!({"input": other}).to_string();
    let denied = world.post("/v1/data/vouchsafe/decision", EDGE, &body).await.json();
    assert_eq!(denied["result"]["allow"], false);
    assert_eq!(denied["result"]["reasons"][0]["code"], "device.unknown");
    let views = world.log.views();
    assert_eq!((views[0].outcome, views[1].outcome), (Outcome::Allow, Outcome::Deny));
    assert_eq!((&views[0].question, &views[0].query), (&good_ask(1), &None));
    assert_eq!(denied["decision_id"], views[1].id.to_string());
}

#[tokio::test]
async fn the_bare_forms_of_v0_and_of_allow_alone() {
    let world = World::new(default_engine());
    let bare = world.post("/v0/data/vouchsafe/decision", EDGE, &question().to_string()).await;
    assert_eq!(bare.json(), json!({"allow": true, "obligations": [], "reasons": [], "needs": {"score": 60.0}}));
    let allow = world.post("/v0/data/vouchsafe/decision/allow", EDGE, &question().to_string()).await;
    assert_eq!((allow.status, allow.json()), (StatusCode::OK, json!(true)));
    assert_eq!(world.log.views().len(), 2);
}

#[tokio::test]
async fn an_input_may_come_in_the_query() {
    let world = world();
    let get = |query: &str| world.send(EDGE, Request::get(format!("/v1/data/authz/seen{query}")), "");
    let answer = get("?input=%7B%22a%22%3A%20%5B1%2C%22%26%22%5D%7D").await;
    assert_eq!(answer.json()["result"], json!({"a": [1, "&"]}));
    let nothing = get("").await.json();
    assert_eq!((nothing.get("result"), nothing["warning"]["code"].as_str()), (None, Some("api_usage_warning")));
    for query in ["?input=%7B", "?input=1&input=2", "?input=%7B%22a%22:1,%22a%22:2%7D"] {
        assert_eq!(get(query).await.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn other_rules_see_the_document_as_it_was_sent() {
    let world = world();
    for input in [json!({"a": {"b": [null, 1.5, -3, "x"]}}), json!("text"), json!([1, 2]), json!(null), json!(7)] {
        assert_eq!(ask(&world, "seen", &input).await.json()["result"], input);
    }
    // 2^64 - 1, to the digit.
    let big = world.post("/v1/data/authz/seen", EDGE, r#"{"input": 18446744073709551615}"#).await;
    assert!(big.body.contains("\"result\":18446744073709551615"), "{}", big.body);
}

#[tokio::test]
async fn every_answer_is_on_record_and_an_allow_only_if_it_is_true() {
    let world = world();
    for (rule, input, result, outcome) in [
        ("allow", json!({"user": "bob"}), Some(json!(true)), Outcome::Allow),
        ("allow", json!({"user": "eve"}), None, Outcome::Deny),
        ("answer", json!({"ok": true}), Some(json!({"allow": true, "n": 1})), Outcome::Allow),
        ("answer", json!({"ok": "true"}), Some(json!({"allow": "true", "n": 1})), Outcome::Deny),
        ("maybe", json!({"null": true}), Some(json!(null)), Outcome::Deny),
        ("seen", json!("true"), Some(json!("true")), Outcome::Deny),
        ("seen", json!([true]), Some(json!([true])), Outcome::Deny),
    ] {
        let answer = ask(&world, rule, &input).await;
        let body = answer.json();
        assert_eq!((answer.status, body.get("result")), (StatusCode::OK, result.as_ref()), "{rule} {input}");
        let views = world.log.views();
        let view = views.last().unwrap();
        assert_eq!((body["decision_id"].as_str().unwrap(), view.outcome), (view.id.to_string().as_str(), outcome));
        let query = DataQuery { rule: format!("data.authz.{rule}"), input: Some(input) };
        assert_eq!(view.query, Some(query));
        assert_eq!(view.outcome == Outcome::Deny, !view.reasons.is_empty());
    }
}

#[tokio::test]
async fn a_path_that_is_not_listed_is_undefined_however_it_is_written() {
    let world = world();
    for path in [
        "authz/secret",
        "authz",
        "",
        "bans",
        "bans/users",
        "authz/allow/",
        "authz//allow",
        "authz/%61llow",
        "authz/allow;x",
        "vouchsafe/decision/",
        "vouchsafe/./decision",
        "vouchsafe/x/../decision",
        "vouchsafe%2Fdecision",
        "Vouchsafe/decision",
        "vouchsafe/decision/reasons",
        "vouchsafe.decision",
        "data.authz.allow",
        "authz/allow%00",
    ] {
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        let answer = world.post(&format!("/v1/data{path}"), EDGE, r#"{"input": {"user": "bob"}}"#).await;
        let body = answer.json();
        assert_eq!((answer.status, body.get("result")), (StatusCode::OK, None), "{path}");
        assert_eq!(body["warning"]["message"], "no rule of this path may be asked about");
        assert_eq!(world.log.views().last().unwrap().outcome, Outcome::Deny);
        let v0 = world.post(&format!("/v0/data{path}"), EDGE, "{}").await;
        assert_eq!(
            (v0.status, v0.json()["code"].clone()),
            (StatusCode::NOT_FOUND, "undefined_document".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_question_of_ours_in_a_document_is_joined_and_nothing_else_is() {
    let world = world();
    let joined = ask(&world, "seen", &json!({"mine": 1, "vouchsafe": question()})).await.json();
    let ours = &joined["result"]["vouchsafe"];
    assert_eq!(joined["result"]["mine"], 1);
    assert_eq!((&ours["device"]["score"], &ours["device"]["state"]), (&json!(79.5), &json!("active")));
    assert_eq!(ours["user"]["id"], "alice");
    assert_eq!(world.log.views()[0].question, good_ask(1));
    assert_eq!(ask(&world, "score", &json!({"vouchsafe": question()})).await.json()["result"], 79.5);

    let unknown = ask(&world, "seen", &json!({"vouchsafe": good_ask(2)})).await.json();
    assert_eq!(unknown["result"]["vouchsafe"]["device"], json!(null));

    let facts = json!({"id": good_ask(1).device, "score": 100, "state": "active"});
    for forged in [
        json!({"device": facts, "request": {"action": "read", "resource": "x"}}),
        json!({"device": null, "score": 100, "request": {"action": "read", "resource": "x"}}),
        json!({"now": "2030-01-01T00:00:00Z", "request": {"action": "read", "resource": "x"}}),
        json!(null),
    ] {
        let refused = ask(&world, "score", &json!({"vouchsafe": forged})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{forged}");
    }
    // Beside its place, a forgery is the caller's word and looks like nothing else.
    let beside = ask(&world, "score", &json!({"device": facts, "x": {"vouchsafe": {"device": facts}}})).await.json();
    assert_eq!(beside.get("result"), None);
}

#[tokio::test]
async fn what_a_point_is_not_registered_to_pass_on_is_refused_at_this_door() {
    let world = world();
    let body = json!({"input": question()}).to_string();
    let ours = json!({"input": {"vouchsafe": question()}}).to_string();
    for caller in [MUTE, STRANGER] {
        for (path, body) in [("vouchsafe/decision", &body), ("authz/seen", &ours)] {
            let refused = world.post(&format!("/v1/data/{path}"), caller, body).await;
            assert_eq!(
                (refused.status, refused.json()["code"].clone()),
                (StatusCode::FORBIDDEN, "unauthorized".into())
            );
        }
        // Its own document is its own word.
        assert_eq!(
            world.post("/v1/data/authz/allow", caller, r#"{"input": {"user": "bob"}}"#).await.status,
            StatusCode::OK
        );
    }
    let nobody = world.post("/v1/data/vouchsafe/decision", Caller::Nobody, &body).await;
    assert_eq!((nobody.status, nobody.json()["code"].clone()), (StatusCode::UNAUTHORIZED, "unauthorized".into()));
    assert_eq!(world.log.views().len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_in_opas_form_with_its_place() {
    let world = world();
    assert_snapshot!(world.post("/v1/data/authz/allow", EDGE, "{\n  \"input\": {\"a\": 1, \"a\": 2}}").await.body, @r#"
    {
      "code": "invalid_parameter",
      "message": "body contains malformed input document: the name \"a\" stands twice in one object",
      "errors": [
        {
          "code": "invalid_parameter",
          "message": "the name \"a\" stands twice in one object",
          "location": {
            "file": "input",
            "row": 2,
            "col": 23
          }
        }
      ]
    }
    "#);
    for body in ["{", "[]", "\"x\"", "{\"input\": 1e20}", "{\"input\": \"\\ud800\"}", "{} {}", "input: yes"] {
        let answer = world.post("/v1/data/authz/allow", EDGE, body).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::BAD_REQUEST, &"invalid_parameter".into()),
            "{body}"
        );
    }
    for (input, said) in [
        (json!({}), "input: missing field `request`"),
        (json!({"request": {"action": "", "resource": "x"}}), "input: request.action is empty"),
        (json!({"request": {"action": "a", "resource": "x"}, "score": 100}), "input: unknown field `score`"),
    ] {
        let answer = world.post("/v1/data/vouchsafe/decision", EDGE, &json!({"input": input}).to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.json()["message"].as_str().unwrap().starts_with(said), "{}", answer.body);
    }
    for body in ["", "{}", r#"{"other": 1}"#] {
        assert_eq!(
            world.post("/v1/data/vouchsafe/decision", EDGE, body).await.status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    assert!(world.log.views().is_empty());
}

#[tokio::test]
async fn bodies_and_documents_are_bounded_and_not_compressed() {
    let world = world();
    let of_length = |length: usize| format!(r#"{{"input": "{}"}}"#, "x".repeat(length - 2));
    assert_eq!(
        world.post("/v1/data/authz/seen", EDGE, &of_length(DataQuery::MAX_INPUT_LEN)).await.status,
        StatusCode::OK
    );
    let long = world.post("/v1/data/authz/seen", EDGE, &of_length(DataQuery::MAX_INPUT_LEN + 1)).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    let padded = |length: usize| format!("{{\"input\": 1{}}}", " ".repeat(length - "{\"input\": 1}".len()));
    assert_eq!(world.post("/v1/data/authz/seen", EDGE, &padded(DATA_BODY)).await.status, StatusCode::OK);
    assert_eq!(
        world.post("/v1/data/authz/seen", EDGE, &padded(DATA_BODY + 1)).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    for (name, value) in [("content-encoding", "gzip"), ("content-type", "application/x-yaml")] {
        let request = Request::post("/v1/data/authz/seen").header(name, value);
        assert_eq!(world.send(EDGE, request, "{}").await.status, StatusCode::BAD_REQUEST, "{name}");
    }
}

#[tokio::test]
async fn a_rule_that_fails_or_takes_too_long_is_an_error_and_a_deny_on_record() {
    let records = RecordTable::new();
    records.load([good_record(1)]);
    let data_api = DataApi {
        entry_points: ["data.authz.slow", "data.authz.fails", "data.authz.seen"]
            .map(|rule| rule.parse().unwrap())
            .to_vec(),
        danger_writable: Vec::new(),
    };
    let settings = EngineSettings { threads: 1, ..EngineSettings::default() };
    let world = World::new(PolicyEngine::with_data_api(&bundle(), Arc::new(records), settings, data_api).unwrap());
    for (rule, input, code) in
        [("slow", json!({}), "policy.timeout"), ("fails", json!({"a": 1, "b": 1}), "policy.error")]
    {
        let answer = ask(&world, rule, &input).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &"internal_error".into())
        );
        let view = world.log.views().pop().unwrap();
        assert_eq!((view.outcome, view.reasons[0].code.as_str()), (Outcome::Deny, code));
        assert!(!answer.body.contains("complete rule"), "{}", answer.body);
        // The one thread that there is goes on.
        assert_eq!(ask(&world, "seen", &json!(1)).await.json()["result"], 1);
    }
}

#[tokio::test]
async fn what_is_not_on_record_is_not_answered() {
    let records = RecordTable::new();
    records.load([good_record(1)]);
    let world = World::with_log(engine(records), MemoryLog { fails: true, ..MemoryLog::default() });
    let decision = json!({"input": question()}).to_string();
    for (path, body) in
        [("/v1/data/authz/allow", r#"{"input": {"user": "bob"}}"#), ("/v1/data/vouchsafe/decision", decision.as_str())]
    {
        let answer = world.post(path, EDGE, body).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::INTERNAL_SERVER_ERROR, &"internal_error".into())
        );
        assert!(!answer.body.contains("disk full") && !answer.body.contains("true"), "{}", answer.body);
    }
}

#[tokio::test]
async fn nothing_is_answered_while_the_devices_are_not_known() {
    let world = World::new(engine(RecordTable::new()));
    assert_eq!(ask(&world, "allow", &json!({"user": "bob"})).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(world.log.views()[0].reasons[0].code, "records.not_ready");
    for query in ["", "?bundles", "?plugins&exclude-plugin=x"] {
        let sick = world.send(Caller::Nobody, Request::get(format!("/health{query}")), "").await;
        assert_eq!(
            (sick.status, sick.json()),
            (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": "one or more bundles are not activated"}))
        );
    }
    world.doors.decider.engine.records().load([]);
    let well = world.send(Caller::Nobody, Request::get("/health?bundles=true&plugins"), "").await;
    assert_eq!((well.status, well.json()), (StatusCode::OK, json!({})));
}

#[tokio::test]
async fn measures_and_provenance_are_told_when_they_are_wanted() {
    let world = world();
    let with = |query: &str| {
        let path = format!("/v1/data/authz/seen?{query}");
        let world = &world;
        async move { world.post(&path, EDGE, r#"{"input": 1}"#).await }
    };
    let metrics = with("metrics").await.json();
    let names: Vec<_> = metrics["metrics"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "counter_server_query_cache_hit",
            "timer_rego_input_parse_ns",
            "timer_rego_query_eval_ns",
            "timer_server_handler_ns"
        ]
    );
    assert!(metrics["metrics"]["timer_rego_query_eval_ns"].as_u64().unwrap() > 0);
    assert!(with("instrument=true").await.json()["metrics"]["timer_vouchsafe_log_ns"].is_u64());
    let provenance = with("provenance=true").await.json();
    let revision = world.doors.decider.engine.policy().to_string();
    assert_eq!(provenance["provenance"]["bundles"], json!({"vouchsafe": {"revision": revision}}));
    let plain = with("").await;
    assert_eq!(plain.json().as_object().unwrap().len(), 2, "{}", plain.body);
    assert!(!plain.body.contains('\n') && with("pretty").await.body.contains("\n  \"result\": 1"));
}

#[tokio::test]
async fn explanations_tell_lines_and_what_was_printed() {
    let world = world();
    let explained = |rule: &'static str, query: &'static str| {
        let world = &world;
        let input = json!({"user": "eve", "vouchsafe": question()});
        async move {
            let path = format!("/v1/data/{rule}?{query}");
            let input = if rule == "vouchsafe/decision" { question() } else { input };
            world.post(&path, EDGE, &json!({"input": input}).to_string()).await.json()
        }
    };
    let full = explained("authz/noted", "explain=full&pretty").await;
    assert_eq!(full.get("result"), None);
    assert_snapshot!(serde_json::to_string_pretty(&full["explanation"]).unwrap(), @r#"
    [
      "rules.rego:30    | Eval print(\"asked by\", input.user)",
      "rules.rego:31    | Eval input.user in data.bans.users",
      "rules.rego:32    | Eval input.vouchsafe.device.state == \"lost\"",
      "rules.rego:33    | Skip input.request",
      "Note rules.rego:30: asked by eve"
    ]
    "#);
    let notes = explained("authz/noted", "explain=notes").await;
    let note =
        json!({"op": "note", "query_id": 0, "parent_id": 0, "locals": [], "message": "rules.rego:30: asked by eve"});
    assert_eq!(notes["explanation"], json!([note]));
    let fails = explained("authz/noted", "explain=fails").await;
    let ops: Vec<_> = fails["explanation"].as_array().unwrap().iter().map(|event| &event["op"]).collect();
    assert_eq!(ops, ["skip", "note"]);
    let decision = explained("vouchsafe/decision", "explain=full").await;
    assert_eq!(decision["explanation"][0]["location"], json!({"file": "decision.rego", "row": 3, "col": 1}));
    assert_eq!(explained("authz/noted", "explain=off").await.get("explanation"), None);
    assert_eq!(explained("authz/noted", "explain=all").await["code"], "invalid_parameter");
}

#[tokio::test]
async fn what_would_bring_a_query_or_a_policy_along_is_not_served() {
    let world = world();
    for (method, path) in [
        ("POST", "/v1/query"),
        ("GET", "/v1/query?q=data"),
        ("POST", "/v1/compile"),
        ("POST", "/v1/compile/a/b"),
        ("GET", "/v1/policies"),
        ("PUT", "/v1/policies/x"),
        ("DELETE", "/v1/policies/x/y"),
        ("GET", "/v1/config"),
    ] {
        let send = |caller| {
            let request = Request::builder().method(method).uri(path);
            world.send(caller, request, r#"{"query": "data.authz.secret = x"}"#)
        };
        let answer = send(OPERATOR).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::NOT_FOUND, &"resource_not_found".into()),
            "{method} {path}"
        );
        assert_eq!(send(Caller::Nobody).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

async fn change(world: &World, method: &str, path: &str, caller: Caller, body: &str) -> StatusCode {
    world.send(caller, Request::builder().method(method).uri(format!("/v1/data/{path}")), body).await.status
}

#[tokio::test]
async fn what_operators_write_decides_from_the_next_question_on() {
    let world = world();
    let policy = || world.doors.decider.engine.policy();
    let allowed = || async { ask(&world, "allow", &json!({"user": "bob"})).await.json().get("result").is_some() };
    let before: Sha256Digest = policy();
    assert!(allowed().await);
    assert_eq!(change(&world, "PUT", "bans/users", OPERATOR, r#"["bob"]"#).await, StatusCode::NO_CONTENT);
    assert!(!allowed().await);
    let patch = r#"[{"op": "add", "path": "/-", "value": "carol"}, {"op": "remove", "path": "/0"}]"#;
    assert_eq!(change(&world, "PATCH", "bans/users", OPERATOR, patch).await, StatusCode::NO_CONTENT);
    assert!(allowed().await);
    assert_ne!(policy(), before, "another policy, under a name of its own");
    assert_eq!(world.log.views()[0].policy, before);
    assert_eq!(world.log.views()[2].policy, policy());
    assert_eq!(change(&world, "DELETE", "bans/users", OPERATOR, "").await, StatusCode::NO_CONTENT);
    assert_eq!(change(&world, "DELETE", "bans/users", OPERATOR, "").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_else_writes_nor_anywhere_else() {
    let world = world();
    let before = world.doors.decider.engine.policy();
    for (caller, status) in
        [(Caller::Nobody, StatusCode::UNAUTHORIZED), (EDGE, StatusCode::FORBIDDEN), (STRANGER, StatusCode::FORBIDDEN)]
    {
        for method in ["PUT", "PATCH", "DELETE"] {
            assert_eq!(change(&world, method, "bans/users", caller, "[]").await, status, "{method} {caller:?}");
        }
    }
    for (path, status) in [
        ("vouchsafe/decision", StatusCode::NOT_FOUND),
        ("authz", StatusCode::NOT_FOUND),
        ("ban%73x", StatusCode::NOT_FOUND),
        ("bans/../authz", StatusCode::BAD_REQUEST),
        ("bans//users", StatusCode::BAD_REQUEST),
        ("bans%2Fusers", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(change(&world, "PUT", path, OPERATOR, "[]").await, status, "{path}");
    }
    for body in ["", "{", r#"{"a": 1, "a": 2}"#] {
        assert_eq!(change(&world, "PUT", "bans/users", OPERATOR, body).await, StatusCode::BAD_REQUEST, "{body}");
    }
    for body in ["{}", r#"[{"op": "test", "path": "/0", "value": "eve"}]"#, r#"[{"op": "move", "path": "/0"}]"#] {
        assert_eq!(change(&world, "PATCH", "bans/users", OPERATOR, body).await, StatusCode::BAD_REQUEST, "{body}");
    }
    let request = Request::put("/v1/data/bans/users").header("if-none-match", "*");
    assert_eq!(world.send(OPERATOR, request, "[]").await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(world.doors.decider.engine.policy(), before);
    let closed = World::new(default_engine());
    assert_eq!(change(&closed, "PUT", "thresholds/minimum_score", OPERATOR, "0").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_written_stays_over_the_next_bundle() {
    let world = world();
    assert_eq!(change(&world, "PUT", "bans/users", OPERATOR, r#"["bob"]"#).await, StatusCode::NO_CONTENT);
    world.doors.decider.engine.activate(&bundle()).unwrap();
    assert_eq!(ask(&world, "allow", &json!({"user": "bob"})).await.json().get("result"), None);
}

#[test]
fn a_rule_that_is_listed_and_not_there_is_refused() {
    let data_api = DataApi { entry_points: vec!["data.authz.absent".parse().unwrap()], ..DataApi::default() };
    let records = Arc::new(RecordTable::new());
    let engine = PolicyEngine::with_data_api(&default_bundle().unwrap(), records, EngineSettings::default(), data_api);
    let error = engine.err().unwrap();
    assert_eq!(error.to_string(), "no policy defines data.authz.absent, which the settings list as an entry point");
}
