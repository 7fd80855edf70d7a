//! Golden images as texts: strict to read, and written in one way.

use proptest::prelude::*;
use vouchsafe_attest::ima::{MAX_DIGESTS_PER_PATH, MAX_PATH_LEN};
use vouchsafe_attest::image::{
    AcceptedDeviation, CompileError, Compiled, DocumentError, GoldenImage, Inconsistency, MAX_KEYS, MAX_PER_BOOT_ITEM,
    MAX_SUPERSEDED, MAX_TEXT_LEN, MAX_VALUES_PER_PCR, Period,
};
use vouchsafe_attest::secure_boot::SbatLevel;
use vouchsafe_model::{FindingCode, Timestamp};

/// An image that says something about everything.
pub(crate) const EXAMPLE: &str = include_str!("web-2026.1.image.toml");

const HEAD: &str = "format = \"vouchsafe-image/1\"\nimage = \"web@1\"\ncreated_at = \"2026-01-31T12:00:00Z\"\n";

pub(crate) fn example() -> GoldenImage {
    GoldenImage::parse(EXAMPLE).unwrap()
}

/// A minimal image and these lines.
pub(crate) fn with(lines: &str) -> Result<GoldenImage, DocumentError> {
    GoldenImage::parse(&format!("{HEAD}{lines}"))
}

fn problem(lines: &str) -> String {
    with(lines).unwrap_err().to_string()
}

fn hex(len: usize) -> String {
    "0".repeat(len * 2)
}

#[test]
fn the_canonical_text_is_the_example_without_its_comment() {
    let written = example().to_text();
    let expected = EXAMPLE.lines().skip(1).collect::<Vec<_>>().join("\n") + "\n";
    assert_eq!(written, expected.replace("12:00:00Z", "12:00:00.000Z"));
    assert_eq!(GoldenImage::parse(&written).unwrap(), example());
    assert_eq!(GoldenImage::parse(&written).unwrap().to_text(), written);
}

#[test]
fn a_minimal_image_is_read_and_expects_nothing() {
    let image = with("").unwrap();
    assert!(!image.expects_something());
    assert_eq!(GoldenImage::parse(&image.to_text()).unwrap(), image);
    assert!(!with("[boot]\n").unwrap().expects_something());
    assert!(!with("[boot.dbx]\n").unwrap().expects_something());
    assert!(!with("[boot.sbat_level]\n").unwrap().expects_something());
    for something in [
        "[boot]\nsecure_boot = \"on\"",
        "[boot]\noption_rom = []",
        "[boot.keys.db]",
        "[boot.sbat_level]\nsbat = 2023012900",
        "[runtime]",
        &format!("[pcrs.sha256]\n0 = \"{}\"", hex(32)),
    ] {
        let image = with(something).unwrap();
        assert!(image.expects_something(), "{something}");
        assert_eq!(GoldenImage::parse(&image.to_text()).unwrap(), image, "{something}");
    }
}

#[test]
fn an_unknown_field_anywhere_is_refused_with_its_line_and_column() {
    for (lines, place, field) in [
        ("ignore_pcrs = [1]", "line 4, column 1", "ignore_pcrs"),
        ("[boot]\nsecureboot = \"on\"", "line 5, column 1", "secureboot"),
        ("[pcrs.md5]\n", "line 4, column 7", "md5"),
        ("[boot.keys.dbx]\n", "line 4, column 12", "dbx"),
        ("[boot.dbx]\nmd5 = []", "line 5, column 1", "md5"),
        ("[runtime]\nkey = []", "line 5, column 1", "key"),
        ("[[boot.image]]\nname = \"a\"\n  sha265 = \"00\"", "line 6, column 3", "sha265"),
        ("[boot]\ncommand_line = [{ text = \"a\", loaded = \"grub\" }]", "line 5, column 31", "loaded"),
    ] {
        let problem = problem(lines);
        assert!(problem.starts_with(place) && problem.contains(field), "{lines}: {problem}");
    }
}

