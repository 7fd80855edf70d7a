//! Attacks on when and for what a quote was made: nonce (threat 9), clock (10), weak bank (11).

use vouchsafe_attest::clock::{self, ClockChange, WentBack};
use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_attest::quote::{QuoteRejected, Sha1Bank};
use vouchsafe_model::FindingCode;

use crate::engine::{Engine, NONCE, selection, signed};

// ---- Threat 9: nonce ----

#[test]
fn a_replayed_quote_or_one_for_another_device_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let old = tpm.quote(&engine.selection, b"the nonce of the attestation before");
    assert_eq!(engine.code(&old), "quote.wrong_qualifying_data");
    let honest = tpm.quote(&engine.selection, NONCE);
    engine.check(&honest).unwrap();
    let next = engine.check_nonce(&honest, b"the nonce of the next attestation");
    assert_eq!(next.unwrap_err(), QuoteRejected::WrongQualifyingData);
}

#[test]
fn a_quote_without_nonce_or_with_a_part_of_it_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    for nonce in [&[][..], &NONCE[..31], &[&NONCE[..], &[0]].concat()] {
        assert_eq!(engine.code(&tpm.quote(&engine.selection, nonce)), "quote.wrong_qualifying_data");
    }
}

#[test]
fn expecting_no_nonce_is_refused_rather_than_satisfied_by_a_quote_without_one() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let rejected = engine.check_nonce(&tpm.quote(&engine.selection, &[]), &[]).unwrap_err();
    assert_eq!(rejected, QuoteRejected::NothingExpected);
}

// ---- Threat 10: clock ----

#[test]
fn a_rolled_back_snapshot_is_found_by_its_clock_and_a_reboot_is_none() {
    let mut tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let reading = |tpm: &ForgedTpm| *engine.check(&tpm.quote(&engine.selection, NONCE)).unwrap().clock();
    let snapshot = tpm.clock();
    tpm.advance(60_000);
    let before = reading(&tpm);
    tpm.set_clock(snapshot);
    let restored = clock::compare(&before, &reading(&tpm));
    assert_eq!(restored.change, ClockChange::WentBack(WentBack::Clock));
    assert_eq!(restored.findings[0].code, FindingCode::ClockWentBack);
    tpm.set_clock(before);
    tpm.resume();
    let resumed = reading(&tpm);
    tpm.reboot();
    tpm.advance(1);
    let rebooted = clock::compare(&resumed, &reading(&tpm));
    assert_eq!(rebooted.change, ClockChange::Rebooted { resets: 1 });
}

#[test]
fn a_safe_flag_that_is_neither_yes_nor_no_is_refused() {
    let tpm = ForgedTpm::new();
    let engine = Engine::of(&tpm);
    let mut message = tpm.quote(&engine.selection, NONCE).message;
    // After magic, type, the qualified signer (2 + 34), extraData (2 + 32), clock and two counters.
    let safe = 4 + 2 + 36 + 34 + 8 + 4 + 4;
    assert_eq!(message[safe], 1);
    message[safe] = 2;
    assert_eq!(engine.code(&signed(&tpm, message, tpm.pcrs(&engine.selection))), "quote.malformed");
}

// ---- Threat 11: weak banks ----

#[test]
fn the_sha1_bank_is_accepted_by_consent_alone() {
    let tpm = ForgedTpm::new();
    let engine = Engine { selection: selection("sha1:0-7"), ..Engine::of(&tpm) };
    let quote = tpm.quote(&engine.selection, NONCE);
    assert_eq!(engine.check(&quote).unwrap_err(), QuoteRejected::Sha1Refused);
    let engine = Engine { sha1: Sha1Bank::Consented, ..engine };
    assert_eq!(engine.code(&quote), "authentic");
}
