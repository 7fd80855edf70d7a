//! A signature with its algorithm (TPM 2.0 Part 2, 11.3.4 `TPMT_SIGNATURE`).

use vouchsafe_model::HashAlgorithm;

use super::public::SignatureAlgorithm;
use super::{AlgorithmId, DecodeError, Reader};

/// A parsed `TPMT_SIGNATURE`. It borrows; whether it verifies, [`crate::key::VerifyingKey`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The hash of the message that was signed.
    pub hash: HashAlgorithm,
    /// The signature.
    pub value: SignatureValue<'a>,
}

/// The signature, by algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureValue<'a> {
    /// RSASSA-PKCS1-v1_5: as long as the modulus.
    RsaSsa(&'a [u8]),
    /// RSASSA-PSS: as long as the modulus.
    RsaPss(&'a [u8]),
    /// ECDSA: r and s, unsigned, big-endian, each up to as long as a coordinate.
    Ecdsa {
        /// r.
        r: &'a [u8],
        /// s.
        s: &'a [u8],
    },
}

/// The longest RSA signature, in bytes: RSA-4096.
const MAX_RSA: usize = 512;
/// The longest ECDSA parameter, in bytes: P-521.
const MAX_ECC_PARAMETER: usize = 66;

impl<'a> Signature<'a> {
    /// Reads a `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// When it is cut off, followed by other bytes, too long, or of an algorithm that is not supported: SM2, ECDAA,
    /// ECSCHNORR and HMAC are refused by name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("TPMT_SIGNATURE", bytes);
        let algorithm = reader.algorithm("sigAlg")?;
        if !matches!(algorithm, AlgorithmId::RSASSA | AlgorithmId::RSAPSS | AlgorithmId::ECDSA) {
            return Err(reader.unsupported("sigAlg", algorithm));
        }
        let hash = reader.hash("hash")?;
        let value = match algorithm {
            AlgorithmId::RSASSA => SignatureValue::RsaSsa(reader.sized("sig", MAX_RSA)?),
            AlgorithmId::RSAPSS => SignatureValue::RsaPss(reader.sized("sig", MAX_RSA)?),
            _ => SignatureValue::Ecdsa {
                r: reader.sized("signatureR", MAX_ECC_PARAMETER)?,
                s: reader.sized("signatureS", MAX_ECC_PARAMETER)?,
            },
        };
        reader.finish()?;
        Ok(Self { hash, value })
    }

    /// Its algorithm.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match self.value {
            SignatureValue::RsaSsa(_) => SignatureAlgorithm::RsaSsa,
            SignatureValue::RsaPss(_) => SignatureAlgorithm::RsaPss,
            SignatureValue::Ecdsa { .. } => SignatureAlgorithm::Ecdsa,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tpm::DecodeProblem;

    #[test]
    fn reads_ecdsa_and_rsa() {
        let ecdsa = Signature::parse(&[0, 0x18, 0, 11, 0, 2, 1, 2, 0, 1, 3]).unwrap();
        assert_eq!(ecdsa.value, SignatureValue::Ecdsa { r: &[1, 2], s: &[3] });
        let rsa = Signature::parse(&[0, 0x16, 0, 12, 0, 1, 9]).unwrap();
        assert_eq!((rsa.hash, rsa.algorithm()), (HashAlgorithm::Sha384, SignatureAlgorithm::RsaPss));
    }

    #[test]
    fn other_algorithms_are_refused_by_name() {
        let refused = [
            (AlgorithmId::SM2, "TPM_ALG_SM2"),
            (AlgorithmId::ECDAA, "TPM_ALG_ECDAA"),
            (AlgorithmId::ECSCHNORR, "TPM_ALG_ECSCHNORR"),
            (AlgorithmId::HMAC, "TPM_ALG_HMAC"),
            (AlgorithmId::NULL, "TPM_ALG_NULL"),
        ];
        for (algorithm, name) in refused {
            let bytes = [&algorithm.0.to_be_bytes()[..], &[0, 11, 0, 1, 1, 0, 1, 1]].concat();
            let error = Signature::parse(&bytes).unwrap_err();
            assert_eq!(error.problem, DecodeProblem::Unsupported(algorithm));
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn lengths_beyond_any_key_are_refused_although_the_bytes_are_there() {
        let long = [&[0, 0x14, 0, 11, 2, 1][..], &[1; 513]].concat();
        assert_eq!(Signature::parse(&long).unwrap_err().problem, DecodeProblem::Oversized { len: 513, max: 512 });
        let long = [&[0, 0x18, 0, 11, 0, 67][..], &[1; 67], &[0, 1, 1]].concat();
        assert_eq!(Signature::parse(&long).unwrap_err().problem, DecodeProblem::Oversized { len: 67, max: 66 });
    }

    #[test]
    fn every_truncation_and_a_trailing_byte_are_refused() {
        let good = [0, 0x18, 0, 11, 0, 2, 1, 2, 0, 1, 3];
        for len in 0..good.len() {
            assert!(Signature::parse(&good[..len]).is_err(), "{len} bytes");
        }
        assert!(Signature::parse(&[&good[..], &[0]].concat()).is_err());
    }
}
