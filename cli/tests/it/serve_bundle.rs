//! A server whose policy comes as a signed bundle over HTTPS: what is good decides, what is not changes nothing, and when the
//! source is away for too long everything is denied.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_util::sync::CancellationToken;
use vouchsafe_http::{ConnectionLimits, ServerIdentity, ServerTls, SystemClock, TlsError, serve};
use vouchsafe_pki::LocalKey;

use crate::server::{Server, until};
use crate::support::run_in;

/// What a server of bundles has, and was asked.
#[derive(Default)]
struct Shelf {
    bundle: Vec<u8>,
    etag: String,
    is_away: bool,
    not_modified: usize,
    waited: usize,
    without_token: usize,
}

/// A server of bundles.
struct Bundles {
    shelf: Arc<Mutex<Shelf>>,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, headers: HeaderMap) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let tag = header("if-none-match");
    let wait = header("prefer").split("wait=").nth(1).and_then(|wait| wait.parse().ok()).unwrap_or(0_u32);
    let kind = ("content-type", "application/vnd.openpolicyagent.bundles");
    shelf.lock().unwrap().without_token += usize::from(header("authorization") != "Bearer secret");
    for round in 0..=wait * 10 {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut shelf = shelf.lock().unwrap();
        if shelf.is_away {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if tag != shelf.etag {
            shelf.waited += usize::from(round > 0);
            return ([("etag", shelf.etag.clone()), (kind.0, kind.1.to_owned())], shelf.bundle.clone()).into_response();
        }
    }
    shelf.lock().unwrap().not_modified += 1;
    (StatusCode::NOT_MODIFIED, [kind]).into_response()
}

impl Bundles {
    /// With the certificate of this server, which is for localhost.
    fn start(server: &Server) -> Self {
        Self::start_with(server, |identity, _| ServerTls::server_only(identity))
    }

    /// One that lets nobody in without a certificate of this server's authority.
    fn start_mutual(server: &Server) -> Self {
        Self::start_with(server, |identity, root| {
            ServerTls::mutual(identity, "test.example".parse().unwrap(), &[root], Arc::new(SystemClock))
        })
    }

    fn start_with(server: &Server, tls: impl FnOnce(ServerIdentity, Vec<u8>) -> Result<ServerTls, TlsError>) -> Self {
        let root = CertificateDer::from_pem_file(server.path("trust-bundle.pem")).unwrap().to_vec();
        let chain = CertificateDer::pem_file_iter(server.path("server.crt")).unwrap();
        let chain = chain.map(|certificate| certificate.unwrap().to_vec()).collect();
        let identity = ServerIdentity::new(chain, &LocalKey::read(&server.path("server.key")).unwrap()).unwrap();
        let tls = tls(identity, root).unwrap();
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let router = Router::new().route("/p.tar.gz", get(answer)).with_state(shelf.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            serve(listener, Some(tls), router, &ConnectionLimits::default(), CancellationToken::new()).await
        });
        Self { shelf, port, _runtime: runtime }
    }

    fn put(&self, bundle: Vec<u8>, etag: &str) {
        let mut on = self.shelf.lock().unwrap();
        on.bundle = bundle;
        etag.clone_into(&mut on.etag);
    }

    fn set_away(&self, is_away: bool) {
        self.shelf.lock().unwrap().is_away = is_away;
    }
}

const ALLOW: &str = "decision := {\"allow\": true}";

fn deny(code: &str) -> String {
    format!("decision := {{\"allow\": false, \"reasons\": [{{\"code\": \"{code}\", \"message\": \"Closed.\"}}]}}")
}

/// A server that takes its policy from there, with these lines more in its settings.
fn world(more: &str) -> (Server, Bundles) {
    let server = Server::init("");
    let bundles = Bundles::start(&server);
    take_from(&server, &bundles, "trust-bundle.pem", more);
    (server, bundles)
}

