//! Operators' commands against a server: what is asked, what is shown, and how failures are told.

use std::net::TcpListener;

use crate::engine::{Engine, init};
use crate::support::{Ran, run_in};

const DEVICE: &str = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf";

fn problem(status: u16, code: &str, title: &str, detail: &str) -> (u16, String) {
    let kind = format!("urn:vouchsafe:problem:{code}");
    let problem = serde_json::json!({
        "type": kind, "title": title, "status": status, "detail": detail, "instance": "req-1", "code": code
    });
    (status, problem.to_string())
}

fn decision(outcome: &str) -> String {
    serde_json::json!({
        "id": "0190163d-8694-739b-aea5-966c26f8ad91", "decided_at": "2026-01-31T12:00:00.000Z", "outcome": outcome,
        "reasons": [{"code": "device.pcr_mismatch", "message": "PCR 4 does not have the value of the golden image."}],
        "device": DEVICE, "score": null, "policy": "ab".repeat(32)
    })
    .to_string()
}

fn ask(engine: &Engine, more: &[&str]) -> Ran {
    let fixed = ["decision", "ask", "--device", DEVICE, "--action", "read", "--resource", "db:orders"];
    engine.run(&[&fixed[..], more].concat())
}

#[test]
fn a_decision_is_the_first_line_and_the_exit_code() {
    let engine = Engine::answering(|_, body| {
        let is_encrypted = body.contains("\"encrypted\":true");
        (200, decision(if is_encrypted { "allow" } else { "deny" }))
    });
    let allow = ask(&engine, &["--flow", "authenticated,encrypted"]);
    assert_eq!((allow.code, allow.stdout.lines().next()), (0, Some("decision: allow")), "{}", allow.stderr);
    let deny = ask(&engine, &["--user", "alice", "--role", "sales", "--app", "crm"]);
    assert_eq!((deny.code, deny.stdout.lines().next()), (3, Some("decision: deny")), "{}", deny.stderr);
    assert!(deny.stdout.contains("device.pcr_mismatch: PCR 4 does not have the value"), "{}", deny.stdout);
    let json = ask(&engine, &["--format", "json"]);
    assert_eq!(json.code, 3);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["outcome"], "deny");
    insta::assert_snapshot!(engine.asked().join("\n"));
}

