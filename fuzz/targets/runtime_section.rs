//! Runtime sections of golden images: each is compiled or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::ima::{RuntimePolicy, RuntimeSection};

fuzz_target!(|text: &str| {
    let Ok(section) = toml::from_str::<RuntimeSection>(text) else { return };
    match RuntimePolicy::compile(&section) {
        Ok(policy) => assert!(policy.paths() <= section.digests.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
