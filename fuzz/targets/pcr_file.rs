//! PCR files: what is read has values of the right length for known PCRs, each bank once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::quote::pcr_file;
use vouchsafe_model::PcrSelection;

fuzz_target!(|bytes: &[u8]| {
    let selections: Vec<PcrSelection> =
        ["sha256:0-2", "sha1:7"].iter().map(|text| text.parse().expect("a good selection")).collect();
    let Ok(banks) = pcr_file::parse(bytes, &selections) else { return };
    for (position, bank) in banks.iter().enumerate() {
        assert!(banks.iter().take(position).all(|earlier| earlier.bank != bank.bank));
        assert!(bank.values.len() <= 24);
    }
});
