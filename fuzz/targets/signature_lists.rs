//! Signature databases, and files that update them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::eventlog::{signature_lists, update_payload};

fuzz_target!(|bytes: &[u8]| {
    let entries = signature_lists(bytes).map_or(0, |entries| entries.len());
    // Each entry has an owner and a byte at least.
    assert!(entries <= bytes.len() / 17);
    if let Ok(payload) = update_payload(bytes) {
        let _ = signature_lists(payload);
    }
});
