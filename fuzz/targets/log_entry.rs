//! Entries of the decision log: whatever is read again has an input that a policy can be asked over.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_policy_engine::evaluate::Document;
use vouchsafe_policy_engine::log::replay_input;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(replay) = replay_input(text) {
        assert!(!Document::of(&replay.input).is_undefined());
    }
});
