//! Credentials for operators and enforcement points. Their keys stay with them; only requests come here.

use std::time::Duration;

use vouchsafe_model::spiffe::{PeerRole, SpiffeId};
use vouchsafe_pki::{Csr, LeafRequest, LeafUsage, Serial};
use vouchsafe_wire::v1::operate::{CredentialRole, IssueCredential, IssuedCredential};

use super::OperateRejected;
use crate::engine::TrustEngine;

impl TrustEngine {
    /// Issues a certificate for an operator or an enforcement point.
    ///
    /// # Errors
    /// The request is refused, or its lifetime is out of range.
    pub fn issue_credential(&self, asked: &IssueCredential) -> Result<IssuedCredential, OperateRejected> {
        let request = Csr::verify(asked.certificate_request.as_slice())?;
        let role = match asked.role {
            CredentialRole::Operator => PeerRole::Operator(asked.name.clone()),
            CredentialRole::Enforcement => PeerRole::Enforcement(asked.name.clone()),
        };
        let leaf = LeafRequest {
            csr: &request,
            identity: SpiffeId { trust_domain: self.parts.trust_domain.clone(), role },
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            lifetime: Duration::from_secs(asked.ttl_secs),
            usage: LeafUsage::Client,
        };
        let issued = self.parts.authority.issue(&leaf, self.now(), Serial::from_entropy(self.random()?))?;
        tracing::info!(
            credential.role = ?asked.role, credential.name = %asked.name, certificate.digest = %issued.digest,
            "credential issued"
        );
        Ok(IssuedCredential {
            chain_pem: issued.chain_pem,
            trust_bundle_pem: self.parts.authority.trust_bundle_pem(),
            expires_at: issued.not_after,
        })
    }
}
