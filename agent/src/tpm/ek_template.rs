//! The endorsement keys that TPMs are shipped with, and where their certificates are (TCG EK Credential Profile 2.5,
//! 2.2.1.4 "Low Range", 2.2.1.5 "High Range", B.3 and B.4).

use serde::{Deserialize, Serialize};

use super::policy::PolicyHash;
use super::template::{
    ALG_SHA256, ALG_SHA384, ALG_SHA512, CURVE_P256, CURVE_P384, CURVE_P521, Cipher, ENDORSEMENT_KEY, Kind, Scheme,
    Template, USER_WITH_AUTH, empty_unique, zeroed_unique,
};

/// A default template of the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EkTemplate {
    /// RSA-2048, low range.
    L1,
    /// P-256, low range.
    L2,
    /// RSA-2048, high range.
    H1,
    /// P-256, high range.
    H2,
    /// P-384.
    H3,
    /// P-521.
    H4,
    /// RSA-3072.
    H6,
    /// RSA-4096.
    H7,
}

/// What the profile says of one template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    /// NV index of the certificate.
    pub(super) certificate: u32,
    /// NV index of the nonce; the high range has none.
    pub(super) nonce: Option<u32>,
    /// NV index of a template that replaces this one.
    pub(super) template: u32,
    kind: Kind,
    name_alg: u16,
    cipher_bits: u16,
    high_range: bool,
}

impl EkTemplate {
    /// Every template, the most widely used first; last those whose credentials few engines can make.
    pub(super) const ALL: [Self; 8] = [Self::L1, Self::L2, Self::H3, Self::H2, Self::H1, Self::H4, Self::H6, Self::H7];

    pub(super) const fn profile(self) -> Profile {
        match self {
            Self::L1 => Profile::low(0x01C0_0002, Kind::Rsa(2048)),
            Self::L2 => Profile::low(0x01C0_000A, Kind::Ecc(CURVE_P256)),
            Self::H1 => Profile::high(0x01C0_0012, Kind::Rsa(2048), ALG_SHA256, 128),
            Self::H2 => Profile::high(0x01C0_0014, Kind::Ecc(CURVE_P256), ALG_SHA256, 128),
            Self::H3 => Profile::high(0x01C0_0016, Kind::Ecc(CURVE_P384), ALG_SHA384, 256),
            Self::H4 => Profile::high(0x01C0_0018, Kind::Ecc(CURVE_P521), ALG_SHA512, 256),
            Self::H6 => Profile::high(0x01C0_001C, Kind::Rsa(3072), ALG_SHA384, 256),
            Self::H7 => Profile::high(0x01C0_001E, Kind::Rsa(4096), ALG_SHA384, 256),
        }
    }

    /// Whether the key is an RSA key; it is an ECC key otherwise.
    pub(super) const fn is_rsa(self) -> bool {
        matches!(self.profile().kind, Kind::Rsa(_))
    }
}

impl Profile {
    const fn low(certificate: u32, kind: Kind) -> Self {
        Self {
            certificate,
            nonce: Some(certificate + 1),
            template: certificate + 2,
            kind,
            name_alg: ALG_SHA256,
            cipher_bits: 128,
            high_range: false,
        }
    }

    const fn high(certificate: u32, kind: Kind, name_alg: u16, cipher_bits: u16) -> Self {
        Self { certificate, nonce: None, template: certificate + 1, kind, name_alg, cipher_bits, high_range: true }
    }

    /// The default template as `TPMT_PUBLIC`, with the nonce (if any) in its unique field: at the start of the RSA
    /// buffer, or of the x coordinate (B.2).
    pub(super) fn public_area(&self, nonce: &[u8]) -> Vec<u8> {
        let hash = PolicyHash::of_tpm_alg(self.name_alg);
        let (policy, attributes) = if self.high_range {
            (hash.policy_b(), ENDORSEMENT_KEY | USER_WITH_AUTH)
        } else {
            (hash.policy_a(), ENDORSEMENT_KEY)
        };
        let mut unique = if self.high_range { empty_unique(self.kind) } else { zeroed_unique(self.kind) };
        if let Some(first) = unique.first_mut() {
            first.iter_mut().zip(nonce).for_each(|(to, from)| *to = *from);
        }
        Template {
            name_alg: self.name_alg,
            attributes,
            policy: &policy,
            cipher: Cipher::Aes(self.cipher_bits),
            scheme: Scheme::None,
            kind: self.kind,
            unique,
        }
        .bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tss_esapi::structures::Public;
    use tss_esapi::traits::UnMarshall;

    #[test]
    fn every_template_is_one_that_the_stack_reads() {
        for template in EkTemplate::ALL {
            assert!(Public::unmarshall(&template.profile().public_area(&[])).is_ok(), "{template:?}");
        }
    }

    #[test]
    fn indices_are_those_of_the_profile() {
        let nonces: Vec<_> = EkTemplate::ALL.iter().filter_map(|template| template.profile().nonce).collect();
        assert_eq!(nonces, [0x01C0_0003, 0x01C0_000B]);
        let templates = [EkTemplate::L1, EkTemplate::L2, EkTemplate::H3].map(|template| template.profile().template);
        assert_eq!(templates, [0x01C0_0004, 0x01C0_000C, 0x01C0_0017]);
    }

    #[test]
    fn a_nonce_goes_to_the_front_of_the_unique_field() {
        let plain = EkTemplate::L2.profile().public_area(&[]);
        let with_nonce = EkTemplate::L2.profile().public_area(&[0xAB; 20]);
        // Two coordinates of 32 bytes end the area, each behind its length.
        let x = plain.len() - 66;
        assert_eq!(with_nonce[..x], plain[..x]);
        assert_eq!(with_nonce[x..x + 20], [0xAB; 20]);
        assert_eq!(with_nonce[x + 20..], plain[x + 20..]);
    }
}
