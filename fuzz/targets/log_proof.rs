//! Checkpoints and proofs of the decision log: what is read is written the same, and nobody's key verifies it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_journal::{Proof, SignedCheckpoint};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = SignedCheckpoint::parse(text) {
        assert_eq!(checkpoint.note(), text);
        assert!(checkpoint.verify(&[]).is_err());
    }
    if let Ok(proof) = Proof::parse(text) {
        assert!(proof.verify(&[]).is_err());
        let written = proof.to_text();
        assert!(Proof::parse(&written).is_ok_and(|again| again.to_text() == written));
    }
});
