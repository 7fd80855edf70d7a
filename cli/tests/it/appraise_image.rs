//! `appraise eventlog --image`: logs that nobody here made, against images that were captured from them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use vouchsafe_attest::eventlog::EventLog;
use vouchsafe_attest::image::{Capture, ClaimedBoot, CommandText, GoldenImage, SecureBootRule, capture};
use vouchsafe_attest::secure_boot::Dbx;
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{HashAlgorithm, PcrBank, Timestamp};

use crate::support::{Ran, data, run_in, without_path};

const SECURE: &str = "attestation/eventlogs/keylime-secureboot.bin";
const INSECURE: &str = "attestation/eventlogs/ubuntu-2104-no-secure-boot.bin";

/// A folder to work in, a log, and an image of its boot.
struct Case {
    dir: tempfile::TempDir,
    log: PathBuf,
    pcrs: Vec<PcrBank>,
    image: GoldenImage,
}

impl Case {
    fn of(log: &str) -> Option<Self> {
        let log = data(log)?;
        let bytes = fs::read(&log).unwrap();
        let parsed = EventLog::parse(&bytes).unwrap();
        let pcrs: Vec<_> =
            parsed.replay().banks().iter().filter_map(|bank| parsed.replay().as_quoted(bank.bank)).collect();
        let first = pcrs.iter().find(|bank| bank.bank == HashAlgorithm::Sha256).unwrap_or(&pcrs[0]);
        let boot = ClaimedBoot::of(first, &parsed, &Dbx::default());
        let (id, now) = ("web@2026.1".parse().unwrap(), Timestamp::from_unix_secs(1_769_860_800));
        let facts = Some(boot.facts().unwrap());
        let image = capture(&Capture { id: &id, now, facts, pcrs: first, ignored: PcrSet::EMPTY }, []);
        Some(Self { dir: tempfile::tempdir().unwrap(), log, pcrs, image })
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.dir.path().join(name), bytes).unwrap();
    }

    fn run(&self, more: &[&str]) -> Ran {
        run_in(self.dir.path(), ["appraise", "eventlog", self.log.to_str().unwrap()].iter().chain(more))
    }

    /// Holds the log against an image: what it comes to, and the report.
    fn against(&self, image: &GoldenImage, more: &[&str]) -> (i32, Value) {
        self.write("image.toml", image.to_text());
        let ran = self.run(&[&["--image", "image.toml", "--format", "json"], more].concat());
        assert_eq!(ran.stderr, "");
        (ran.code, serde_json::from_str(&ran.stdout).unwrap())
    }

    /// The failures of the image after a change.
    fn failures(&self, change: impl FnOnce(&mut GoldenImage)) -> Vec<Value> {
        let mut image = self.image.clone();
        change(&mut image);
        let (code, report) = self.against(&image, &[]);
        assert_eq!((code, &report["image"]["met"]), (2, &false.into()), "{}", report["findings"]);
        let findings = report["findings"].as_array().unwrap().iter();
        findings.filter(|finding| finding["severity"] == "failure").cloned().collect()
    }
}

/// Code, PCR and event of each.
fn told(findings: &[Value]) -> Vec<(&str, Option<u64>, Option<u64>)> {
    let told = |finding: &Value| (finding["pcr"].as_u64(), finding["event"].as_u64());
    findings.iter().map(|finding| (finding["code"].as_str().unwrap(), told(finding).0, told(finding).1)).collect()
}

