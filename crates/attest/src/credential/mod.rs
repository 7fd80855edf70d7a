//! A secret that only one TPM can open, and only for one key: `TPM2_MakeCredential` in software.
//!
//! The engine never sees the private half of an endorsement key, which decrypts and does not sign. It therefore proves
//! that an AK lives beside an EK by sealing a secret to both: the TPM that holds the EK unseals it
//! (`TPM2_ActivateCredential`) only for a loaded object of that very name (TPM 2.0 Part 1, 24 "Credential Protection";
//! Part 3, 12.6 `TPM2_MakeCredential`). The key exchange is that of Part 1, annexes B.10.4 (RSA) and C.6.4 (elliptic
//! curves).
//!
//! Nothing here draws randomness: [`CredentialEntropy`] is an argument. One exception is out of reach: the library's
//! OAEP pads with randomness of its own, so an RSA blob is not reproducible although its seed is.
//!
//! Whether the EK belongs to a genuine TPM is not asked here but in [`crate::endorsement`].

mod kdf;
mod seed;

use std::fmt;

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use vouchsafe_model::HashAlgorithm;
use zeroize::Zeroizing;

use crate::tpm::PublicArea;
use crate::tpm::public::{ObjectAttributes, Symmetric};

/// The shortest secret, in bytes: what cannot be guessed within the life of an enrolment.
pub const MIN_SECRET_LEN: usize = 16;

/// A credential as `TPM2_ActivateCredential` takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The secret, encrypted and bound to the AK's name: a `TPM2B_ID_OBJECT`.
    pub id_object: Vec<u8>,
    /// The seed of that encryption, for the EK alone: a `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted_secret: Vec<u8>,
}

/// The randomness of one credential, never to be used for another.
///
/// For an RSA EK its first bytes, as many as a digest of the EK's nameAlg has, are the seed. For an elliptic curve EK
/// its first bytes, as many as a coordinate has, are the ephemeral private key (of P-521 the top seven bits, which no
/// scalar has, are cleared).
pub struct CredentialEntropy(Zeroizing<[u8; CredentialEntropy::LEN]>);

/// Why no credential was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The key is not one that keeps what it decrypts inside its TPM.
    #[error("the EK lacks the attributes {missing}, without which it is no endorsement key")]
    EkAttributesMissing {
        /// What it lacks.
        missing: ObjectAttributes,
    },
    /// The key may also sign, so that what it opens could be asked of it in other ways.
    #[error("the EK may sign; an endorsement key only decrypts")]
    EkMaySign,
    /// The key names no cipher to protect the credential with.
    #[error("the EK's public area names no symmetric cipher, so it cannot protect a credential")]
    EkWithoutCipher,
    /// The key's nameAlg is too weak, or unknown to the library.
    #[error("credentials under {0} are not supported; the EK's nameAlg must be sha256, sha384 or sha512")]
    UnsupportedEkNameAlg(HashAlgorithm),
    /// The library does not take the key: a point off its curve, a modulus that cannot be one.
    #[error("the EK's public key is not a valid one")]
    InvalidEkKey,
    /// The AK's name is not a nameAlg of at least SHA-256 and a digest of its length.
    #[error("{len} bytes are no name of a key: nameAlg sha256, sha384 or sha512 and its digest are expected")]
    InvalidAkName {
        /// How many bytes it has.
        len: usize,
    },
    /// The secret is short enough to guess, or longer than the TPM can take.
    #[error("a secret of {len} bytes; this EK takes {MIN_SECRET_LEN} to {max}")]
    SecretLength {
        /// How many bytes it has.
        len: usize,
        /// How many it may have: the length of a digest of the EK's nameAlg (Part 3, 12.6).
        max: usize,
    },
    /// The entropy is no private key of the EK's curve. Draw again: this happens once in 2³² draws of P-256, less often
    /// on other curves.
    #[error("the entropy is no scalar of the EK's curve; draw again")]
    ScalarOutOfRange,
    /// The library failed at what cannot fail with the arguments that it got.
    #[error("the cryptographic library failed to {operation}")]
    Library {
        /// What it should have done.
        operation: &'static str,
    },
}

