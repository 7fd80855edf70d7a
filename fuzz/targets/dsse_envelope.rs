//! DSSE envelopes: what is read is within its bounds, and is written and read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::dsse::Envelope;

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    let again = Envelope::parse(envelope.to_json().as_bytes()).expect("what was written can be read");
    assert_eq!(again, envelope);
});
