//! An endorsement key that opens credentials (TPM 2.0 Part 1, 24; Part 3, 12.5).

use std::fmt;

use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::tpm2b;
use crate::digest;
use crate::tpm::public::{Name, ObjectAttributes};
use crate::tpm::{AlgorithmId, PublicArea, PublicKey, Reader};

/// A P-256 endorsement key of the low-range template (TCG EK Credential Profile 2.5, template L-2).
pub struct SoftwareEk {
    private: PrivateKey,
    public: PublicArea,
}

const ATTRIBUTES: ObjectAttributes = ObjectAttributes::FIXED_TPM
    .union(ObjectAttributes::FIXED_PARENT)
    .union(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
    .union(ObjectAttributes::ADMIN_WITH_POLICY)
    .union(ObjectAttributes::RESTRICTED)
    .union(ObjectAttributes::DECRYPT);

/// `TPM2_PolicySecret(TPM_RH_ENDORSEMENT)`: the policy of the template (B.6.2).
const POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD, 0x52, 0xD7,
    0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA,
];

impl SoftwareEk {
    /// Makes a key.
    pub fn generate() -> Self {
        let private = PrivateKey::generate(&ECDH_P256).expect("an elliptic curve key can be made");
        let point = private.compute_public_key().expect("a key has a public half");
        let (_form, coordinates) = point.as_ref().split_first().expect("a point has a form");
        let (x, y) = coordinates.split_at_checked(32).expect("a point has two coordinates");
        let mut bytes = [AlgorithmId::ECC, AlgorithmId::SHA256].map(|id| id.0.to_be_bytes()).concat();
        bytes.extend(ATTRIBUTES.bits().to_be_bytes());
        bytes.extend(tpm2b(&POLICY));
        // AES-128-CFB, no scheme, P-256, no KDF.
        for field in [AlgorithmId::AES.0, 128, AlgorithmId::CFB.0, AlgorithmId::NULL.0, 3, AlgorithmId::NULL.0] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(tpm2b(x));
        bytes.extend(tpm2b(y));
        let public = PublicArea::parse_tpmt(&bytes).expect("what was just written can be read");
        Self { private, public }
    }

    /// Its public area.
    pub fn public(&self) -> &PublicArea {
        &self.public
    }

    /// Opens a credential for the object of this name: a `TPM2B_ID_OBJECT` and a `TPM2B_ENCRYPTED_SECRET`. `None` when
    /// it is for another key or another object.
    pub fn activate_credential(&self, name: &Name, id_object: &[u8], encrypted_secret: &[u8]) -> Option<Vec<u8>> {
        let seed = self.seed(encrypted_secret)?;
        let mut outer = Reader::new("TPM2B_ID_OBJECT", id_object);
        let mut inner = Reader::new("TPMS_ID_OBJECT", outer.sized("credential", id_object.len()).ok()?);
        let integrity = inner.sized("integrityHMAC", 32).ok()?;
        let encrypted = inner.rest();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &derive(&seed, b"INTEGRITY\0", &[], 256));
        hmac::verify(&key, &[encrypted, name.as_bytes()].concat(), integrity).ok()?;
        let storage_key = derive(&seed, b"STORAGE\0", name.as_bytes(), 128);
        let key = UnboundCipherKey::new(&AES_128, storage_key.get(..16)?).ok()?;
        let mut plain = encrypted.to_vec();
        let zero_iv = DecryptionContext::Iv128(FixedLength::from([0; 16]));
        DecryptingKey::cfb128(key).ok()?.decrypt(&mut plain, zero_iv).ok()?;
        Reader::new("TPM2B_DIGEST", &plain).sized("buffer", 32).ok().map(<[u8]>::to_vec)
    }

    /// One-pass ECDH and `KDFe` (Part 1, C.6.1 and 11.4.10.3).
    fn seed(&self, encrypted_secret: &[u8]) -> Option<Vec<u8>> {
        let mut outer = Reader::new("TPM2B_ENCRYPTED_SECRET", encrypted_secret);
        let mut point = Reader::new("TPMS_ECC_POINT", outer.sized("secret", encrypted_secret.len()).ok()?);
        let (x, y) = (point.sized("x", 32).ok()?, point.sized("y", 32).ok()?);
        let PublicKey::Ecc(own) = self.public.key() else { return None };
        let peer = UnparsedPublicKey::new(&ECDH_P256, [&[4], x, y].concat());
        agreement::agree(&self.private, peer, (), |z| {
            let parts = [&[0, 0, 0, 1], z, b"IDENTITY\0", x, own.x()];
            Ok(digest::digest_of(&aws_lc_rs::digest::SHA256, parts).as_ref().to_vec())
        })
        .ok()
    }
}

/// `KDFa` for one block (Part 1, 11.4.10.2).
fn derive(seed: &[u8], label: &[u8], context: &[u8], bits: u32) -> Vec<u8> {
    let info = [&[0, 0, 0, 1], label, context, &bits.to_be_bytes()].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), &info).as_ref().to_vec()
}

impl fmt::Debug for SoftwareEk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareEk").field("public", &self.public).finish_non_exhaustive()
    }
}
