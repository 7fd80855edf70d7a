//! Issuing leaves: X509-SVIDs for devices, operators, enforcement points and servers.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType, SubjectPublicKeyInfo};
use rustls_pki_types::DnsName;
use vouchsafe_model::spiffe::{PeerRole, SpiffeId, TrustDomain};
use vouchsafe_model::{Sha256Digest, Timestamp};

use crate::authority::Authority;
use crate::csr::VerifiedCsr;
use crate::pem;
use crate::profile::{self, Serial, Validity};

/// The longest life of a leaf that may be asked for.
pub const MAX_LEAF_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
/// The shortest: less would be over before a clock that is a little ahead sees it.
pub const MIN_LEAF_LIFETIME: Duration = Duration::from_secs(60);
/// The most DNS names and IP addresses that a leaf carries, together.
pub const MAX_LEAF_NAMES: usize = 32;

/// What a leaf may be used for in TLS (RFC 5280, 4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafUsage {
    /// To prove a client.
    Client,
    /// To prove a server.
    Server,
    /// To prove either.
    ClientAndServer,
}

/// A leaf to be issued. All of it is the caller's word; of what the holder asked for, only the key is used.
#[derive(Clone, Debug)]
pub struct LeafRequest<'a> {
    /// The key, whose holder has shown that it has the private half.
    pub csr: &'a VerifiedCsr,
    /// Who the holder is.
    pub identity: SpiffeId,
    /// The names under which a server is reached.
    pub dns_names: Vec<String>,
    /// The addresses under which a server is reached.
    pub ip_addresses: Vec<IpAddr>,
    /// How long it is to be valid, from now on; at most [`MAX_LEAF_LIFETIME`].
    pub lifetime: Duration,
    /// What for.
    pub usage: LeafUsage,
}

/// A leaf that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The leaf and the intermediate in PEM, in this order. The root is in the trust bundle alone.
    pub chain_pem: String,
    /// The same in DER.
    pub chain_der: Vec<Vec<u8>>,
    /// SHA-256 of the leaf's DER.
    pub digest: Sha256Digest,
    /// Its serial number.
    pub serial: Serial,
    /// From when it is valid: five minutes before it was issued, for clocks that are behind.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Whether it ends before the lifetime that was asked for, together with its intermediate. The intermediate then
    /// wants renewal; [`Authority::renewal_due`] says so from the day on which this can first happen.
    pub cut_short: bool,
}

/// Why a leaf was not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The holder is of another trust domain.
    #[error("{identity} is not of the trust domain {ours}")]
    OtherTrustDomain {
        /// Who it was to be.
        identity: SpiffeId,
        /// The authority's domain.
        ours: TrustDomain,
    },
    /// It would live too long or too short.
    #[error("a lifetime of {} s is not between {} s and {} s", asked.as_secs(), MIN_LEAF_LIFETIME.as_secs(), MAX_LEAF_LIFETIME.as_secs())]
    Lifetime {
        /// The lifetime that was asked for.
        asked: Duration,
    },
    /// It would carry too many names.
    #[error("{count} DNS names and IP addresses are more than {MAX_LEAF_NAMES}")]
    TooManyNames {
        /// How many it would carry.
        count: usize,
    },
    /// A text is no DNS name.
    #[error("'{name}' is no DNS name")]
    DnsName {
        /// The text.
        name: String,
    },
    /// The intermediate is no longer valid.
    #[error("the intermediate certificate expired at {not_after}; renew it")]
    IssuerExpired {
        /// When it ended.
        not_after: Timestamp,
    },
    /// The intermediate is not yet valid: the clock was set back.
    #[error("the intermediate certificate is valid from {not_before} only; is the clock right?")]
    IssuerNotYetValid {
        /// When it begins.
        not_before: Timestamp,
    },
    /// The certificate could not be written or signed.
    #[error("the certificate could not be signed")]
    Sign(#[source] rcgen::Error),
}

impl Authority {
    /// Issues a leaf with exactly one SPIFFE ID, signed by the intermediate.
    ///
    /// A leaf never outlives its intermediate: it is cut short instead, and says so.
    ///
    /// # Errors
    /// When the request is out of bounds or of another trust domain, or the intermediate is not valid at `now`.
    pub fn issue(
        &self,
        request: &LeafRequest<'_>,
        now: Timestamp,
        serial: Serial,
    ) -> Result<IssuedCertificate, IssueError> {
        self.check(request, now)?;
        let asked = Validity::starting(now, request.lifetime);
        let validity = asked.within(self.intermediate_validity());
        let params = leaf(request, validity, serial)?;
        let key = SubjectPublicKeyInfo::from_der(request.csr.spki_der()).map_err(IssueError::Sign)?;
        let leaf = params.signed_by(&key, self.issuer()).map_err(IssueError::Sign)?;

        let chain_der = vec![leaf.der().to_vec(), self.intermediate_der().to_vec()];
        Ok(IssuedCertificate {
            chain_pem: pem::encode_certificates(chain_der.iter().map(Vec::as_slice)),
            digest: crate::peer::digest_of(leaf.der()),
            chain_der,
            serial,
            not_before: validity.not_before,
            not_after: validity.not_after,
            cut_short: validity.not_after < asked.not_after,
        })
    }

    fn check(&self, request: &LeafRequest<'_>, now: Timestamp) -> Result<(), IssueError> {
        if request.identity.trust_domain != *self.trust_domain() {
            let ours = self.trust_domain().clone();
            return Err(IssueError::OtherTrustDomain { identity: request.identity.clone(), ours });
        }
        if !(MIN_LEAF_LIFETIME..=MAX_LEAF_LIFETIME).contains(&request.lifetime) {
            return Err(IssueError::Lifetime { asked: request.lifetime });
        }
        let count = request.dns_names.len() + request.ip_addresses.len();
        if count > MAX_LEAF_NAMES {
            return Err(IssueError::TooManyNames { count });
        }
        let Validity { not_before, not_after } = self.intermediate_validity();
        if now > not_after {
            return Err(IssueError::IssuerExpired { not_after });
        }
        if now < not_before {
            return Err(IssueError::IssuerNotYetValid { not_before });
        }
        Ok(())
    }
}

/// The profile of a leaf (X509-SVID 1.0, 4).
fn leaf(request: &LeafRequest<'_>, validity: Validity, serial: Serial) -> Result<CertificateParams, IssueError> {
    let mut params = profile::certificate(common_name(&request.identity.role), validity, serial);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match request.usage {
        LeafUsage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        LeafUsage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        LeafUsage::ClientAndServer => vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
    };
    params.use_authority_key_identifier_extension = true;

    let uri = request.identity.to_string().try_into().map_err(IssueError::Sign)?;
    params.subject_alt_names.push(SanType::URI(uri));
    for name in &request.dns_names {
        let bad = || IssueError::DnsName { name: name.chars().take(80).collect() };
        DnsName::try_from(name.as_str()).map_err(|_| bad())?;
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into().map_err(|_| bad())?));
    }
    params.subject_alt_names.extend(request.ip_addresses.iter().copied().map(SanType::IpAddress));
    Ok(params)
}

/// For people who read certificates; programs read the SPIFFE ID. At most 64 characters, as X.520 asks.
fn common_name(role: &PeerRole) -> String {
    match role {
        PeerRole::Device(id) => id.to_string(),
        PeerRole::Operator(name) | PeerRole::Enforcement(name) | PeerRole::Server(name) => name.to_string(),
    }
}
