//! Attacks on which PCRs a quote covers, and with which values (threat 8).

use vouchsafe_attest::forge::{Content, ForgedQuote, ForgedTpm};
use vouchsafe_attest::quote::Sha1Bank;
use vouchsafe_model::pcr::{PcrSet, PcrValue};
use vouchsafe_model::{HashAlgorithm, PcrBank, PcrSelection};

use crate::engine::{Engine, NONCE, changed, pcr, selection};

#[test]
fn pcrs_under_other_numbers_are_refused() {
    // PCR 16 may be reset by anyone. Its value is presented as PCR 7's: same values, same digest, other selection.
    let tpm = ForgedTpm::new();
    let engine = Engine { selection: selection("sha256:7"), ..Engine::of(&tpm) };
    let mut quote = tpm.quote(&selection("sha256:16"), NONCE);
    quote.pcrs.values = [(pcr(7), quote.pcrs.values[&pcr(16)].clone())].into();
    let rejected = engine.check(&quote).unwrap_err();
    assert_eq!(rejected.to_string(), "the quote covers sha256:16 and not sha256:7");
}

#[test]
fn swapped_values_are_refused() {
    let mut tpm = ForgedTpm::new();
    tpm.extend(pcr(0), b"firmware");
    let engine = Engine::of(&tpm);
    let mut quote = tpm.quote(&engine.selection, NONCE);
    let (first, second) = (quote.pcrs.values[&pcr(0)].clone(), quote.pcrs.values[&pcr(1)].clone());
    quote.pcrs.values.insert(pcr(0), second);
    quote.pcrs.values.insert(pcr(1), first);
    assert_eq!(engine.code(&quote), "quote.wrong_digest");
}

#[test]
fn a_quote_of_fewer_more_or_other_pcrs_than_agreed_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    for other in ["sha256:0-6,14", "sha256:0-7", "sha256:0-7,14,15", "sha256:16-23", "sha256:0-23"] {
        assert_eq!(engine.code(&tpm.quote(&selection(other), NONCE)), "quote.wrong_selection", "{other}");
    }
}

#[test]
fn a_quote_of_another_bank_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine { sha1: Sha1Bank::Consented, ..Engine::of(&tpm) };
    for other in ["sha1:0-7,14", "sha384:0-7,14", "sha512:0-7,14"] {
        let quote = tpm.quote(&selection(other), NONCE);
        assert_eq!(engine.code(&quote), "quote.wrong_selection", "{other}");
        // Nor when the values are called by the agreed bank's name.
        let renamed = PcrBank { bank: HashAlgorithm::Sha256, ..quote.pcrs.clone() };
        assert_eq!(engine.code(&ForgedQuote { pcrs: renamed, ..quote }), "quote.wrong_selection", "{other}");
    }
}

#[test]
fn an_empty_selection_is_refused_even_when_it_is_what_was_agreed() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let nothing = PcrSelection { bank: HashAlgorithm::Sha256, pcrs: PcrSet::EMPTY };
    let quote = tpm.quote(&nothing, NONCE);
    assert_eq!(engine.code(&quote), "quote.wrong_selection");
    let engine = Engine { selection: nothing, ..engine };
    assert_eq!(engine.code(&quote), "quote.empty_selection");
    let (engine, quote) = changed(|statement| {
        let Content::Quote { selections, .. } = &mut statement.content else { panic!("a quote") };
        selections.clear();
    });
    assert_eq!(engine.code(&quote), "quote.wrong_selection");
}

#[test]
fn a_bank_twice_or_an_empty_bank_beside_the_agreed_one_is_refused() {
    for extra in ["sha256:0-7,14", "sha256:16", "sha1:0"] {
        let (engine, quote) = changed(|statement| {
            let Content::Quote { selections, .. } = &mut statement.content else { panic!("a quote") };
            selections.push(selection(extra));
        });
        assert_eq!(engine.code(&quote), "quote.wrong_selection", "{extra}");
    }
    let (engine, quote) = changed(|statement| {
        let Content::Quote { selections, .. } = &mut statement.content else { panic!("a quote") };
        selections.insert(0, PcrSelection { bank: HashAlgorithm::Sha1, pcrs: PcrSet::EMPTY });
    });
    assert_eq!(engine.code(&quote), "quote.wrong_selection");
}

#[test]
fn values_beyond_or_short_of_the_quote_are_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let honest = tpm.quote(&engine.selection, NONCE);
    let mut extra = honest.clone();
    extra.pcrs.values.insert(pcr(10), honest.pcrs.values[&pcr(0)].clone());
    let text = "the values of the sha256 bank lack PCRs [] of the quote and have [10] beyond it";
    assert_eq!(engine.check(&extra).unwrap_err().to_string(), text);
    let mut missing = honest.clone();
    missing.pcrs.values.remove(&pcr(14));
    assert_eq!(engine.code(&missing), "quote.wrong_pcrs");
    let mut none = honest.clone();
    none.pcrs.values.clear();
    assert_eq!(engine.code(&none), "quote.wrong_pcrs");
    let mut other_bank = honest;
    other_bank.pcrs.bank = HashAlgorithm::Sha384;
    assert_eq!(engine.code(&other_bank), "quote.extra_bank");
}

#[test]
fn bytes_moved_from_one_value_to_the_next_are_refused() {
    // The digest covers the values without their lengths: 31 and 33 bytes in a row hash like 32 and 32.
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let mut quote = tpm.quote(&engine.selection, NONCE);
    quote.pcrs.values.insert(pcr(0), PcrValue::new(vec![0; 31]).unwrap());
    quote.pcrs.values.insert(pcr(1), PcrValue::new(vec![0; 33]).unwrap());
    assert_eq!(engine.code(&quote), "quote.wrong_value_length");
}

#[test]
fn a_digest_over_other_values_is_refused() {
    let (engine, quote) = changed(|statement| {
        let Content::Quote { digest, .. } = &mut statement.content else { panic!("a quote") };
        digest[31] ^= 1;
    });
    assert_eq!(engine.code(&quote), "quote.wrong_digest");
    let (engine, quote) = changed(|statement| {
        let Content::Quote { digest, .. } = &mut statement.content else { panic!("a quote") };
        digest.clear();
    });
    assert_eq!(engine.code(&quote), "quote.wrong_digest");
}
