//! Signatures: none that anyone can think up is this key's.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::forge::{KeyKind, KeyTemplate, SoftwareKey};
use vouchsafe_attest::key::VerifyingKey;
use vouchsafe_attest::tpm::Signature;

/// Keys without a scheme, so that every algorithm is tried.
static KEYS: LazyLock<Vec<VerifyingKey>> = LazyLock::new(|| {
    [KeyKind::P256, KeyKind::P521, KeyKind::Rsa2048]
        .map(|kind| SoftwareKey::generate(KeyTemplate { kind, scheme: None, ..KeyTemplate::AK }))
        .map(|key| VerifyingKey::from_public(key.public()).expect("a good key"))
        .into()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(signature) = Signature::parse(bytes) else { return };
    for key in KEYS.iter() {
        assert!(key.verify(b"a message that was never signed", &signature).is_err());
    }
});
