//! Enrolment: who may join, and the proof that its keys are in one TPM.

pub mod begin;
pub mod complete;
pub mod ticket;

use std::time::Duration;

use vouchsafe_model::spiffe::{PeerRole, SpiffeId};
use vouchsafe_model::{DeviceId, Timestamp};
use vouchsafe_pki::{IssueError, IssuedCertificate, LeafRequest, LeafUsage, Serial, VerifiedCsr};
use vouchsafe_wire::v1::enrol::DeviceCertificate;

use crate::engine::TrustEngine;

impl TrustEngine {
    /// Issues a device's certificate: the key is the request's, the name is ours.
    pub(crate) fn issue_device_certificate(
        &self,
        device: DeviceId,
        request: &VerifiedCsr,
        now: Timestamp,
        serial: Serial,
    ) -> Result<IssuedCertificate, IssueError> {
        let leaf = LeafRequest {
            csr: request,
            identity: SpiffeId { trust_domain: self.parts.trust_domain.clone(), role: PeerRole::Device(device) },
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            lifetime: Duration::from_secs(self.parts.config.certificates.device_ttl_secs),
            usage: LeafUsage::Client,
        };
        self.parts.authority.issue(&leaf, now, serial)
    }

    /// A certificate with all that it takes to use it. It is renewed after two thirds of its life, so that an engine may
    /// be away for the last third.
    pub(crate) fn device_certificate(&self, issued: IssuedCertificate, now: Timestamp) -> DeviceCertificate {
        DeviceCertificate {
            renew_at: now.plus(issued.not_after.since(now) / 3 * 2),
            expires_at: issued.not_after,
            chain_pem: issued.chain_pem,
            trust_bundle_pem: self.parts.authority.trust_bundle_pem(),
        }
    }
}