/// Has a server take its policy from there, if there is one of these authorities.
fn take_from(server: &Server, bundles: &Bundles, ca_file: &str, more: &str) {
    vouchsafe_pki::files::write_private_file(&server.path("bundles.token"), b"secret\n").unwrap();
    assert_eq!(run_in(&server.path(""), ["policy", "keygen", "policy.key"]).code, 0);
    let url = format!("https://localhost:{}/p.tar.gz", bundles.port);
    let more = format!("url = \"{url}\"\nca_file = \"{ca_file}\"\ntoken_file = \"bundles.token\"\n{more}");
    set(server, &more);
}

/// Adds settings of bundles that this key signs.
fn set(server: &Server, more: &str) {
    let text = fs::read_to_string(server.path("vouchsafe.toml")).unwrap();
    let keys = "keys = [{ id = \"policy\", file = \"policy.key.pub\" }]";
    let settings = format!("{text}\n[policy.bundle]\n{keys}\npoll_secs = 1\n{more}\n");
    fs::write(server.path("vouchsafe.toml"), settings).unwrap();
}

/// A bundle that decides so.
fn packed(server: &Server, revision: &str, decision: &str, more: &[&str]) -> Vec<u8> {
    server.write_policy(decision, "");
    let fixed = ["policy", "bundle", "policies", "--output", "p.tar.gz", "--revision", revision];
    let ran = run_in(&server.path(""), fixed.iter().chain(more));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    fs::read(server.path("p.tar.gz")).unwrap()
}

const SIGNED: [&str; 2] = ["--key", "policy.key"];

fn until_decides(server: &Server, outcome: &str, code: Option<&str>) {
    let expected = (outcome.to_owned(), code.map(str::to_owned).into_iter().collect::<Vec<_>>());
    assert!(until(|| server.decide("db:orders") == expected), "{expected:?}:\n{}", server.log());
}

#[test]
fn what_is_new_and_signed_decides_and_whatever_else_comes_changes_nothing() {
    let (mut server, bundles) = world("");
    bundles.put(packed(&server, "5", ALLOW, &SIGNED), "five");
    server.start();
    until_decides(&server, "allow", None);
    assert!(until(|| bundles.shelf.lock().unwrap().not_modified > 0), "the tag is sent, and there is nothing new");

    bundles.put(packed(&server, "6", &deny("six"), &SIGNED), "six");
    until_decides(&server, "deny", Some("six"));

    let mut tampered = packed(&server, "7", ALLOW, &SIGNED);
    let middle = tampered.len() / 2;
    tampered[middle] ^= 1;
    let ended = [SIGNED.as_slice(), &["--expires-at", "2020-01-01T00:00:00Z"]].concat();
    for (number, (what, bundle)) in [
        ("no tar archive", tampered),
        ("it is not signed", packed(&server, "7", ALLOW, &[])),
        ("revision 6 was in charge before", packed(&server, "5", ALLOW, &SIGNED)),
        ("another one than the one of revision 6", packed(&server, "6", ALLOW, &SIGNED)),
        ("the bundle counts no more", packed(&server, "7", ALLOW, &ended)),
        ("rule.recursion", packed(&server, "7", "decision := {\"allow\": x}\n\nx if x", &SIGNED)),
        ("is larger than", vec![0; vouchsafe_policies::limits::ARCHIVE_BYTES + 1]),
    ]
    .into_iter()
    .enumerate()
    {
        bundles.put(bundle, &format!("bad-{number}"));
        if number > 0 {
            server.until_logged(what, 1);
        } else {
            server.until_logged("the policy before stays in charge", 1);
        }
        assert_eq!(server.decide("db:orders"), ("deny".to_owned(), vec!["six".to_owned()]), "{what}");
    }
    assert_eq!(server.metric("policy_refused").as_deref(), Some("1"));

    // A restart does not forget what was in charge.
    server.kill();
    bundles.put(packed(&server, "5", ALLOW, &SIGNED), "five");
    server.start();
    until_decides(&server, "deny", Some("six"));
    bundles.put(packed(&server, "8", ALLOW, &SIGNED), "eight");
    until_decides(&server, "allow", None);
    assert_eq!(bundles.shelf.lock().unwrap().without_token, 0);
}

