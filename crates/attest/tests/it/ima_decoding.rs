//! Entries in both forms: what is read, what is incomplete, and what is none.

use proptest::prelude::*;
use vouchsafe_attest::forge::{ImaList, digest_ng};
use vouchsafe_attest::ima::{
    Entries, Entry, ImaContext, ImaError, ImaProblem, ImaState, ListFormat, ListReport, MAX_PATH_LEN,
    MAX_TEMPLATE_DATA_LEN, MAX_TEMPLATE_NAME_LEN,
};

use crate::ima::{SHA256, list};

fn read(bytes: &[u8]) -> Result<Vec<Entry<'_>>, ImaError> {
    Entries::new(bytes).collect()
}

fn problem(bytes: &[u8]) -> (u64, u64, ImaProblem) {
    let error = read(bytes).unwrap_err();
    (error.entry, error.offset, error.problem)
}

/// One entry, field by field.
fn entry(template: &[u8], data: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&10u32.to_le_bytes()[..], &[1; 20], &len(template), template, &len(data), data].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat()
}

/// Every template, as kernels write it.
fn of_every_template() -> ImaList {
    let mut list = list();
    let sha256 = digest_ng("sha256", &[1; 32]);
    let verity = digest_ng("verity:sha256", &[2; 32]);
    let path = b"/usr/bin/ls\0";
    list.file("/usr/bin/my tool", b"content").ima("/usr/bin/old", b"content").buffer("kexec-cmdline", b"quiet");
    list.signed("/usr/bin/unsigned", b"content", &[]).signed("/usr/bin/signed", b"content", &[3, 2, 4]);
    list.entry("ima-ngv2", &[&digest_ng("ima:sha512", &[4; 64]), path]).entry("ima-sigv2", &[&verity, path, &[6, 3]]);
    list.entry("ima-modsig", &[&sha256, path, &[], &sha256, &[0x30, 0]])
        .entry("ima-modsig", &[&sha256, path, &[], &[], &[]]);
    let ids = [&sha256[..], path, &[5, 2], b"security.selinux\0", &[4], &[1, 2, 3, 4], &[0; 4], &[0; 4], &[0xED, 0x81]];
    list.entry("evm-sig", &ids).entry("d-ng|n-ng|sig", &[&sha256, path, &[]]).entry("d|n", &[&[9; 20], path]);
    list.entry("unheard-of", &[b"opaque"]).violation("/var/log/syslog");
    list
}

#[test]
fn every_template_is_read_and_recomputes() {
    let list = of_every_template();
    let entries = read(list.bytes()).unwrap();
    assert_eq!(u64::try_from(entries.len()).unwrap(), list.entries());
    for entry in &entries {
        assert!(entry.recomputes(), "entry {} {}", entry.number(), entry.template());
        assert_eq!(entry.fields().is_none(), entry.template() == "unheard-of");
    }
    let names: Vec<_> = entries.iter().filter_map(|entry| entry.fields().map(|fields| fields.name.to_vec())).collect();
    assert_eq!(names[1], b"/usr/bin/my_tool", "the kernel writes blanks as underscores");
    assert_eq!(names[2], b"/usr/bin/old");
    assert_eq!(entries[3].fields().unwrap().buffer, Some(&b"quiet"[..]));
    assert_eq!(entries[7].fields().unwrap().digest.unwrap().to_string(), format!("verity:sha256:{}", "02".repeat(32)));
    assert_eq!(entries[8].fields().unwrap().modsig, [0x30, 0]);
    assert!(entries.last().unwrap().is_violation());
}

#[test]
fn replay_agrees_in_every_bank_with_what_a_tpm_would_hold() {
    let list = of_every_template();
    for bank in ["sha1", "sha256", "sha384", "sha512"] {
        let bank = bank.parse().unwrap();
        let advance = ImaState::new(bank).advance(list.bytes(), None, ImaContext::default()).unwrap();
        assert_eq!(*advance.state.pcr10(), list.pcr10(bank), "{bank}");
    }
    let error = ImaState::new("sm3_256".parse().unwrap()).advance(&[], None, ImaContext::default()).unwrap_err();
    assert!(matches!(error.problem, ImaProblem::Bank(_)), "{error}");
}

