//! Endorsement keys with known private halves, as the public areas that a TPM would show.

use aws_lc_rs::agreement::{Algorithm, ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use vouchsafe_attest::tpm::PublicArea;

/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, adminWithPolicy, restricted, decrypt: the attributes of every EK
/// template of the TCG EK Credential Profile.
pub(crate) const EK_ATTRIBUTES: u32 = 0x0003_00B2;

const TPM_ALG_RSA: u16 = 0x0001;
const TPM_ALG_AES: u16 = 0x0006;
const TPM_ALG_NULL: u16 = 0x0010;
const TPM_ALG_ECC: u16 = 0x0023;
const TPM_ALG_CFB: u16 = 0x0043;

/// What a public area says beside the key itself.
#[derive(Clone, Copy)]
pub(crate) struct Template {
    pub(crate) name_alg: u16,
    pub(crate) attributes: u32,
    /// `None` is `TPM_ALG_NULL`.
    pub(crate) aes_bits: Option<u16>,
}

/// The low-range templates (L-1, L-2): SHA-256 and AES-128.
pub(crate) const LOW_RANGE: Template = Template { name_alg: 0x000B, attributes: EK_ATTRIBUTES, aes_bits: Some(128) };
/// The SHA-384 and AES-256 templates (H-3, H-4, H-6).
pub(crate) const SHA384_AES256: Template =
    Template { name_alg: 0x000C, attributes: EK_ATTRIBUTES, aes_bits: Some(256) };

fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn head(kind: u16, template: Template) -> Vec<u8> {
    let mut area = [kind.to_be_bytes(), template.name_alg.to_be_bytes()].concat();
    area.extend(template.attributes.to_be_bytes());
    area.extend([0, 0]);
    match template.aes_bits {
        Some(bits) => [TPM_ALG_AES, bits, TPM_ALG_CFB].iter().for_each(|field| area.extend(field.to_be_bytes())),
        None => area.extend(TPM_ALG_NULL.to_be_bytes()),
    }
    area.extend(TPM_ALG_NULL.to_be_bytes());
    area
}

/// A public area around an RSA modulus, exponent 65537.
pub(crate) fn rsa_area(modulus: &[u8], template: Template) -> PublicArea {
    let mut area = head(TPM_ALG_RSA, template);
    area.extend(u16::try_from(modulus.len() * 8).unwrap().to_be_bytes());
    area.extend([0; 4]);
    area.extend(tpm2b(modulus));
    PublicArea::parse_tpmt(&area).unwrap()
}

/// A public area around an uncompressed point.
pub(crate) fn ecc_area(point: &[u8], template: Template) -> PublicArea {
    let len = (point.len() - 1) / 2;
    let curve: u16 = match len {
        32 => 3,
        48 => 4,
        66 => 5,
        other => panic!("no curve has coordinates of {other} bytes"),
    };
    let mut area = head(TPM_ALG_ECC, template);
    area.extend(curve.to_be_bytes());
    area.extend(TPM_ALG_NULL.to_be_bytes());
    area.extend(tpm2b(&point[1..=len]));
    area.extend(tpm2b(&point[1 + len..]));
    PublicArea::parse_tpmt(&area).unwrap()
}

/// A public area around whatever key an SPKI holds.
pub(crate) fn area_of_spki(spki: &[u8], template: Template) -> PublicArea {
    use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};
    use x509_parser::public_key::{PublicKey, RSAPublicKey};

    let (_, info) = SubjectPublicKeyInfo::from_der(spki).unwrap();
    let of_rsa = |key: RSAPublicKey<'_>| rsa_area(key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus), template);
    match info.parsed().unwrap() {
        PublicKey::EC(point) => ecc_area(point.data(), template),
        PublicKey::RSA(key) => of_rsa(key),
        // RSA by another name (RFC 4055).
        other => {
            of_rsa(RSAPublicKey::from_der(&info.subject_public_key.data).unwrap_or_else(|_| panic!("{other:?}")).1)
        }
    }
}

/// An elliptic curve EK.
pub(crate) struct EccEk {
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) private: PrivateKey,
    pub(crate) area: PublicArea,
}

impl EccEk {
    pub(crate) fn generate(algorithm: &'static Algorithm, template: Template) -> Self {
        let private = PrivateKey::generate(algorithm).unwrap();
        let area = ecc_area(private.compute_public_key().unwrap().as_ref(), template);
        Self { algorithm, private, area }
    }

    pub(crate) const P256: &Algorithm = &ECDH_P256;
    pub(crate) const P384: &Algorithm = &ECDH_P384;
    pub(crate) const P521: &Algorithm = &ECDH_P521;
}

/// An RSA EK.
pub(crate) struct RsaEk {
    pub(crate) private: PrivateDecryptingKey,
    pub(crate) area: PublicArea,
}

impl RsaEk {
    pub(crate) fn generate(size: KeySize, template: Template) -> Self {
        let private = PrivateDecryptingKey::generate(size).unwrap();
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let area = area_of_spki(spki.as_ref(), template);
        Self { private, area }
    }
}
