//! The public areas that keys are made from, byte by byte (TPM 2.0 Part 2, 12.2.4 `TPMT_PUBLIC`).
//!
//! They are written out rather than built with the stack's builders because an endorsement key is only the same key when
//! its template is the same to the last byte.

use tss_esapi::structures::Public;
use tss_esapi::traits::UnMarshall;

use super::TpmError;

pub(super) const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
pub(super) const ALG_SHA256: u16 = 0x000B;
pub(super) const ALG_SHA384: u16 = 0x000C;
pub(super) const ALG_SHA512: u16 = 0x000D;
pub(super) const ALG_NULL: u16 = 0x0010;
pub(super) const ALG_RSASSA: u16 = 0x0014;
pub(super) const ALG_ECDSA: u16 = 0x0018;
pub(super) const ALG_ECC: u16 = 0x0023;
const ALG_CFB: u16 = 0x0043;

pub(super) const CURVE_P256: u16 = 0x0003;
pub(super) const CURVE_P384: u16 = 0x0004;
pub(super) const CURVE_P521: u16 = 0x0005;

const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
pub(super) const USER_WITH_AUTH: u32 = 1 << 6;
const ADMIN_WITH_POLICY: u32 = 1 << 7;
pub(super) const NO_DA: u32 = 1 << 10;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;

/// Born in this TPM, and never to leave it.
const OF_THIS_TPM: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN;
/// An endorsement key, but for `userWithAuth` (EK Credential Profile 2.5, B.3 and B.4).
pub(super) const ENDORSEMENT_KEY: u32 = OF_THIS_TPM | ADMIN_WITH_POLICY | RESTRICTED | DECRYPT;
/// A storage root key (TPM v2.0 Provisioning Guidance, 7.5.1).
pub(super) const STORAGE_KEY: u32 = OF_THIS_TPM | USER_WITH_AUTH | NO_DA | RESTRICTED | DECRYPT;
/// An attestation key: it signs only what the TPM itself made.
pub(super) const ATTESTATION_KEY: u32 = OF_THIS_TPM | USER_WITH_AUTH | NO_DA | RESTRICTED | SIGN;
/// A key for TLS: it signs any digest.
pub(super) const SIGNING_KEY: u32 = OF_THIS_TPM | USER_WITH_AUTH | NO_DA | SIGN;

/// The symmetric cipher of a storage key: AES in CFB mode of so many bits, or none for other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    None,
    Aes(u16),
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    None,
    /// This scheme with SHA-256.
    WithSha256(u16),
}

/// What is asymmetric about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// RSA of so many bits, with the default exponent.
    Rsa(u16),
    /// This curve.
    Ecc(u16),
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template<'a> {
    pub(super) name_alg: u16,
    pub(super) attributes: u32,
    pub(super) policy: &'a [u8],
    pub(super) cipher: Cipher,
    pub(super) scheme: Scheme,
    pub(super) kind: Kind,
    /// The unique field: one buffer for RSA, two for ECC.
    pub(super) unique: Vec<Vec<u8>>,
}

impl Template<'_> {
    /// `TPMT_PUBLIC`, marshalled.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        let u16s = |values: &[u16], out: &mut Vec<u8>| {
            values.iter().for_each(|value| out.extend_from_slice(&value.to_be_bytes()));
        };
        u16s(&[if matches!(self.kind, Kind::Rsa(_)) { ALG_RSA } else { ALG_ECC }, self.name_alg], &mut out);
        out.extend_from_slice(&self.attributes.to_be_bytes());
        sized(self.policy, &mut out);
        match self.cipher {
            Cipher::None => u16s(&[ALG_NULL], &mut out),
            Cipher::Aes(bits) => u16s(&[ALG_AES, bits, ALG_CFB], &mut out),
        }
        match self.scheme {
            Scheme::None => u16s(&[ALG_NULL], &mut out),
            Scheme::WithSha256(scheme) => u16s(&[scheme, ALG_SHA256], &mut out),
        }
        match self.kind {
            Kind::Rsa(bits) => {
                u16s(&[bits], &mut out);
                // Zero stands for the default exponent, 65537 (TPM 2.0 Part 2, 12.2.3.5).
                out.extend_from_slice(&0u32.to_be_bytes());
            }
            Kind::Ecc(curve) => u16s(&[curve, ALG_NULL], &mut out),
        }
        self.unique.iter().for_each(|part| sized(part, &mut out));
        out
    }

    /// The template as the stack takes it.
    pub(super) fn public(&self) -> Result<Public, TpmError> {
        Public::unmarshall(&self.bytes()).map_err(|error| TpmError::of("writing a key template", error))
    }
}

/// A `TPM2B`: the length, then the bytes. No buffer here comes near 64 KiB.
fn sized(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A unique field of zeros, as long as the key's public part: what the low-range EK and the SRK templates hold.
pub(super) fn zeroed_unique(kind: Kind) -> Vec<Vec<u8>> {
    match kind {
        Kind::Rsa(bits) => vec![vec![0; usize::from(bits / 8)]],
        Kind::Ecc(curve) => vec![vec![0; coordinate_len(curve)]; 2],
    }
}

/// An empty unique field.
pub(super) fn empty_unique(kind: Kind) -> Vec<Vec<u8>> {
    match kind {
        Kind::Rsa(_) => vec![Vec::new()],
        Kind::Ecc(_) => vec![Vec::new(); 2],
    }
}

fn coordinate_len(curve: u16) -> usize {
    match curve {
        CURVE_P384 => 48,
        CURVE_P521 => 66,
        _ => 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tss_esapi::traits::Marshall;

    #[test]
    fn a_template_reads_back_as_it_was_written() {
        for kind in [Kind::Rsa(2048), Kind::Rsa(4096), Kind::Ecc(CURVE_P256), Kind::Ecc(CURVE_P521)] {
            let template = Template {
                name_alg: ALG_SHA256,
                attributes: STORAGE_KEY,
                policy: &[],
                cipher: Cipher::Aes(128),
                scheme: Scheme::None,
                kind,
                unique: zeroed_unique(kind),
            };
            assert_eq!(template.public().unwrap().marshall().unwrap(), template.bytes(), "{kind:?}");
        }
    }

    #[test]
    fn attributes_are_those_of_the_profiles() {
        assert_eq!(ENDORSEMENT_KEY, 0x0003_00B2);
        assert_eq!(ENDORSEMENT_KEY | USER_WITH_AUTH, 0x0003_00F2);
        assert_eq!(STORAGE_KEY, 0x0003_0472);
        assert_eq!(ATTESTATION_KEY, 0x0005_0472);
        assert_eq!(SIGNING_KEY, 0x0004_0472);
    }
}
