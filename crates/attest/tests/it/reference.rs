//! Quotes against golden images.

use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, QuoteCheck, Sha1Bank};
use vouchsafe_attest::reference::{capture, compare, weak_bank};
use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{
    Finding, FindingCode, HashAlgorithm, Image, PcrBank, PcrIndex, ReferenceValues, Severity, Timestamp,
};

fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

fn set(text: &str) -> PcrSet {
    text.parse().unwrap()
}

fn quote(tpm: &ForgedTpm, selection: &str) -> AuthenticQuote {
    let selection = selection.parse().unwrap();
    let ak = AttestationKey::from_public(tpm.ak_public().clone()).unwrap();
    let quote = tpm.quote(&selection, b"nonce");
    QuoteCheck {
        ak: &ak,
        message: &quote.message,
        signature: &quote.signature,
        qualifying_data: b"nonce",
        selection: &selection,
        pcrs: &quote.pcrs,
        sha1: Sha1Bank::Consented,
    }
    .verify()
    .unwrap()
}

fn image(reference: ReferenceValues) -> Image {
    let id = "web@1".parse().unwrap();
    let created_at = Timestamp::UNIX_EPOCH;
    Image { id, created_at, reference, retired_at: None, activated_at: created_at, document: None }
}

fn texts(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .map(|finding| {
            let bank = finding.bank.map_or_else(String::new, |bank| format!(" {bank}"));
            let pcr = finding.pcr.map_or_else(String::new, |pcr| format!(" {pcr}"));
            format!("{}{bank}{pcr}", finding.code)
        })
        .collect()
}

#[test]
fn a_captured_image_agrees_with_the_device_that_it_was_captured_from() {
    let mut tpm = ForgedTpm::new();
    tpm.extend(pcr(4), b"boot loader");
    let quote = quote(&tpm, "sha256:0-7,10");
    let reference = capture(&quote, set("10"));
    assert_eq!(reference.banks[0].selection().to_string(), "sha256:0,1,2,3,4,5,6,7");
    assert_eq!(compare(&quote, &image(reference)), []);
}

#[test]
fn a_changed_pcr_is_named_with_both_values() {
    let mut tpm = ForgedTpm::new();
    let golden = image(capture(&quote(&tpm, "sha256:0-7"), PcrSet::EMPTY));
    tpm.extend(pcr(4), b"bootkit");
    let findings = compare(&quote(&tpm, "sha256:0-7"), &golden);
    assert_eq!(texts(&findings), ["pcr.mismatch sha256 4"]);
    assert_eq!(findings[0].severity, Severity::Failure);
    assert_eq!(findings[0].expected, Some("00".repeat(32)));
    assert_eq!(findings[0].found.as_ref(), Some(&quote(&tpm, "sha256:4").pcrs().values[&pcr(4)].to_string()));
}

#[test]
fn an_ignored_pcr_may_change_and_one_that_the_image_does_not_hold_too() {
    let mut tpm = ForgedTpm::new();
    let mut reference = capture(&quote(&tpm, "sha256:0-7"), PcrSet::EMPTY);
    reference.ignored = set("4");
    tpm.extend(pcr(4), b"ignored");
    tpm.extend(pcr(9), b"not in the image");
    assert_eq!(compare(&quote(&tpm, "sha256:0-9"), &image(reference)), []);
}

#[test]
fn a_pcr_that_is_not_quoted_fails() {
    let tpm = ForgedTpm::new();
    let golden = image(capture(&quote(&tpm, "sha256:0-7"), PcrSet::EMPTY));
    let findings = compare(&quote(&tpm, "sha256:0-5"), &golden);
    assert_eq!(texts(&findings), ["pcr.not_quoted sha256 6", "pcr.not_quoted sha256 7"]);
    assert_eq!(findings[0].severity, Severity::Failure);
}

#[test]
fn an_image_of_another_bank_vouches_for_nothing() {
    let tpm = ForgedTpm::new();
    let golden = image(capture(&quote(&tpm, "sha256:0,7"), PcrSet::EMPTY));
    let findings = compare(&quote(&tpm, "sha384:0,7"), &golden);
    assert_eq!(texts(&findings), ["pcr.not_quoted sha256 0", "pcr.not_quoted sha256 7"]);
}

#[test]
fn an_image_of_two_banks_is_compared_in_the_quoted_one_and_hides_nothing_in_the_other() {
    let tpm = ForgedTpm::new();
    let bank = |selection| capture(&quote(&tpm, selection), PcrSet::EMPTY).banks.remove(0);
    let both = |other| ReferenceValues { banks: vec![bank("sha256:0,7"), bank(other)], ignored: PcrSet::EMPTY };
    assert_eq!(compare(&quote(&tpm, "sha256:0,7"), &image(both("sha384:0,7"))), []);
    let findings = compare(&quote(&tpm, "sha256:0,7"), &image(both("sha384:0,8")));
    assert_eq!(texts(&findings), ["pcr.not_quoted sha384 8"]);
}

#[test]
fn an_image_that_expects_nothing_does_not_pass() {
    let tpm = ForgedTpm::new();
    let quote = quote(&tpm, "sha256:0,7");
    let empty_bank = PcrBank { bank: HashAlgorithm::Sha256, values: [].into() };
    let nothing = [
        ReferenceValues { banks: vec![], ignored: PcrSet::EMPTY },
        ReferenceValues { banks: vec![empty_bank], ignored: PcrSet::EMPTY },
        ReferenceValues { ignored: set("0-23"), ..capture(&quote, PcrSet::EMPTY) },
    ];
    for reference in nothing {
        let findings = compare(&quote, &image(reference));
        assert_eq!(texts(&findings), ["pcr.not_quoted"]);
        assert_eq!(findings[0].severity, Severity::Failure);
    }
}

#[test]
fn the_sha1_bank_is_warned_about() {
    let tpm = ForgedTpm::new();
    let sha1 = quote(&tpm, "sha1:0,7");
    let findings = compare(&sha1, &image(capture(&sha1, PcrSet::EMPTY)));
    assert_eq!(texts(&findings), ["pcr.weak_bank sha1"]);
    assert_eq!(findings[0].severity, Severity::Warning);
    assert_eq!(findings, Vec::from_iter(weak_bank(&sha1)));
    assert_eq!(weak_bank(&quote(&tpm, "sha256:0")).map(|finding| finding.code), None::<FindingCode>);
}
