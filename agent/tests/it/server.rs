//! An HTTPS server of the test's own authority, with a client of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use vouchsafe_agent::client::Client;
use vouchsafe_agent::tls::{for_device, for_enrolment};

/// An authority that vouches for servers and clients.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) chain_pem: String,
    key: KeyPair,
}

/// A running server. It ends when this drops.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) trust_bundle_pem: String,
    /// How many connections there were.
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

pub(crate) const LIMIT: Duration = Duration::from_secs(5);

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    pub(crate) fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        Identity { chain_pem: parameters.signed_by(&key, &self.issuer).unwrap().pem(), key }
    }

    fn roots(&self) -> RootCertStore {
        use rustls_pki_types::pem::PemObject as _;
        let mut roots = RootCertStore::empty();
        roots.add(rustls_pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    fn tls(&self, clients: Option<&Self>) -> ServerConfig {
        use rustls_pki_types::pem::PemObject as _;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap();
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), provider).build().unwrap(),
            ),
            None => builder.with_no_client_auth(),
        };
        let Identity { chain_pem, key } = self.identity();
        let chain =
            rustls_pki_types::CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(Result::unwrap).collect();
        builder.with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into())).unwrap()
    }

    /// Serves at a free port, to everybody or to clients of an authority.
    pub(crate) async fn serve(&self, router: Router, clients: Option<&Self>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, acceptor) = (listener.local_addr().unwrap(), TlsAcceptor::from(Arc::new(self.tls(clients))));
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let (acceptor, router) = (acceptor.clone(), router.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = TowerToHyperService::new(router);
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Server { address, trust_bundle_pem: self.pem.clone(), connections, task }
    }
}

impl Server {
    /// A client that knows the server, and that it does not know.
    pub(crate) fn stranger(&self) -> Client {
        Client::new(&format!("https://{}", self.address), for_enrolment(&self.trust_bundle_pem).unwrap(), LIMIT)
            .unwrap()
    }

    /// A client with this identity.
    pub(crate) fn member(&self, identity: &Identity) -> Client {
        let key = PrivateKeyDer::Pkcs8(identity.key.serialize_der().into());
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let tls = for_device(&self.trust_bundle_pem, &identity.chain_pem, key).unwrap();
        Client::new(&format!("https://{}", self.address), tls, LIMIT).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
