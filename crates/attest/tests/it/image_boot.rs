//! What a boot says against golden images.

use std::sync::Arc;

use vouchsafe_attest::eventlog::facts::{
    Authority, BootFacts, BootImage, BootImageKind, CommandLine, Initrd, Loader, SignatureEntry, SignatureKind,
};
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::image::boot::Proof;
use vouchsafe_attest::image::{Compiled, GoldenImage, accept, boot, choose, pcrs};
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, Sha1Bank};
use vouchsafe_attest::reference;
use vouchsafe_attest::secure_boot::SbatLevel;
use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{
    Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex, PcrSelection, ReferenceValues, Severity, Sha256Digest,
};

use crate::image_document::{EXAMPLE, example, with};

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;
const QUOTED: &str = "sha256:0-9,14";

pub(crate) fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

pub(crate) fn value(hex: &str) -> PcrValue {
    format!("{hex:0>64}").parse().unwrap()
}

pub(crate) fn digest(hex: &str) -> Sha256Digest {
    format!("{hex:0>64}").parse().unwrap()
}

pub(crate) fn certificate(sha256: Sha256Digest, subject: &str) -> SignatureEntry {
    let kind = SignatureKind::X509 { sha256, subject: Some(subject.to_owned()), der: Vec::new() };
    SignatureEntry { owner: "owner".to_owned(), kind }
}

pub(crate) fn hashed(digest: Sha256Digest) -> SignatureEntry {
    SignatureEntry { owner: "owner".to_owned(), kind: SignatureKind::Sha256 { digest } }
}

pub(crate) fn image(event: u64, kind: BootImageKind, path: &str, sha256: &str) -> BootImage {
    let index = match kind {
        BootImageKind::Application => 4,
        BootImageKind::BootDriver | BootImageKind::RuntimeDriver => 2,
        BootImageKind::LoaderFile => 9,
    };
    let digests = [(SHA256, value(sha256))].into();
    BootImage { event, pcr: pcr(index), kind, path: Some(path.to_owned()), digests, authority: None }
}

pub(crate) fn command_line(event: u64, loader: Loader, text: &str) -> CommandLine {
    let index = if matches!(loader, Loader::Grub | Loader::GrubKernel) { 8 } else { 9 };
    CommandLine { event, pcr: pcr(index), loader, text: text.to_owned(), digests: [].into() }
}

pub(crate) fn initrd(event: u64, sha256: &str) -> Initrd {
    let path = Some("/initrd.img".to_owned());
    Initrd { event, pcr: pcr(9), loader: Loader::LinuxStub, path, digests: [(SHA256, value(sha256))].into() }
}

/// A boot that meets the example.
pub(crate) fn good() -> BootFacts {
    let debian = "f156d24f5d4e775da0e6a9111f074cfce701939d688c64dba093f97753434f2c".parse().unwrap();
    let mut facts = BootFacts::default();
    let secure_boot = &mut facts.secure_boot;
    secure_boot.enabled = Some(true);
    secure_boot.setup_mode = Some(false);
    secure_boot.pk = vec![certificate(digest("c0"), "CN=Platform")];
    secure_boot.db = vec![certificate(digest("c1"), "CN=One"), hashed(digest("c2"))];
    secure_boot.dbx =
        vec![hashed(digest("d0")), hashed(digest("d1")), certificate(digest("d2"), "CN=Revoked"), hashed(digest("d3"))];
    secure_boot.sbat = Some(SbatLevel::parse(b"sbat,1,2023012900\nshim,2\ngrub,3\ngrub.debian,4\n"));
    let authority =
        |event, variable: &str, entry| Authority { event, variable: variable.to_owned(), entry: Some(entry) };
    secure_boot.authorities = vec![
        authority(20, "db", certificate(digest("c1"), "CN=One")),
        authority(22, "Shim", certificate(debian, "CN=Debian Secure Boot Signer")),
    ];
    facts.boot_chain = vec![
        BootImage { authority: Some(0), ..image(21, BootImageKind::Application, "\\EFI\\debian\\shimx64.efi", "5100") },
        BootImage { authority: Some(1), ..image(23, BootImageKind::Application, "\\EFI\\debian\\grubx64.efi", "9999") },
        image(26, BootImageKind::Application, "/vmlinuz", "6b00"),
    ];
    facts.command_lines = vec![
        command_line(24, Loader::Grub, "set timeout=5"),
        command_line(25, Loader::GrubKernel, "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet"),
        command_line(27, Loader::LinuxStub, "root=UUID=12-34 ro quiet"),
    ];
    facts.initrds = vec![initrd(28, "1d00")];
    facts
}

