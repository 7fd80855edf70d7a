//! Reading who a certificate names (X509-SVID 1.0, 4 and 5.2).

use aws_lc_rs::digest;
use vouchsafe_model::id::InvalidId;
use vouchsafe_model::spiffe::SpiffeId;
use vouchsafe_model::{Sha256Digest, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_LEN: usize = 8 * 1024;

/// Who a leaf certificate names, and for how long.
///
/// It is read, not verified: that the chain leads to a root of ours is for TLS to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Who holds it.
    pub identity: SpiffeId,
    /// SHA-256 of its DER.
    pub digest: Sha256Digest,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid, that second included (RFC 5280, 4.1.2.5).
    pub not_after: Timestamp,
    /// Its key: a DER `SubjectPublicKeyInfo`.
    pub spki_der: Vec<u8>,
}

/// Why a certificate names nobody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotIdentified {
    /// It is longer than is read.
    #[error("the certificate has {length} bytes; the maximum is {MAX_CERTIFICATE_LEN}")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// It is no X.509 certificate, or something follows it.
    #[error("the certificate is malformed")]
    Malformed,
    /// An extension is malformed or there twice.
    #[error("the extension {extension} of the certificate is malformed or there twice")]
    Extension {
        /// Which one.
        extension: &'static str,
    },
    /// It has not exactly one URI.
    #[error("the certificate has {count} URI names; an X509-SVID has exactly one")]
    UriCount {
        /// How many it has.
        count: usize,
    },
    /// Its URI is no SPIFFE ID of ours.
    #[error("the URI of the certificate is no SPIFFE ID of ours")]
    Name(#[from] InvalidId),
    /// It is the certificate of an authority.
    #[error("the certificate is that of an authority, not a leaf")]
    Authority,
    /// Its key may sign certificates or revocation lists, or may not sign at all.
    #[error("the key usage of the certificate is not that of a leaf")]
    KeyUsage,
}

impl PeerCertificate {
    /// Reads whom a leaf names. Exactly one URI, a SPIFFE ID of ours, and no power to sign certificates.
    ///
    /// # Errors
    /// When the certificate is malformed, or no leaf as X509-SVID describes it.
    pub fn identify(leaf_der: &[u8]) -> Result<Self, NotIdentified> {
        if leaf_der.len() > MAX_CERTIFICATE_LEN {
            return Err(NotIdentified::TooLarge { length: leaf_der.len() });
        }
        let Ok((&[], certificate)) = X509Certificate::from_der(leaf_der) else { return Err(NotIdentified::Malformed) };
        check_leaf(&certificate)?;
        let validity = certificate.validity();
        Ok(Self {
            identity: the_uri(&certificate)?.parse()?,
            digest: digest_of(leaf_der),
            not_before: Timestamp::from_unix_secs(validity.not_before.timestamp()),
            not_after: Timestamp::from_unix_secs(validity.not_after.timestamp()),
            spki_der: certificate.public_key().raw.to_vec(),
        })
    }

    /// Whether its time is over at `now`.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.unix_secs() > self.not_after.unix_secs()
    }
}

/// SHA-256 of a certificate's DER.
pub(crate) fn digest_of(der: &[u8]) -> Sha256Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    Sha256Digest::new(bytes)
}

fn check_leaf(certificate: &X509Certificate<'_>) -> Result<(), NotIdentified> {
    let malformed = |extension| move |_| NotIdentified::Extension { extension };
    let constraints = certificate.basic_constraints().map_err(malformed("basicConstraints"))?;
    if constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(NotIdentified::Authority);
    }
    let usage = certificate.key_usage().map_err(malformed("keyUsage"))?.ok_or(NotIdentified::KeyUsage)?.value;
    if usage.key_cert_sign() || usage.crl_sign() || !usage.digital_signature() {
        return Err(NotIdentified::KeyUsage);
    }
    Ok(())
}

fn the_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, NotIdentified> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| NotIdentified::Extension { extension: "subjectAltName" })?
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.count()) {
        (Some(uri), 0) => Ok(uri),
        (None, _) => Err(NotIdentified::UriCount { count: 0 }),
        (Some(_), others) => Err(NotIdentified::UriCount { count: others + 1 }),
    }
}
