//! TLS 1.3 for our doors. There is no older version, no door with an optional client certificate, and no resumption.
//!
//! Resumption is off because a resumed session inherits the client certificate of its first handshake without looking
//! at it again (RFC 8446, 4.6.1): an expired certificate could go on. A full handshake costs one signature, and our
//! clients keep their connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier};
use tokio_rustls::TlsAcceptor;
use vouchsafe_model::spiffe::TrustDomain;
use vouchsafe_pki::{LocalKey, PeerCertificate};

use crate::clock::Clock;

/// The protocols that are spoken, the preferred one first (RFC 7301).
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS of a door. Clones share one identity.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    identity: Arc<CurrentIdentity>,
    mutual: Option<Arc<dyn Clock>>,
}

/// Our certificate chain and its key.
pub struct ServerIdentity(Arc<CertifiedKey>);

/// Why a door has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The chain is empty or the key is not that of its first certificate.
    #[error("the server's certificate and key do not go together")]
    Identity(#[source] rustls::Error),
    /// A root cannot be used.
    #[error("a root of the clients' certificates cannot be used")]
    Root(#[source] rustls::Error),
    /// There is no root, so that no client could be accepted.
    #[error("the roots of the clients' certificates cannot be used")]
    Roots(#[source] VerifierBuilderError),
    /// The provider lacks TLS 1.3.
    #[error("TLS 1.3 is not available")]
    Version(#[source] rustls::Error),
}

impl ServerIdentity {
    /// From a chain in DER, the leaf first, and the leaf's key.
    ///
    /// # Errors
    /// When the chain is empty or the key is another one's.
    pub fn new(chain_der: Vec<Vec<u8>>, key: &LocalKey) -> Result<Self, TlsError> {
        let chain = chain_der.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.pkcs8_der().to_vec()));
        let certified = CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Identity)?;
        Ok(Self(Arc::new(certified)))
    }
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity").field("certificates", &self.0.cert.len()).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// A door for those who have no certificate yet: enrolment. Clients are not asked for one.
    ///
    /// # Errors
    /// When TLS 1.3 is not available.
    pub fn server_only(identity: ServerIdentity) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Version)?;
        Ok(Self::finish(builder, None, identity, None))
    }

    /// A door for holders of a certificate: each client must prove one that leads to one of these roots and names
    /// somebody of this trust domain.
    ///
    /// # Errors
    /// When a root cannot be used or there is none.
    pub fn mutual(
        identity: ServerIdentity,
        trust_domain: TrustDomain,
        client_roots_der: &[Vec<u8>],
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(provider());
        let mut roots = RootCertStore::empty();
        for root in client_roots_der {
            roots.add(CertificateDer::from(root.as_slice())).map_err(TlsError::Root)?;
        }
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(TlsError::Roots)?;
        let time = Arc::new(ClockTime(clock.clone()));
        let builder = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Version)?;
        Ok(Self::finish(builder, Some(Arc::new(PeerVerifier { chains, trust_domain })), identity, Some(clock)))
    }

    /// Takes another certificate and key for the handshakes to come. Connections that are open go on.
    pub fn replace_identity(&self, identity: ServerIdentity) {
        self.identity.0.store(identity.0);
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// The clock by which client certificates expire, where they are asked for.
    pub(crate) fn mutual_clock(&self) -> Option<&Arc<dyn Clock>> {
        self.mutual.as_ref()
    }

    fn finish(
        builder: ConfigBuilder<ServerConfig, WantsVerifier>,
        verifier: Option<Arc<PeerVerifier>>,
        identity: ServerIdentity,
        mutual: Option<Arc<dyn Clock>>,
    ) -> Self {
        let identity = Arc::new(CurrentIdentity(ArcSwap::new(identity.0)));
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(identity.clone());
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self { config: Arc::new(config), identity, mutual }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("mutual", &self.mutual.is_some()).finish_non_exhaustive()
    }
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// The identity that the next handshake shows.
struct CurrentIdentity(ArcSwap<CertifiedKey>);

impl fmt::Debug for CurrentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CurrentIdentity")
    }
}

impl ResolvesServerCert for CurrentIdentity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Our clock for the handshake.
struct ClockTime(Arc<dyn Clock>);

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = u64::try_from(self.0.now().unix_secs()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(secs)))
    }
}

/// Accepts a chain to our roots whose leaf names somebody of the trust domain, and nothing less: never nobody.
#[derive(Debug)]
struct PeerVerifier {
    chains: Arc<dyn ClientCertVerifier>,
    trust_domain: TrustDomain,
}

/// A certificate of the roots that names somebody of another domain.
#[derive(Debug, thiserror::Error)]
#[error("the client's certificate is of another trust domain")]
struct OtherTrustDomain;

impl ClientCertVerifier for PeerVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chains.verify_client_cert(end_entity, intermediates, now)?;
        let peer = PeerCertificate::identify(end_entity)
            .map_err(|error| CertificateError::Other(OtherError(Arc::new(error))))?;
        if peer.identity.trust_domain != self.trust_domain {
            return Err(CertificateError::Other(OtherError(Arc::new(OtherTrustDomain))).into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
