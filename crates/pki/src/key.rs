//! Private keys: the authority's own behind [`IssuerKey`], and those of operators, enforcement points and servers.

use std::fmt;
use std::path::Path;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
};
use zeroize::Zeroizing;

use crate::der;
use crate::files::{self, ReadFileError};
use crate::pem::{self, PemError};

/// The longest private key file that is read, in bytes.
const MAX_KEY_FILE_LEN: usize = 16 * 1024;

/// The length of a number of P-256, in bytes.
pub const P256_LEN: usize = 32;
/// The length of an ES256 signature, in bytes.
pub const ES256_LEN: usize = 2 * P256_LEN;

/// The kinds of key that the authority and its servers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
}

/// A private key that signs for the authority, wherever it is kept: in a file now, in a PKCS #11 token later.
///
/// It gives signatures and its public half, never itself.
pub trait IssuerKey: fmt::Debug + Send + Sync {
    /// Its kind.
    fn algorithm(&self) -> KeyAlgorithm;

    /// Its public half: an uncompressed point (SEC 1, 2.3.3).
    fn public_point(&self) -> &[u8];

    /// Signs a message; the signature is in DER (`ECDSA-Sig-Value`, RFC 3279, 2.2.3).
    ///
    /// # Errors
    /// When the place where the key is kept does not sign.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed>;
}

/// A key that would not sign.
#[derive(Debug, thiserror::Error)]
#[error("the key did not sign")]
pub struct SigningFailed;

/// A private key in the memory of this process, wiped when it is dropped.
pub struct LocalKey {
    algorithm: KeyAlgorithm,
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// A key that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no key could be generated")]
pub struct GenerateFailed;

/// A private key that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeyError {
    /// The file could not be read, or others can read it too.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// The text holds no PKCS#8 private key.
    #[error("there is no private key in PEM")]
    Pem(#[from] PemError),
    /// The key is damaged, or no ECDSA key on P-256 or P-384.
    #[error("the private key is no ECDSA key on P-256 or P-384")]
    Unusable,
}

/// A certification request that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the certification request could not be made")]
pub struct RequestFailed(#[source] rcgen::Error);

impl LocalKey {
    /// Makes a P-256 key.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn generate() -> Result<Self, GenerateFailed> {
        Self::generate_for(KeyAlgorithm::P256)
    }

    /// Makes a key of this kind.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn generate_for(algorithm: KeyAlgorithm) -> Result<Self, GenerateFailed> {
        let pair = EcdsaKeyPair::generate(algorithm.signing()).map_err(|_| GenerateFailed)?;
        let document = pair.to_pkcs8v1().map_err(|_| GenerateFailed)?;
        let pkcs8 = Zeroizing::new(document.as_ref().to_vec());
        Ok(Self { algorithm, pair, pkcs8 })
    }

    /// Reads a key from PKCS#8 in PEM.
    ///
    /// # Errors
    /// When there is none, or it is no ECDSA key on P-256 or P-384.
    pub fn from_pkcs8_pem(text: &[u8]) -> Result<Self, ReadKeyError> {
        let pkcs8 = pem::decode_private_key(text)?;
        [KeyAlgorithm::P256, KeyAlgorithm::P384]
            .into_iter()
            .find_map(|algorithm| Some((algorithm, EcdsaKeyPair::from_pkcs8(algorithm.signing(), &pkcs8).ok()?)))
            .map(|(algorithm, pair)| Self { algorithm, pair, pkcs8 })
            .ok_or(ReadKeyError::Unusable)
    }

    /// Reads a key from a file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, others can read it too, or it holds no usable key.
    pub fn read(path: &Path) -> Result<Self, ReadKeyError> {
        Self::from_pkcs8_pem(&files::read_private_file(path, MAX_KEY_FILE_LEN)?)
    }

    /// The key as PKCS#8 in PEM, for [`files::create_private_file`].
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        pem::encode_private_key(&self.pkcs8)
    }

    /// The key as PKCS#8 in DER, for a TLS library.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Its public half: a DER `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// When the library cannot write it.
    pub fn spki_der(&self) -> Result<Vec<u8>, SigningFailed> {
        self.pair.public_key().as_der().map(|der| der.as_ref().to_vec()).map_err(|_| SigningFailed)
    }

    /// Signs a message by ES256 (RFC 7518, 3.4): ECDSA on P-256 with SHA-256, and `r` and `s` at their full width.
    ///
    /// # Errors
    /// When it is no P-256 key, or does not sign.
    pub fn sign_es256(&self, message: &[u8]) -> Result<[u8; ES256_LEN], SigningFailed> {
        if self.algorithm != KeyAlgorithm::P256 {
            return Err(SigningFailed);
        }
        es256_from_der(&self.sign(message)?).ok_or(SigningFailed)
    }

    /// The coordinates of its public half, if it is a P-256 key.
    pub fn p256_coordinates(&self) -> Option<([u8; P256_LEN], [u8; P256_LEN])> {
        // An uncompressed point (SEC 1, 2.3.3): 4, x, y.
        let [4, coordinates @ ..] = self.public_point() else { return None };
        let (x, y) = coordinates.split_at_checked(P256_LEN)?;
        Some((x.try_into().ok()?, y.try_into().ok()?))
    }

    /// A certification request for it, in DER. It names nobody: the authority does that.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn certification_request(&self) -> Result<Vec<u8>, RequestFailed> {
        let mut nameless = rcgen::CertificateParams::default();
        nameless.distinguished_name = rcgen::DistinguishedName::new();
        nameless.serialize_request(&Signer(self)).map(|request| request.der().to_vec()).map_err(RequestFailed)
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl IssuerKey for LocalKey {
    fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| SigningFailed)?;
        Ok(signature.as_ref().to_vec())
    }
}

