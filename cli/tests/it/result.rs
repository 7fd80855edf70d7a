//! Attestation results: fetched from a server, verified without one, and a server that signs them (threat 33).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use vouchsafe_http::{Clock as _, SystemClock};
use vouchsafe_model::{AttestationId, Coverage, DeviceId, EndorsementGrade, Finding, FindingCode, Verdict};
use vouchsafe_pki::LocalKey;
use vouchsafe_trust_engine::result::claims::Concluded;
use vouchsafe_trust_engine::result::{EarClaims, ResultKeys, ResultNonce};

use crate::engine::{Engine, init};
use crate::support::{Ran, command, run_in};

const DEVICE: &str = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf";
const NONCE: &str = "00112233445566778899";

/// An engine's claims about a verdict that was reached just now.
fn claims(code: Option<FindingCode>, age_secs: u64) -> EarClaims {
    let now = SystemClock.now();
    let at = now.minus(Duration::from_secs(age_secs));
    let coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: false };
    let findings = code.into_iter().map(Finding::new).collect();
    let verdict =
        Verdict::new(AttestationId::new(at, &[1; 10]), at, at, Some("web@1".parse().unwrap()), coverage, findings);
    let nonce: ResultNonce = NONCE.parse().unwrap();
    let concluded = Concluded {
        trust_domain: &"example.org".parse().unwrap(),
        device: DEVICE.parse::<DeviceId>().unwrap(),
        verdict: &verdict,
        vetoes: &[],
        max_age: Duration::from_secs(900),
        token_id: [7; 16],
        nonce: Some(&nonce),
    };
    concluded.claims(at).unwrap()
}

fn new_keys() -> Arc<ResultKeys> {
    Arc::new(ResultKeys::new(LocalKey::generate().unwrap(), &[]).unwrap())
}

fn key_set(keys: &ResultKeys) -> String {
    serde_json::to_string(keys.published()).unwrap()
}

