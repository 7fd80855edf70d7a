//! Images that are captured, merged, compared and looked over.

use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_attest::eventlog::EventLog;
use vouchsafe_attest::eventlog::facts::{BootFacts, Loader, SignatureKind};
use vouchsafe_attest::image::{
    Capture, CommandText, Compiled, GoldenImage, MergeConflict, boot, capture, diff, lint, merge,
};
use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{FindingCode, HashAlgorithm, ImageId, PcrBank, PcrIndex, Timestamp};

use crate::image_boot::{command_line, good, image, initrd, proof, value};
use crate::image_document::{EXAMPLE, example, with};
use vouchsafe_attest::eventlog::facts::BootImageKind;

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;

fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

/// A bank in which every PCR has another value.
fn bank() -> PcrBank {
    let value = |pcr: PcrIndex| PcrValue::new(vec![pcr.get() + 1; 32]).unwrap();
    PcrBank { bank: SHA256, values: PcrIndex::all().map(|pcr| (pcr, value(pcr))).collect() }
}

fn captured(facts: Option<&BootFacts>, pcrs: &PcrBank) -> GoldenImage {
    let id: ImageId = "web@2026.1".parse().unwrap();
    let now = Timestamp::from_unix_secs(1_769_860_800);
    let ima = [("/bin/a", "01"), ("/bin/b", "02"), ("/bin/a", "03"), ("/bin/a", "01")];
    let ima = ima.map(|(path, digest)| (path.to_owned(), format!("sha256:{digest:0>64}")));
    capture(&Capture { id: &id, now, facts, pcrs, ignored: PcrSet::EMPTY }, ima)
}

fn compiled(image: GoldenImage) -> Arc<Compiled> {
    Compiled::new(image).unwrap()
}

#[test]
fn what_the_log_explains_is_kept_as_facts_and_the_rest_as_values_where_they_are_stable() {
    let image = captured(Some(&good()), &bank());
    assert_eq!(image.held_pcrs(), "0,2,3,12,14,21,22".parse().unwrap());
    assert_eq!(image.ignored_pcrs, "1,5,6,10,11,13,15-20,23".parse().unwrap());
    let boot = image.boot.as_ref().unwrap();
    assert_eq!(boot.images.as_ref().unwrap().len(), 3);
    assert_eq!(boot.option_roms, Some(vec![]), "there was none, and none may come");
    assert_eq!((boot.keys.kek.as_ref(), boot.keys.db.as_ref().unwrap().len()), (None, 2));
    assert_eq!(boot.dbx.as_ref().unwrap().images.len(), 3);
    assert_eq!(boot.sbat_level, good().secure_boot.sbat);
    assert_eq!(image.runtime.as_ref().unwrap().digests["/bin/a"].len(), 2);
    assert_eq!(GoldenImage::parse(&image.to_text()).unwrap(), image);
    assert_eq!(boot::compare(&good(), &compiled(image), &proof("sha256:0-23")), []);
}

#[test]
fn without_a_log_values_alone_are_kept() {
    let image = captured(None, &bank());
    assert_eq!((image.held_pcrs(), image.boot), ("0,2-4,7-9,12,14,21-22".parse().unwrap(), None));
    let mut zeros = bank();
    zeros.values.iter_mut().for_each(|(_, value)| *value = PcrValue::new(vec![0; 32]).unwrap());
    assert_eq!(captured(None, &zeros).held_pcrs(), "0,2-4,7".parse().unwrap());
    let separator = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[0; 4]);
    let alone = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[&[0; 32], separator.as_ref()].concat());
    zeros.values.insert(pcr(6), PcrValue::new(alone.as_ref().to_vec()).unwrap());
    assert!(captured(None, &zeros).held_pcrs().contains(pcr(6)), "a separator and nothing of the maker's");
}

#[test]
fn a_variable_that_no_image_can_list_leaves_its_pcr_to_its_value() {
    let mut facts = good();
    facts.secure_boot.db[0].kind = SignatureKind::Other { guid: "g".to_owned(), length: 256 };
    let image = captured(Some(&facts), &bank());
    assert_eq!(image.boot.as_ref().unwrap().keys.db, None);
    assert!(image.held_pcrs().contains(pcr(7)));
}