#[test]
fn every_log_meets_the_image_of_its_own_boot() {
    for log in [
        "eventlogs/arch-linux-workstation.bin",
        "eventlogs/cos-85-amd-sev.bin",
        "eventlogs/debian-10.bin",
        "eventlogs/event-bootorder.bin",
        "eventlogs/event-moklisttrusted.bin",
        "eventlogs/event-uefi-sha1-log.bin",
        "eventlogs/glinux-alex.bin",
        "eventlogs/keylime-secureboot.bin",
        "eventlogs/rhel8-uefi.bin",
        "eventlogs/ubuntu-1804-amd-sev.bin",
        "eventlogs/ubuntu-2104-no-secure-boot.bin",
        "eventlogs-odd/ebs_event_missing_eventlog",
        "eventlogs-odd/option_rom_eventlog",
    ] {
        let Some(case) = Case::of(&format!("attestation/{log}")) else { return };
        let (code, report) = case.against(&case.image, &[]);
        assert_eq!((code, &report["image"]["met"]), (0, &true.into()), "{log}: {}", report["findings"]);
        assert_eq!((&report["image"]["id"], &report["image"]["values"]), (&"web@2026.1".into(), &"replayed".into()));
    }
}

#[test]
fn what_differs_from_the_image_is_named_with_its_event() {
    let Some(case) = Case::of(SECURE) else { return };
    let mut before = String::new();
    let findings = case.failures(|image| {
        let lines = image.boot.as_mut().unwrap().command_lines.as_mut().unwrap();
        let of_kernel =
            lines.iter_mut().find(|line| line.loader.is_some_and(|loader| format!("{loader:?}") == "GrubKernel"));
        let CommandText::Exact(text) = &mut of_kernel.unwrap().text else { panic!("a text") };
        before = text.replace(" quiet", "");
        text.clone_from(&before);
    });
    assert_eq!(told(&findings), [("boot.command_line_mismatch", Some(8), Some(95))]);
    assert_eq!(findings[0]["expected"], before);
    assert!(findings[0]["found"].as_str().unwrap().contains(" rhgb quiet console=tty0"));
    assert!(findings[0]["advice"].as_str().unwrap().contains("command line"));

    let findings = case.failures(|image| {
        let kernel = image.boot.as_mut().unwrap().images.as_mut().unwrap().last_mut().unwrap();
        kernel.digests = [(HashAlgorithm::Sha256, ["00".repeat(32).parse().unwrap()].into())].into();
    });
    assert_eq!(told(&findings), [("boot.image_unknown", Some(4), Some(94)), ("boot.image_missing", None, None)]);
    assert!(findings[0]["found"].as_str().unwrap().starts_with("sha256 219b8b53c549"), "{}", findings[0]);

    let findings = case.failures(|image| {
        let initrds = image.boot.as_mut().unwrap().initrds.as_mut().unwrap();
        initrds[0].digests = [(HashAlgorithm::Sha256, ["00".repeat(32).parse().unwrap()].into())].into();
    });
    assert_eq!(told(&findings), [("boot.initrd_unknown", Some(9), Some(97))]);

    let findings = case.failures(|image| {
        let boot = image.boot.as_mut().unwrap();
        boot.keys.db.as_mut().unwrap().pop_first();
        boot.dbx.as_mut().unwrap().images.insert("00".repeat(32).parse().unwrap());
    });
    assert_eq!(
        told(&findings),
        [("secure_boot.key_unknown", Some(7), Some(8)), ("secure_boot.dbx_outdated", Some(7), Some(9))]
    );

    let findings = case.failures(|image| {
        let values = image.pcrs.get_mut(&HashAlgorithm::Sha256).unwrap().values_mut().next().unwrap();
        *values = ["00".repeat(32).parse().unwrap()].into();
    });
    assert_eq!(told(&findings), [("pcr.mismatch", Some(0), None)]);
}

#[test]
fn secure_boot_that_is_off_is_named_with_the_event_that_says_so() {
    let Some(case) = Case::of(INSECURE) else { return };
    assert_eq!(case.image.boot.as_ref().unwrap().secure_boot, SecureBootRule::Any);
    let findings = case.failures(|image| image.boot.as_mut().unwrap().secure_boot = SecureBootRule::On);
    assert_eq!(told(&findings), [("secure_boot.off", Some(7), Some(4))]);
    assert_eq!((&findings[0]["expected"], &findings[0]["found"]), (&"on".into(), &"off".into()));
}