#[test]
fn both_forms_say_the_same() {
    let mut list = list();
    list.file("/a b", b"1").signed("/c", b"2", &[3, 2, 4, 0, 0, 0, 0, 0, 1, 7]).signed("/d", b"3", &[]);
    list.buffer(".ima", b"key").violation("/e");
    let (binary, ascii) = (read(list.bytes()).unwrap(), read(list.ascii().as_bytes()).unwrap());
    assert_eq!(binary.len(), ascii.len());
    for (binary, ascii) in binary.iter().zip(&ascii) {
        assert_eq!((binary.fields(), binary.logged_hash()), (ascii.fields(), ascii.logged_hash()));
    }
    assert_eq!(ListFormat::detect(list.bytes()), ListFormat::Binary);
    assert_eq!(ListFormat::detect(list.ascii().as_bytes()), ListFormat::Ascii);
    let both = [list.bytes(), list.ascii().as_bytes()].map(|bytes| ListReport::of(bytes, &[], None).unwrap());
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_list_that_is_cut_off_is_read_to_its_last_whole_entry() {
    let list = of_every_template();
    for len in 0..list.bytes().len() {
        let mut entries = Entries::new(&list.bytes()[..len]);
        let whole = entries.by_ref().map(|entry| entry.unwrap().number()).last().unwrap_or(0);
        let start = list.start_of(usize::try_from(whole).unwrap() + 1);
        assert_eq!((entries.consumed(), entries.remaining()), (start, len - start), "{len} bytes");
        let report = ListReport::of(&list.bytes()[..len], &[], None);
        match report {
            Ok(report) => assert_eq!((report.entries, start), (whole, len)),
            Err(error) => assert_eq!(error.problem, ImaProblem::Truncated { left: len - start }),
        }
    }
}

#[test]
fn no_list_replays_with_one_bit_flipped() {
    let list = of_every_template();
    let quoted = list.pcr10(SHA256);
    for bit in 0..list.bytes().len() * 8 {
        let mut bytes = list.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(advance) = ImaState::new(SHA256).advance(&bytes, Some(&quoted), ImaContext::default()) else { continue };
        // Not covered: the SHA-1 template hash, the names of templates, and the path of a violation.
        if advance.is_quoted {
            let (entries, good) = (read(&bytes).unwrap(), read(list.bytes()).unwrap());
            assert_eq!(entries.len(), good.len());
            for (entry, good) in entries.iter().zip(&good).filter(|(entry, good)| entry != good) {
                let is_renamed = entry.template() != good.template();
                assert!(is_renamed || !entry.recomputes() || entry.is_violation(), "bit {bit}: {entry:?}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_binary_entry_is_told_with_its_place() {
    let path = |path: &[u8]| [sized(&digest_ng("sha256", &[1; 32])), sized(path)].concat();
    let good = entry(b"ima-ng", &path(b"/a\0"));
    let behind = u64::try_from(good.len()).unwrap();
    let at = |bad: Vec<u8>| problem(&[&good[..], &bad].concat());
    let pcr = [&24u32.to_le_bytes()[..], &good[4..]].concat();
    assert_eq!(at(pcr), (2, behind, ImaProblem::Pcr));
    assert_eq!(at(entry(b"", b"")), (2, behind + 24, ImaProblem::TemplateName));
    assert_eq!(at(entry(b"ima\n", b"")), (2, behind + 28, ImaProblem::TemplateName));
    let data_at = behind + 24 + 4 + 6 + 4;
    for (name, expected) in [
        (&b"/a"[..], ImaProblem::NameNul),
        (b"", ImaProblem::NameNul),
        (b"/a\0/b\0", ImaProblem::NameNul),
        (b"/a\0\0", ImaProblem::NameNul),
    ] {
        assert_eq!(at(entry(b"ima-ng", &path(name))), (2, data_at + 4 + 40 + 4, expected), "{name:?}");
    }
    let trailing = [path(b"/a\0"), vec![0; 3]].concat();
    assert_eq!(at(entry(b"ima-ng", &trailing)).2, ImaProblem::TrailingData { left: 3 });
    let cut = [path(b"/a\0"), 5u32.to_le_bytes().to_vec(), vec![0; 4]].concat();
    assert_eq!(at(entry(b"ima-sig", &cut)).2, ImaProblem::FieldCutOff { field: "sig" });
    let no_digest = [sized(&digest_ng("sha256", &[1; 31])), sized(b"/a\0")].concat();
    assert_eq!(at(entry(b"ima-ng", &no_digest)), (2, data_at + 4, ImaProblem::Digest { field: "d-ng" }));
    let wraps = [&10u32.to_le_bytes()[..], &[1; 20], &u32::MAX.to_le_bytes()].concat();
    assert_eq!(at(wraps).2, ImaProblem::TemplateName);
}

#[test]
fn names_data_and_paths_are_bounded() {
    let of_path = |len: usize| {
        let name = [&b"/".repeat(len)[..], &[0]].concat();
        entry(b"ima-ng", &[sized(&digest_ng("sha256", &[1; 32])), sized(&name)].concat())
    };
    assert!(read(&of_path(MAX_PATH_LEN)).is_ok());
    assert_eq!(problem(&of_path(MAX_PATH_LEN + 1)).2, ImaProblem::NameLen { len: MAX_PATH_LEN + 1 });
    assert!(read(&entry(&[b'x'; MAX_TEMPLATE_NAME_LEN], b"")).is_ok());
    assert_eq!(problem(&entry(&[b'x'; MAX_TEMPLATE_NAME_LEN + 1], b"")).2, ImaProblem::TemplateName);
    assert!(read(&entry(b"x", &vec![0; MAX_TEMPLATE_DATA_LEN])).is_ok());
    let len = u64::try_from(MAX_TEMPLATE_DATA_LEN + 1).unwrap();
    assert_eq!(problem(&entry(b"x", &vec![0; MAX_TEMPLATE_DATA_LEN + 1])).2, ImaProblem::TemplateDataLen { len });
    let ima = |len: u32| {
        [&10u32.to_le_bytes()[..], &[1; 20], &sized(b"ima"), &[2; 20], &len.to_le_bytes(), &[b'x'; 256]].concat()
    };
    assert!(read(&ima(255)[..38 + 20 + 4 + 255 - 7]).is_ok());
    assert_eq!(problem(&ima(256)).2, ImaProblem::NameLen { len: 256 });
}

#[test]
fn what_is_wrong_with_a_line_is_told_with_its_number() {
    let good = list().ascii().to_owned();
    let at = |line: &str| {
        let text = format!("{good}{line}\n");
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.entry, 2, "{error}");
        (error.offset - u64::try_from(good.len()).unwrap(), error.problem)
    };
    let hash = "0".repeat(40);
    let digest = format!("sha256:{}", "00".repeat(32));
    assert_eq!(at("this-is-an-invalid-ima-log-file"), (0, ImaProblem::Pcr));
    assert_eq!(at("24 x"), (0, ImaProblem::Pcr));
    assert_eq!(at("+1 x"), (0, ImaProblem::Pcr));
    assert_eq!(at("10"), (2, ImaProblem::MissingColumn("template hash")));
    assert_eq!(at("10 0g ima-ng"), (3, ImaProblem::NotHex("template hash")));
    assert_eq!(at("10 00 ima-ng"), (3, ImaProblem::TemplateHashLen(1)));
    assert_eq!(at(&format!("10 {hash} ")), (44, ImaProblem::TemplateName));
    assert_eq!(at(&format!("10 {hash} x y")), (44, ImaProblem::UnknownTemplate("x".into())));
    assert_eq!(at(&format!("10 {hash} ima-ng {digest}")).1, ImaProblem::MissingColumn("n-ng"));
    assert_eq!(at(&format!("10 {hash} ima-ng sha256:00 /a")), (51, ImaProblem::Digest { field: "d-ng" }));
    assert_eq!(at(&format!("10 {hash} ima-ng {digest} /a b")).1, ImaProblem::TrailingColumn);
    assert_eq!(at(&format!("10 {hash} ima-ng {digest} /a\0")).1, ImaProblem::NameNul);
    assert_eq!(at(&format!("10 {hash} ima-sig {digest} /a 0")).1, ImaProblem::NotHex("sig"));
    assert_eq!(at(&format!("10 {hash} ima {} /a", "00".repeat(19))).1, ImaProblem::Digest { field: "d" });
    let endless = "1".repeat(2 * MAX_TEMPLATE_DATA_LEN + 1025);
    assert!(matches!(problem(endless.as_bytes()).2, ImaProblem::LongLine { .. }));
}

#[test]
fn a_line_break_in_a_path_makes_no_second_entry_that_counts() {
    let evil = format!("/tmp/a\n10 {} ima-ng sha256:{} /usr/bin/ls", "11".repeat(20), "22".repeat(32));
    let mut list = list();
    list.file(&evil.replace(' ', "\u{1}"), b"evil");
    let text = list.ascii().replace('\u{1}', " ");
    let report = ListReport::of(text.as_bytes(), &[], None).unwrap();
    assert_eq!(report.template_hash_mismatches, [2, 3]);
    assert_ne!(report.pcr10[&SHA256], list.pcr10(SHA256));
    let binary = ListReport::of(list.bytes(), &[], None).unwrap();
    assert!(binary.template_hash_mismatches.is_empty());
}

#[test]
fn the_last_line_of_a_whole_list_needs_no_line_break_and_that_of_a_part_does() {
    let list = list();
    let text = list.ascii().trim_end().as_bytes();
    assert_eq!(Entries::new(text).count(), 0);
    assert_eq!(Entries::new(text).whole().count(), 1);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = read(&bytes);
        let _ = ListReport::of(&bytes, &[], None);
    }

    #[test]
    fn good_lists_with_some_bytes_changed_are_answered(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6), as_text in any::<bool>()
    ) {
        let list = of_every_template();
        let mut bytes = if as_text { list.ascii().as_bytes().to_vec() } else { list.bytes().to_vec() };
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        let mut entries = Entries::new(&bytes);
        let read = entries.by_ref().flatten().count();
        prop_assert!(entries.consumed() <= bytes.len() && read <= bytes.len());
        let _ = ListReport::of(&bytes, &[], None);
    }
}