#[test]
fn an_update_is_a_diff_of_a_few_facts() {
    let mut updated = good();
    updated.boot_chain[2] = image(26, BootImageKind::Application, "/vmlinuz", "6b01");
    updated.initrds[0] = initrd(28, "1d01");
    let (old, new) = (captured(Some(&good()), &bank()), captured(Some(&updated), &bank()));
    let changes = diff(&old, &new);
    assert_eq!(
        changes.iter().map(|change| change.fact.as_str()).collect::<Vec<_>>(),
        ["boot.image '/vmlinuz'", "boot.initrd '/initrd.img'"]
    );
    let (before, after) = (old.to_text(), new.to_text());
    let differing = before.lines().zip(after.lines()).filter(|(one, other)| one != other).count();
    assert_eq!((differing, before.lines().count()), (2, after.lines().count()), "and of two lines");
    let told = format!("boot.image '/vmlinuz'\n  - sha256 {}\n  + sha256 {}", value("6b00"), value("6b01"));
    assert_eq!(changes[0].to_string(), told);
}

#[test]
fn every_real_log_makes_an_image_that_its_own_boot_meets() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/attestation/eventlogs");
    let Ok(files) = std::fs::read_dir(&dir) else {
        println!("skipped: {} is not there", dir.display());
        return;
    };
    let logs = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "bin"));
    let mut with_images = 0;
    for path in logs {
        let bytes = std::fs::read(&path).unwrap();
        let Ok(log) = EventLog::parse(&bytes) else { continue };
        let (facts, replay) = (log.facts(), log.replay());
        for pcrs in replay.banks() {
            let image = captured(Some(&facts), pcrs);
            let text = image.to_text();
            assert_eq!(GoldenImage::parse(&text).unwrap(), image, "{}: {text}", path.display());
            with_images += usize::from(image.boot.as_ref().unwrap().images.is_some());
            let findings = boot::compare(&facts, &compiled(image), &pcrs.selection().into());
            let unquoted = findings.iter().filter(|finding| finding.code == FindingCode::PcrNotQuoted).count();
            assert_eq!(findings.len(), unquoted, "{} {}: {findings:?}", path.display(), pcrs.bank);
        }
    }
    assert!(with_images > 10, "{with_images}");
}

#[test]
fn images_are_merged_into_one_that_allows_what_any_of_them_allows() {
    let other = EXAMPLE
        .replace("web@2026.1", "web@2026.2")
        .replace("6b00", "6b01")
        .replace("00000000a0\"", "00000000ff\"")
        .replace("ro quiet\" },\n]", "ro\" },\n]")
        .replace("c1 = \"CN=One\"", "e1 = \"CN=New\"")
        .replace("0000000001\"", "0000000009\"");
    let other = GoldenImage::parse(&other).unwrap();
    let merged = merge(&[example(), other.clone()]).unwrap();
    assert_eq!(merged.id, example().id);
    assert_eq!(merged.pcrs[&SHA256][&pcr(0)].len(), 2);
    let boot = merged.boot.as_ref().unwrap();
    assert_eq!(boot.images.as_ref().unwrap().len(), 3);
    assert_eq!(boot.images.as_ref().unwrap()[2].digests[&SHA256].len(), 2);
    assert_eq!(boot.command_lines.as_ref().unwrap().len(), 3);
    assert_eq!(boot.keys.db.as_ref().unwrap().len(), 3);
    assert_eq!(merged.runtime.as_ref().unwrap().digests["/usr/bin/cat"].len(), 2);
    assert_eq!(GoldenImage::parse(&merged.to_text()).unwrap(), merged);
    assert_eq!(merge(&[merged.clone(), other]).unwrap(), merged, "merged again nothing changes");
    assert_eq!(merge(&[example(), with("").unwrap()]).unwrap(), example(), "what one does not speak of is kept");
    assert_eq!(merge(&[example()]).unwrap(), example());
}

#[test]
fn settings_that_contradict_each_other_are_told_of_both_images() {
    assert_eq!(merge(&[]), Err(MergeConflict::Nothing));
    let told = |lines: &str| merge(&[example(), with(lines).unwrap()]).unwrap_err().to_string();
    assert_eq!(told("max_age = \"30d\""), "max_age differs: 90d in web@2026.1, 30d in web@1");
    assert_eq!(
        told("[boot]\nordered = true\n[[boot.image]]\nname = \"a\"\nsigner = \"CN=a\""),
        "boot.secure_boot differs: On in web@2026.1, Any in web@1"
    );
    assert_eq!(told("ignored_pcrs = [0]"), "PCR 0 differs: held by value in web@2026.1, ignored in web@1");
    let held = format!("[pcrs.sha256]\n1 = \"{}\"", value("1"));
    assert_eq!(told(&held), "PCR 1 differs: ignored in web@2026.1, held by value in web@1");
}

