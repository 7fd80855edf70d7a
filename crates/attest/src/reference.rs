//! Reference values: what PCRs should be, and what they are.

use vouchsafe_model::pcr::{PcrSet, PcrValues};
use vouchsafe_model::{Finding, FindingCode, HashAlgorithm, Image, PcrBank, PcrIndex, ReferenceValues};

use crate::quote::AuthenticQuote;

/// Compares a quote with a golden image. No finding of severity failure means that it agrees.
///
/// Every value that the image holds in the quoted bank must be quoted and equal. What the image holds only in other
/// banks was not looked at, and is reported as not quoted; so is an image that expects nothing at all, since everything
/// would agree with it. PCRs of the quote that the image does not hold may have any value.
pub fn compare(quote: &AuthenticQuote, image: &Image) -> Vec<Finding> {
    let quoted = quote.pcrs();
    let ReferenceValues { banks, ignored } = &image.reference;
    let mut findings: Vec<Finding> = weak_bank(quote).into_iter().collect();
    let (same_bank, other_banks): (Vec<_>, Vec<_>) = banks.iter().partition(|bank| bank.bank == quoted.bank);
    let mut compared = PcrSet::EMPTY;
    for (pcr, expected) in same_bank.iter().flat_map(|bank| &bank.values).filter(|(pcr, _)| !ignored.contains(**pcr)) {
        compared.insert(*pcr);
        match quoted.values.get(pcr) {
            Some(found) if found == expected => {}
            Some(found) => {
                findings.push(Finding::new(FindingCode::PcrMismatch).at_pcr(quoted.bank, *pcr).with(expected, found));
            }
            None => findings.push(not_quoted(quoted.bank, *pcr)),
        }
    }
    for bank in other_banks {
        let unseen = bank.values.keys().filter(|pcr| !ignored.contains(**pcr) && !compared.contains(**pcr));
        findings.extend(unseen.map(|pcr| not_quoted(bank.bank, *pcr)));
    }
    if banks.iter().flat_map(|bank| bank.values.keys()).all(|pcr| ignored.contains(*pcr)) {
        let nothing = Finding::new(FindingCode::PcrNotQuoted);
        findings.push(nothing.with("a reference value for one PCR or more", "an image that expects nothing"));
    }
    findings
}

/// Takes the values of a quote as those of a golden image, without the ignored PCRs.
pub fn capture(quote: &AuthenticQuote, ignored: PcrSet) -> ReferenceValues {
    let PcrBank { bank, values } = quote.pcrs();
    let kept: PcrValues =
        values.iter().filter(|(pcr, _)| !ignored.contains(**pcr)).map(|(pcr, value)| (*pcr, value.clone())).collect();
    ReferenceValues { banks: vec![PcrBank { bank: *bank, values: kept }], ignored }
}

/// The warning about a quote of the SHA-1 bank. [`compare`] gives it too.
pub fn weak_bank(quote: &AuthenticQuote) -> Option<Finding> {
    weak(quote.pcrs().bank)
}

/// The warning about a bank.
pub(crate) fn weak(bank: HashAlgorithm) -> Option<Finding> {
    (bank == HashAlgorithm::Sha1).then(|| Finding { bank: Some(bank), ..Finding::new(FindingCode::WeakBank) })
}

fn not_quoted(bank: HashAlgorithm, pcr: PcrIndex) -> Finding {
    Finding::new(FindingCode::PcrNotQuoted).at_pcr(bank, pcr)
}
