//! Certification requests (PKCS #10, RFC 2986): proof that the asker holds the private key, and nothing else.
//!
//! Names, extensions and attributes that a request asks for are ignored on purpose. Who the holder is follows from what
//! was verified outside of the request, above all from the endorsement key of a device.

use crate::der::{self, Reader};
use crate::signature::{PublicKeyInfo, SignatureRejected, Signed};
pub use crate::{der::Malformed, signature::KeyRejected};

/// The longest request that is read, in bytes. RSA-4096 with a long name makes about 1.3 KiB.
pub const MAX_CSR_LEN: usize = 8 * 1024;

/// A certification request.
pub struct Csr;

/// A public key whose holder has shown that it has the private one. Only [`Csr::verify`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCsr {
    spki_der: Vec<u8>,
}

/// Why a certification request was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CsrRejected {
    /// It is longer than is read.
    #[error("the certification request has {length} bytes; the maximum is {MAX_CSR_LEN}")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// It is not strict DER, or something follows it.
    #[error("the certification request is malformed")]
    Malformed(#[from] Malformed),
    /// Its version is not 0, the only one (RFC 2986, 4.1).
    #[error("the certification request has an unknown version")]
    Version,
    /// Its key is not one that is certified.
    #[error("the key of the certification request is not accepted")]
    Key(#[from] KeyRejected),
    /// It is signed by an algorithm that is weak, unknown or not one for its key.
    #[error("the signature algorithm {algorithm} is not accepted for this key")]
    SignatureAlgorithm {
        /// The object identifier.
        algorithm: String,
    },
    /// The asker does not hold the key.
    #[error("the certification request is not signed by its own key")]
    Signature,
}

impl Csr {
    /// Reads a DER certification request and checks that its own key signed it (RFC 2986, 4.2).
    ///
    /// Accepted are ECDSA on P-256 and P-384, and RSA of 2048 to 4096 bits in PKCS #1 v1.5 or PSS, each with SHA-256 or
    /// stronger.
    ///
    /// # Errors
    /// When it is too long, not strict DER, of an unaccepted algorithm or not signed by its key.
    pub fn verify(der: &[u8]) -> Result<VerifiedCsr, CsrRejected> {
        if der.len() > MAX_CSR_LEN {
            return Err(CsrRejected::TooLarge { length: der.len() });
        }
        let request = Signed::read(der, "CertificationRequest")?;
        let spki_der = subject_public_key(request.content.reader())?;
        PublicKeyInfo::read(spki_der)?.verify(&request).map_err(|rejected| match rejected {
            SignatureRejected::Algorithm { algorithm } => CsrRejected::SignatureAlgorithm { algorithm },
            SignatureRejected::Wrong => CsrRejected::Signature,
        })?;
        Ok(VerifiedCsr { spki_der: spki_der.to_vec() })
    }
}

impl VerifiedCsr {
    /// The key: a DER `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }
}

/// The key of a `CertificationRequestInfo`, whose other parts are read past.
fn subject_public_key(mut info: Reader<'_>) -> Result<&[u8], CsrRejected> {
    if info.expect(der::INTEGER, "version")?.content != [0] {
        return Err(CsrRejected::Version);
    }
    info.expect(der::SEQUENCE, "subject")?;
    let key = info.expect(der::SEQUENCE, "subjectPublicKeyInfo")?.whole;
    info.expect(der::CONTEXT_0, "attributes")?;
    info.finish("the end of certificationRequestInfo")?;
    Ok(key)
}
