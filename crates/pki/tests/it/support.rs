//! An authority in a folder of its own, and the requests that are put to it.

use std::time::Duration;

use tempfile::TempDir;
use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::{SpiffeId, TrustDomain};
use vouchsafe_pki::{Authority, Csr, LeafRequest, LeafUsage, LocalKey, Serial, VerifiedCsr};

pub(crate) const DEVICE: &str = "spiffe://example.org/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf";

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// 2026-01-31T12:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_secs(1_769_860_800);

pub(crate) const SERIALS: [Serial; 2] = [Serial::from_entropy([1; 20]), Serial::from_entropy([2; 20])];

pub(crate) fn example_org() -> TrustDomain {
    "example.org".parse().unwrap()
}

pub(crate) fn new_authority() -> (TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::create(&dir.path().join("pki"), &example_org(), NOW, SERIALS).unwrap();
    (dir, authority)
}

pub(crate) fn new_csr() -> VerifiedCsr {
    let key = LocalKey::generate().unwrap();
    Csr::verify(&key.certification_request().unwrap()).unwrap()
}

/// A request for a client certificate of one day.
pub(crate) fn request<'a>(csr: &'a VerifiedCsr, identity: &str) -> LeafRequest<'a> {
    LeafRequest {
        csr,
        identity: identity.parse::<SpiffeId>().unwrap(),
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        lifetime: DAY,
        usage: LeafUsage::Client,
    }
}
