//! The certificates of TPM vendors that an operator trusts.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use vouchsafe_model::Sha256Digest;

use super::certificate::{Certificate, CertificateError, split_der};
use super::name::{NameKey, printable};
use super::path::{AuthorityFault, check_authority};

/// How many certificates are loaded. All vendors together have about two hundred.
pub const MAX_ANCHORS: usize = 4096;

/// The longest source that is read, in bytes.
pub const MAX_SOURCE_LEN: usize = 16 * 1024 * 1024;

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";
const PEM_DASHES: &str = "-----";
/// The longest PEM label, in characters, that a refusal repeats.
const MAX_LABEL_CHARS: usize = 64;

/// The roots that an operator trusts to vouch for TPMs, and the intermediates that lead to them.
#[derive(Clone, Default)]
pub struct TrustAnchors {
    pub(super) roots: Pool,
    pub(super) intermediates: Pool,
}

/// Certificates from one place, usually a file.
#[derive(Clone, Copy, Debug)]
pub struct AnchorSource<'a> {
    /// What to call it in refusals: a file name.
    pub name: &'a str,
    /// What its certificates are trusted as.
    pub role: AnchorRole,
    /// PEM, with any text between the certificates, or DER, one certificate after another.
    pub bytes: &'a [u8],
}

/// What a certificate is trusted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorRole {
    /// A chain may end here. It need not be self-signed: whoever puts a CA here trusts it by itself, and its signature
    /// is not relied on, so that a self-signed root with SHA-1 is as good as any (RFC 5280, 6.1.1 d).
    Root,
    /// A chain may pass here.
    Intermediate,
}

/// A certificate that was not loaded. The others of its source were.
#[derive(Clone, Debug, PartialEq)]
pub struct AnchorRefusal {
    /// The source's name.
    pub source_name: String,
    /// Which certificate of the source, counted from one.
    pub index: usize,
    /// Whose it is, if that could be read.
    pub subject: Option<String>,
    /// Why it was not loaded.
    pub reason: AnchorRefusalReason,
}

/// Why a certificate was not loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AnchorRefusalReason {
    /// The source holds no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// The source is too long to be worth reading.
    #[error("{len} bytes; at most {MAX_SOURCE_LEN} are read")]
    SourceTooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// There are too many certificates already.
    #[error("more than {MAX_ANCHORS} certificates")]
    TooMany,
    /// It is PEM, and broken.
    #[error("broken PEM")]
    MalformedPem,
    /// It is PEM of something else.
    #[error("'{label}' is no certificate")]
    NotACertificate {
        /// What it says that it is.
        label: String,
    },
    /// It cannot be read.
    #[error(transparent)]
    Certificate(CertificateError),
    /// It names nobody, so that no certificate can name it as issuer.
    #[error("its subject is empty")]
    EmptySubject,
    /// It is not a CA's.
    #[error("it is no CA certificate")]
    NotACa,
    /// Its key may not sign certificates.
    #[error("its key may not sign certificates")]
    MayNotSign,
    /// It says that it issues certificates for other uses, as a CA for attestation keys does.
    #[error("its extended key usage does not allow EK certificates")]
    OtherUsage,
    /// It has a critical extension that is not understood, so that it must not be used (RFC 5280, 4.2).
    #[error("its critical extension {oid} is not understood")]
    UnknownCriticalExtension {
        /// Which.
        oid: String,
    },
    /// An intermediate's signature is relied on, and cannot be.
    #[error("it is signed by {algorithm}, which cannot be relied on")]
    UnreliableSignature {
        /// The algorithm.
        algorithm: String,
    },
    /// A self-signed root whose signature does not verify was damaged on its way here.
    #[error("its own signature over itself is broken")]
    BrokenSelfSignature,
}

impl fmt::Display for AnchorRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, certificate {}", self.source_name, self.index)?;
        self.subject.as_ref().map_or(Ok(()), |subject| write!(f, " ('{subject}')"))?;
        write!(f, ": {}", self.reason)
    }
}

impl TrustAnchors {
    /// Loads whatever can be loaded, and says of everything else why it was not.
    pub fn load(sources: &[AnchorSource<'_>]) -> (Self, Vec<AnchorRefusal>) {
        let mut anchors = Self::default();
        let mut refusals = Vec::new();
        for source in sources {
            for (index, certificate) in certificates_of(source.bytes).into_iter().enumerate() {
                let loaded = certificate
                    .and_then(|der| Certificate::parse(&der).map_err(AnchorRefusalReason::Certificate))
                    .map_err(|reason| (None, reason))
                    .and_then(|certificate| {
                        let subject = certificate.subject.to_string();
                        anchors.admit(certificate, source.role).map_err(|reason| (Some(subject), reason))
                    });
                if let Err((subject, reason)) = loaded {
                    let (source_name, index) = (source.name.to_owned(), index.saturating_add(1));
                    refusals.push(AnchorRefusal { source_name, index, subject, reason });
                }
            }
        }
        (anchors, refusals)
    }

    /// How many roots there are.
    pub fn root_count(&self) -> usize {
        self.roots.certificates.len()
    }

    /// How many intermediates there are.
    pub fn intermediate_count(&self) -> usize {
        self.intermediates.certificates.len()
    }

    fn admit(&mut self, certificate: Certificate, role: AnchorRole) -> Result<(), AnchorRefusalReason> {
        check_ca(&certificate, role)?;
        if self.root_count().saturating_add(self.intermediate_count()) >= MAX_ANCHORS {
            return Err(AnchorRefusalReason::TooMany);
        }
        match role {
            AnchorRole::Root => self.roots.insert(certificate),
            AnchorRole::Intermediate => self.intermediates.insert(certificate),
        }
        Ok(())
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchors({} roots, {} intermediates)", self.root_count(), self.intermediate_count())
    }
}

/// Certificates by the name of their subject. The same certificate is kept once.
#[derive(Clone, Default)]
pub(super) struct Pool {
    certificates: Vec<Certificate>,
    by_subject: HashMap<NameKey, Vec<usize>>,
    digests: BTreeSet<Sha256Digest>,
}

impl Pool {
    pub(super) fn insert(&mut self, certificate: Certificate) {
        if self.digests.insert(certificate.digest) {
            self.by_subject.entry(certificate.subject.key().clone()).or_default().push(self.certificates.len());
            self.certificates.push(certificate);
        }
    }

