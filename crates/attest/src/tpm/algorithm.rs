//! Algorithm identifiers (TPM 2.0 Part 2, 6.3 `TPM_ALG_ID`; TCG Algorithm Registry).

use std::fmt;

/// Declares each identifier once: constant and number.
macro_rules! algorithm_ids {
    ($($name:ident = $value:literal;)+) => {
        impl AlgorithmId {
            $(#[doc = concat!("`TPM_ALG_", stringify!($name), "`.")] pub const $name: Self = Self($value);)+

            /// Its name in the registry, if it is one that is known here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("TPM_ALG_", stringify!($name))),)+
                    _ => None,
                }
            }
        }
    };
}

/// Any algorithm's number. Known names are for messages: an algorithm that has one here may still be refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlgorithmId(pub u16);

algorithm_ids! {
    RSA = 0x0001;
    TDES = 0x0003;
    SHA1 = 0x0004;
    HMAC = 0x0005;
    AES = 0x0006;
    MGF1 = 0x0007;
    KEYEDHASH = 0x0008;
    XOR = 0x000A;
    SHA256 = 0x000B;
    SHA384 = 0x000C;
    SHA512 = 0x000D;
    NULL = 0x0010;
    SM3_256 = 0x0012;
    SM4 = 0x0013;
    RSASSA = 0x0014;
    RSAES = 0x0015;
    RSAPSS = 0x0016;
    OAEP = 0x0017;
    ECDSA = 0x0018;
    ECDH = 0x0019;
    ECDAA = 0x001A;
    SM2 = 0x001B;
    ECSCHNORR = 0x001C;
    ECMQV = 0x001D;
    KDF1_SP800_56A = 0x0020;
    KDF2 = 0x0021;
    KDF1_SP800_108 = 0x0022;
    ECC = 0x0023;
    SYMCIPHER = 0x0025;
    CAMELLIA = 0x0026;
    SHA3_256 = 0x0027;
    SHA3_384 = 0x0028;
    SHA3_512 = 0x0029;
    CMAC = 0x003F;
    CTR = 0x0040;
    OFB = 0x0041;
    CBC = 0x0042;
    CFB = 0x0043;
    ECB = 0x0044;
}

impl fmt::Display for AlgorithmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "algorithm {:#06x}", self.0),
        }
    }
}

impl fmt::Debug for AlgorithmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::HashAlgorithm;

    #[test]
    fn known_algorithms_are_named_and_others_numbered() {
        assert_eq!(AlgorithmId::SM2.to_string(), "TPM_ALG_SM2");
        assert_eq!(AlgorithmId(0xBEEF).to_string(), "algorithm 0xbeef");
    }

    #[test]
    fn hashes_have_the_numbers_of_the_model() {
        let ours =
            [AlgorithmId::SHA1, AlgorithmId::SHA256, AlgorithmId::SHA384, AlgorithmId::SHA512, AlgorithmId::SM3_256];
        assert_eq!(HashAlgorithm::ALL.map(|hash| AlgorithmId(hash.tpm_alg_id())), ours);
    }
}
