//! PEM (RFC 7468), written without leaving copies of a private key behind.

use data_encoding::BASE64;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::{Zeroize, Zeroizing};

/// The bytes of one line: 64 characters of base64 (RFC 7468, 2).
const LINE_BYTES: usize = 48;

/// A text that does not hold the PEM section that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The text is no PEM.
    #[error("the text is no PEM")]
    Unreadable(#[source] rustls_pki_types::pem::Error),
    /// There is no section of the kind.
    #[error("there is no section {label}")]
    Absent {
        /// The label that was looked for.
        label: &'static str,
    },
    /// There is more than one section where one is due.
    #[error("there are {count} sections {label} where one is due")]
    Many {
        /// The label that was looked for.
        label: &'static str,
        /// How many there are.
        count: usize,
    },
}

/// Writes certificates in PEM, one after the other.
pub fn encode_certificates<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    certificates.into_iter().for_each(|der| append(&mut text, "CERTIFICATE", der));
    text
}

/// Writes a certification request in PEM.
pub fn encode_request(der: &[u8]) -> String {
    let mut text = String::new();
    append(&mut text, "CERTIFICATE REQUEST", der);
    text
}

/// Writes a public key, a DER `SubjectPublicKeyInfo`, in PEM.
pub fn encode_public_key(spki: &[u8]) -> String {
    let mut text = String::new();
    append(&mut text, "PUBLIC KEY", spki);
    text
}

/// Writes a PKCS#8 private key in PEM. The text is wiped when it is dropped, and no other copy is made.
pub fn encode_private_key(pkcs8: &[u8]) -> Zeroizing<String> {
    // Room for all of it at once: a text that grew would leave its former, shorter self in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(pkcs8.len() * 2 + 128));
    append(&mut text, "PRIVATE KEY", pkcs8);
    text
}

/// Every certificate of a PEM text, in its order; at least one.
///
/// # Errors
/// When the text is no PEM or holds no certificate.
pub fn decode_certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(text)
        .map(|section| section.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(PemError::Unreadable)?;
    if certificates.is_empty() { Err(PemError::Absent { label: "CERTIFICATE" }) } else { Ok(certificates) }
}

/// The one certificate of a PEM text.
///
/// # Errors
/// When the text is no PEM, or holds none or several.
pub fn decode_certificate(text: &[u8]) -> Result<Vec<u8>, PemError> {
    let mut certificates = decode_certificates(text)?;
    match (certificates.pop(), certificates.len()) {
        (Some(certificate), 0) => Ok(certificate),
        (_, others) => Err(PemError::Many { label: "CERTIFICATE", count: others + 1 }),
    }
}

/// The PKCS#8 private key of a PEM text.
///
/// # Errors
/// When the text is no PEM or holds no such key.
pub fn decode_private_key(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let mut key = match PrivatePkcs8KeyDer::from_pem_slice(text) {
        Ok(key) => key,
        Err(rustls_pki_types::pem::Error::NoItemsFound) => return Err(PemError::Absent { label: "PRIVATE KEY" }),
        Err(error) => return Err(PemError::Unreadable(error)),
    };
    let pkcs8 = Zeroizing::new(key.secret_pkcs8_der().to_vec());
    key.zeroize();
    Ok(pkcs8)
}

/// The public key of a PEM text, a DER `SubjectPublicKeyInfo`.
///
/// # Errors
/// When the text is no PEM or holds no public key.
pub fn decode_public_key(text: &[u8]) -> Result<Vec<u8>, PemError> {
    match SubjectPublicKeyInfoDer::from_pem_slice(text) {
        Ok(key) => Ok(key.to_vec()),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(PemError::Absent { label: "PUBLIC KEY" }),
        Err(error) => Err(PemError::Unreadable(error)),
    }
}

fn append(text: &mut String, label: &str, der: &[u8]) {
    text.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(LINE_BYTES) {
        BASE64.encode_append(line, text);
        text.push('\n');
    }
    text.extend(["-----END ", label, "-----\n"]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_written_into_the_room_that_was_made_for_them() {
        for length in [1, 47, 48, 49, 138, 2400] {
            let text = encode_private_key(&vec![7; length]);
            assert!(text.len() <= length * 2 + 128, "{length} bytes make a text of {}", text.len());
        }
    }

    #[test]
    fn says_what_is_missing_or_too_many() {
        let two = encode_certificates([&[1u8][..], &[2]]);
        assert!(matches!(decode_certificate(two.as_bytes()), Err(PemError::Many { count: 2, .. })));
        assert!(matches!(decode_certificate(b""), Err(PemError::Absent { label: "CERTIFICATE" })));
        assert!(matches!(decode_private_key(two.as_bytes()), Err(PemError::Absent { label: "PRIVATE KEY" })));
        let cut = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(decode_certificate(cut), Err(PemError::Unreadable(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(der in proptest::collection::vec(any::<u8>(), 1..600)) {
            prop_assert_eq!(decode_certificate(encode_certificates([&der[..]]).as_bytes()).unwrap(), der.clone());
            prop_assert_eq!(&*decode_private_key(encode_private_key(&der).as_bytes()).unwrap(), &der);
            prop_assert_eq!(&decode_public_key(encode_public_key(&der).as_bytes()).unwrap(), &der);
        }
    }
}
