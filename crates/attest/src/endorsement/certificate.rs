//! X.509 certificates, read once into what chains are built from (RFC 5280).
//!
//! x509-parser does the reading. It takes what vendors really issue: RDN sets out of DER order, serials that are zero or
//! negative, characters that a `PrintableString` may not hold, a TRUE that is not 0xFF. What it cannot know is that a
//! certificate from NV is followed by whatever the NV index was filled up with ([`strip_padding`]).

use std::collections::BTreeSet;

use vouchsafe_model::{Sha256Digest, Timestamp};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::{ExtendedKeyUsage, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

use super::key::SubjectKey;
use super::name::Name;
use super::sha256;
use super::signature::Scheme;

/// The longest certificate that is read, in bytes, padding included: the largest NV index of known TPMs, twice.
pub const MAX_CERTIFICATE_LEN: usize = 16 * 1024;

/// The longest serial number that RFC 5280, 4.1.2.2 allows, in bytes.
const MAX_SERIAL_LEN: usize = 20;

/// tcg-kp-EKCertificate.
const EK_USAGE: &str = "2.23.133.8.1";

/// Why bytes are no certificate that can be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// It is too long to be worth reading.
    #[error("{len} bytes; a certificate of at most {MAX_CERTIFICATE_LEN} is read")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// It does not begin with a DER SEQUENCE of a definite length.
    #[error("no DER certificate: it begins with no SEQUENCE of a definite length")]
    NotDer,
    /// It ends before its SEQUENCE does.
    #[error("truncated: {needed} bytes needed, {len} there")]
    Truncated {
        /// How long its SEQUENCE says that it is.
        needed: usize,
        /// How many bytes it has.
        len: usize,
    },
    /// Something follows that is not the padding of an NV index.
    #[error("{len} bytes follow the certificate, which are no padding")]
    Trailing {
        /// How many.
        len: usize,
    },
    /// It is no X.509 certificate.
    #[error("malformed certificate: {0}")]
    Malformed(X509Error),
    /// An extension occurs twice (RFC 5280, 4.2 forbids it).
    #[error("the extension {oid} occurs twice")]
    DuplicateExtension {
        /// Which.
        oid: String,
    },
    /// An extension that would have to be understood cannot be read.
    #[error("the extension {oid} cannot be read")]
    MalformedExtension {
        /// Which.
        oid: String,
    },
    /// The algorithm within the signed part differs from the one outside (RFC 5280, 4.1.1.2).
    #[error("the signed part names another signature algorithm than the certificate")]
    AlgorithmsDiffer,
    /// Its signature is no whole number of bytes, as those of all algorithms are.
    #[error("its signature ends in the middle of a byte")]
    MalformedSignature,
    /// Its key is of a kind that is not supported.
    #[error("its public key is not supported: {algorithm}")]
    UnsupportedKey {
        /// The kind.
        algorithm: String,
    },
    /// Its key cannot be read.
    #[error("its public key is malformed")]
    MalformedKey,
}

/// A certificate, parsed and nothing more.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) digest: Sha256Digest,
    tbs: Vec<u8>,
    signature: Vec<u8>,
    /// How it is signed; otherwise the name of the algorithm that cannot be relied on.
    pub(crate) scheme: Result<Scheme, String>,
    /// Whether it is of version 1 or 2, which have no extensions.
    pub(crate) lacks_extensions: bool,
    pub(crate) subject: Name,
    pub(crate) issuer: Name,
    pub(crate) serial: Vec<u8>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) spki: Vec<u8>,
    pub(crate) key: SubjectKey,
    pub(crate) extensions: Extensions,
}

/// What of a certificate's extensions matters to a chain.
#[derive(Clone, Default)]
pub(crate) struct Extensions {
    /// basicConstraints, if present: whether it is a CA.
    pub(crate) is_ca: Option<bool>,
    /// How many intermediates may follow.
    pub(crate) path_len: Option<u32>,
    /// keyUsage, if present: whether it may sign certificates.
    pub(crate) may_sign_certificates: Option<bool>,
    pub(crate) usage: ExtendedUsage,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    /// The first critical extension that is not understood.
    pub(crate) unknown_critical: Option<String>,
}

