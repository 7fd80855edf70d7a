//! The public area of a key (TPM 2.0 Part 2, 12.2.4 `TPMT_PUBLIC` and 12.2.5 `TPM2B_PUBLIC`).

mod attributes;
mod parameters;
mod spki;

use std::fmt;

use vouchsafe_model::HashAlgorithm;
use vouchsafe_model::hash::to_hex;

pub use attributes::ObjectAttributes;
pub use parameters::{Curve, Scheme, SignatureAlgorithm, Symmetric};
pub use spki::SpkiRejected;

use super::{AlgorithmId, DecodeError, Reader};
use crate::{der, digest};

/// The public area of an RSA (2048, 3072, 4096) or elliptic curve (P-256, P-384, P-521) key.
///
/// Parsed, not trusted: whoever has the bytes can make one. The bytes are kept, since the name is a digest over them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicArea {
    tpmt: Vec<u8>,
    name: Name,
    name_alg: HashAlgorithm,
    object_attributes: ObjectAttributes,
    auth_policy: Vec<u8>,
    symmetric: Option<Symmetric>,
    scheme: Scheme,
    key: PublicKey,
}

/// The name of a TPM object: its `nameAlg` and the digest of its public area (TPM 2.0 Part 1, 16 "Names").
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

/// The key itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// RSA.
    Rsa(RsaPublicKey),
    /// Elliptic curve.
    Ecc(EccPublicKey),
}

/// An RSA public key of 2048, 3072 or 4096 bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: u32,
}

/// A point that claims to be on a curve. Whether it is, the library that uses it checks.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EccPublicKey {
    curve: Curve,
    x: Vec<u8>,
    y: Vec<u8>,
}

impl PublicArea {
    /// The longest `TPMT_PUBLIC` that is read, in bytes: RSA-4096 with a SHA-512 policy takes 602.
    pub const MAX_LEN: usize = 1024;

    /// Reads a `TPMT_PUBLIC`.
    ///
    /// # Errors
    /// When it is cut off, followed by other bytes, of a kind that is not supported, or forbidden by Part 2.
    pub fn parse_tpmt(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("TPMT_PUBLIC", bytes);
        let kind = reader.algorithm("type")?;
        if !matches!(kind, AlgorithmId::RSA | AlgorithmId::ECC) {
            return Err(reader.unsupported("type", kind));
        }
        let name_alg = reader.hash("nameAlg")?;
        let Some(name_digest) = digest::algorithm(name_alg) else {
            return Err(reader.unsupported("nameAlg", AlgorithmId(name_alg.tpm_alg_id())));
        };
        let object_attributes = ObjectAttributes::read(&mut reader)?;
        let auth_policy = reader.sized("authPolicy", name_alg.digest_len())?.to_vec();
        if !auth_policy.is_empty() && auth_policy.len() != name_alg.digest_len() {
            return Err(reader.bad_value("authPolicy", auth_policy.len() as u64, "nothing, or a digest of nameAlg"));
        }
        let (symmetric, scheme, key) =
            if kind == AlgorithmId::RSA { read_rsa(&mut reader)? } else { read_ecc(&mut reader)? };
        reader.finish()?;
        let digest = digest::digest_of(name_digest, [bytes]);
        let name = Name([&name_alg.tpm_alg_id().to_be_bytes(), digest.as_ref()].concat());
        Ok(Self { tpmt: bytes.to_vec(), name, name_alg, object_attributes, auth_policy, symmetric, scheme, key })
    }

    /// Reads a `TPM2B_PUBLIC`: a `TPMT_PUBLIC` behind its size.
    ///
    /// # Errors
    /// As [`PublicArea::parse_tpmt`], and when the size is not that of what follows.
    pub fn parse_tpm2b(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("TPM2B_PUBLIC", bytes);
        let tpmt = reader.sized("publicArea", Self::MAX_LEN)?;
        reader.finish()?;
        Self::parse_tpmt(tpmt)
    }

    /// Reads either form, told apart by the first two bytes: a `TPMT_PUBLIC` begins with `TPM_ALG_RSA` or
    /// `TPM_ALG_ECC`, which as a size would be 1 or 35, both shorter than any public area.
    ///
    /// # Errors
    /// As the form that it is.
    pub fn parse_either(bytes: &[u8]) -> Result<Self, DecodeError> {
        match Reader::new("TPMT_PUBLIC", bytes).algorithm("type")? {
            AlgorithmId::RSA | AlgorithmId::ECC => Self::parse_tpmt(bytes),
            _ => Self::parse_tpm2b(bytes),
        }
    }

    /// The `TPMT_PUBLIC`, byte for byte as it was read.
    pub fn as_tpmt(&self) -> &[u8] {
        &self.tpmt
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The hash that its name is made with; never SM3.
    pub fn name_alg(&self) -> HashAlgorithm {
        self.name_alg
    }

    /// What it may do.
    pub fn object_attributes(&self) -> ObjectAttributes {
        self.object_attributes
    }

    /// The digest of the policy under which it may be used: empty, or as long as a digest of [`Self::name_alg`].
    pub fn auth_policy(&self) -> &[u8] {
        &self.auth_policy
    }

    /// The cipher with which it protects its children; `None` in a key that has none.
    pub fn symmetric(&self) -> Option<Symmetric> {
        self.symmetric
    }

    /// The scheme that it is bound to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key as DER `SubjectPublicKeyInfo`.
    pub fn to_spki_der(&self) -> Vec<u8> {
        self.key.to_spki_der()
    }
}

impl PublicKey {
    /// Reads a DER `SubjectPublicKeyInfo`: rsaEncryption, or id-ecPublicKey with a named curve and an uncompressed
    /// point.
    ///
    /// # Errors
    /// When it is anything else, or of a size or on a curve that is not supported.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, SpkiRejected> {
        spki::decode(der)
    }