#[test]
fn a_source_that_is_away_for_too_long_denies_everything_until_it_is_back() {
    let (mut server, bundles) = world("max_age_secs = 20");
    bundles.set_away(true);
    assert_eq!(server.start_in_vain(), Some(1), "there is no policy yet");
    bundles.set_away(false);
    bundles.put(packed(&server, "1", ALLOW, &SIGNED), "one");
    server.start();
    until_decides(&server, "allow", None);
    bundles.set_away(true);
    server.kill();
    server.start();
    assert_eq!(server.decide("db:orders").0, "allow", "the last good one is kept, and is not too old");
    until_decides(&server, "deny", Some("policy.stale"));
    assert_eq!(server.get("/health/ready").0, 503);
    assert_eq!(server.metric("policy_stale").as_deref(), Some("1"));
    bundles.set_away(false);
    until_decides(&server, "allow", None);
    assert!(until(|| server.get("/health/ready").0 == 200));
}

#[test]
fn a_server_that_can_wait_is_asked_to_and_what_is_new_is_there_at_once() {
    let (mut server, bundles) = world("long_poll_secs = 600\n");
    bundles.put(packed(&server, "1", ALLOW, &SIGNED), "one");
    server.start();
    until_decides(&server, "allow", None);
    std::thread::sleep(Duration::from_secs(3));
    bundles.put(packed(&server, "2", &deny("two"), &SIGNED), "two");
    until_decides(&server, "deny", Some("two"));
    assert!(bundles.shelf.lock().unwrap().waited > 0, "the request waited there");
    // Whoever asks for it to be read has it read.
    server.hang_up();
    server.until_logged("policy in charge", 2);
    assert!(server.is_alive());
}

#[test]
fn a_bundle_in_a_file_is_looked_at_again_and_again_under_the_same_rules() {
    let mut server = Server::init("");
    assert_eq!(run_in(&server.path(""), ["policy", "keygen", "policy.key"]).code, 0);
    set(&server, "file = \"shelf/p.tar.gz\"\nmax_age_secs = 20");
    let shelf = server.path("shelf");
    fs::create_dir(&shelf).unwrap();
    let put = |bundle: Vec<u8>| {
        fs::write(shelf.join("next"), bundle).unwrap();
        fs::rename(shelf.join("next"), shelf.join("p.tar.gz")).unwrap();
    };
    put(packed(&server, "5", ALLOW, &SIGNED));
    server.start();
    until_decides(&server, "allow", None);
    put(packed(&server, "6", &deny("six"), &SIGNED));
    until_decides(&server, "deny", Some("six"));
    for (what, bundle) in [
        ("it is not signed", packed(&server, "7", ALLOW, &[])),
        ("revision 6 was in charge before", packed(&server, "5", ALLOW, &SIGNED)),
    ] {
        put(bundle);
        server.until_logged(what, 1);
        assert_eq!(server.decide("db:orders"), ("deny".to_owned(), vec!["six".to_owned()]), "{what}");
    }
    assert_eq!(server.metric("policy_refused").as_deref(), Some("1"));
    // A file that is gone is a source that is away.
    fs::remove_file(shelf.join("p.tar.gz")).unwrap();
    until_decides(&server, "deny", Some("policy.stale"));
    assert_eq!(server.get("/health/ready").0, 503);
    put(packed(&server, "8", ALLOW, &SIGNED));
    until_decides(&server, "allow", None);
    assert!(until(|| server.get("/health/ready").0 == 200));
}

