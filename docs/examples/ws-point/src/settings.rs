//! The command line, and the TLS on both sides.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Proxies connections of devices to a service, and cuts each when the engine says deny.
#[derive(Debug, Parser)]
pub(crate) struct Settings {
    /// Where devices connect.
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// The service.
    #[arg(long)]
    pub(crate) service: SocketAddr,
    /// What the service is called where it is asked about.
    #[arg(long)]
    pub(crate) resource: String,
    /// The certificate that devices are shown, PEM.
    #[arg(long)]
    pub(crate) certificate: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// The engine's API door: `https://engine.example.org:8443`.
    #[arg(long)]
    pub(crate) engine: String,
    /// The roots by which the engine and devices are known, PEM.
    #[arg(long)]
    pub(crate) roots: PathBuf,
    /// The certificate of this point, PEM.
    #[arg(long)]
    pub(crate) credential: PathBuf,
    /// Its key, PEM.
    #[arg(long)]
    pub(crate) credential_key: PathBuf,
}

impl Settings {
    /// TLS 1.3 for devices, which have to show a certificate.
    pub(crate) fn for_devices(&self) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&self.roots)?), provider.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])?
            .with_client_cert_verifier(verifier.build()?)
            .with_single_cert(chain(&self.certificate)?, key(&self.key)?)?;
        // A resumed session would go on with a certificate that nobody looks at again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// TLS 1.3 to the engine, with the point's own certificate.
    pub(crate) fn for_engine(&self) -> anyhow::Result<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        Ok(builder
            .with_protocol_versions(&[&version::TLS13])?
            .with_root_certificates(roots(&self.roots)?)
            .with_client_auth_cert(chain(&self.credential)?, key(&self.credential_key)?)?)
    }
}

fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path).with_context(|| format!("reading {}", path.display()))?;
    certificates.collect::<Result<_, _>>().with_context(|| format!("reading {}", path.display()))
}

fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| format!("reading {}", path.display()))
}

fn roots(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for root in chain(path)? {
        store.add(root)?;
    }
    Ok(store)
}
