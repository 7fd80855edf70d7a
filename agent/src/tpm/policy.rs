//! The policies of endorsement keys (TCG EK Credential Profile 2.5, B.6), and how a session satisfies them.
//!
//! Policy A asks for the endorsement hierarchy's password. Policy B is "A or C", where policy C lets an NV index at
//! 0x01C07F01 to 0x01C07F04 say what else will do. A alone satisfies both.

use aws_lc_rs::digest;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::AuthHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::PolicySession;
use tss_esapi::structures::{Digest, DigestList, Nonce, SymmetricDefinition};

use super::template::{ALG_SHA384, ALG_SHA512};
use super::{Session, Tpm, TpmError};

const TPM_CC_POLICY_SECRET: u32 = 0x0000_0151;
const TPM_CC_POLICY_OR: u32 = 0x0000_0171;
const TPM_RH_ENDORSEMENT: u32 = 0x4000_000B;

const POLICY_C_SHA256: [u8; 32] = [
    0x37, 0x67, 0xE2, 0xED, 0xD4, 0x3F, 0xF4, 0x5A, 0x3A, 0x7E, 0x1E, 0xAE, 0xFC, 0xEF, 0x78, 0x64, 0x3D, 0xCA, 0x96,
    0x46, 0x32, 0xE7, 0xAA, 0xD8, 0x2C, 0x67, 0x3A, 0x30, 0xD8, 0x63, 0x3F, 0xDE,
];
const POLICY_C_SHA384: [u8; 48] = [
    0xD6, 0x03, 0x2C, 0xE6, 0x1F, 0x2F, 0xB3, 0xC2, 0x40, 0xEB, 0x3C, 0xF6, 0xA3, 0x32, 0x37, 0xEF, 0x2B, 0x6A, 0x16,
    0xF4, 0x29, 0x3C, 0x22, 0xB4, 0x55, 0xE2, 0x61, 0xCF, 0xFD, 0x21, 0x7A, 0xD5, 0xB4, 0x94, 0x7C, 0x2D, 0x73, 0xE6,
    0x30, 0x05, 0xEE, 0xD2, 0xDC, 0x2B, 0x35, 0x93, 0xD1, 0x65,
];
const POLICY_C_SHA512: [u8; 64] = [
    0x58, 0x9E, 0xE1, 0xE1, 0x46, 0x54, 0x47, 0x16, 0xE8, 0xDE, 0xAF, 0xE6, 0xDB, 0x24, 0x7B, 0x01, 0xB8, 0x1E, 0x9F,
    0x9C, 0x7D, 0xD1, 0x6B, 0x81, 0x4A, 0xA1, 0x59, 0x13, 0x87, 0x49, 0x10, 0x5F, 0xBA, 0x53, 0x88, 0xDD, 0x1D, 0xEA,
    0x70, 0x2F, 0x35, 0x24, 0x0C, 0x18, 0x49, 0x33, 0x12, 0x1E, 0x2C, 0x61, 0xB8, 0xF5, 0x0D, 0x3E, 0xF9, 0x13, 0x93,
    0xA4, 0x9A, 0x38, 0xC3, 0xF7, 0x3F, 0xC8,
];

/// The hash algorithms that the profile writes its policies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PolicyHash {
    Sha256,
    Sha384,
    Sha512,
}

impl PolicyHash {
    pub(super) const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    pub(super) fn of_tpm_alg(alg: u16) -> Self {
        match alg {
            ALG_SHA384 => Self::Sha384,
            ALG_SHA512 => Self::Sha512,
            _ => Self::Sha256,
        }
    }