#[test]
fn a_source_of_another_authority_is_not_believed_and_what_was_good_stays() {
    let (mut server, bundles) = world("");
    bundles.put(packed(&server, "1", &deny("one"), &SIGNED), "one");
    server.start();
    until_decides(&server, "deny", Some("one"));
    server.kill();

    let other = Server::init("");
    let stranger = Bundles::start(&other);
    stranger.put(packed(&server, "2", ALLOW, &SIGNED), "two");
    let settings = server.path("vouchsafe.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let from = |port: u16| format!("localhost:{port}/p.tar.gz");
    fs::write(&settings, text.replace(&from(bundles.port), &from(stranger.port))).unwrap();
    server.start();
    server.until_logged("the policy before stays in charge", 1);
    assert_eq!(server.decide("db:orders"), ("deny".to_owned(), vec!["one".to_owned()]));
    assert_eq!(server.metric("policy_refused").as_deref(), Some("1"));
    assert_eq!(stranger.shelf.lock().unwrap().without_token, 0, "it was asked nothing");
    assert_eq!(stranger.shelf.lock().unwrap().not_modified, 0);
}

#[test]
fn a_source_that_asks_for_a_certificate_is_shown_one() {
    let mut server = Server::init("");
    let bundles = Bundles::start_mutual(&server);
    let issue = ["credential", "issue", "--role", "enforcement", "--name", "engine", "--out", "source"];
    assert_eq!(run_in(&server.path(""), issue.iter().copied().chain(["--ca", "ca"])).code, 0);
    let certificate =
        "client_certificate_file = \"source/enforcement.crt\"\nclient_key_file = \"source/enforcement.key\"";
    take_from(&server, &bundles, "trust-bundle.pem", "");
    bundles.put(packed(&server, "1", &deny("one"), &SIGNED), "one");
    assert_eq!(server.start_in_vain(), Some(1), "nobody is let in without one");
    let settings = server.path("vouchsafe.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, format!("{text}{certificate}\n")).unwrap();
    server.start();
    until_decides(&server, "deny", Some("one"));
}

/// What a server writes is told to who backs it up.
#[test]
fn every_file_that_a_server_writes_is_in_the_guide_for_operators() {
    let (mut server, bundles) = world("[decision_log.http]\nurl = \"http://127.0.0.1:9/\"");
    bundles.put(packed(&server, "1", ALLOW, &SIGNED), "one");
    // The operator's own.
    let ours = ["policies", "policy.key", "policy.key.pub", "p.tar.gz", "bundles.token", "serve.log"];
    server.start();
    until_decides(&server, "allow", None);
    assert!(until(|| server.path("decisions/checkpoint").exists()));
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md")).unwrap();
    let (table, _) = guide.split_once("Settings come from the file").unwrap();
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(server.path(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut written = names("");
    written.retain(|name| !ours.contains(&name.as_str()));
    assert!(written.len() > 15, "{written:?}");
    written.extend(names("decisions").into_iter().filter(|name| !name.contains('.')));
    for name in written {
        assert!(table.contains(&format!("`{name}`")) || table.contains(&format!("`{name}/`")), "{name}");
    }
}

#[test]
fn nobody_activates_a_policy_past_its_signed_source() {
    let (mut server, bundles) = world("");
    bundles.put(packed(&server, "7", &deny("seven"), &SIGNED), "seven");
    server.start();
    let (code, stdout, stderr) = server.operator(&["policy", "status", "--format", "json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let status: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&status["revision"], &status["source"]["kind"]), (&"7".into(), &"bundle_url".into()), "{status}");
    let hash = format!("\"{}\"", status["policy"].as_str().unwrap());

    let other = packed(&server, "8", ALLOW, &SIGNED);
    let (got, problem) = server.put_policy("operator", Some(&hash), other);
    assert_eq!(got, 409, "{problem}");
    assert!(problem.contains("policy.from_bundle"), "{problem}");
    let policies = server.path("policies");
    let activate = ["policy", "activate", "--yes", "--candidate", policies.to_str().unwrap()];
    let (code, _, stderr) = server.operator(&activate);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("signed source") && stderr.contains("publish the next revision there"), "{stderr}");
    assert_eq!(server.decide("db:orders"), ("deny".to_owned(), vec!["seven".to_owned()]));
    assert!(!server.path("policy.activated.json").exists());
}