/// These PCRs are proven, and no others are quoted.
pub(crate) fn proof(selection: &str) -> Proof {
    selection.parse::<PcrSelection>().unwrap().into()
}

pub(crate) fn compiled(image: GoldenImage) -> Arc<Compiled> {
    Compiled::new(image).unwrap()
}

/// Compares with the example after a change of its text.
fn compare_with(facts: &BootFacts, from: &str, to: &str) -> Vec<Finding> {
    assert!(EXAMPLE.contains(from), "{from}");
    let image = GoldenImage::parse(&EXAMPLE.replace(from, to)).unwrap();
    boot::compare(facts, &compiled(image), &proof(QUOTED))
}

fn compare(facts: &BootFacts) -> Vec<Finding> {
    compare_with(facts, "web", "web")
}

/// The one finding of the example with a changed boot.
fn one(change: impl FnOnce(&mut BootFacts)) -> Finding {
    let mut facts = good();
    change(&mut facts);
    let findings = compare(&facts);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.into_iter().next().unwrap()
}

pub(crate) fn texts(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_boot_that_the_image_describes_has_no_finding() {
    assert_eq!(compare(&good()), []);
}

#[test]
fn an_image_without_a_boot_section_asks_no_log() {
    let image = compiled(with("").unwrap());
    assert_eq!(boot::compare(&BootFacts::default(), &image, &proof(QUOTED)), []);
}

#[test]
fn an_empty_log_meets_no_boot_section() {
    let found = texts(&compare(&BootFacts::default()));
    assert_eq!(
        found.iter().map(|text| text.split([' ', ':']).next().unwrap()).collect::<Vec<_>>(),
        [
            "secure_boot.off",
            "secure_boot.key_missing",
            "secure_boot.key_missing",
            "secure_boot.key_missing",
            "secure_boot.dbx_outdated",
            "secure_boot.sbat_outdated",
            "boot.image_missing",
            "boot.image_missing",
            "boot.command_line_mismatch"
        ]
    );
}

#[test]
fn an_unknown_image_is_named_with_event_path_and_both_digests() {
    let finding = one(|facts| facts.boot_chain[2].digests = [(SHA256, value("bad"))].into());
    assert_eq!((finding.code, finding.severity), (FindingCode::BootImageUnknown, Severity::Failure));
    assert_eq!((finding.pcr, finding.event, finding.path.as_deref()), (Some(pcr(4)), Some(26), Some("/vmlinuz")));
    assert_eq!(finding.expected, Some(format!("'vmlinuz': sha256 {}", value("6b00"))));
    assert_eq!(finding.found, Some(format!("sha256 {}", value("bad"))));
    let added = one(|facts| facts.boot_chain.push(image(30, BootImageKind::Application, "/bootkit", "bad")));
    assert_eq!(added.expected.as_deref(), Some("one of 'shimx64.efi', 'grubx64.efi', 'vmlinuz'"));
}

#[test]
fn an_image_of_a_listed_signer_may_change_and_one_of_another_may_not() {
    let other = one(|facts| {
        facts.secure_boot.authorities[1].entry = Some(certificate(digest("ee"), "CN=Debian Secure Boot Signer"));
        // Without grub's own digest nothing stands for it, so that it is both unknown and missing.
        facts.boot_chain.push(image(31, BootImageKind::Application, "grub again", "9999"));
        facts.boot_chain[3].authority = Some(1);
        facts.boot_chain.remove(1);
        facts.boot_chain.remove(2);
    });
    assert_eq!(other.code, FindingCode::BootImageMissing);
}

#[test]
fn a_signer_is_known_by_digest_or_by_subject_and_not_by_half_of_it() {
    let signer = "\"f156d24f5d4e775da0e6a9111f074cfce701939d688c64dba093f97753434f2c\"";
    assert_eq!(compare_with(&good(), signer, "\"CN=Debian Secure Boot Signer\""), []);
    assert_eq!(compare_with(&good(), signer, &format!("[\"CN=Other\", {signer}]")), []);
    let findings = compare_with(&good(), signer, "\"CN=Debian\"");
    assert_eq!(
        findings.iter().map(|finding| finding.code).collect::<Vec<_>>(),
        [FindingCode::BootImageUnknown, FindingCode::BootImageMissing]
    );
    assert!(findings[0].found.as_ref().unwrap().contains("verified by CN=Debian Secure Boot Signer"));
    let mut unsigned = good();
    unsigned.boot_chain[1].authority = None;
    assert_eq!(compare(&unsigned).len(), 2, "an image whose authority is not known has none");
    unsigned.boot_chain[1].authority = Some(99);
    assert_eq!(compare(&unsigned).len(), 2);
}

#[test]
fn a_required_image_that_was_not_booted_is_named() {
    let finding = one(|facts| drop(facts.boot_chain.remove(0)));
    assert_eq!((finding.code, finding.path.as_deref()), (FindingCode::BootImageMissing, Some("shimx64.efi")));
    assert_eq!(
        compare(&{
            let mut facts = good();
            facts.boot_chain.remove(2);
            facts
        }),
        [],
        "the kernel is not required"
    );
}

#[test]
fn the_order_of_images_counts_where_the_image_says_so() {
    let mut facts = good();
    facts.boot_chain.swap(0, 2);
    let findings = compare(&facts);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.code == FindingCode::BootImageUnknown));
    assert_eq!(findings[0].expected.as_deref(), Some("'grubx64.efi' before 'vmlinuz'"));
    assert_eq!(compare_with(&facts, "ordered = true\n", ""), []);
}

