//! The certificates of the authority itself, read back from their files with suspicion.

use std::path::{Path, PathBuf};

use vouchsafe_model::Timestamp;
use vouchsafe_model::spiffe::TrustDomain;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::authority::OpenError;
use crate::files;
use crate::key::LocalKey;
use crate::pem;
use crate::profile::Validity;
use crate::signature::{PublicKeyInfo, Signed};

/// The longest certificate file that is read, in bytes.
const MAX_CERTIFICATE_FILE_LEN: usize = 16 * 1024;

/// Why a certificate is not one of an authority of ours.
#[derive(Debug, thiserror::Error)]
pub enum BadAuthority {
    /// It is not one certificate in PEM.
    #[error(transparent)]
    Pem(#[from] pem::PemError),
    /// It is no X.509 certificate.
    #[error("it is no X.509 certificate")]
    Malformed,
    /// It may not sign certificates.
    #[error("it is not the certificate of an authority")]
    NotAuthority,
    /// It names no trust domain.
    #[error("it does not name exactly one trust domain")]
    NoTrustDomain,
    /// It names another trust domain than the root.
    #[error("it is of the trust domain {found}, the root of {root}")]
    OtherTrustDomain {
        /// Its own.
        found: TrustDomain,
        /// The root's.
        root: TrustDomain,
    },
    /// The root did not sign it.
    #[error("it is not signed by the root")]
    NotSignedByRoot,
}

/// The certificate of a root or an intermediate, as it was found in its file.
pub(crate) struct CaCertificate {
    path: PathBuf,
    pub(crate) der: Vec<u8>,
    spki_der: Vec<u8>,
    pub(crate) trust_domain: TrustDomain,
    pub(crate) validity: Validity,
}

impl CaCertificate {
    pub(crate) fn read(path: &Path) -> Result<Self, OpenError> {
        let text = files::read_file(path, MAX_CERTIFICATE_FILE_LEN)?;
        Self::parse(path, &text).map_err(|source| OpenError::Certificate { path: path.to_owned(), source })
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, BadAuthority> {
        let der = pem::decode_certificate(text)?;
        let Ok((&[], certificate)) = X509Certificate::from_der(&der) else { return Err(BadAuthority::Malformed) };
        let may_sign = certificate.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign());
        if !certificate.is_ca() || !may_sign {
            return Err(BadAuthority::NotAuthority);
        }
        let seconds = |time: x509_parser::time::ASN1Time| Timestamp::from_unix_secs(time.timestamp());
        let validity = Validity {
            not_before: seconds(certificate.validity().not_before),
            not_after: seconds(certificate.validity().not_after),
        };
        let trust_domain = trust_domain_of(&certificate).ok_or(BadAuthority::NoTrustDomain)?;
        let spki_der = certificate.public_key().raw.to_vec();
        Ok(Self { path: path.to_owned(), der, spki_der, trust_domain, validity })
    }

    /// The key in this file, if it is the certificate's.
    pub(crate) fn matching_key(&self, path: PathBuf) -> Result<LocalKey, OpenError> {
        let key = LocalKey::read(&path).map_err(|source| OpenError::Key { path: path.clone(), source })?;
        match key.spki_der() {
            Ok(spki_der) if spki_der == self.spki_der => Ok(key),
            _ => Err(OpenError::Mismatch { key: path, certificate: self.path.clone() }),
        }
    }

    pub(crate) fn check_issuer(&self, root: &Self) -> Result<(), OpenError> {
        if self.trust_domain != root.trust_domain {
            let (found, root) = (self.trust_domain.clone(), root.trust_domain.clone());
            return Err(self.bad(BadAuthority::OtherTrustDomain { found, root }));
        }
        let signed = Signed::read(&self.der, "Certificate").map_err(|_| self.bad(BadAuthority::Malformed))?;
        PublicKeyInfo::read(&root.spki_der)
            .ok()
            .and_then(|key| key.verify(&signed).ok())
            .ok_or_else(|| self.bad(BadAuthority::NotSignedByRoot))
    }

    pub(crate) fn bad(&self, source: BadAuthority) -> OpenError {
        OpenError::Certificate { path: self.path.clone(), source }
    }
}

/// The trust domain that an authority's certificate names by its one URI, `spiffe://DOMAIN`.
fn trust_domain_of(certificate: &X509Certificate<'_>) -> Option<TrustDomain> {
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => uri.strip_prefix("spiffe://")?.parse().ok(),
        _ => None,
    }
}
