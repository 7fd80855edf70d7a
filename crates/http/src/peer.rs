//! Who is at the other end, and extractors that ask for somebody in particular.

use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use vouchsafe_model::spiffe::{PeerName, PeerRole, SpiffeId};
use vouchsafe_model::{DeviceId, Sha256Digest, Timestamp};
use vouchsafe_pki::PeerCertificate;
pub use vouchsafe_pki::peer::NotIdentified;

use crate::problem::HttpProblem;

/// The holder of the client certificate of a connection: an extension of every request on a mutual door.
///
/// TLS has verified the chain when this is made, and each request is refused from the moment the certificate expires.
/// Whether the certificate was revoked is not known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub identity: SpiffeId,
    /// SHA-256 of the certificate's DER.
    pub certificate_digest: Sha256Digest,
    /// The certificate's key: a DER `SubjectPublicKeyInfo`.
    pub spki_der: Vec<u8>,
    /// Until when the certificate is valid.
    pub not_after: Timestamp,
}

/// The address at the other end of the connection: an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddress(pub SocketAddr);

/// A device that speaks for itself.
#[derive(Clone, Debug)]
pub struct DevicePeer {
    /// Which one.
    pub id: DeviceId,
    /// Its certificate.
    pub peer: Peer,
}

/// An operator.
#[derive(Clone, Debug)]
pub struct OperatorPeer {
    /// Who.
    pub name: PeerName,
    /// Their certificate.
    pub peer: Peer,
}

/// Somebody who may ask for decisions: an enforcement point, or an operator who tries one.
#[derive(Clone, Debug)]
pub struct DecisionPeer {
    /// The certificate.
    pub peer: Peer,
}

impl Peer {
    /// Whom a certificate names that somebody else has seen the proof of. It is read here and not verified.
    ///
    /// # Errors
    /// When it is no leaf that names somebody as ours do.
    pub fn read_certificate(leaf_der: &[u8]) -> Result<Self, NotIdentified> {
        PeerCertificate::identify(leaf_der).map(Self::from)
    }

    /// Whether the certificate's time is over at `now`. Its last second belongs to it (RFC 5280, 4.1.2.5).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.unix_secs() > self.not_after.unix_secs()
    }
}

impl From<PeerCertificate> for Peer {
    fn from(certificate: PeerCertificate) -> Self {
        Self {
            identity: certificate.identity,
            certificate_digest: certificate.digest,
            spki_der: certificate.spki_der,
            not_after: certificate.not_after,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        peer_of(parts, "a client certificate of this trust domain").cloned()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DevicePeer {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let needed = "the certificate of a device";
        let peer = peer_of(parts, needed)?;
        match peer.identity.role {
            PeerRole::Device(id) => Ok(Self { id, peer: peer.clone() }),
            _ => Err(forbidden(needed, peer)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OperatorPeer {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let needed = "the certificate of an operator";
        let peer = peer_of(parts, needed)?;
        match &peer.identity.role {
            PeerRole::Operator(name) => Ok(Self { name: name.clone(), peer: peer.clone() }),
            _ => Err(forbidden(needed, peer)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DecisionPeer {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let needed = "the certificate of an enforcement point or an operator";
        let peer = peer_of(parts, needed)?;
        match peer.identity.role {
            PeerRole::Enforcement(_) | PeerRole::Operator(_) => Ok(Self { peer: peer.clone() }),
            PeerRole::Device(_) | PeerRole::Server(_) => Err(forbidden(needed, peer)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RemoteAddress {
    type Rejection = HttpProblem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let absent = || HttpProblem::internal("the connection has no remote address; is it served by `serve`?");
        parts.extensions.get::<Self>().copied().ok_or_else(absent)
    }
}

/// The answer to a request whose certificate has expired since the connection was made.
pub(crate) fn certificate_expired(peer: &Peer) -> HttpProblem {
    HttpProblem::new(StatusCode::UNAUTHORIZED, "peer.certificate_expired", "The client certificate has expired")
        .with_detail(format!("It was valid until {}. Renew it and connect anew.", peer.not_after))
}

fn peer_of<'a>(parts: &'a Parts, needed: &str) -> Result<&'a Peer, HttpProblem> {
    parts.extensions.get::<Peer>().ok_or_else(|| {
        HttpProblem::new(StatusCode::UNAUTHORIZED, "peer.certificate_missing", "A client certificate is needed")
            .with_detail(format!("This needs {needed}."))
    })
}

fn forbidden(needed: &str, peer: &Peer) -> HttpProblem {
    HttpProblem::new(StatusCode::FORBIDDEN, "peer.forbidden", "Not with this certificate")
        .with_detail(format!("This needs {needed}; yours names {}.", peer.identity))
}