    /// Those that bear this name.
    pub(super) fn named(&self, subject: &NameKey) -> impl Iterator<Item = &Certificate> {
        let indices = self.by_subject.get(subject).map_or(&[][..], Vec::as_slice);
        indices.iter().filter_map(|index| self.certificates.get(*index))
    }
}

fn check_ca(certificate: &Certificate, role: AnchorRole) -> Result<(), AnchorRefusalReason> {
    if certificate.subject.is_empty() {
        return Err(AnchorRefusalReason::EmptySubject);
    }
    check_authority(certificate, role).map_err(|fault| match fault {
        AuthorityFault::NotACa => AnchorRefusalReason::NotACa,
        AuthorityFault::MayNotSign => AnchorRefusalReason::MayNotSign,
        AuthorityFault::OtherUsage => AnchorRefusalReason::OtherUsage,
    })?;
    if let Some(oid) = &certificate.extensions.unknown_critical {
        return Err(AnchorRefusalReason::UnknownCriticalExtension { oid: oid.clone() });
    }
    match (role, &certificate.scheme) {
        (AnchorRole::Intermediate, Err(algorithm)) => {
            Err(AnchorRefusalReason::UnreliableSignature { algorithm: algorithm.clone() })
        }
        (AnchorRole::Root, Ok(_)) if claims_self_signature(certificate) && !certificate.is_signed_by(certificate) => {
            Err(AnchorRefusalReason::BrokenSelfSignature)
        }
        _ => Ok(()),
    }
}

/// Whether it says that its own key signed it: a CA that changed its key may also have signed its new certificate by its
/// old key, under the same name.
fn claims_self_signature(certificate: &Certificate) -> bool {
    let extensions = &certificate.extensions;
    certificate.is_self_issued()
        && (extensions.authority_key_id.is_none() || extensions.authority_key_id == extensions.subject_key_id)
}

/// Splits a source into DER certificates, each of which may be broken for itself.
fn certificates_of(bytes: &[u8]) -> Vec<Result<Vec<u8>, AnchorRefusalReason>> {
    if bytes.len() > MAX_SOURCE_LEN {
        return vec![Err(AnchorRefusalReason::SourceTooLong { len: bytes.len() })];
    }
    // Comments may be in any encoding; the base64 between the labels is ASCII in all of them.
    let text = String::from_utf8_lossy(bytes);
    let certificates = if text.contains(PEM_BEGIN) { from_pem(&text) } else { from_der(bytes) };
    if certificates.is_empty() { vec![Err(AnchorRefusalReason::Empty)] } else { certificates }
}

/// One section at a time, because a reader of the whole would give up all for one that is broken.
fn from_pem(text: &str) -> Vec<Result<Vec<u8>, AnchorRefusalReason>> {
    let sections = text.split(PEM_BEGIN).skip(1);
    sections
        .map(|section| {
            let (label, _) = section.split_once(PEM_DASHES).ok_or(AnchorRefusalReason::MalformedPem)?;
            if !matches!(label, "CERTIFICATE" | "X509 CERTIFICATE") {
                return Err(AnchorRefusalReason::NotACertificate { label: printable(label, MAX_LABEL_CHARS) });
            }
            let (body, _) = section.split_once(PEM_END).ok_or(AnchorRefusalReason::MalformedPem)?;
            let framed = format!("{PEM_BEGIN}{body}{PEM_END}{label}{PEM_DASHES}\n");
            pem::parse(framed).map(pem::Pem::into_contents).map_err(|_| AnchorRefusalReason::MalformedPem)
        })
        .collect()
}

/// One certificate after another, padding between and behind them.
fn from_der(mut bytes: &[u8]) -> Vec<Result<Vec<u8>, AnchorRefusalReason>> {
    let mut certificates = Vec::new();
    loop {
        let padding = bytes.iter().take_while(|byte| matches!(byte, 0x00 | 0xFF) || byte.is_ascii_whitespace()).count();
        bytes = bytes.get(padding..).unwrap_or_default();
        if bytes.is_empty() {
            return certificates;
        }
        match split_der(bytes) {
            Ok((certificate, rest)) => {
                certificates.push(Ok(certificate.to_vec()));
                bytes = rest;
            }
            // Without a length there is no telling where the next one would begin.
            Err(error) => {
                certificates.push(Err(AnchorRefusalReason::Certificate(error)));
                return certificates;
            }
        }
    }
}