#[test]
fn given_values_are_what_was_quoted() {
    let Some(case) = Case::of(INSECURE) else { return };
    let values = |change: &dyn Fn(&mut PcrBank)| {
        let banks = case.pcrs.iter().cloned().map(|mut bank| {
            change(&mut bank);
            (bank.bank.to_string(), serde_json::to_value(&bank.values).unwrap())
        });
        case.write("pcrs.json", Value::Object(banks.collect()).to_string());
        case.against(&case.image, &["--pcrs", "pcrs.json"])
    };
    let (code, report) = values(&|_| ());
    assert_eq!((code, &report["pcrs"], &report["image"]["values"]), (0, &"matched".into(), &"given".into()));
    assert_eq!(report["image"]["bank"], "sha256");
    let set = |bank: &mut PcrBank, pcr: u8| {
        let other = "11".repeat(bank.bank.digest_len()).parse().unwrap();
        bank.values.insert(pcr.try_into().unwrap(), other);
    };
    let (code, report) = values(&|bank| set(bank, 4));
    assert_eq!((code, &report["pcrs"]), (2, &"differ".into()));
    assert!(told(report["findings"].as_array().unwrap()).contains(&("event_log.mismatch", Some(4), None)));
    // The log tells nothing of PCR 15, which a running system extends, and nothing asks for it.
    let (code, report) = values(&|bank| set(bank, 15));
    assert_eq!((code, &report["image"]["met"]), (0, &true.into()), "{}", report["findings"]);
    // It tells shim's keys, of which the running system leaves another value here.
    let (code, report) = values(&|bank| set(bank, 14));
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(code, 2, "the image holds its value");
    assert!(told(findings).contains(&("pcr.mismatch", Some(14), None)), "{findings:?}");
    let (code, report) = values(&|bank| {
        bank.values.retain(|pcr, _| pcr.get() != 8);
    });
    assert_eq!(code, 2);
    assert!(told(report["findings"].as_array().unwrap()).contains(&("pcr.not_quoted", Some(8), None)));
}

#[test]
fn a_revoked_image_is_named_with_and_without_an_image() {
    let Some(case) = Case::of(SECURE) else { return };
    // A bare list of one image: that of the boot loader at event 30, by its Authenticode digest.
    let digest = case.image.boot.as_ref().unwrap().images.as_ref().unwrap()[0].digests[&HashAlgorithm::Sha256].first();
    let guid = [0x26, 0x16, 0xC4, 0xC1, 0x4C, 0x50, 0x92, 0x40, 0xAC, 0xA9, 0x41, 0xF9, 0x36, 0x93, 0x43, 0x28];
    let lengths = [76u32, 0, 48].map(u32::to_le_bytes).concat();
    case.write("dbx.bin", [&guid[..], &lengths, &[0; 16], digest.unwrap().as_bytes()].concat());
    case.write("image.toml", case.image.to_text());
    for more in [&["--dbx", "dbx.bin"][..], &["--dbx", "dbx.bin", "--image", "image.toml"]] {
        let ran = case.run(more);
        assert_eq!((ran.code, ran.stderr.as_str()), (2, ""), "{more:?}");
        assert!(ran.stdout.contains("failure: secure_boot.image_revoked PCR 4 event 30"), "{}", ran.stdout);
    }
    let Some(update) = data("attestation/secure-boot/dbxupdate_x64-2021-04-29.bin") else { return };
    assert_eq!(case.run(&["--dbx", update.to_str().unwrap(), "--image", "image.toml"]).code, 0);
}