/// Runs `verify result` on a token and a set of keys.
fn verify(token: &str, keys: &str, more: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("result.jwt"), token).unwrap();
    std::fs::write(dir.path().join("keys.json"), keys).unwrap();
    let fixed = ["verify", "result", "result.jwt", "--keys", "keys.json"];
    run_in(dir.path(), fixed.iter().chain(more))
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_result_is_verified_without_a_server() {
    let keys = new_keys();
    let token = keys.sign(&claims(None, 5)).unwrap();
    let ran = verify(&format!("{token}\n"), &key_set(&keys), &["--nonce", NONCE]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("authentic: yes\n\ndevice"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  executables            3  affirming\n"), "{}", ran.stdout);

    let ran = verify(&token, &key_set(&keys), &["--format", "json"]);
    let report = json_of(&ran);
    assert_eq!((ran.code, &report["authentic"], &report["nonce"]), (0, &json!(true), &json!("not_given")));
    assert_eq!(report["claims"]["ear_status"], "affirming");

    let contraindicated = keys.sign(&claims(Some(FindingCode::PcrMismatch), 5)).unwrap();
    let ran = verify(&contraindicated, &key_set(&keys), &[]);
    assert_eq!(ran.code, 0, "what it says is another question than whether it is authentic");
    assert!(ran.stdout.contains("\nstatus      contraindicated\n"), "{}", ran.stdout);
}

/// A token under a header of the attacker's choice, with no signature that means anything.
fn forged(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", BASE64URL_NOPAD.encode(header.to_string().as_bytes()))
}

#[test]
fn what_is_not_authentic_exits_2_and_says_why() {
    let (keys, other) = (new_keys(), new_keys());
    let token = keys.sign(&claims(None, 5)).unwrap();
    let header = |alg: &str| json!({"alg": alg, "kid": keys.key_id(), "typ": "eat+jwt"});
    let with = |name: &str, value: Value| {
        let mut header = header("ES256");
        header[name] = value;
        header
    };
    let jwk = serde_json::to_value(&other.published().keys[0]).unwrap();
    let old = keys.sign(&claims(None, 901)).unwrap();
    let stranger = other.sign(&claims(None, 5)).unwrap();
    let cases = [
        (forged(&token, &header("none")), "token.alg_none"),
        (forged(&token, &header("HS256")), "token.alg_symmetric"),
        (forged(&token, &header("RS256")), "token.alg_not_accepted"),
        (forged(&token, &with("jwk", jwk)), "token.embedded_key"),
        (forged(&token, &with("jku", json!("https://attacker.example"))), "token.embedded_key"),
        (forged(&token, &with("x5u", json!("https://attacker.example"))), "token.embedded_key"),
        (forged(&token, &with("kid", json!("../../etc/passwd"))), "token.key_unknown"),
        (forged(&token, &with("typ", json!("JWT"))), "token.wrong_type"),
        (forged(&token, &with("cty", json!("x"))), "token.bad_signature"),
        (stranger, "token.key_unknown"),
        (old, "token.expired"),
    ];
    for (token, code) in cases {
        let ran = verify(&token, &key_set(&keys), &["--format", "json"]);
        let report = json_of(&ran);
        assert_eq!((ran.code, &report["authentic"]), (2, &json!(false)), "{code}");
        assert_eq!((&report["reason"]["code"], &report["claims"]), (&json!(code), &Value::Null));
    }
    let ran = verify(&token, &key_set(&keys), &["--nonce", "ffeeddccbbaa9988"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stdout, @r"
    authentic: no
    reason: it has another nonce: it is the answer to another question, or an old one (token.wrong_nonce)
    ");
}

#[test]
fn unusable_files_exit_1_and_say_what_is_wrong() {
    let keys = new_keys();
    let token = keys.sign(&claims(None, 5)).unwrap();
    let set = key_set(&keys);
    for (token, set, told) in [
        ("", set.as_str(), "error: result.jwt is no attestation result: a token is three parts"),
        ("a.b.c", &set, "error: result.jwt is no attestation result: the header is no base64url"),
        (
            "e30.e30.e30",
            &set,
            "error: result.jwt is no attestation result: the header is malformed: missing field `alg`",
        ),
        (&token, "{}", "error: cannot use the keys keys.json: it is no JSON Web Key Set"),
        (&token, r#"{"keys":[]}"#, "error: cannot use the keys keys.json: none of its 0 keys"),
    ] {
        let ran = verify(token, set, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{told}");
        assert!(ran.stderr.starts_with(told) && ran.stderr.contains("\nhint: "), "{told}: {}", ran.stderr);
    }
    let ran = run_in(Path::new("/"), ["verify", "result", "nowhere.jwt", "--keys", "nowhere.json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: cannot use the keys: cannot read nowhere.json: "), "{}", ran.stderr);
}

#[test]
fn a_result_is_fetched_and_shown_after_it_was_verified() {
    let keys = new_keys();
    let token = keys.sign(&claims(Some(FindingCode::WeakBank), 5)).unwrap();
    let (set, served) = (key_set(&keys), token.clone());
    let engine = Engine::answering(move |line, _| match line {
        "GET /v1/result-keys" => (200, set.clone()),
        _ => (200, served.clone()),
    });
    let ran = engine.run(&["device", "result", "uws2", "--nonce", NONCE]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("\n    warning: pcr.weak_bank\n      advice"), "{}", ran.stdout);
    let ran = engine.run(&["device", "result", "uws2", "--format", "json"]);
    assert_eq!(json_of(&ran)["sub"], format!("spiffe://example.org/device/{DEVICE}"));
    let ran = engine.run(&["device", "result", "uws2", "--format", "jwt"]);
    assert_eq!(ran.stdout, format!("{token}\n"));
    assert_eq!(
        engine.asked()[..2],
        [format!("GET /v1/devices/uws2/result?nonce={NONCE}"), "GET /v1/result-keys".into()]
    );

    let ran = engine.run(&["device", "result", "uws2", "--nonce", "ffeeddccbbaa9988"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "the answer to another question is not shown");
    assert!(ran.stderr.contains("does not verify: it has another nonce"), "{}", ran.stderr);
}

/// A server that is ended when the test is.
struct Server {
    child: Child,
    dir: tempfile::TempDir,
    ops: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts the real one in a folder, on ports that were free a moment ago.
    fn start(dir: tempfile::TempDir) -> Self {
        let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut serve = command();
        for (door, port) in ["ENROL", "API", "OPS"].into_iter().zip(&ports) {
            serve.env(format!("VOUCHSAFE_SERVER_LISTEN__{door}"), format!("127.0.0.1:{port}"));
        }
        let serve = serve.args(["serve", "--dir", "engine"]).current_dir(dir.path());
        let child = serve.stdout(log.try_clone().unwrap()).stderr(Stdio::from(log)).spawn().unwrap();
        Self { child, dir, ops: ports[2] }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// The body of an answer of the door for this machine, which opens within half a minute.
    fn get(&self, path: &str) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", self.ops)) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => panic!("{error}: {}", self.log()),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn key_ids(&self) -> Vec<String> {
        let set: Value = serde_json::from_str(&self.get("/v1/result-keys")).unwrap();
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends it, as a power failure does.
    fn stop(mut self) -> tempfile::TempDir {
        drop(self.child.kill());
        drop(self.child.wait());
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

#[test]
fn a_server_publishes_the_key_that_init_made_makes_one_where_there_is_none_and_keeps_the_former() {
    let dir = init(8443);
    let key = dir.path().join("engine/result.key");
    let made_by_init = ResultKeys::new(LocalKey::read(&key).unwrap(), &[]).unwrap().key_id().to_owned();
    let server = Server::start(dir);
    assert_eq!(server.key_ids(), std::slice::from_ref(&made_by_init));
    assert!(!server.log().contains("one was made"), "{}", server.log());
    assert!(server.get("/openapi.json").contains("/v1/devices/{device}/result"));

    // The exchange of a key, as docs/results.md tells it; a folder of an older server has no key either.
    let dir = server.stop();
    let key = dir.path().join("engine/result.key");
    std::fs::rename(&key, dir.path().join("engine/result.previous.key")).unwrap();
    let server = Server::start(dir);
    let ids = server.key_ids();
    assert_eq!((ids.len(), &ids[1]), (2, &made_by_init), "the former key is still published");
    assert!(server.log().contains("there was no key for attestation results; one was made"), "{}", server.log());
    let key = server.dir.path().join("engine/result.key");
    assert_eq!(key.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(ResultKeys::new(LocalKey::read(&key).unwrap(), &[]).unwrap().key_id(), ids[0]);
}

#[test]
fn a_server_with_a_key_of_another_kind_says_so_and_does_not_start() {
    let dir = init(8443);
    let p384 = LocalKey::generate_for(vouchsafe_pki::KeyAlgorithm::P384).unwrap();
    std::fs::write(dir.path().join("engine/result.key"), p384.to_pkcs8_pem().as_bytes()).unwrap();
    let ran = run_in(dir.path(), ["serve", "--dir", "engine"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("result.key is no P-256 key (ES256)"), "{}", ran.stderr);
}