#[test]
fn an_option_rom_is_refused_by_an_empty_list_and_not_looked_at_without_one() {
    let mut facts = good();
    facts.boot_chain.insert(0, image(9, BootImageKind::BootDriver, "PciRoot(0)/card", "0c"));
    let findings = compare(&facts);
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].code, findings[0].event), (FindingCode::OptionRomUnknown, Some(9)));
    assert_eq!(findings[0].expected.as_deref(), Some("none at all"));
    assert_eq!(compare_with(&facts, "option_rom = []\n", ""), []);
}

#[test]
fn files_of_a_boot_loader_are_looked_at_when_the_image_lists_some() {
    let mut facts = good();
    facts.boot_chain.push(image(29, BootImageKind::LoaderFile, "/grub/grub.cfg", "f1"));
    assert_eq!(compare(&facts), []);
    let listed = |hex| format!("[[boot.file]]\nname = \"grub.cfg\"\nsha256 = \"{}\"\n\n[[boot.initrd]]", value(hex));
    assert_eq!(compare_with(&facts, "[[boot.initrd]]", &listed("f1")), []);
    let findings = compare_with(&facts, "[[boot.initrd]]", &listed("f2"));
    assert_eq!(texts(&findings).len(), 1);
    assert!(findings[0].expected.as_ref().unwrap().starts_with("'grub.cfg': sha256 "));
}

#[test]
fn an_unknown_initrd_is_named() {
    let finding = one(|facts| facts.initrds[0].digests = [(SHA256, value("bad"))].into());
    assert_eq!((finding.code, finding.event, finding.pcr), (FindingCode::InitrdUnknown, Some(28), Some(pcr(9))));
    assert_eq!(finding.found, Some(format!("sha256 {}", value("bad"))));
}

#[test]
fn a_changed_command_line_is_told_beside_the_one_that_was_expected() {
    let finding = one(|facts| facts.command_lines[1].text.push_str(" init=/bin/sh"));
    assert_eq!(
        (finding.code, finding.event, finding.path.as_deref()),
        (FindingCode::CommandLineMismatch, Some(25), Some("grub_kernel"))
    );
    assert_eq!(finding.expected.as_deref(), Some("BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet"));
    assert_eq!(finding.found.as_deref(), Some("BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet init=/bin/sh"));
    let finding = one(|facts| facts.command_lines[2].text = "root=UUID=1 init=/bin/sh ro quiet".to_owned());
    assert_eq!(finding.expected.as_deref(), Some("root=UUID=* ro quiet"));
}

