//! Certificates of keys that sign files.
//!
//! That a policy lists them is why they are trusted, so that neither validity nor usages count: the kernel does not look
//! at them either.

use vouchsafe_model::HashAlgorithm;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::key::{FileKey, Scheme};

/// Reads a certificate, and nothing behind it.
pub(super) fn read(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// Its subject key identifier.
pub(super) fn subject_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

/// Whether it is a CA's by its own word.
pub(super) fn is_ca(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(
        |extension| matches!(extension.parsed_extension(), ParsedExtension::BasicConstraints(constraints) if constraints.ca),
    )
}

/// Whether the key signed it. SHA-1 is not relied on: certificates are where its collisions have been used.
pub(super) fn is_signed_by(certificate: &X509Certificate<'_>, key: &FileKey) -> bool {
    let scheme = match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.11" => (Scheme::RsaPkcs1, HashAlgorithm::Sha256),
        "1.2.840.113549.1.1.12" => (Scheme::RsaPkcs1, HashAlgorithm::Sha384),
        "1.2.840.113549.1.1.13" => (Scheme::RsaPkcs1, HashAlgorithm::Sha512),
        "1.2.840.10045.4.3.2" => (Scheme::Ecdsa, HashAlgorithm::Sha256),
        "1.2.840.10045.4.3.3" => (Scheme::Ecdsa, HashAlgorithm::Sha384),
        "1.2.840.10045.4.3.4" => (Scheme::Ecdsa, HashAlgorithm::Sha512),
        _ => return false,
    };
    let signature = &certificate.signature_value;
    signature.unused_bits == 0
        && certificate.tbs_certificate.signature.algorithm == certificate.signature_algorithm.algorithm
        && key.verifies_message(scheme, certificate.tbs_certificate.as_ref(), &signature.data)
}
