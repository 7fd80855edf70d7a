//! Certificate requests and client certificates: whatever is read names one key, or one peer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vouchsafe_pki::{Csr, PeerCertificate, pem};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = Csr::verify(bytes) {
        assert!(!request.spki_der().is_empty());
    }
    if let Ok(peer) = PeerCertificate::identify(bytes) {
        assert_eq!(peer.identity.to_string().parse(), Ok(peer.identity));
    }
    let _ = pem::decode_certificates(bytes);
});