/// Seals `secret` so that only the TPM that holds `ek` can open it, and only for the object named `ak_name`.
///
/// # Errors
/// When the EK is no restricted decryption key that stays in its TPM, when the name or the secret is malformed, and when
/// `entropy` is no scalar of the EK's curve ([`CredentialError::ScalarOutOfRange`]: draw again).
pub fn make_credential(
    ek: &PublicArea,
    ak_name: &[u8],
    secret: &[u8],
    entropy: &CredentialEntropy,
) -> Result<Credential, CredentialError> {
    check_ek(ek)?;
    check_ak_name(ak_name)?;
    let hash = kdf::Hash::of(ek.name_alg()).ok_or(CredentialError::UnsupportedEkNameAlg(ek.name_alg()))?;
    let max = hash.digest_len();
    if !(MIN_SECRET_LEN..=max).contains(&secret.len()) {
        return Err(CredentialError::SecretLength { len: secret.len(), max });
    }
    let cipher = ek.symmetric().ok_or(CredentialError::EkWithoutCipher)?;

    let shared = seed::share(ek, hash, entropy)?;
    // Part 1, 24.4: the plaintext is a TPM2B_DIGEST, encrypted in CFB with a zero IV under a key that is used once.
    let mut encrypted = Zeroizing::new(tpm2b(secret));
    let storage_key = kdf::kdfa(hash, &shared.seed, "STORAGE", ak_name, cipher.key_bits());
    encrypt(cipher, &storage_key, &mut encrypted)?;
    // Part 1, 24.5: the HMAC covers the ciphertext and the name, so that neither can be exchanged.
    let integrity_key = kdf::kdfa(hash, &shared.seed, "INTEGRITY", &[], hash.digest_bits());
    let mut integrity = hmac::Context::with_key(&hash.hmac_key(&integrity_key));
    integrity.update(&encrypted);
    integrity.update(ak_name);
    let id_object = [tpm2b(integrity.sign().as_ref()).as_slice(), encrypted.as_slice()].concat();
    Ok(Credential { id_object: tpm2b(&id_object), encrypted_secret: tpm2b(&shared.encrypted) })
}

/// An endorsement key is a storage key of the endorsement hierarchy: it decrypts, only what the TPM knows the structure
/// of, and never leaves (TCG EK Credential Profile 2.5, B.3 and B.4; TPM 2.0 Part 3, 12.6 asks for a restricted
/// decryption key too).
fn check_ek(ek: &PublicArea) -> Result<(), CredentialError> {
    let wanted = ObjectAttributes::RESTRICTED
        .union(ObjectAttributes::DECRYPT)
        .union(ObjectAttributes::FIXED_TPM)
        .union(ObjectAttributes::FIXED_PARENT);
    let attributes = ek.object_attributes();
    if !attributes.contains(wanted) {
        return Err(CredentialError::EkAttributesMissing { missing: wanted.without(attributes) });
    }
    if attributes.contains(ObjectAttributes::SIGN) {
        return Err(CredentialError::EkMaySign);
    }
    Ok(())
}

fn check_ak_name(name: &[u8]) -> Result<(), CredentialError> {
    let invalid = CredentialError::InvalidAkName { len: name.len() };
    let Some((id, digest)) = name.split_first_chunk::<2>() else { return Err(invalid) };
    match HashAlgorithm::from_tpm_alg_id(u16::from_be_bytes(*id)) {
        Some(hash) if kdf::Hash::of(hash).is_some() && digest.len() == hash.digest_len() => Ok(()),
        _ => Err(invalid),
    }
}

fn encrypt(cipher: Symmetric, key: &[u8], in_out: &mut [u8]) -> Result<(), CredentialError> {
    let algorithm = match cipher {
        Symmetric::Aes128Cfb => &AES_128,
        Symmetric::Aes192Cfb => &AES_192,
        Symmetric::Aes256Cfb => &AES_256,
    };
    let zero_iv = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    UnboundCipherKey::new(algorithm, key)
        .and_then(EncryptingKey::cfb128)
        .and_then(|key| key.less_safe_encrypt(in_out, zero_iv))
        .map(|_| ())
        .map_err(|_| CredentialError::Library { operation: "encrypt the credential" })
}

/// The bytes behind their length. Everything that is wrapped here is at most a few hundred bytes.
fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes(), bytes].concat()
}

impl CredentialEntropy {
    /// How many bytes it takes: a coordinate of P-521, the longest that any EK asks for.
    pub const LEN: usize = 66;

    /// Takes bytes that nobody can predict.
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for CredentialEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialEntropy(redacted)")
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id_object, encrypted_secret) = (self.id_object.len(), self.encrypted_secret.len());
        write!(f, "Credential(id_object: {id_object} bytes, encrypted_secret: {encrypted_secret} bytes)")
    }
}