#[test]
fn a_command_line_of_one_loader_is_not_good_for_another() {
    let finding = one(|facts| facts.command_lines[1].loader = Loader::Systemd);
    assert_eq!(
        (finding.code, finding.expected.as_deref()),
        (FindingCode::CommandLineMismatch, Some("none of this loader"))
    );
    let mut facts = good();
    facts.command_lines.truncate(1);
    let findings = compare(&facts);
    assert_eq!(findings.len(), 1, "a boot that tells no command line of a kernel: {findings:?}");
    assert_eq!(findings[0].found.as_deref(), Some("no command line of a kernel was measured"));
}

#[test]
fn grubs_own_commands_are_looked_at_when_the_image_lists_some() {
    let line = "  { loader = \"grub_kernel\"";
    let with_grub = |text: &str| format!("  {{ loader = \"grub\", text = \"{text}\" }},\n{line}");
    assert_eq!(compare_with(&good(), line, &with_grub("set timeout=5")), []);
    let findings = compare_with(&good(), line, &with_grub("set timeout=0"));
    assert_eq!((findings.len(), findings[0].event), (1, Some(24)));
    let any = "{ loader = \"linux_stub\", pattern = \"root=UUID=* ro quiet\" }";
    let findings = compare_with(&good(), any, "{ pattern = \"* * * *\" }");
    assert_eq!(findings.len(), 1, "three words are not four, and GRUB's command is none of a kernel: {findings:?}");
}

/// A line of which the log holds nothing but the digest, as the kernel's EFI stub measures it.
fn measured(event: u64, text: &str) -> CommandLine {
    let wide: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &wide);
    let digests = [(SHA256, PcrValue::new(sha256.as_ref().to_vec()).unwrap())].into();
    CommandLine { digests, ..command_line(event, Loader::LinuxStub, "") }
}

#[test]
fn a_line_that_was_measured_and_not_written_down_is_known_by_its_digest() {
    let stub = |text: &str, allowed: &str| {
        let mut facts = good();
        facts.command_lines[2] = measured(27, text);
        let before = "{ loader = \"linux_stub\", pattern = \"root=UUID=* ro quiet\" }";
        compare_with(&facts, before, &format!("{{ loader = \"linux_stub\", {allowed} }}"))
    };
    assert_eq!(stub("root=/dev/sda ro", "text = \"root=/dev/sda ro\""), []);
    let findings = stub("root=/dev/sda ro init=/bin/sh", "text = \"root=/dev/sda ro\"");
    assert_eq!(findings.len(), 1);
    assert!(findings[0].found.as_ref().unwrap().starts_with("a text that the log does not hold, measured as sha256 "));
    // GRUB wrote down what it handed to the stub, so that a pattern can be held against it.
    let grubs = "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet";
    assert_eq!(stub(grubs, "pattern = \"BOOT_IMAGE=/vmlinuz root=/dev/* ro quiet\""), []);
    let findings = stub(grubs, "pattern = \"root=/dev/* ro quiet\"");
    assert_eq!(findings[0].found.as_deref(), Some(grubs));
    let digest = measured(0, "x").digests[&SHA256].clone();
    assert_eq!(stub("x", &format!("sha256 = \"{digest}\"")), []);
    assert_eq!(stub("y", &format!("sha256 = \"{digest}\"")).len(), 1);
}

#[test]
fn signers_count_for_nothing_while_secure_boot_is_off() {
    let mut facts = good();
    facts.secure_boot.enabled = Some(false);
    let codes: Vec<_> = compare_with(&facts, "secure_boot = \"on\"\n", "").iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [FindingCode::BootImageUnknown, FindingCode::BootImageMissing]);
}