/// extKeyUsage, as far as it is about EK certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExtendedUsage {
    /// The extension is absent, or allows every usage: nothing is said.
    #[default]
    Unstated,
    /// EK certificates (tcg-kp-EKCertificate) are among the usages.
    Endorsement,
    /// There are usages, and EK certificates are not among them: the certificate is for something else (RFC 5280,
    /// 4.2.1.12), as that of a CA for attestation keys.
    Other,
}

impl Certificate {
    /// Reads a certificate that may have padding behind it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let der = strip_padding(bytes)?;
        Self::from_x509(&parse_x509(der)?)
    }

    pub(crate) fn from_x509(x509: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let tbs = &x509.tbs_certificate;
        if !same_algorithm(&tbs.signature, &x509.signature_algorithm) {
            return Err(CertificateError::AlgorithmsDiffer);
        }
        if x509.signature_value.unused_bits != 0 {
            return Err(CertificateError::MalformedSignature);
        }
        let der = x509.as_raw();
        Ok(Self {
            der: der.to_vec(),
            digest: sha256(der),
            tbs: tbs.as_ref().to_vec(),
            signature: x509.signature_value.data.to_vec(),
            scheme: Scheme::parse(&x509.signature_algorithm),
            lacks_extensions: tbs.version.0 < 2 && tbs.extensions().is_empty(),
            subject: Name::from_x509(&tbs.subject),
            issuer: Name::from_x509(&tbs.issuer),
            serial: tbs.raw_serial().to_vec(),
            not_before: timestamp(tbs.validity.not_before),
            not_after: timestamp(tbs.validity.not_after),
            spki: tbs.subject_pki.raw.to_vec(),
            key: SubjectKey::from_spki(&tbs.subject_pki)?,
            extensions: Extensions::read(tbs.extensions())?,
        })
    }

    /// Whether subject and issuer are one name (RFC 5280, 6.1: such certificates do not count in path lengths).
    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `issuer`'s key signed it. Never true for an algorithm that cannot be relied on.
    pub(crate) fn is_signed_by(&self, issuer: &Self) -> bool {
        self.scheme.as_ref().is_ok_and(|scheme| scheme.verifies(&issuer.key, &self.tbs, &self.signature))
    }

    /// Whether its serial is none that RFC 5280, 4.1.2.2 allows: zero, negative or longer than 20 bytes.
    pub(crate) fn has_odd_serial(&self) -> bool {
        let negative = self.serial.first().is_none_or(|first| first & 0x80 != 0);
        negative || self.serial.iter().all(|byte| *byte == 0) || self.serial.len() > MAX_SERIAL_LEN
    }
}

impl Extensions {
    fn read(extensions: &[X509Extension<'_>]) -> Result<Self, CertificateError> {
        let mut read = Self::default();
        let mut seen = BTreeSet::new();
        for extension in extensions {
            let oid = extension.oid.to_id_string();
            if !seen.insert(oid.clone()) {
                return Err(CertificateError::DuplicateExtension { oid });
            }
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(constraints) => {
                    read.is_ca = Some(constraints.ca);
                    read.path_len = constraints.path_len_constraint;
                }
                ParsedExtension::KeyUsage(usage) => read.may_sign_certificates = Some(usage.key_cert_sign()),
                ParsedExtension::ExtendedKeyUsage(usage) => read.usage = ExtendedUsage::read(usage),
                ParsedExtension::SubjectKeyIdentifier(id) => read.subject_key_id = Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    read.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                // What restricts must be understood, critical or not; what only informs may be ignored.
                ParsedExtension::ParseError { .. } if extension.critical || restricts(&oid) => {
                    return Err(CertificateError::MalformedExtension { oid });
                }
                _ => {}
            }
            if extension.critical && !is_understood(&oid) {
                read.unknown_critical.get_or_insert(oid);
            }
        }
        Ok(read)
    }
}