#[test]
fn what_is_not_of_its_form_is_refused_where_it_stands() {
    let short = hex(31);
    let pcr = |value: &str| format!("[pcrs.sha256]\n0 = {value}");
    for (lines, place) in [
        (pcr(&format!("\"{short}\"")), "line 5, column 5"),
        (pcr("[]"), "line 5, column 5"),
        (pcr(&format!("[\"{}\", \"{short}\"]", hex(32))), "line 5, column 74"),
        (pcr(&format!("[\"{0}\", \"{0}\"]", hex(32))), "line 5, column 5"),
        (format!("[pcrs.sha256]\n24 = \"{}\"", hex(32)), "line 5, column 1"),
        ("overlap = \"7 days\"".to_owned(), "line 4, column 11"),
        ("supersedes = [\"web\"]".to_owned(), "line 4, column 15"),
        ("supersedes = \"web@2\"".to_owned(), "line 4, column 14"),
        ("[boot]\nsecure_boot = \"off\"".to_owned(), "line 5, column 15"),
        ("[boot]\naccept = [\"event_log.mismatch\"]".to_owned(), "line 5, column 11"),
        ("[boot]\naccept = [\"event_log.digest_mismatch\"]".to_owned(), "line 5, column 11"),
        ("[boot]\ncommand_line = [{ pattern = \"quiet\" }]".to_owned(), "line 5, column 17"),
        ("[boot]\ncommand_line = [{ text = \"a\", pattern = \"*\" }]".to_owned(), "line 5, column 17"),
        ("[boot]\ncommand_line = [{ text = \"a\", loader = \"lilo\" }]".to_owned(), "line 5, column 40"),
        ("[[boot.image]]\nname = \"a\"".to_owned(), "line 4, column 1"),
        ("[boot.keys.db]\n00 = \"CN=a\"".to_owned(), "line 5, column 1"),
        ("[boot.sbat_level]\nsbat = 2".to_owned(), "line 5, column 8"),
        ("[boot.sbat_level]\nshim = 0".to_owned(), "line 5, column 8"),
        ("[boot.sbat_level]\nshim = -1".to_owned(), "line 5, column 8"),
        ("[boot.sbat_level]\nshim = 4294967296".to_owned(), "line 5, column 8"),
        ("[boot.sbat_level]\nshim = \"2\"".to_owned(), "line 5, column 8"),
        ("[boot.sbat_level]\n\"a,b\" = 1".to_owned(), "line 5, column 1"),
        ("[boot]\nsbat_level = 2023012900".to_owned(), "line 5, column 14"),
        ("[runtime.digests]\n\"/bin/ls\" = \"00\"".to_owned(), "line 5, column 13"),
        (format!("[runtime.digests]\n\"/bin/ls\" = \"sha256:{short}\""), "line 5, column 13"),
        ("created_at = \"2026-01-31T12:00:00Z\"".to_owned(), "line 4, column 1"),
        ("é = ".to_owned(), "line 4, column 1"),
    ] {
        let problem = problem(&lines);
        assert!(problem.starts_with(place), "{lines}: {problem}");
    }
}

