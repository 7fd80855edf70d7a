//! Canonical event logs in either encoding: what is read tells its facts and its deviations, within bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::eventlog::cel::{self, MAX_RECORDS};
use vouchsafe_model::{HashAlgorithm, PcrBank};

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = cel::parse(bytes) else { return };
    assert!(log.records().len() <= MAX_RECORDS);
    assert!(log.facts().len() <= log.records().len());
    let _ = log.deviations();
    let start = PcrBank { bank: HashAlgorithm::Sha256, values: Default::default() };
    if let Ok(replayed) = log.replay(&start) {
        assert!(replayed.values.values().all(|value| value.as_bytes().len() == 32));
    }
});
