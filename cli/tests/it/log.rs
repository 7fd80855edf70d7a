//! The decision log: verified without a server, and what operators ask of one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use vouchsafe_journal::{
    CheckpointKey, Entry, Journal, JournalParts, JournalSettings, SignCheckpoint, SigningFailed, SystemDisk,
};
use vouchsafe_model::{DecisionId, Timestamp};
use vouchsafe_pki::{IssuerKey as _, LocalKey, pem};

use crate::engine::Engine;
use crate::support::{Ran, run_in, without_path};

const AT: Timestamp = Timestamp::from_unix_secs(1_769_860_800);

#[derive(Debug)]
struct Signer(LocalKey, CheckpointKey);

impl SignCheckpoint for Signer {
    fn public_key(&self) -> &CheckpointKey {
        &self.1
    }

    fn sign(&self, text: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        self.0.sign(text).map_err(|_| SigningFailed)
    }
}

fn id(number: u8) -> DecisionId {
    DecisionId::new(AT, &[number; 10])
}

/// A folder with a log of so many decisions, `log.pub`, and what is signed of it.
fn logged(count: u8) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = LocalKey::generate().unwrap();
    let spki = key.spki_der().unwrap();
    fs::write(dir.path().join("log.pub"), pem::encode_public_key(&spki)).unwrap();
    let other = LocalKey::generate().unwrap().spki_der().unwrap();
    fs::write(dir.path().join("other.pub"), pem::encode_public_key(&other)).unwrap();
    let signer = Signer(key, CheckpointKey::from_spki_der(&spki).unwrap());
    let (journal, writing) = Journal::open(JournalParts {
        folder: dir.path().join("decisions"),
        new_origin: "example.org/decisions/test".parse().unwrap(),
        settings: JournalSettings {
            max_segment_bytes: JournalSettings::MIN_SEGMENT_BYTES,
            checkpoint_entries: 1,
            ..JournalSettings::default()
        },
        signer: Arc::new(signer),
        disk: Arc::new(SystemDisk),
        now: Arc::new(|| AT),
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for number in 0..count {
            let body = format!(r#"{{"decision":{{"outcome":"deny"}},"question":{{"n":{number}}}}}"#);
            journal.append(Entry::new(id(number), AT, body.into()).unwrap()).await.unwrap();
        }
    });
    // The last is appended with the checkpoint over those before it.
    if count > 1 {
        let checkpoint = journal.checkpoint().unwrap();
        fs::write(dir.path().join("kept.checkpoint"), checkpoint.note()).unwrap();
        let proof = journal.view().prove(id(0)).unwrap().unwrap();
        fs::write(dir.path().join("0.tlog-proof"), proof.to_text()).unwrap();
    }
    writing.finish();
    dir
}

fn verify(dir: &Path, more: &[&str]) -> Ran {
    run_in(dir, ["log", "verify"].iter().chain(more))
}