#[test]
fn another_format_is_named_before_its_fields_are_looked_at() {
    let other = "format = \"vouchsafe-image/2\"\nnew_field = 1\n";
    assert_eq!(GoldenImage::parse(other), Err(DocumentError::OtherFormat { line: 1, column: 10 }));
    assert_eq!(GoldenImage::parse("image = \"web@1\"\n"), Err(DocumentError::OtherFormat { line: 1, column: 1 }));
    assert_eq!(GoldenImage::parse_bytes(b"format\xFF"), Err(DocumentError::NotText { offset: 6 }));
    assert_eq!(GoldenImage::parse_bytes(&[0xFF; 3]), Err(DocumentError::NotText { offset: 0 }));
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let held = format!("[pcrs.sha256]\n7 = \"{}\"\n", hex(32));
    let accept = |deviation: &str| format!("{held}[boot]\naccept = [\"{deviation}\"]");
    let pcr = |index| vouchsafe_model::PcrIndex::new(index).unwrap();
    let deviation = AcceptedDeviation::new(FindingCode::EventDigestMismatch, Some(pcr(4))).unwrap();
    assert!(with(&accept("event_log.digest_mismatch@7")).is_ok());
    let list = "image";
    for (lines, expected) in [
        ("supersedes = [\"web@1\"]".to_owned(), Inconsistency::SupersedesItself("web@1".parse().unwrap())),
        ("overlap = \"7d\"".to_owned(), Inconsistency::OverlapOfNothing),
        (format!("ignored_pcrs = [7]\n{held}"), Inconsistency::HeldAndIgnored(pcr(7))),
        (accept("event_log.digest_mismatch@4"), Inconsistency::AcceptedWithoutValue { deviation, pcr: pcr(4) }),
        ("[boot]\nordered = true".to_owned(), Inconsistency::OrderOfNothing),
        (
            format!(
                "[[boot.image]]\nname = \"a\"\nsha256 = \"{0}\"\n[[boot.image]]\nname = \"a\"\nsha256 = \"{0}\"",
                hex(32)
            ),
            Inconsistency::NamedTwice { list, name: "a".to_owned() },
        ),
        (
            "[[boot.initrd]]\nname = \"a\"\nsigner = \"CN=a\"".to_owned(),
            Inconsistency::SignedFile { list: "initrd", name: "a".to_owned() },
        ),
    ] {
        assert_eq!(with(&lines), Err(DocumentError::Inconsistent(expected)), "{lines}");
    }
}

#[test]
fn an_image_put_together_in_code_is_checked_when_it_is_compiled() {
    let mut image = example();
    image.ignored_pcrs = "0".parse().unwrap();
    assert!(matches!(Compiled::new(image), Err(CompileError::Inconsistent(Inconsistency::HeldAndIgnored(_)))));
}

#[test]
fn what_may_run_is_compiled_once_and_held_once() {
    let compiled = Compiled::new(example()).unwrap();
    assert_eq!(compiled.runtime().unwrap().paths(), 2);
    assert!(compiled.document().runtime.as_ref().unwrap().digests.is_empty(), "the policy holds them");
    let bad = with("[runtime]\nexclude = [\"/**\"]").unwrap();
    assert!(matches!(Compiled::new(bad), Err(CompileError::Runtime(_))));
}

#[test]
fn every_list_is_read_up_to_its_bound_and_not_beyond() {
    let digest = |number: usize| format!("{number:064x}");
    let quoted =
        |count: usize| (0..count).map(|number| format!("\"{}\"", digest(number))).collect::<Vec<_>>().join(",");
    let images = |count: usize| (0..count).map(|number| format!("\"a@{number}\"")).collect::<Vec<_>>().join(",");
    let path = |len: usize| format!("[runtime.digests]\n\"{}\" = \"sha256:{}\"", "p".repeat(len), digest(0));
    let several = |count: usize| quoted(count).replace("\"0", "\"sha256:0");
    let keys =
        |count: usize| (0..count).map(|number| format!("{} = \"\"\n", digest(number))).collect::<Vec<_>>().concat();
    let components = |count: usize| (0..count).map(|number| format!("c{number} = 1\n")).collect::<Vec<_>>().concat();
    let cases: [(usize, &dyn Fn(usize) -> String); 8] = [
        (MAX_SUPERSEDED, &|count| format!("supersedes = [{}]", images(count))),
        (MAX_VALUES_PER_PCR, &|count| format!("[pcrs.sha256]\n0 = [{}]", quoted(count))),
        (MAX_PER_BOOT_ITEM, &|count| format!("[[boot.image]]\nname = \"a\"\nsha256 = [{}]", quoted(count))),
        (MAX_KEYS, &|count| format!("[boot.keys.db]\n{}", keys(count))),
        (SbatLevel::MAX_COMPONENTS, &|count| format!("[boot.sbat_level]\n{}", components(count))),
        (MAX_PATH_LEN, &path),
        (MAX_DIGESTS_PER_PATH, &|count| format!("[runtime.digests]\n\"/a\" = [{}]", several(count))),
        (512, &|count| format!("[[boot.image]]\nname = \"{}\"\nsha256 = \"{}\"", "n".repeat(count), digest(0))),
    ];
    for (max, lines) in cases {
        with(&lines(max)).unwrap();
        let refused = problem(&lines(max + 1));
        assert!(refused.contains(&max.to_string()), "{refused}");
    }
}

