//! What a quote proves of a boot, and what it does not.

use vouchsafe_attest::eventlog::facts::{BootImageKind, CommandLine, Loader};
use vouchsafe_attest::eventlog::{EventLog, EventType};
use vouchsafe_attest::forge::{BootLog, ForgedTpm};
use vouchsafe_attest::image::boot;
use vouchsafe_attest::image::boot::Proof;
use vouchsafe_model::{FindingCode, HashAlgorithm, Severity};

use crate::image_boot::{command_line, compiled, image, pcr, quote, texts, value};
use crate::image_document::with;

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;

#[test]
fn a_quoted_pcr_that_the_log_does_not_come_to_is_named_with_both_values() {
    let log = BootLog::new(&[SHA256]).firmware(&[], &[]).measured(12, EventType::IPL, b"a=b", b"a=b").exit_boot_services();
    let mut tpm = ForgedTpm::new();
    log.extend(&mut tpm);
    tpm.extend(pcr(9), b"an initrd that the log leaves out");
    tpm.extend(pcr(12), b"what the running system measured");
    let quoted = quote(&tpm, "sha256:0-9,12-13");
    let parsed = EventLog::parse(log.bytes()).unwrap();
    let replayed = parsed.authenticate(&quoted, "12".parse().unwrap()).unwrap();
    let proof = Proof::of(&replayed, quoted.pcrs());
    let mut facts = replayed.facts();
    facts.boot_chain.push(image(30, BootImageKind::LoaderFile, "/x", "f1"));
    facts.command_lines.push(CommandLine { pcr: pcr(12), ..command_line(31, Loader::Systemd, "a=b") });
    let listed = |section: &str| compiled(with(section).unwrap());
    let image = listed(&format!("[[boot.file]]\nname = \"/x\"\nsha256 = \"{}\"", value("f1")));
    let findings = boot::compare(&facts, &image, &proof);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.code, finding.severity), (FindingCode::PcrNotReplayed, Severity::Failure));
    assert_eq!((finding.bank, finding.pcr), (Some(SHA256), Some(pcr(9))));
    assert_eq!(finding.expected, Some(format!("events that come to {}", quoted.pcrs().values[&pcr(9)])));
    assert_eq!(finding.found.as_deref(), Some("no event of this PCR"));
    let image = listed("[boot]\ncommand_line = [{ text = \"a=b\" }]");
    let findings = boot::compare(&facts, &image, &proof);
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    let found = format!("events that come to {}", log.pcr(SHA256, 12).unwrap());
    assert_eq!((finding.code, finding.pcr, finding.found.as_ref()), (FindingCode::PcrNotReplayed, Some(pcr(12)), Some(&found)));
    // PCR 13 is quoted and still zero: nothing was measured there. PCR 14 was not quoted.
    facts.command_lines[0].pcr = pcr(13);
    assert_eq!(boot::compare(&facts, &image, &proof), []);
    facts.command_lines[0].pcr = pcr(14);
    assert_eq!(texts(&boot::compare(&facts, &image, &proof)), ["pcr.not_quoted PCR 14"]);
}
