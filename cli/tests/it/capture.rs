//! `image capture --output` and `image dry-run`: what the server keeps of a device becomes an image, or is held against one.

use std::fs;

use aws_lc_rs::digest::{Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use vouchsafe_wire::v1::logs::Deflated;

use crate::engine::Engine;
use crate::support::Ran;

const DEVICE: &str = "uws2ljnfuws2ljnfuws2ljnfuws2ljnf";

/// Files that ran on a host, as its list tells them, and the PCR 10 that they make.
struct List {
    bytes: Vec<u8>,
    pcr10: Vec<u8>,
    ends: Vec<usize>,
}

impl List {
    fn new() -> Self {
        Self { bytes: Vec::new(), pcr10: vec![0; 32], ends: Vec::new() }
    }

    fn with(mut self, path: &str) -> Self {
        let content = [b"sha256:\0".as_slice(), digest(&SHA256, path.as_bytes()).as_ref()].concat();
        let path = [path.as_bytes(), b"\0"].concat();
        let data = [&len(&content)[..], &content, &len(&path), &path].concat();
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &data);
        let entry = [&10u32.to_le_bytes()[..], hash.as_ref(), &len(b"ima-ng"), b"ima-ng", &len(&data), &data].concat();
        self.bytes.extend(entry);
        self.pcr10 = extended(&self.pcr10, &digest(&SHA256, &data));
        self.ends.push(self.bytes.len());
        self
    }

    /// A page that holds these bytes of it, in one piece.
    fn page(&self, from: usize, to: usize) -> String {
        let pcr10 = HEXLOWER.encode(&self.pcr10);
        let parts = match self.bytes.get(from..to).unwrap() {
            [] => Vec::new(),
            bytes => vec![json!({"offset": from, "log": Deflated::<65536>::new(bytes).unwrap()})],
        };
        json!({
            "device": DEVICE, "len": self.bytes.len(), "entries": self.ends.len(), "bank": "sha256", "pcr10": pcr10,
            "parts": parts
        })
        .to_string()
    }
}

fn len(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap().to_le_bytes()
}

fn extended(pcr: &[u8], by: &Digest) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(pcr);
    context.update(by.as_ref());
    context.finish().as_ref().to_vec()
}

/// What the device last quoted.
fn measurements(pcr10: &[u8]) -> String {
    json!({
        "device": DEVICE, "attestation": "0190163d-8694-739b-aea5-966c26f8ad91",
        "received_at": "2026-01-31T12:00:00.000Z",
        "pcrs": {"bank": "sha256", "values": {"0": "00".repeat(32), "10": HEXLOWER.encode(pcr10)}}, "event_log": null
    })
    .to_string()
}

fn capture(engine: &Engine, more: &[&str]) -> Ran {
    let fixed = ["image", "capture", "--device", DEVICE, "--name", "web", "--version", "1", "--output", "web.toml"];
    engine.run(&[&fixed[..], more].concat())
}

fn image(engine: &Engine) -> String {
    fs::read_to_string(engine.dir.path().join("web.toml")).unwrap()
}

const MEASUREMENTS: &str = "GET /v1/devices/uws2ljnfuws2ljnfuws2ljnfuws2ljnf/measurements";