impl ExtendedUsage {
    fn read(usage: &ExtendedKeyUsage<'_>) -> Self {
        if usage.other.iter().any(|oid| oid.to_id_string() == EK_USAGE) {
            Self::Endorsement
        } else if usage.any {
            Self::Unstated
        } else {
            Self::Other
        }
    }
}

/// Reads what [`strip_padding`] left.
pub(crate) fn parse_x509(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], x509)) => Ok(x509),
        Ok((rest, _)) => Err(CertificateError::Trailing { len: rest.len() }),
        Err(error) => Err(CertificateError::Malformed(error.into())),
    }
}

/// The certificate without what fills up the NV index behind it: TPMs return the whole index, and vendors leave 0xFF
/// (erased flash) or 0x00 there.
pub(crate) fn strip_padding(bytes: &[u8]) -> Result<&[u8], CertificateError> {
    let (der, rest) = split_der(bytes)?;
    if rest.iter().all(|byte| matches!(byte, 0x00 | 0xFF)) {
        Ok(der)
    } else {
        Err(CertificateError::Trailing { len: rest.len() })
    }
}

/// The DER SEQUENCE that comes first, and what follows it.
pub(crate) fn split_der(bytes: &[u8]) -> Result<(&[u8], &[u8]), CertificateError> {
    let (header_len, content_len) = match bytes {
        [0x30, len @ 0..=0x7F, ..] => (2, usize::from(*len)),
        [0x30, 0x81, len, ..] => (3, usize::from(*len)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        _ => return Err(CertificateError::NotDer),
    };
    let needed = header_len + content_len;
    if needed > MAX_CERTIFICATE_LEN {
        return Err(CertificateError::TooLong { len: needed });
    }
    bytes.split_at_checked(needed).ok_or(CertificateError::Truncated { needed, len: bytes.len() })
}

/// Equal, an absent parameter being the same as NULL: RFC 4055 and RFC 5758 differ in which one to write, and so do CAs.
fn same_algorithm(one: &AlgorithmIdentifier<'_>, other: &AlgorithmIdentifier<'_>) -> bool {
    let parameters = |algorithm: &AlgorithmIdentifier<'_>| {
        let parameters = algorithm.parameters.as_ref().map(|any| (any.tag().0, any.data.to_vec()));
        parameters.filter(|(tag, data)| !(*tag == 5 && data.is_empty()))
    };
    one.algorithm == other.algorithm && parameters(one) == parameters(other)
}

/// keyUsage, basicConstraints and extKeyUsage limit what a certificate may do.
fn restricts(oid: &str) -> bool {
    matches!(oid, "2.5.29.15" | "2.5.29.19" | "2.5.29.37")
}

/// Whether a critical extension may pass: those that are enforced here, those that only name, inform or say where to look
/// (policies are informative in the TCG EK Credential Profile, 3.2), and all of TCG's own. Name and policy constraints
/// are not among them: they restrict, and are not enforced here.
fn is_understood(oid: &str) -> bool {
    const UNDERSTOOD: [&str; 13] = [
        "2.5.29.9",              // subjectDirectoryAttributes
        "2.5.29.14",             // subjectKeyIdentifier
        "2.5.29.15",             // keyUsage
        "2.5.29.17",             // subjectAltName
        "2.5.29.18",             // issuerAltName
        "2.5.29.19",             // basicConstraints
        "2.5.29.31",             // cRLDistributionPoints
        "2.5.29.32",             // certificatePolicies
        "2.5.29.35",             // authorityKeyIdentifier
        "2.5.29.37",             // extKeyUsage
        "2.5.29.46",             // freshestCRL
        "1.3.6.1.5.5.7.1.1",     // authorityInfoAccess
        "2.16.840.1.113730.1.1", // Netscape certificate type
    ];
    UNDERSTOOD.contains(&oid) || oid.starts_with("2.23.133.")
}

fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_unix_secs(time.timestamp())
}
