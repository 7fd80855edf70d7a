//! Public areas: what is read is kept to the byte, has a name, and its key survives being written as SPKI.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_attest::key::{AttestationKey, DeviceKey};
use vouchsafe_attest::tpm::{PublicArea, PublicKey};

fuzz_target!(|bytes: &[u8]| {
    let _ = PublicArea::parse_tpm2b(bytes);
    let tpmt = PublicArea::parse_tpmt(bytes);
    if let Ok(public) = &tpmt {
        assert_eq!(public.as_tpmt(), bytes);
        assert_eq!(public.name().as_bytes().len(), 2 + public.name_alg().digest_len());
        assert_eq!(PublicKey::from_spki_der(&public.to_spki_der()).as_ref(), Ok(public.key()));
    }
    let either = PublicArea::parse_either(bytes);
    if tpmt.is_ok() {
        assert_eq!(either, tpmt);
    }
    if let Ok(public) = either {
        let _ = AttestationKey::from_public(public.clone());
        let _ = DeviceKey::from_public(public);
    }
});
