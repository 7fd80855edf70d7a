//! How the seed of a credential reaches the TPM: encrypted to an RSA EK, or agreed with an elliptic curve EK.

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::kdf::{self, Hash};
use super::{CredentialEntropy, CredentialError, tpm2b};
use crate::tpm::PublicArea;
use crate::tpm::public::{Curve, EccPublicKey, PublicKey};

/// The label of a credential's seed (Part 1, annex B.10.4 and C.6.4).
const LABEL: &str = "IDENTITY";

/// A seed, and how the TPM gets it.
pub(super) struct SharedSeed {
    /// As long as a digest of the EK's nameAlg.
    pub(super) seed: Zeroizing<Vec<u8>>,
    /// What a `TPM2B_ENCRYPTED_SECRET` holds.
    pub(super) encrypted: Vec<u8>,
}

pub(super) fn share(ek: &PublicArea, hash: Hash, entropy: &CredentialEntropy) -> Result<SharedSeed, CredentialError> {
    match ek.key() {
        PublicKey::Rsa(_) => encrypt_to_rsa(ek, hash, entropy),
        PublicKey::Ecc(key) => agree_with_ecc(key, hash, entropy),
    }
}

/// RSAES-OAEP with the EK's nameAlg as both hashes; the label's terminating zero is a part of it (Part 1, B.4).
fn encrypt_to_rsa(ek: &PublicArea, hash: Hash, entropy: &CredentialEntropy) -> Result<SharedSeed, CredentialError> {
    let key = PublicEncryptingKey::from_der(&ek.to_spki_der())
        .map_err(|_| CredentialError::InvalidEkKey)
        .and_then(|key| OaepPublicEncryptingKey::new(key).map_err(|_| CredentialError::InvalidEkKey))?;
    let algorithm = match hash {
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    };
    let seed = Zeroizing::new(entropy.0.iter().copied().take(hash.digest_len()).collect::<Vec<u8>>());
    let mut ciphertext = vec![0; key.ciphertext_size()];
    let label = [LABEL.as_bytes(), &[0]].concat();
    let len = key
        .encrypt(algorithm, &seed, &mut ciphertext, Some(&label))
        .map_err(|_| CredentialError::Library { operation: "encrypt the seed to the EK" })?
        .len();
    ciphertext.truncate(len);
    Ok(SharedSeed { seed, encrypted: ciphertext })
}

/// One-pass ECDH with an ephemeral key, whose public point travels as a `TPMS_ECC_POINT` (Part 1, C.6.1).
fn agree_with_ecc(ek: &EccPublicKey, hash: Hash, entropy: &CredentialEntropy) -> Result<SharedSeed, CredentialError> {
    let algorithm = match ek.curve() {
        Curve::P256 => &ECDH_P256,
        Curve::P384 => &ECDH_P384,
        Curve::P521 => &ECDH_P521,
    };
    let ephemeral = PrivateKey::from_private_key(algorithm, &scalar(ek.curve(), entropy))
        .map_err(|_| CredentialError::ScalarOutOfRange)?;
    let public =
        ephemeral.compute_public_key().map_err(|_| CredentialError::Library { operation: "compute a public key" })?;
    let len = ek.curve().coordinate_len();
    let Some((x, y)) = public.as_ref().split_first().and_then(|(_form, point)| point.split_at_checked(len)) else {
        return Err(CredentialError::Library { operation: "write an uncompressed point" });
    };
    let peer = UnparsedPublicKey::new(algorithm, ek.uncompressed_point());
    let seed = agreement::agree(&ephemeral, peer, CredentialError::InvalidEkKey, |z| {
        Ok(kdf::kdfe(hash, z, LABEL, x, ek.x(), hash.digest_bits()))
    })?;
    Ok(SharedSeed { seed, encrypted: [tpm2b(x), tpm2b(y)].concat() })
}

/// The first bytes of the entropy, as many as the curve's scalars have. A scalar of P-521 has 521 bits of its 66 bytes.
fn scalar(curve: Curve, entropy: &CredentialEntropy) -> Zeroizing<Vec<u8>> {
    let mut scalar = Zeroizing::new(entropy.0.iter().copied().take(curve.coordinate_len()).collect::<Vec<u8>>());
    if let (Curve::P521, Some(first)) = (curve, scalar.first_mut()) {
        *first &= 0x01;
    }
    scalar
}
