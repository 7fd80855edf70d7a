//! SubjectPublicKeyInfo, DER and PEM: what is read is written the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::key::VerifyingKey;
use vouchsafe_attest::tpm::PublicKey;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(key) = PublicKey::from_spki_der(bytes) {
        assert_eq!(key.to_spki_der(), bytes);
        let _ = VerifyingKey::from_spki_der(bytes);
    }
    let _ = VerifyingKey::from_pem(bytes);
});
