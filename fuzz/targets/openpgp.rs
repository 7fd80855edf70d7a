//! Keyrings, signatures and clear-signed texts. Nothing counts for an empty keyring.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_model::Timestamp;
use vouchsafe_packages::openpgp::{Keyring, SignedText, Standing};

fuzz_target!(|bytes: &[u8]| {
    let _ = Keyring::read(bytes);
    let (nobody, standing) = (Keyring::default(), Standing::Now(Timestamp::UNIX_EPOCH));
    assert!(nobody.verify_any(b"data", &[bytes.to_vec()], standing).is_err());
    assert!(SignedText::verify(bytes, &nobody, standing).is_err());
});
