//! A quote against the PCR values of an image.

use vouchsafe_model::pcr::PcrSet;
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, PcrBank, PcrIndex, ReferenceValues};

use super::Compiled;
use super::document::PcrReferences;
use crate::quote::AuthenticQuote;
use crate::reference::weak;

/// Compares a quote with the PCR values of an image. No finding of severity failure means that it agrees.
///
/// Every PCR that the image holds in the quoted bank must be quoted, and have one of the values. What the image holds
/// only in other banks was not looked at, and is reported as not quoted; so is an image that expects nothing at all, of
/// PCRs, boot or runtime, since everything would agree with it.
pub fn compare(quote: &AuthenticQuote, image: &Compiled) -> Vec<Finding> {
    compare_values(quote.pcrs(), image)
}

/// The same for values of which it is not known who vouches for them.
pub(super) fn compare_values(quoted: &PcrBank, image: &Compiled) -> Vec<Finding> {
    let references = &image.document().pcrs;
    let mut findings: Vec<Finding> = weak(quoted.bank).into_iter().collect();
    let mut compared = PcrSet::EMPTY;
    for (pcr, expected) in references.get(&quoted.bank).into_iter().flatten() {
        compared.insert(*pcr);
        match quoted.values.get(pcr) {
            Some(found) if expected.contains(found) => {}
            Some(found) => {
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                let finding = Finding::new(FindingCode::PcrMismatch).at_pcr(quoted.bank, *pcr);
                findings.push(finding.with(expected.join(" or "), found));
            }
            None => findings.push(not_quoted(quoted.bank, *pcr)),
        }
    }
    for (bank, values) in references.iter().filter(|(bank, _)| **bank != quoted.bank) {
        let unseen = values.keys().filter(|pcr| !compared.contains(**pcr));
        findings.extend(unseen.map(|pcr| not_quoted(*bank, *pcr)));
    }
    if !image.document().expects_something() {
        let nothing = Finding::new(FindingCode::PcrNotQuoted);
        findings.push(nothing.with("a reference value for one PCR or more", "an image that expects nothing"));
    }
    findings
}

/// The values of an image in the older form: one value for each PCR, ignored ones left out.
pub fn from_reference_values(values: &ReferenceValues) -> PcrReferences {
    let kept = |bank: &PcrBank| {
        let kept = bank.values.iter().filter(|(pcr, _)| !values.ignored.contains(**pcr));
        kept.map(|(pcr, value)| (*pcr, [value.clone()].into())).collect()
    };
    values.banks.iter().map(|bank| (bank.bank, kept(bank))).collect()
}

pub(super) fn not_quoted(bank: HashAlgorithm, pcr: PcrIndex) -> Finding {
    Finding::new(FindingCode::PcrNotQuoted).at_pcr(bank, pcr)
}