#[test]
fn secure_boot_must_be_on_and_closed() {
    let off = |change: fn(&mut BootFacts)| {
        let mut facts = good();
        change(&mut facts);
        let finding = compare(&facts).into_iter().next().unwrap();
        assert_eq!((finding.code, finding.pcr), (FindingCode::SecureBootOff, Some(pcr(7))));
        finding.found.unwrap()
    };
    assert_eq!(off(|facts| facts.secure_boot.enabled = Some(false)), "off");
    assert_eq!(off(|facts| facts.secure_boot.enabled = None), "not measured");
    assert!(off(|facts| facts.secure_boot.setup_mode = Some(true)).contains("setup mode"));
    assert!(off(|facts| facts.secure_boot.audit_mode = Some(true)).contains("audit mode"));
    let mut facts = good();
    facts.secure_boot.audit_mode = Some(true);
    facts.secure_boot.events = [("SecureBoot", 4), ("AuditMode", 5), ("dbx", 9)].into();
    assert_eq!(compare(&facts)[0].event, Some(5), "the variable that says so");
    facts.secure_boot.enabled = Some(false);
    facts.secure_boot.dbx.clear();
    let events: Vec<_> = compare(&facts).iter().map(|finding| (finding.code, finding.event)).collect();
    assert!(events.contains(&(FindingCode::SecureBootOff, Some(4))), "{events:?}");
    assert!(events.contains(&(FindingCode::DbxOutdated, Some(9))), "{events:?}");
    facts = good();
    facts.secure_boot.audit_mode = Some(true);
    assert_eq!(compare_with(&facts, "secure_boot = \"on\"\n", ""), []);
}

#[test]
fn keys_that_were_added_and_keys_that_are_gone_are_named() {
    let added = one(|facts| facts.secure_boot.db.push(certificate(digest("e1"), "CN=Mallory")));
    assert_eq!((added.code, added.path.as_deref()), (FindingCode::SecureBootKeyUnknown, Some("db")));
    assert!(added.found.unwrap().starts_with("CN=Mallory ("));
    let gone = one(|facts| facts.secure_boot.pk.clear());
    assert_eq!((gone.code, gone.severity), (FindingCode::SecureBootKeyMissing, Severity::Warning));
    assert!(gone.expected.unwrap().starts_with("CN=Platform ("));
    let odd = SignatureKind::Other { guid: "g".to_owned(), length: 3 };
    let odd = one(|facts| facts.secure_boot.db.push(SignatureEntry { owner: String::new(), kind: odd }));
    assert_eq!(odd.code, FindingCode::SecureBootKeyUnknown, "an entry that no image can list is never known");
    let mut facts = good();
    facts.secure_boot.kek.push(certificate(digest("e2"), "CN=Whoever"));
    facts.secure_boot.mok_list.push(certificate(digest("e3"), "CN=Owner"));
    assert_eq!(compare(&facts), [], "the image says nothing of KEK and MokList");
    let no_mok = compare_with(&facts, "[boot.dbx]\n", "[boot.keys.mok]\n\n[boot.dbx]\n");
    assert_eq!((no_mok.len(), no_mok[0].pcr), (1, Some(pcr(14))));
}

#[test]
fn a_dbx_that_lacks_entries_is_outdated_and_one_that_has_more_is_not() {
    let finding = one(|facts| facts.secure_boot.dbx.retain(|entry| entry.kind == hashed(digest("d0")).kind));
    assert_eq!((finding.code, finding.expected.as_deref()), (FindingCode::DbxOutdated, Some("3 revocations")));
    let found = finding.found.unwrap();
    assert!(found.starts_with("2 of them are missing: ") && found.contains(&digest("d1").to_string()), "{found}");
}

#[test]
fn a_fact_in_a_pcr_that_was_not_quoted_proves_nothing() {
    let image = compiled(example());
    let unquoted = |selection: &str| texts(&boot::compare(&good(), &image, &proof(selection)));
    assert_eq!(unquoted("sha256:2,4,7,8,9"), [""; 0]);
    assert_eq!(unquoted("sha256:2,7-9"), ["pcr.not_quoted PCR 4"]);
    assert_eq!(
        unquoted("sha256:0-3,10"),
        ["pcr.not_quoted PCR 4", "pcr.not_quoted PCR 7", "pcr.not_quoted PCR 8", "pcr.not_quoted PCR 9"]
    );
    let mut silent = good();
    silent.initrds.clear();
    silent.command_lines.pop();
    let findings = boot::compare(&silent, &image, &proof("sha256:2,4,7,8"));
    assert_eq!(texts(&findings), ["pcr.not_quoted PCR 9"], "a log could leave out an initrd there");
}