    /// The key as DER `SubjectPublicKeyInfo`.
    pub fn to_spki_der(&self) -> Vec<u8> {
        spki::encode(self)
    }
}

/// Reads `TPMS_RSA_PARMS` and the modulus (Part 2, 12.2.3.5 and 11.2.4.5).
fn read_rsa(reader: &mut Reader<'_>) -> Result<(Option<Symmetric>, Scheme, PublicKey), DecodeError> {
    reader.enter("TPMS_RSA_PARMS");
    let symmetric = Symmetric::read(reader)?;
    let scheme = Scheme::read_rsa(reader)?;
    let key_bits = reader.u16("keyBits")?;
    if !RsaPublicKey::SIZES.contains(&usize::from(key_bits)) {
        return Err(reader.bad_value("keyBits", key_bits, "2048, 3072 or 4096"));
    }
    // Zero stands for the default, 65537.
    let exponent = match reader.u32("exponent")? {
        0 => RsaPublicKey::DEFAULT_EXPONENT,
        exponent if RsaPublicKey::is_accepted_exponent(exponent) => exponent,
        other => return Err(reader.bad_value("exponent", other, "0, or an odd number from 65537 on")),
    };
    reader.enter("TPMT_PUBLIC");
    let len = usize::from(key_bits / 8);
    let modulus = reader.sized("unique", len)?;
    if modulus.len() != len {
        return Err(reader.bad_value("unique", modulus.len() as u64, "a modulus of keyBits"));
    }
    if let Some(first) = modulus.first().filter(|first| **first & 0x80 == 0) {
        return Err(reader.bad_value("unique", *first, "a first byte whose top bit is set"));
    }
    if let Some(last) = modulus.last().filter(|last| **last & 1 == 0) {
        return Err(reader.bad_value("unique", *last, "an odd last byte"));
    }
    Ok((symmetric, scheme, PublicKey::Rsa(RsaPublicKey { modulus: modulus.to_vec(), exponent })))
}

/// Reads `TPMS_ECC_PARMS` and the point (Part 2, 12.2.3.6 and 11.2.5.2).
fn read_ecc(reader: &mut Reader<'_>) -> Result<(Option<Symmetric>, Scheme, PublicKey), DecodeError> {
    reader.enter("TPMS_ECC_PARMS");
    let symmetric = Symmetric::read(reader)?;
    let scheme = Scheme::read_ecc(reader)?;
    let curve = Curve::read(reader)?;
    parameters::skip_kdf(reader)?;
    reader.enter("TPMT_PUBLIC");
    let x = read_coordinate(reader, "unique.x", curve)?;
    let y = read_coordinate(reader, "unique.y", curve)?;
    Ok((symmetric, scheme, PublicKey::Ecc(EccPublicKey { curve, x, y })))
}

/// Reads a coordinate and pads it to its curve's length: some TPMs leave leading zeros out.
fn read_coordinate(reader: &mut Reader<'_>, field: &'static str, curve: Curve) -> Result<Vec<u8>, DecodeError> {
    let len = curve.coordinate_len();
    let digits = reader.sized(field, len)?;
    if digits.is_empty() {
        return Err(reader.bad_value(field, 0u64, "a coordinate; a template has none"));
    }
    let mut coordinate = vec![0; len.saturating_sub(digits.len())];
    coordinate.extend_from_slice(digits);
    Ok(coordinate)
}

impl RsaPublicKey {
    /// The exponent that zero stands for (TPM 2.0 Part 2, 12.2.3.5).
    pub const DEFAULT_EXPONENT: u32 = 65_537;

    /// The lengths of modulus that are accepted, in bits.
    pub const SIZES: [usize; 3] = [2048, 3072, 4096];

    /// Even exponents make no RSA key, and small ones have made signatures forgeable.
    const fn is_accepted_exponent(exponent: u32) -> bool {
        exponent >= Self::DEFAULT_EXPONENT && exponent % 2 == 1
    }

    /// The modulus, big-endian, its top bit set.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public exponent: odd, at least 65537.
    pub fn exponent(&self) -> u32 {
        self.exponent
    }

    /// The key as DER `RSAPublicKey` (RFC 8017, A.1.1).
    pub fn to_pkcs1_der(&self) -> Vec<u8> {
        der::sequence(&[&der::unsigned(&self.modulus), &der::unsigned(&self.exponent.to_be_bytes())])
    }

    /// The length of the modulus, in bits.
    pub fn bits(&self) -> usize {
        self.modulus.len().saturating_mul(8)
    }
}

impl EccPublicKey {
    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The x coordinate, big-endian, as long as the curve's coordinates are.
    pub fn x(&self) -> &[u8] {
        &self.x
    }

    /// The y coordinate, big-endian, as long as the curve's coordinates are.
    pub fn y(&self) -> &[u8] {
        &self.y
    }

    /// The point in uncompressed form (SEC 1, 2.3.3): 4, x, y.
    pub fn uncompressed_point(&self) -> Vec<u8> {
        [&[4], self.x(), self.y()].concat()
    }
}

impl Name {
    /// `nameAlg` and digest, as the TPM writes it within a `TPM2B_NAME`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&to_hex(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Debug for PublicArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicArea")
            .field("name", &self.name)
            .field("object_attributes", &self.object_attributes)
            .field("symmetric", &self.symmetric)
            .field("scheme", &self.scheme)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPublicKey({} bits, exponent {})", self.bits(), self.exponent)
    }
}

impl fmt::Debug for EccPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EccPublicKey({})", self.curve)
    }
}
