//! Messages: whatever is read is written and read again the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vouchsafe_wire::v1::attest::{Evidence, EvidencePayload};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::enrol::{BeginEnrolment, CompleteEnrolment, JoinFile};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_vec(&message).expect("what was read can be written");
        assert!(serde_json::from_slice::<T>(&written).is_ok_and(|again| again == message));
    }
}

fuzz_target!(|bytes: &[u8]| {
    round_trip::<BeginEnrolment>(bytes);
    round_trip::<CompleteEnrolment>(bytes);
    round_trip::<Evidence>(bytes);
    round_trip::<EvidencePayload>(bytes);
    round_trip::<AskDecision>(bytes);
    round_trip::<JoinFile>(bytes);
});