    fn of_name(algorithm: HashingAlgorithm) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.in_the_stack() == algorithm)
    }

    fn in_the_stack(self) -> HashingAlgorithm {
        match self {
            Self::Sha256 => HashingAlgorithm::Sha256,
            Self::Sha384 => HashingAlgorithm::Sha384,
            Self::Sha512 => HashingAlgorithm::Sha512,
        }
    }

    fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, &parts.concat()).as_ref().to_vec()
    }

    fn zeros(self) -> Vec<u8> {
        vec![0; self.policy_c().len()]
    }

    /// `TPM2_PolicySecret(TPM_RH_ENDORSEMENT)` (TPM 2.0 Part 3, 23.4): extended by the entity's name, then by the empty
    /// policyRef.
    pub(super) fn policy_a(self) -> Vec<u8> {
        let command = TPM_CC_POLICY_SECRET.to_be_bytes();
        let entity = TPM_RH_ENDORSEMENT.to_be_bytes();
        self.digest(&[&self.digest(&[&self.zeros(), &command, &entity])])
    }

    /// `TPM2_PolicyOR(PolicyA, PolicyC)` (TPM 2.0 Part 3, 23.6).
    pub(super) fn policy_b(self) -> Vec<u8> {
        self.digest(&[&self.zeros(), &TPM_CC_POLICY_OR.to_be_bytes(), &self.policy_a(), self.policy_c()])
    }

    fn policy_c(self) -> &'static [u8] {
        match self {
            Self::Sha256 => &POLICY_C_SHA256,
            Self::Sha384 => &POLICY_C_SHA384,
            Self::Sha512 => &POLICY_C_SHA512,
        }
    }
}

/// A session that satisfies the policy of an endorsement key; `None` when the policy is none of the profile's.
pub(super) fn endorsement_session<'t>(
    tpm: &'t Tpm,
    name_algorithm: HashingAlgorithm,
    policy: &[u8],
) -> Result<Option<Session<'t>>, TpmError> {
    const DOING: &str = "satisfying the endorsement key's policy";
    let Some(hash) = PolicyHash::of_name(name_algorithm) else { return Ok(None) };
    let or_policy_c = policy == hash.policy_b();
    if !or_policy_c && policy != hash.policy_a() {
        return Ok(None);
    }
    let session = tpm
        .call("starting a policy session", |context| {
            context.start_auth_session(
                None,
                None,
                None,
                SessionType::Policy,
                SymmetricDefinition::AES_128_CFB,
                hash.in_the_stack(),
            )
        })?
        .ok_or_else(|| TpmError::unexpected(DOING, "no session was started"))?;
    let session = tpm.guard_session(session);
    let policy_session = PolicySession::try_from(session.session()).map_err(|error| TpmError::of(DOING, error))?;
    tpm.call_authorised(DOING, |context| {
        let (empty, no_hash, no_reference) = (Nonce::default(), Digest::default(), Nonce::default());
        context.policy_secret(policy_session, AuthHandle::Endorsement, empty, no_hash, no_reference, None)
    })?;
    if or_policy_c {
        tpm.call(DOING, |context| {
            let mut branches = DigestList::new();
            branches.add(Digest::try_from(hash.policy_a())?)?;
            branches.add(Digest::try_from(hash.policy_c().to_vec())?)?;
            context.policy_or(policy_session, branches)
        })?;
    }
    Ok(Some(session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::hash::to_hex;

    #[test]
    fn policies_are_those_that_the_profile_prints() {
        let a: Vec<_> = PolicyHash::ALL.iter().map(|hash| to_hex(&hash.policy_a())).collect();
        assert_eq!(a[0], "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa");
        assert!(a[1].starts_with("8bbf2266537c171cb56e403c4dc1d4b6"), "{}", a[1]);
        assert!(a[2].starts_with("1e3b76502c8a1425aa0b7b3fc646a1b0"), "{}", a[2]);
        let b: Vec<_> = PolicyHash::ALL.iter().map(|hash| to_hex(&hash.policy_b())).collect();
        assert_eq!(b[0], "ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0");
        assert!(b[1].starts_with("b26e7d28d11a50bc53d882bcf5fd3a1a"), "{}", b[1]);
        assert!(b[2].starts_with("b8221ca69e8550a4914de3faa6a18c07"), "{}", b[2]);
    }
}