#[test]
fn a_difference_names_what_was_added_and_what_is_gone() {
    let new = EXAMPLE
        .replace("secure_boot = \"on\"\n", "")
        .replace("option_rom = []\n", "")
        .replace("[runtime]\nexclude = [\"/var/log/**\"]\n", "[runtime]\n")
        .replace("max_age = \"90d\"", "max_age = \"30d\"");
    let text: Vec<String> =
        diff(&example(), &GoldenImage::parse(&new).unwrap()).iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "max_age\n  - 90d\n  + 30d",
            "boot.secure_boot\n  - on\n  + any",
            "boot.option_rom\n  - none at all",
            "runtime.exclude\n  - /var/log/**",
        ]
    );
    assert_eq!(diff(&example(), &example()), []);
    let all = diff(&with("").unwrap(), &example());
    assert!(all.iter().all(|change| change.old.is_empty() && !change.new.is_empty()), "{all:?}");
}

#[test]
fn what_opens_more_than_its_author_may_think_is_told() {
    let fields = |lines: &str| {
        let lints = lint(&with(&format!("max_age = \"90d\"\n{lines}")).unwrap());
        lints.into_iter().map(|lint| format!("{}: {}", lint.field, lint.message)).collect::<Vec<_>>()
    };
    let one = |lines: &str, part: &str| {
        let told = fields(lines);
        assert!(told.iter().any(|lint| lint.contains(part)), "{lines}: {told:?}");
    };
    one("", "expects nothing");
    one("supersedes = [\"web@0\"]", "invalid at once");
    one("[boot]\ncommand_line = [{ pattern = \"ro * quiet\" }]", "any one parameter");
    one("[boot]\ncommand_line = [{ loader = \"grub\", text = \"ls\" }]", "any command line passes");
    one("[boot.sbat_level]\nshim = 4", "refuses nothing by it");
    one("[boot]\naccept = [\"event_log.separator_missing\"]", "in every PCR");
    one("[boot]\nsecure_boot = \"on\"", "any boot loader");
    one("[boot]\nsecure_boot = \"on\"", "any initrd");
    one("[[boot.image]]\nname = \"a\"\nsigner = \"CN=a\"", "counts only with Secure Boot on");
    one("[[boot.image]]\nname = \"a\"\nsigner = \"CN=a\"", "anyone can make a certificate");
    one("[[boot.image]]\nname = \"a\"\nsigner = \"CN=a\"", "old and vulnerable");
    one("[runtime]\n", "neither digests nor keys");
    for exclusion in ["/home/**", "/srv/www/**"] {
        one(&format!("[runtime]\nexclude = [\"{exclusion}\"]"), "whole tree");
    }
    for exclusion in ["/usr/lib/x/y/**", "/usr/bin/*", "/etc/*.conf", "/l*/a"] {
        one(&format!("[runtime]\nexclude = [\"{exclusion}\"]"), "programs, libraries or settings");
    }
    one("[runtime]\nrules = [\"memfd\"]", "written to memory");
    one(&format!("[pcrs.sha1]\n0 = \"{}\"", "0".repeat(40)), "collisions");
    let exclusion = |text: &str| {
        format!("[runtime]\nexclude = [\"{text}\"]\n[runtime.digests]\n\"/a\" = \"sha256:{}\"", value("1"))
    };
    for fine in ["/var/log/nginx/*.log", "/var/lib/app/cache/**"] {
        assert_eq!(fields(&exclusion(fine)), [""; 0], "{fine}");
    }
    assert_eq!(lint(&example()).len(), 3, "{:?}", lint(&example()));
}

#[test]
fn a_line_without_a_text_is_captured_by_its_digest() {
    let mut facts = good();
    facts.command_lines[2].text.clear();
    facts.command_lines[2].digests = [(SHA256, value("77"))].into();
    let image = captured(Some(&facts), &bank());
    let lines = image.boot.as_ref().unwrap().command_lines.as_ref().unwrap();
    assert_eq!(lines[2].text, CommandText::Measured([(SHA256, [value("77")].into())].into()));
    assert_eq!(GoldenImage::parse(&image.to_text()).unwrap(), image);
    facts.command_lines = vec![command_line(1, Loader::Grub, "set a=1")];
    let image = captured(Some(&facts), &bank());
    assert_eq!(image.boot.unwrap().command_lines.unwrap().len(), 1);
}