fn json_of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn a_log_is_verified_without_a_server() {
    let dir = logged(40);
    let ran = verify(dir.path(), &["decisions", "--key", "log.pub", "--checkpoint", "kept.checkpoint"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("verified: yes\n\nlog "), "{}", ran.stdout);
    assert!(ran.stdout.contains("decisions       40: 0 to 39\n"), "{}", ran.stdout);
    let report =
        json_of(&verify(dir.path(), &["decisions", "--key", "other.pub", "--key", "log.pub", "--format", "json"]));
    assert_eq!((&report["verified"], &report["log"]["entries"]), (&json!(true), &json!(40)));
    // Without a key it says what that means.
    let ran = verify(dir.path(), &["decisions"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("note: --key was not given"), "{}", ran.stdout);
}

#[test]
fn what_is_not_as_it_was_written_exits_2_and_says_where() {
    let dir = logged(40);
    let ran = verify(dir.path(), &["decisions", "--key", "other.pub"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.starts_with("verified: no\nreason: 00000000000000000000.vjl, line 3, byte "), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("the checkpoint is not signed by the log's key (log.signature)\n"), "{}", ran.stdout);

    let first = dir.path().join("decisions/00000000000000000000.vjl");
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&first, text.replacen("\"n\":1}", "\"n\":7}", 1)).unwrap();
    let ran = verify(dir.path(), &["decisions", "--key", "log.pub", "--format", "json"]);
    let report = json_of(&ran);
    assert_eq!((ran.code, &report["verified"], &report["reason"]["code"]), (2, &json!(false), &json!("log.damaged")));
    fs::write(&first, &text).unwrap();

    let mut files: Vec<_> =
        fs::read_dir(dir.path().join("decisions")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "vjl"));
    files.sort();
    fs::remove_file(files.last().unwrap()).unwrap();
    let report = json_of(&verify(dir.path(), &["decisions", "--format", "json"]));
    assert_eq!(report["reason"]["code"], "log.end_missing");
    fs::remove_file(dir.path().join("decisions/checkpoint")).unwrap();
    let pinned = ["decisions", "--key", "log.pub", "--checkpoint", "kept.checkpoint", "--format", "json"];
    assert_eq!(json_of(&verify(dir.path(), &pinned))["reason"]["code"], "log.end_missing", "the kept one tells");
    fs::remove_file(&files[0]).unwrap();
    let report = json_of(&verify(dir.path(), &["decisions", "--format", "json"]));
    assert_eq!(report["reason"]["code"], "log.beginning_missing");
}

#[test]
fn a_proof_shows_its_decision_and_nothing_when_it_proves_nothing() {
    let dir = logged(5);
    let ran = verify(dir.path(), &["--proof", "0.tlog-proof", "--key", "log.pub"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("verified: yes\n\ndecision 0 of example.org/decisions/test:\n{"), "{}", ran.stdout);
    let report = json_of(&verify(dir.path(), &["--proof", "0.tlog-proof", "--key", "log.pub", "--format", "json"]));
    assert_eq!(report["decision"]["entry"]["question"], json!({"n": 0}));

    let ran = verify(dir.path(), &["--proof", "0.tlog-proof", "--key", "other.pub", "--format", "json"]);
    let report = json_of(&ran);
    assert_eq!((ran.code, &report["decision"]), (2, &Value::Null));
    assert_eq!(report["reason"]["code"], "checkpoint.signature");
    let proof = fs::read_to_string(dir.path().join("0.tlog-proof")).unwrap();
    let hash = proof.lines().nth(3).unwrap();
    let other = hash.chars().rev().skip(1).chain("=".chars()).collect::<String>();
    fs::write(dir.path().join("1.tlog-proof"), proof.replacen(hash, &other, 1)).unwrap();
    let ran = verify(dir.path(), &["--proof", "1.tlog-proof", "--key", "log.pub", "--format", "json"]);
    assert!(ran.code == 1 || json_of(&ran)["reason"]["code"] == "proof.not_included", "{ran:?}");
}

#[test]
fn unusable_input_exits_1_and_says_what_to_give() {
    let dir = logged(3);
    fs::write(dir.path().join("text"), "text").unwrap();
    let mut told = String::new();
    for line in [
        &["nowhere"][..],
        &["."],
        &["decisions", "--key", "text"],
        &["decisions", "--key", "nowhere"],
        &["decisions", "--key", "log.pub", "--checkpoint", "text"],
        &["--proof", "text", "--key", "log.pub"],
        &["--proof", "decisions", "--key", "log.pub"],
    ] {
        let ran = verify(dir.path(), line);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line:?}");
        told.push_str(&without_path(&ran.stderr, dir.path()));
    }
    insta::assert_snapshot!(told);
    for line in [&[][..], &["--proof", "0.tlog-proof"], &["decisions", "--proof", "0.tlog-proof", "--key", "log.pub"]] {
        assert_eq!(verify(dir.path(), line).code, 1, "{line:?}");
    }
}

fn recorded(number: u64) -> Value {
    json!({
        "number": number, "id": id(1), "decided_at": "2026-01-31T12:00:00.000Z",
        "entry": {
            "decision": {"outcome": "deny", "device": "uws2ljnfuws2ljnfuws2ljnfuws2ljnf", "reasons": [{"code": "x.y"}]},
            "question": {"user": {"id": "alice"}, "request": {"action": "read", "resource": "db:orders"}}
        }
    })
}

#[test]
fn operators_ask_for_decisions_and_for_what_is_signed() {
    let engine = Engine::answering(|line, _| match line {
        "GET /v1/decisions?user=alice&resource=db%3A*&outcome=deny&since=2026-01-31T00%3A00%3A00.000Z&limit=2" => {
            (200, json!({"items": [recorded(9)], "next": "9"}).to_string())
        }
        // A page that looked in vain goes on.
        "GET /v1/decisions?user=alice&resource=db%3A*&outcome=deny&since=2026-01-31T00%3A00%3A00.000Z&limit=1&after=9" => {
            (200, json!({"items": [], "next": "5"}).to_string())
        }
        "GET /v1/decisions?user=alice&resource=db%3A*&outcome=deny&since=2026-01-31T00%3A00%3A00.000Z&limit=1&after=5" => {
            (200, json!({"items": [recorded(4)]}).to_string())
        }
        line if line.ends_with("/proof") => (200, "c2sp.org/tlog-proof@v1\n".to_owned()),
        "GET /v1/decision-log/checkpoint" => (200, "example.org/decisions/test\n".to_owned()),
        "GET /v1/decision-log/key" => (200, "-----BEGIN PUBLIC KEY-----\n".to_owned()),
        _ => (200, recorded(9).to_string()),
    });
    let query = ["log", "query", "--user", "alice", "--resource", "db:*", "--outcome", "deny", "--since"];
    let ran = engine.run(&[&query[..], &["2026-01-31T00:00:00Z", "--limit", "2"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout.matches("deny     uws2ljnf  alice  read    db:orders  x.y").count(), 2, "{}", ran.stdout);
    let decision = id(1).to_string();
    let shown = engine.run(&["log", "show", &decision]);
    assert_eq!(json_of(&shown), recorded(9));
    for (line, expected) in [
        (&["log", "prove", &decision][..], "c2sp.org/tlog-proof@v1\n"),
        (&["log", "checkpoint"], "example.org/decisions/test\n"),
        (&["log", "key"], "-----BEGIN PUBLIC KEY-----\n"),
    ] {
        assert_eq!(engine.run(line).stdout, expected);
    }
    assert!(engine.asked().iter().any(|line| line == &format!("GET /v1/decisions/{decision}/proof")));
    assert_eq!(engine.run(&["log", "show", "x"]).code, 1);
}
