//! TLS 1.3 to the engine: known by the roots of the join file, and to it by a key that never leaves the TPM.
//!
//! rustls signs in the middle of a handshake and cannot await. The signature therefore blocks its thread while the TPM
//! works, some ten to some hundred milliseconds: [`tokio::task::block_in_place`] hands that thread's other tasks to
//! another one first, so that timers and signals are served meanwhile. There is no way to use a key in software: the AK
//! certifies the TLS key at enrolment, and no engine takes one that is not certified.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, OtherError, RootCertStore, SignatureAlgorithm, SignatureScheme, version};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::runtime::{Handle, RuntimeFlavor};
use vouchsafe_model::Sha256Digest;

use crate::tpm::{DeviceKeys, TpmHandle, sign_with_tls_key};

/// How long a handshake waits for its signature.
const SIGNATURE_LIMIT: Duration = Duration::from_secs(20);
/// The most certificates of a chain or a bundle.
const MAX_CERTIFICATES: usize = 32;

/// Why there can be no TLS to the engine.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text has no certificates, or too many, or is no PEM.
    #[error("the {what} holds no PEM certificates, or more than {MAX_CERTIFICATES}")]
    Pem {
        /// What was read.
        what: &'static str,
    },
    /// A root cannot be used.
    #[error("a certificate of the trust bundle cannot be used")]
    Root(#[source] rustls::Error),
    /// The library refuses the settings.
    #[error("the TLS library refuses its settings")]
    Library(#[source] rustls::Error),
}

/// Settings for enrolment: the engine is known, and we are not yet.
///
/// # Errors
/// When the trust bundle is unusable.
pub fn for_enrolment(trust_bundle_pem: &str) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Library)?;
    let mut config = builder.with_root_certificates(roots(trust_bundle_pem)?).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Settings for everything else: both know each other.
///
/// # Errors
/// When the trust bundle or the certificate chain is unusable.
pub fn for_device(trust_bundle_pem: &str, chain_pem: &str, key: Arc<dyn SigningKey>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(TlsError::Library)?;
    let certified = CertifiedKey::new(certificates(chain_pem, "certificate chain")?, key);
    let mut config = builder
        .with_root_certificates(roots(trust_bundle_pem)?)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    // Every connection proves anew that the key is still in reach.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// SHA-256 of the leaf of a certificate chain: what evidence is bound to.
///
/// # Errors
/// When the text holds no certificates.
pub fn leaf_digest(chain_pem: &str) -> Result<Sha256Digest, TlsError> {
    let chain = certificates(chain_pem, "certificate chain")?;
    let leaf = chain.first().ok_or(TlsError::Pem { what: "certificate chain" })?;
    Ok(sha256(leaf))
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    let mut out = [0; 32];
    out.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    Sha256Digest::new(out)
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).take(MAX_CERTIFICATES + 1).collect();
    certificates
        .ok()
        .filter(|certificates| (1..=MAX_CERTIFICATES).contains(&certificates.len()))
        .ok_or(TlsError::Pem { what })
}

fn roots(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for root in certificates(pem, "trust bundle")? {
        store.add(root).map_err(TlsError::Root)?;
    }
    Ok(store)
}

/// The TLS key of the device: every signature is made by the TPM.
#[derive(Clone, Debug)]
pub struct TpmSigningKey {
    tpm: TpmHandle,
    keys: Arc<DeviceKeys>,
}

impl TpmSigningKey {
    /// The key of these, in the TPM behind this handle.
    pub fn new(tpm: TpmHandle, keys: DeviceKeys) -> Self {
        Self { tpm, keys: Arc::new(keys) }
    }
}

impl SigningKey for TpmSigningKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for TpmSigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let (keys, digest) = (Arc::clone(&self.keys), *sha256(message).as_bytes());
        let sign = || self.tpm.run_blocking(SIGNATURE_LIMIT, move |tpm| sign_with_tls_key(tpm, &keys, &digest));
        // The TPM's own words travel inside the TLS error, to be found again by whoever asked for the connection.
        without_stalling_others(sign).map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// Blocks this thread, and no other task than the one that runs on it.
fn without_stalling_others<T>(block: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(block),
        _ => block(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> String {
        rcgen::generate_simple_self_signed(vec!["engine".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn the_engine_is_known_by_the_bundle_alone() {
        assert!(for_enrolment(&root()).is_ok());
        assert!(for_enrolment(&format!("{}{}", root(), root())).is_ok());
        for bundle in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n", &root().repeat(MAX_CERTIFICATES + 1)] {
            assert!(matches!(for_enrolment(bundle), Err(TlsError::Pem { what: "trust bundle" })), "{bundle:.40}");
        }
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(for_enrolment(no_certificate), Err(TlsError::Root(_))));
    }

    #[test]
    fn evidence_is_bound_to_the_first_certificate_of_the_chain() {
        let (leaf, issuer) = (root(), root());
        let chain = leaf_digest(&format!("{leaf}{issuer}")).unwrap();
        assert_eq!(chain, leaf_digest(&leaf).unwrap());
        assert_ne!(chain, leaf_digest(&issuer).unwrap());
        assert!(leaf_digest("").is_err());
    }

    #[test]
    fn a_handshake_without_ecdsa_on_p256_is_not_signed() {
        let keys = crate::machine::testing::keys();
        let tpm = TpmHandle::start(crate::tpm::TpmConfig::default()).unwrap();
        let key = TpmSigningKey::new(tpm, keys);
        assert!(key.choose_scheme(&[SignatureScheme::ED25519, SignatureScheme::RSA_PSS_SHA256]).is_none());
        assert!(key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).is_some());
    }
}
