//! The server's own certificate: read at the start, renewed in time, exchanged without dropping a connection.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use vouchsafe_http::{Clock, Entropy, ServerIdentity, ServerTls};
use vouchsafe_pki::{Authority, Csr, LeafRequest, LeafUsage, LocalKey, PeerCertificate, Serial, files, pem};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::config::Layout;
use super::files::named;

/// How often is looked whether the certificate wants renewal.
const CHECK_INTERVAL: Duration = Duration::from_secs(3600);
/// A certificate is renewed when less than this is left of it.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How long a renewed certificate is good.
const LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// The longest chain that is read, in bytes.
const MAX_CHAIN_LEN: usize = 64 * 1024;

/// The server as its clients know it.
pub(super) struct Server {
    layout: Layout,
    authority: Arc<Authority>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    chain: Vec<Vec<u8>>,
    key: LocalKey,
}

impl Server {
    /// Reads certificate and key. A certificate that has ended, or is about to, is renewed at once.
    pub(super) fn read(
        layout: &Layout,
        authority: Arc<Authority>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> anyhow::Result<Self> {
        let (certificate, key) = (layout.server_certificate(), layout.server_key());
        let chain = pem::decode_certificates(&files::read_file(&certificate, MAX_CHAIN_LEN)?)
            .with_context(|| format!("{} holds no certificates", named(&certificate)))?;
        let key = LocalKey::read(&key).with_context(|| format!("cannot use the key {}", named(&key)))?;
        let mut server = Self { layout: layout.clone(), authority, clock, entropy, chain, key };
        if server.wants_renewal()? {
            server.renew()?;
        }
        Ok(server)
    }

    /// Certificate and key, as TLS takes them.
    pub(super) fn identity(&self) -> anyhow::Result<ServerIdentity> {
        Ok(ServerIdentity::new(self.chain.clone(), &self.key)?)
    }

    /// Looks now and then, and renews. A failure is logged and tried again: there is a month for it.
    pub(super) async fn renew_in_time(mut self, doors: Vec<ServerTls>, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL)).await.is_some() {
            if let Err(error) = self.renew_if_wanted(&doors) {
                tracing::error!(error = format!("{error:#}"), "the server's certificate could not be renewed");
            }
        }
    }

    fn renew_if_wanted(&mut self, doors: &[ServerTls]) -> anyhow::Result<()> {
        if !self.wants_renewal()? {
            return Ok(());
        }
        self.renew()?;
        for door in doors {
            door.replace_identity(self.identity()?);
        }
        Ok(())
    }

    fn leaf(&self) -> anyhow::Result<&[u8]> {
        self.chain.first().map(Vec::as_slice).context("the server's certificate file is empty")
    }

    fn wants_renewal(&self) -> anyhow::Result<bool> {
        let certificate = PeerCertificate::identify(self.leaf()?).context("the server's certificate is not of ours")?;
        Ok(certificate.is_expired(self.clock.now().plus(RENEW_BEFORE)))
    }

    /// Issues a certificate for the same key and the same names, and writes it.
    fn renew(&mut self) -> anyhow::Result<()> {
        let certificate = PeerCertificate::identify(self.leaf()?)?;
        let (dns_names, ip_addresses) = names(self.leaf()?)?;
        let csr = Csr::verify(&self.key.certification_request()?)?;
        let request = LeafRequest {
            csr: &csr,
            identity: certificate.identity,
            dns_names,
            ip_addresses,
            lifetime: LIFETIME,
            usage: LeafUsage::Server,
        };
        let serial = Serial::from_entropy(self.entropy.bytes()?);
        let issued = self.authority.issue(&request, self.clock.now(), serial)?;
        files::write_private_file(&self.layout.server_certificate(), issued.chain_pem.as_bytes())?;
        self.chain = issued.chain_der;
        tracing::info!(certificate.expires_at = %issued.not_after, "the server's certificate was renewed");
        Ok(())
    }
}

/// The names and addresses in a certificate of ours.
fn names(leaf: &[u8]) -> anyhow::Result<(Vec<String>, Vec<std::net::IpAddr>)> {
    let (_, certificate) = X509Certificate::from_der(leaf).context("the server's certificate is malformed")?;
    let alternative = certificate.subject_alternative_name().context("the server's certificate is malformed")?;
    let (mut dns_names, mut ip_addresses) = (Vec::new(), Vec::new());
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
            GeneralName::IPAddress(octets) => ip_addresses.extend(address(octets)),
            _ => {}
        }
    }
    Ok((dns_names, ip_addresses))
}

fn address(octets: &[u8]) -> Option<std::net::IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(std::net::IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(std::net::IpAddr::from))
        .ok()
}
