//! Bundles of policies: whatever is unpacked is a bundle, or is refused within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_policies::{PackedBundle, Trust};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packed) = PackedBundle::read(bytes, Trust::DangerUnsigned) {
        assert_eq!(packed.bundle().hash(), packed.clone().bundle().hash());
    }
});
