//! Boot event logs: what is read replays, tells its facts and its deviations, within bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::eventlog::{EventLog, MAX_DEVIATIONS, MAX_EVENTS};

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = EventLog::parse(bytes) else { return };
    assert!(log.events().len() <= MAX_EVENTS);
    assert!(log.padding() < bytes.len());
    let replay = log.replay();
    for bank in replay.banks() {
        // It replays to itself, unless an event lacks the digest of the bank.
        assert!(replay.differences(bank).iter().all(|finding| finding.event.is_some()));
    }
    let facts = log.facts();
    for image in &facts.boot_chain {
        assert!(image.authority.is_none_or(|place| place < facts.secure_boot.authorities.len()));
    }
    assert!(log.deviations().len() <= MAX_DEVIATIONS + 1);
});
