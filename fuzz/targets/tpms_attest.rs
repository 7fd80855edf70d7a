//! Attestations: what is read has its magic, and only known PCRs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::tpm::Attest;
use vouchsafe_attest::tpm::attest::Attested;
use vouchsafe_attest::tpm::pcr_selection::MAX_BANKS;

fuzz_target!(|bytes: &[u8]| {
    let Ok(attest) = Attest::parse(bytes) else { return };
    assert_eq!(bytes[..4], *b"\xFFTCG");
    if let Attested::Quote(quote) = attest.attested {
        assert!(quote.selections.len() <= MAX_BANKS);
        assert!(quote.digest.len() <= 64);
    }
});