#[test]
fn real_boot_loaders_are_revoked_by_the_update_that_lists_them_and_by_none_before() {
    for (log, event) in [("rhel8-uefi.bin", 24), ("ubuntu-1804-amd-sev.bin", 23)] {
        let Some(case) = Case::of(&format!("attestation/eventlogs/{log}")) else { return };
        for (update, is_revoked) in [("x64-2020-10-12", false), ("x64-2021-04-29", true)] {
            let update = data(&format!("attestation/secure-boot/dbxupdate_{update}.bin")).unwrap();
            let (code, report) = case.against(&case.image, &["--dbx", update.to_str().unwrap()]);
            let findings = report["findings"].as_array().unwrap();
            let revoked: Vec<_> = findings.iter().filter(|finding| finding["severity"] == "failure").cloned().collect();
            let expected = [("secure_boot.image_revoked", Some(4), Some(event))];
            assert_eq!((code, told(&revoked)), if is_revoked { (2, expected.to_vec()) } else { (0, vec![]) }, "{log}");
            assert_eq!(report["image"]["met"], !is_revoked);
        }
    }
}

#[test]
fn a_signed_image_counts_by_its_key_alone() {
    let Some(case) = Case::of(SECURE) else { return };
    case.write("image.toml", case.image.to_text());
    let done = |line: &str| assert_eq!(run_in(case.dir.path(), line.split(' ')).code, 0, "{line}");
    done("image keygen a.key");
    done("image keygen b.key");
    done("image sign image.toml --key a.key");
    let ran = case.run(&["--image", "image.toml.dsse", "--key", "b.key.pub", "--key", "a.key.pub"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let line = ran.stdout.lines().find(|line| line.starts_with("image ")).unwrap();
    assert!(line.contains("web@2026.1 is met, by the log's own values of sha256, which count as quoted"), "{line}");
    assert!(line.contains("; signed by key "), "{line}");
    let refused = [
        &["--image", "image.toml.dsse", "--key", "b.key.pub"][..],
        &["--image", "image.toml.dsse"],
        &["--image", "image.toml", "--key", "a.key.pub"],
        &["--key", "a.key.pub"],
    ];
    let told = refused.map(|more| {
        let ran = case.run(more);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{more:?}");
        format!("$ {}\n{}", more.join(" "), without_path(&ran.stderr, case.dir.path()))
    });
    insta::assert_snapshot!("image_not_signed", told.concat());
}

#[test]
fn an_image_that_is_malformed_exits_1_with_line_and_column() {
    let Some(case) = Case::of(SECURE) else { return };
    let text = case.image.to_text();
    case.write("bad.toml", text.replacen("secure_boot =", "secureboot =", 1));
    case.write("dbx.bin", b"no dbx");
    for (more, says) in [
        (["--image", "bad.toml"], "bad.toml is no image: line "),
        (["--image", "absent.toml"], "cannot use the image"),
        (["--dbx", "dbx.bin"], "dbx.bin is no update of dbx"),
    ] {
        let ran = case.run(&more);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{more:?}");
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let line = text.lines().position(|line| line.starts_with("secure_boot =")).unwrap() + 1;
    let told = case.run(&["--image", "bad.toml"]).stderr;
    assert!(told.contains(&format!("line {line}, column 1: unknown field `secureboot`")), "{told}");
}

#[test]
fn a_deviation_that_the_image_accepts_is_told_as_such() {
    let Some(mut case) = Case::of("attestation/eventlogs/arch-linux-workstation.bin") else { return };
    let codes = |report: &Value| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let missing = "event_log.exit_boot_services_missing".to_owned();
    assert!(codes(&case.against(&case.image, &[]).1).contains(&missing));
    case.image.boot.as_mut().unwrap().accept = [missing.parse().unwrap()].into();
    let (code, report) = case.against(&case.image, &[]);
    assert!(code == 0 && !codes(&report).contains(&missing));
    assert!(codes(&report).contains(&"image.deviation_accepted".to_owned()));
}

#[test]
fn a_log_that_measures_nothing_cannot_be_held_against_an_image() {
    let Some(case) = Case::of(SECURE) else { return };
    case.write("image.toml", case.image.to_text());
    let Some(log) = data("attestation/eventlogs-odd/short_no_action_eventlog") else { return };
    let line = ["appraise", "eventlog", log.to_str().unwrap(), "--image", "image.toml"];
    let ran = run_in(case.dir.path(), line);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("the log measures nothing"), "{}", ran.stderr);
}
