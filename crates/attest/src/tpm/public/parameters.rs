//! The parameters of a key: its symmetric cipher, its scheme, its curve (TPM 2.0 Part 2, 11.1 and 11.2).

use std::fmt;

use vouchsafe_model::HashAlgorithm;

use crate::tpm::{AlgorithmId, DecodeError, Reader};

/// How a storage or endorsement key protects what it wraps: AES in CFB mode, the one cipher that the profiles name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Symmetric {
    /// AES-128-CFB.
    Aes128Cfb,
    /// AES-192-CFB.
    Aes192Cfb,
    /// AES-256-CFB.
    Aes256Cfb,
}

impl Symmetric {
    /// The length of its key, in bits.
    pub const fn key_bits(self) -> u16 {
        match self {
            Self::Aes128Cfb => 128,
            Self::Aes192Cfb => 192,
            Self::Aes256Cfb => 256,
        }
    }

    /// Reads a `TPMT_SYM_DEF_OBJECT`; `None` is `TPM_ALG_NULL`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        match reader.algorithm("symmetric.algorithm")? {
            AlgorithmId::NULL => return Ok(None),
            AlgorithmId::AES => {}
            other => return Err(reader.unsupported("symmetric.algorithm", other)),
        }
        let cipher = match reader.u16("symmetric.keyBits")? {
            128 => Self::Aes128Cfb,
            192 => Self::Aes192Cfb,
            256 => Self::Aes256Cfb,
            other => return Err(reader.bad_value("symmetric.keyBits", other, "128, 192 or 256")),
        };
        match reader.algorithm("symmetric.mode")? {
            AlgorithmId::CFB => Ok(Some(cipher)),
            other => Err(reader.unsupported("symmetric.mode", other)),
        }
    }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, 8.2).
    RsaSsa,
    /// RSASSA-PSS (RFC 8017, 8.1).
    RsaPss,
    /// ECDSA (FIPS 186-5).
    Ecdsa,
}

impl SignatureAlgorithm {
    /// Its number.
    pub const fn id(self) -> AlgorithmId {
        match self {
            Self::RsaSsa => AlgorithmId::RSASSA,
            Self::RsaPss => AlgorithmId::RSAPSS,
            Self::Ecdsa => AlgorithmId::ECDSA,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RsaSsa => "RSASSA",
            Self::RsaPss => "RSAPSS",
            Self::Ecdsa => "ECDSA",
        })
    }
}

/// What a key's public area binds it to: `TPMT_RSA_SCHEME` or `TPMT_ECC_SCHEME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Nothing: each use names a scheme (`TPM_ALG_NULL`).
    Null,
    /// Signing with this algorithm over this hash.
    Sign(SignatureAlgorithm, HashAlgorithm),
    /// Decryption or key agreement, with its algorithm: of no use to a verifier.
    Decrypt(AlgorithmId),
}

impl Scheme {
    pub(super) fn read_rsa(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.algorithm("scheme")? {
            AlgorithmId::NULL => Ok(Self::Null),
            AlgorithmId::RSASSA => Ok(Self::Sign(SignatureAlgorithm::RsaSsa, reader.hash("scheme.hashAlg")?)),
            AlgorithmId::RSAPSS => Ok(Self::Sign(SignatureAlgorithm::RsaPss, reader.hash("scheme.hashAlg")?)),
            AlgorithmId::RSAES => Ok(Self::Decrypt(AlgorithmId::RSAES)),
            AlgorithmId::OAEP => reader.hash("scheme.hashAlg").map(|_| Self::Decrypt(AlgorithmId::OAEP)),
            other => Err(reader.unsupported("scheme", other)),
        }
    }

    pub(super) fn read_ecc(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.algorithm("scheme")? {
            AlgorithmId::NULL => Ok(Self::Null),
            AlgorithmId::ECDSA => Ok(Self::Sign(SignatureAlgorithm::Ecdsa, reader.hash("scheme.hashAlg")?)),
            AlgorithmId::ECDH => reader.hash("scheme.hashAlg").map(|_| Self::Decrypt(AlgorithmId::ECDH)),
            other => Err(reader.unsupported("scheme", other)),
        }
    }
}

/// Reads past a `TPMT_KDF_SCHEME`: no TPM uses it (Part 2, 12.2.3.6 asks for `TPM_ALG_NULL`), yet the name covers it.
pub(super) fn skip_kdf(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    match reader.algorithm("kdf")? {
        AlgorithmId::NULL => Ok(()),
        AlgorithmId::MGF1 | AlgorithmId::KDF1_SP800_56A | AlgorithmId::KDF2 | AlgorithmId::KDF1_SP800_108 => {
            reader.hash("kdf.hashAlg").map(|_| ())
        }
        other => Err(reader.unsupported("kdf", other)),
    }
}

/// A curve that keys may be on (TPM 2.0 Part 2, 6.4 `TPM_ECC_CURVE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// The length of a coordinate, in bytes.
    pub const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Its number.
    pub const fn id(self) -> u16 {
        match self {
            Self::P256 => 0x0003,
            Self::P384 => 0x0004,
            Self::P521 => 0x0005,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u16("curveID")? {
            0x0003 => Ok(Self::P256),
            0x0004 => Ok(Self::P384),
            0x0005 => Ok(Self::P521),
            other => {
                Err(reader.bad_value("curveID", other, "TPM_ECC_NIST_P256, TPM_ECC_NIST_P384 or TPM_ECC_NIST_P521"))
            }
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}