#[test]
fn a_text_is_read_up_to_its_bound_and_not_beyond() {
    let padded = |len: usize| format!("{HEAD}{}", "#".repeat(len - HEAD.len()));
    assert!(GoldenImage::parse(&padded(MAX_TEXT_LEN)).is_ok());
    let len = MAX_TEXT_LEN + 1;
    assert_eq!(GoldenImage::parse(&padded(len)), Err(DocumentError::TooLong { len }));
    assert_eq!(GoldenImage::parse_bytes(padded(len).as_bytes()), Err(DocumentError::TooLong { len }));
}

#[test]
fn no_nesting_however_deep_ends_the_process() {
    for deep in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "a.".repeat(100_000) + "b = 1",
        "a = ".to_owned() + &"{a=".repeat(100_000),
    ] {
        assert!(with(&deep).is_err());
    }
}

#[test]
fn what_a_reviewer_would_not_see_is_written_in_escapes() {
    let mut image = example();
    let name = "a\u{202E}b\u{200B}\"\\\n\0é";
    image.boot.as_mut().unwrap().images.as_mut().unwrap()[0].name = name.to_owned();
    let text = image.to_text();
    assert!(text.contains(r#"name = "a\U0000202Eb\U0000200B\"\\\n\U00000000é""#), "{text}");
    assert_eq!(GoldenImage::parse(&text).unwrap(), image);
}

#[test]
fn age_and_overlap_are_counted_from_their_instants() {
    let compiled = Compiled::new(example()).unwrap();
    let created = example().created_at;
    let age = |days| created.plus(Period::from_days(days).unwrap().duration());
    assert_eq!(compiled.too_old(age(90)), None);
    let finding = compiled.too_old(age(91)).unwrap();
    assert_eq!((finding.code, finding.path.as_deref()), (FindingCode::ImageTooOld, Some("web@2026.1")));
    let now = Timestamp::from_unix_secs(0);
    assert_eq!(compiled.superseded_valid_until(now).unix_secs(), 7 * 24 * 60 * 60);
    let without = Compiled::new(with("").unwrap()).unwrap();
    assert_eq!((without.superseded_valid_until(now), without.too_old(age(3650))), (now, None));
}

#[test]
fn every_truncation_is_refused_or_another_image() {
    for len in 0..EXAMPLE.len() {
        if let Ok(image) = GoldenImage::parse_bytes(&EXAMPLE.as_bytes()[..len]) {
            assert_eq!(GoldenImage::parse(&image.to_text()).unwrap(), image, "{len}");
        }
    }
}

proptest! {
    #[test]
    fn damaged_texts_are_answered(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        if let Ok(image) = GoldenImage::parse_bytes(&bytes) {
            let text = image.to_text();
            prop_assert_eq!(GoldenImage::parse(&text).unwrap(), image);
        }
    }

    #[test]
    fn any_path_and_command_line_survives_being_written_and_read(path in "\\PC{1,40}|[\\x00-\\x7f]{1,40}", text in ".{0,60}") {
        let mut image = example();
        let digests = image.runtime.as_ref().unwrap().digests["/usr/bin/ls"].clone();
        image.runtime.as_mut().unwrap().digests.insert(path, digests);
        let lines = image.boot.as_mut().unwrap().command_lines.as_mut().unwrap();
        lines[0].text = vouchsafe_attest::image::CommandText::Exact(text);
        prop_assert_eq!(GoldenImage::parse(&image.to_text()).unwrap(), image);
    }
}