#[test]
fn a_digest_counts_only_in_the_bank_that_was_signed() {
    let image = compiled(example());
    let findings = boot::compare(&good(), &image, &proof("sha1:0-9"));
    let unknown: Vec<_> = findings.iter().filter(|finding| finding.code == FindingCode::BootImageUnknown).collect();
    assert_eq!(unknown.len(), 2, "shim and kernel by digest; grub goes by its signer: {findings:?}");
    assert!(unknown[0].found.as_ref().unwrap().starts_with("no sha1 digest"));
    assert!(unknown[0].expected.as_ref().unwrap().contains("none in sha1"));
}

#[test]
fn known_deviations_are_accepted_by_name_and_nothing_else_is() {
    let image = compiled(example());
    let missing = Finding::new(FindingCode::ExitBootServicesMissing).at_pcr(SHA256, pcr(5));
    let at_0 = Finding::new(FindingCode::EventDigestMismatch).at_pcr(SHA256, pcr(0)).at_event(3).with("aa", "bb");
    let others = [
        Finding::new(FindingCode::EventDigestMismatch).at_pcr(SHA256, pcr(4)).at_event(9),
        Finding::new(FindingCode::EventDigestMismatch).at_event(9),
        Finding::new(FindingCode::SeparatorMissing).at_pcr(SHA256, pcr(0)),
        Finding::new(FindingCode::EventLogMismatch).at_pcr(SHA256, pcr(0)),
    ];
    let findings = accept([vec![missing, at_0], others.to_vec()].concat(), &image);
    assert_eq!(&findings[2..], others);
    for (finding, name) in
        findings.iter().zip(["event_log.exit_boot_services_missing", "event_log.digest_mismatch: bb"])
    {
        assert_eq!((finding.code, finding.severity), (FindingCode::DeviationAccepted, Severity::Info));
        assert_eq!(finding.found.as_deref(), Some(name));
    }
    assert_eq!((findings[1].event, findings[1].expected.as_deref()), (Some(3), Some("aa")));
    let without = compiled(with("").unwrap());
    assert_eq!(accept(others.to_vec(), &without), others);
}

#[test]
fn of_several_valid_images_the_newest_that_is_met_is_taken() {
    let named = |version: &str, day: &str| EXAMPLE.replace("web@2026.1", version).replace("2026-01-31", day);
    let old = compiled(GoldenImage::parse(&named("web@1", "2026-01-01")).unwrap());
    let new_text = named("web@2", "2026-02-01").replace("6b00", "6b01").replace("1d00", "1d01");
    let new = compiled(GoldenImage::parse(&new_text).unwrap());
    let images = [old, new];
    let quoted = proof(QUOTED);
    let chosen = |facts: &BootFacts| {
        let choice = choose(&images, |image| boot::compare(facts, image, &quoted)).unwrap();
        (choice.image.document().id.to_string(), choice.findings)
    };
    assert_eq!(chosen(&good()), ("web@1".to_owned(), vec![]));
    let mut updated = good();
    updated.boot_chain[2].digests = [(SHA256, value("6b01"))].into();
    updated.initrds[0] = initrd(28, "1d01");
    assert_eq!(chosen(&updated), ("web@2".to_owned(), vec![]));
    for (facts, image) in [(good(), "web@1"), (updated, "web@2")] {
        let mut changed = facts;
        changed.command_lines[1].text.push_str(" single");
        let (nearest, findings) = chosen(&changed);
        assert_eq!(nearest, image, "the changed command line is told of the right image");
        assert_eq!(findings.len(), 1);
    }
    let (tie, _) = chosen(&BootFacts::default());
    assert_eq!(tie, "web@2", "the newest when none is closer");
    assert!(choose(&[], |_| Vec::new()).is_none());
}