#[test]
fn what_runs_is_taken_from_the_list_that_the_server_keeps() {
    // Quoted after two entries; by the time that the list is read there is a third, and small pieces were put together.
    let quoted = List::new().with("/usr/bin/init").with("/usr/bin/sh").pcr10;
    let list = List::new().with("/usr/bin/init").with("/usr/bin/sh").with("/usr/bin/later");
    let (first, end) = (list.ends[0], list.bytes.len());
    let engine = Engine::answering(move |line, _| match line {
        MEASUREMENTS => (200, measurements(&quoted)),
        line if line.ends_with("/ima-list?from=0") => (200, list.page(0, first)),
        line if line.ends_with(&format!("/ima-list?from={first}")) => (200, list.page(0, end)),
        other => panic!("{other}"),
    });
    let ran = capture(&engine, &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(engine.asked().len(), 3);
    let image = image(&engine);
    for path in ["/usr/bin/init", "/usr/bin/sh"] {
        let digest = HEXLOWER.encode(digest(&SHA256, path.as_bytes()).as_ref());
        assert!(image.contains(&format!("\"{path}\" = [\"sha256:{digest}\"]")), "{image}");
    }
    assert!(!image.contains("/usr/bin/later"), "no quote vouched for it: {image}");
}

#[test]
fn what_runs_is_left_out_or_taken_from_a_copy_when_that_is_asked_for() {
    let list = List::new().with("/usr/bin/init");
    let pcr10 = list.pcr10.clone();
    let engine = Engine::answering(move |line, _| match line {
        MEASUREMENTS => (200, measurements(&pcr10)),
        other => panic!("{other}"),
    });
    let ran = capture(&engine, &["--boot-only"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(!image(&engine).contains("runtime"), "{}", image(&engine));
    fs::write(engine.dir.path().join("list"), &list.bytes).unwrap();
    let ran = capture(&engine, &["--ima", "list"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(image(&engine).contains("/usr/bin/init"), "{}", image(&engine));
    fs::write(engine.dir.path().join("list"), List::new().with("/usr/bin/other").bytes).unwrap();
    let ran = capture(&engine, &["--ima", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("list does not replay to the PCR 10 that the device quoted"), "{}", ran.stderr);
    let ran = capture(&engine, &["--ima", "list", "--boot-only"]);
    assert_eq!(ran.code, 1, "one of both");
}

#[test]
fn a_list_that_the_server_does_not_keep_is_no_image_without_what_runs() {
    let engine = Engine::answering(|line, _| {
        if line == MEASUREMENTS {
            return (200, measurements(&[0; 32]));
        }
        let (code, title) = ("device.ima_list_not_kept", "The IMA list is not kept");
        let problem = json!({
            "type": format!("urn:vouchsafe:problem:{code}"), "title": title, "status": 409, "code": code,
            "detail": "there was no room left for the device's IMA list"
        });
        (409, problem.to_string())
    });
    let ran = capture(&engine, &[]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.stderr, @r"
    error: The IMA list is not kept: there was no room left for the device's IMA list (device.ima_list_not_kept)
    hint: give a copy of the device's list with --ima FILE, or leave out what runs with --boot-only
    ");
    assert!(!engine.dir.path().join("web.toml").exists());
}

#[test]
fn a_list_that_a_server_makes_up_or_never_ends_is_refused() {
    type Page = fn(&List, &str) -> String;
    let pages: [(Page, &str); 3] = [
        (|list, _| list.page(0, list.bytes.len()), "does not replay to the PCR 10 that the device quoted"),
        (|list, _| list.page(list.ends[0], list.bytes.len()), "left out a piece of the IMA list, before byte"),
        (
            |list, line| list.page(0, if line.ends_with("from=0") { list.ends[0] } else { 0 }),
            "the server's IMA list ends at byte",
        ),
    ];
    for (page, why) in pages {
        let list = List::new().with("/usr/bin/init").with("/usr/bin/sh");
        let engine = Engine::answering(move |line, _| match line {
            MEASUREMENTS => (200, measurements(&[7; 32])),
            line => (200, page(&list, line)),
        });
        let ran = capture(&engine, &[]);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(!engine.dir.path().join("web.toml").exists());
    }
}

fn tried(device: &str, fails: bool) -> Value {
    json!({
        "device": device.repeat(32), "hostname": "host", "image": null, "fails": fails, "boot": "judged",
        "runtime": "list_incomplete", "findings": []
    })
}

#[test]
fn a_dry_run_is_asked_for_until_all_devices_are_told() {
    let engine = Engine::answering(|line, _| {
        let answer = match line {
            "POST /v1/image-documents/dry-run" => {
                json!({"image": "web@1", "devices": [tried("a", false)], "unseen": [], "next": "all/x"})
            }
            "POST /v1/image-documents/dry-run?after=all%2Fx" => {
                json!({"image": "web@1", "devices": [tried("b", true)], "unseen": ["c".repeat(32)]})
            }
            other => panic!("{other}"),
        };
        (200, answer.to_string())
    });
    fs::write(engine.dir.path().join("web.toml"), "an image").unwrap();
    let ran = engine.run(&["image", "dry-run", "web.toml", "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let run: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&run["devices"][0], &run["devices"][1]), (&tried("b", true), &tried("a", false)));
    assert_eq!((&run["unseen"], &run["next"]), (&json!(["c".repeat(32)]), &Value::Null));
    let text = engine.run(&["image", "dry-run", "web.toml"]).stdout;
    assert!(text.starts_with("web@1: 1 of 2 devices would fail\n"), "{text}");
    assert!(text.contains("runtime not judged: the device's IMA list is not known from its beginning"), "{text}");
}

#[test]
fn a_dry_run_that_goes_in_a_circle_ends() {
    let engine = Engine::answering(|_, _| {
        (200, json!({"image": "web@1", "devices": [], "unseen": [], "next": "all/x"}).to_string())
    });
    fs::write(engine.dir.path().join("web.toml"), "an image").unwrap();
    let ran = engine.run(&["image", "dry-run", "web.toml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("the server goes in a circle, at all/x"), "{}", ran.stderr);
}