#[test]
fn a_decision_that_is_neither_is_an_error_and_no_decision() {
    let engine = Engine::answering(|_, _| (200, decision("perhaps")));
    let ran = ask(&engine, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("cannot be understood"), "{}", ran.stderr);
    let engine = Engine::answering(|_, _| problem(503, "engine.stale", "The records are too old", "by 40 s"));
    let ran = ask(&engine, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
}

#[test]
fn a_device_is_named_by_the_beginning_of_its_id() {
    let engine = Engine::answering(|line, _| match line {
        "GET /v1/devices/uws2" => problem(404, "operate.not_found", "There is no such device", "uws2"),
        _ => (200, "[]".into()),
    });
    let ran = engine.run(&["decision", "ask", "--device", "uws2", "--action", "read", "--resource", "x"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.stderr, @r"
    error: There is no such device: uws2 (operate.not_found)
    hint: list what there is: vouchsafe device list, image list or token list
    ");
    assert_eq!(engine.asked(), ["GET /v1/devices/uws2"]);
}

#[test]
fn lists_are_read_page_by_page_up_to_the_limit() {
    let image = |number: &str| {
        serde_json::json!({
            "id": format!("web@{number}"), "created_at": "2026-01-31T12:00:00Z",
            "reference": {"banks": [{"bank": "sha256", "values": {"0": "00"}}], "ignored": []}, "retired_at": null
        })
    };
    let engine = Engine::answering(move |line, _| {
        let page = match line {
            "GET /v1/images?limit=500" => serde_json::json!({"items": [image("1"), image("2")], "next": "web@2"}),
            "GET /v1/images?limit=498&after=web%402" => serde_json::json!({"items": [image("3")]}),
            "GET /v1/images?limit=1" => serde_json::json!({"items": [image("1")], "next": "web@1"}),
            _ => return problem(400, "request.bad", "Not expected", line),
        };
        (200, page.to_string())
    });
    let ran = engine.run(&["image", "list", "--format", "json", "--limit", "500"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&ran.stdout).unwrap().len(), 3);
    let ran = engine.run(&["image", "list", "--limit", "1"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "note: there are more than 1 rows; --limit asks for more\n"));
}

#[test]
fn a_list_whose_pages_go_in_a_circle_ends() {
    let engine = Engine::answering(|_, _| (200, r#"{"items": [], "next": "here"}"#.into()));
    let ran = engine.run(&["image", "list"]);
    assert_eq!(ran.code, 0);
    assert_eq!(engine.asked().len(), 2);
}

fn created_token() -> (u16, String) {
    let token = serde_json::json!({
        "id": "0190163d-8694-739b-aea5-966c26f8ad91",
        "join": {
            "enrol_url": "https://localhost:8441", "attest_url": "https://localhost:8443", "trust_bundle_pem": "…",
            "token": "vs1-0123456789abcdef", "expires_at": "2999-01-01T00:00:00Z"
        }
    });
    (201, token.to_string())
}

#[test]
fn a_join_file_is_private_and_never_shown() {
    use std::os::unix::fs::MetadataExt as _;
    let engine = Engine::answering(|_, _| created_token());
    let ran =
        engine.run(&["token", "create", "--ttl", "2days", "--uses", "5", "--image", "web@1", "--out", "join.json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(!ran.stdout.contains("vs1-"), "{}", ran.stdout);
    let file = engine.dir.path().join("join.json");
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    assert!(std::fs::read_to_string(&file).unwrap().contains("vs1-0123456789abcdef"));
    let body = r#"{"label":"","ttl_secs":172800,"max_uses":5,"image":"web@1","danger_sha1":false}"#;
    assert_eq!(engine.asked(), [format!("POST /v1/tokens {body}")]);

    let ran = engine.run(&["token", "create", "--out", "join.json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.ends_with("hint: name another file, or remove this one; no token was made\n"), "{}", ran.stderr);
    let ran = engine.run(&["token", "create", "--out", "no/such/folder/join.json"]);
    assert_eq!(ran.code, 1);
    assert_eq!(engine.asked().len(), 1, "nobody made a token whose secret has no place to go");
}

#[test]
fn a_join_file_goes_into_a_pipe() {
    let engine = Engine::answering(|_, _| created_token());
    let ran = engine.run(&["token", "create"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let join: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(join["token"], "vs1-0123456789abcdef");
    assert!(ran.stderr.contains("vouchsafe token revoke 0190163d-8694-739b-aea5-966c26f8ad91"), "{}", ran.stderr);
}

#[test]
fn a_join_file_is_not_written_to_a_terminal() {
    // `script` gives its child a terminal; it is part of every Debian.
    let engine = Engine::answering(|_, _| created_token());
    let line = format!("{} token create --dir engine", env!("CARGO_BIN_EXE_vouchsafe"));
    let ran = std::process::Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(engine.dir.path())
        .stdin(std::process::Stdio::null())
        .output();
    let Ok(ran) = ran else {
        println!("skipped: `script`, which gives a program a terminal, is not there");
        return;
    };
    let text = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{text}");
    assert!(text.contains("a join file holds a secret, which is not shown on a screen"), "{text}");
    assert_eq!(engine.asked(), Vec::<String>::new());
}

#[test]
fn a_credential_is_asked_for_with_a_key_that_stays_here() {
    let engine = Engine::answering(|_, _| {
        let issued = serde_json::json!({
            "chain_pem": "chain\n", "trust_bundle_pem": "roots\n", "expires_at": "2999-01-01T00:00:00Z"
        });
        (200, issued.to_string())
    });
    let line = ["credential", "issue", "--role", "enforcement", "--name", "edge-1", "--out", "edge", "--ttl", "7days"];
    let ran = engine.run(&line);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let asked = engine.asked().join("\n");
    assert!(
        asked.contains(r#""role":"enforcement","name":"edge-1""#) && asked.contains(r#""ttl_secs":604800"#),
        "{asked}"
    );
    let key = std::fs::read_to_string(engine.dir.path().join("edge/enforcement.key")).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "{key}");
    assert!(!engine.dir.path().join("edge/operator.toml").exists());
}

#[test]
fn every_command_asks_what_it_should() {
    let engine = Engine::answering(|_, _| problem(418, "test.teapot", "Nothing is answered here", ""));
    for line in [
        "device list --state revoked --image web@1 --limit 7",
        "device show uws2",
        "device result uws2 --nonce 0011223344556677",
        "device trust uws2 --at 2026-01-31T12:00:00Z --threshold 62.5 --span 1h",
        "device assign uws2 --image web@1",
        "device assign uws2 --none",
        "device revoke uws2 --reason stolen",
        "device restore uws2",
        "image capture --device uws2ljnfuws2ljnfuws2ljnfuws2ljnf --name web --version 1+b --ignore 1,5 --assign",
        "image show web@1+b",
        "image retire web@1",
        "token list --limit 3",
        "token revoke 0190163d-8694-739b-aea5-966c26f8ad91",
    ] {
        let ran = engine.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.starts_with("error: Nothing is answered here"), "{}", ran.stderr);
    }
    insta::assert_snapshot!(engine.asked().join("\n"));
}

#[test]
fn a_server_that_is_not_there_is_asked_about() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = init(port);
    let ran = run_in(dir.path(), ["device", "list", "--dir", "engine"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.stderr.replace(&port.to_string(), "PORT"), @r"
    error: cannot reach the server at https://localhost:PORT: Connection refused (os error 111)
    hint: is `vouchsafe serve` running at https://localhost:PORT?
    ");
}

#[test]
fn a_server_of_another_authority_is_not_believed() {
    let engine = Engine::answering(|_, _| (200, "[]".into()));
    let stranger = init(8443);
    let bundle = std::fs::read(stranger.path().join("engine/trust-bundle.pem")).unwrap();
    let ours = engine.dir.path().join("engine/trust-bundle.pem");
    std::fs::write(ours, bundle).unwrap();
    let ran = engine.run(&["device", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("is not vouched for by the profile's trust bundle"), "{}", ran.stderr);
    assert_eq!(engine.asked(), Vec::<String>::new(), "nothing was told to a stranger");
}

#[test]
fn a_server_under_another_name_is_not_believed() {
    let engine = Engine::answering(|_, _| (200, "[]".into()));
    let profile = engine.dir.path().join("engine/operator.toml");
    let text = std::fs::read_to_string(&profile).unwrap().replace("localhost", "127.0.0.1");
    std::fs::write(&profile, text).unwrap();
    let ran = engine.run(&["device", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("\nhint: the server's certificate is for another name"), "{}", ran.stderr);
}

#[test]
fn an_operator_of_another_authority_is_told_so() {
    let engine = Engine::answering(|_, _| (200, "[]".into()));
    let stranger = init(8443);
    for name in ["operator.key", "operator.crt"] {
        let theirs = std::fs::read(stranger.path().join("engine").join(name)).unwrap();
        std::fs::write(engine.dir.path().join("engine").join(name), theirs).unwrap();
    }
    let ran = engine.run(&["device", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("hint: the server does not accept the operator's certificate"), "{}", ran.stderr);
}

#[test]
fn a_profile_whose_files_are_unusable_is_told_before_anything_is_sent() {
    use std::os::unix::fs::PermissionsExt as _;
    let engine = Engine::answering(|_, _| (200, "[]".into()));
    let dir = engine.dir.path().join("engine");
    let told = |error: &str| {
        let ran = engine.run(&["device", "list"]);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(error), "{} does not say: {error}", ran.stderr);
    };
    std::fs::set_permissions(dir.join("operator.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    told("is open to group or others (mode 644)");
    std::fs::set_permissions(dir.join("operator.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::copy(dir.join("server.key"), dir.join("operator.key")).unwrap();
    told("do not belong together");
    std::fs::write(dir.join("operator.crt"), "nothing").unwrap();
    told("operator.crt holds no certificates");
    std::fs::remove_file(dir.join("trust-bundle.pem")).unwrap();
    told("trust-bundle.pem: No such file");
    assert_eq!(engine.asked(), Vec::<String>::new());
}