pub(crate) fn quote(tpm: &ForgedTpm, selection: &str) -> AuthenticQuote {
    let selection = selection.parse().unwrap();
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    let quote = tpm.quote(&selection, b"nonce");
    let (message, signature, pcrs) = (&quote.message, &quote.signature, &quote.pcrs);
    let (selection, sha1) = (&selection, Sha1Bank::Consented);
    QuoteCheck { ak: &ak, message, signature, qualifying_data: b"nonce", selection, pcrs, sha1 }.verify().unwrap()
}

fn held(pcrs: &str, values: &[&PcrValue]) -> Arc<Compiled> {
    let values: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    compiled(with(&format!("[pcrs.{pcrs} = [{}]", values.join(","))).unwrap())
}

#[test]
fn a_pcr_may_have_any_of_the_values_that_the_image_holds_and_no_other() {
    let mut tpm = ForgedTpm::new();
    let before = quote(&tpm, "sha256:0-7");
    let zero = before.pcrs().values[&pcr(4)].clone();
    tpm.extend(pcr(4), b"new boot loader");
    let after = quote(&tpm, "sha256:0-7");
    let new = after.pcrs().values[&pcr(4)].clone();
    let both = held("sha256]\n4", &[&zero, &new]);
    assert_eq!((pcrs::compare(&before, &both), pcrs::compare(&after, &both)), (vec![], vec![]));
    tpm.extend(pcr(4), b"bootkit");
    let findings = pcrs::compare(&quote(&tpm, "sha256:0-7"), &both);
    assert_eq!((findings.len(), findings[0].code, findings[0].pcr), (1, FindingCode::PcrMismatch, Some(pcr(4))));
    assert!(findings[0].expected.as_ref().unwrap().contains(&format!("{zero} or ")));
    assert_eq!(texts(&pcrs::compare(&quote(&tpm, "sha256:0-3"), &both)), ["pcr.not_quoted PCR 4"]);
    assert_eq!(texts(&pcrs::compare(&quote(&tpm, "sha384:0-7"), &both)), ["pcr.not_quoted PCR 4"]);
}

#[test]
fn an_image_that_expects_nothing_does_not_pass_and_one_that_expects_a_boot_does() {
    let tpm = ForgedTpm::new();
    let quote = quote(&tpm, "sha256:0-7");
    for nothing in ["", "[boot]\n", "[boot]\naccept = [\"event_log.separator_missing\"]", "[pcrs.sha256]\n"] {
        let findings = pcrs::compare(&quote, &compiled(with(nothing).unwrap()));
        assert_eq!((findings.len(), findings[0].code), (1, FindingCode::PcrNotQuoted), "{nothing}");
        assert_eq!(findings[0].severity, Severity::Failure);
    }
    assert_eq!(pcrs::compare(&quote, &compiled(with("[boot]\nsecure_boot = \"on\"").unwrap())), []);
}

#[test]
fn reference_values_of_the_older_form_become_an_image_that_says_the_same() {
    let mut tpm = ForgedTpm::new();
    let first = quote(&tpm, "sha256:0-7");
    let values = ReferenceValues { ignored: "1,5".parse().unwrap(), ..reference::capture(&first, PcrSet::EMPTY) };
    let mut image = with("ignored_pcrs = [1, 5]").unwrap();
    image.pcrs = pcrs::from_reference_values(&values);
    assert_eq!(image.held_pcrs(), "0,2-4,6-7".parse().unwrap());
    let image = compiled(image);
    assert_eq!(pcrs::compare(&first, &image), []);
    tpm.extend(pcr(5), b"ignored");
    assert_eq!(pcrs::compare(&quote(&tpm, "sha256:0-7"), &image), []);
    tpm.extend(pcr(6), b"held");
    assert_eq!(texts(&pcrs::compare(&quote(&tpm, "sha256:0-7"), &image)).len(), 1);
    let nothing = ReferenceValues { banks: vec![PcrBank { bank: SHA256, values: [].into() }], ignored: PcrSet::EMPTY };
    let mut image = with("").unwrap();
    image.pcrs = pcrs::from_reference_values(&nothing);
    assert!(!image.expects_something());
}