impl KeyAlgorithm {
    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }

    fn rcgen(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

/// An `ECDSA-Sig-Value` (RFC 3279, 2.2.3) as JOSE writes it: each number big-endian, with leading zeros.
fn es256_from_der(signature: &[u8]) -> Option<[u8; ES256_LEN]> {
    let mut outer = der::Reader::new(signature);
    let mut numbers = outer.expect(der::SEQUENCE, "signature").ok()?.reader();
    outer.finish("the end of the signature").ok()?;
    let mut fixed = [0; ES256_LEN];
    for place in fixed.chunks_exact_mut(P256_LEN) {
        let number = numbers.expect(der::INTEGER, "signature").ok()?.content;
        // DER puts a zero before a number whose first bit is set, and omits all others.
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let start = P256_LEN.checked_sub(number.len())?;
        place.get_mut(start..)?.copy_from_slice(number);
    }
    numbers.finish("the end of the signature").ok()?;
    Some(fixed)
}

/// An [`IssuerKey`] as the certificate writer wants it.
pub(crate) struct Signer<K>(pub(crate) K);

impl<K: std::ops::Deref<Target: IssuerKey>> rcgen::PublicKeyData for Signer<K> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0.algorithm().rcgen()
    }
}

impl<K: std::ops::Deref<Target: IssuerKey>> rcgen::SigningKey for Signer<K> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_being_written_and_read() {
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384] {
            let key = LocalKey::generate_for(algorithm).unwrap();
            let again = LocalKey::from_pkcs8_pem(key.to_pkcs8_pem().as_bytes()).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.public_point(), key.public_point());
        }
    }

    #[test]
    fn a_key_of_another_kind_is_named_unusable() {
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(matches!(LocalKey::from_pkcs8_pem(ed25519.serialize_pem().as_bytes()), Err(ReadKeyError::Unusable)));
        assert!(matches!(LocalKey::from_pkcs8_pem(b"no key"), Err(ReadKeyError::Pem(_))));
    }

    #[test]
    fn an_es256_signature_is_64_bytes_that_verify() {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
        let key = LocalKey::generate().unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_point());
        // Of so many, some have an r or s with leading zeros or a first bit that is set.
        for message in 0..600_u32 {
            let message = message.to_be_bytes();
            public.verify(&message, &key.sign_es256(&message).unwrap()).unwrap();
        }
        let p384 = LocalKey::generate_for(KeyAlgorithm::P384).unwrap();
        assert!(p384.sign_es256(b"x").is_err() && p384.p256_coordinates().is_none());
    }

    #[test]
    fn short_numbers_of_a_signature_are_padded_and_long_ones_refused() {
        let short = es256_from_der(&[0x30, 7, 2, 1, 7, 2, 2, 0, 0x80]).unwrap();
        assert_eq!((short[31], short[63], short.iter().filter(|byte| **byte != 0).count()), (7, 0x80, 2));
        let long = [&[0x30, 38, 2, 33, 1][..], &[9; 32], &[2, 1, 7]].concat();
        assert_eq!(es256_from_der(&long), None);
        for malformed in
            [&[][..], &[0x30, 3, 2, 1, 7], &[0x30, 6, 2, 1, 7, 2, 1, 7, 0], &[0x30, 9, 2, 1, 7, 2, 1, 7, 2, 1, 7]]
        {
            assert_eq!(es256_from_der(malformed), None, "{malformed:?}");
        }
    }

    #[test]
    fn the_coordinates_are_those_of_the_point() {
        let key = LocalKey::generate().unwrap();
        let (x, y) = key.p256_coordinates().unwrap();
        assert_eq!([&[4][..], &x, &y].concat(), key.public_point());
    }

    #[test]
    fn debug_output_shows_no_key() {
        let key = LocalKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "LocalKey { algorithm: P256, .. }");
    }
}
