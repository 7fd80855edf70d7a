//! The claims of a result, and how a verdict becomes them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vouchsafe_model::finding::Severity;
use vouchsafe_model::hash::to_hex;
use vouchsafe_model::spiffe::{PeerRole, SpiffeId, TrustDomain};
use vouchsafe_model::trust::Veto;
use vouchsafe_model::vector::TrustClaim;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{
    AttestationId, DeviceId, Finding, HashAlgorithm, PcrIndex, Timestamp, TrustScore, TrustVector, Verdict,
};

use super::nonce::ResultNonce;

/// The profile of the claims (draft-ietf-rats-ear-04, 3).
pub const EAR_PROFILE: &str = "tag:ietf.org,2026:rats/ear#04";
/// The one submodule of a result: the attester is the device's TPM.
pub const SUBMODULE: &str = "tpm";
/// The most findings that a result tells, the worst first. How many more there are is told as a number.
pub const MAX_FINDINGS: usize = 256;

const VERIFIER: (&str, &str) = ("Vouchsafe", concat!("vouchsafe ", env!("CARGO_PKG_VERSION")));

/// The claims of an attestation result: EAR, with the registered ones of JWT and EAT that say of whom, by whom and when.
///
/// Claims of other names are not looked at, as RFC 7519, 4 asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarClaims {
    /// What the other claims mean: [`EAR_PROFILE`].
    #[serde(rename = "eat_profile")]
    pub profile: String,
    /// Who signed: the trust domain.
    #[serde(rename = "iss")]
    pub issuer: String,
    /// Of whom it is: the device's SPIFFE ID.
    #[serde(rename = "sub")]
    pub subject: String,
    /// When the verdict was reached, in seconds since 1970. Not when the token was made: asking again makes no result younger.
    #[serde(rename = "iat")]
    pub appraised_at: i64,
    /// From when on it must not be used, in seconds since 1970.
    #[serde(rename = "exp")]
    pub expires_at: i64,
    /// The token's own name.
    #[serde(rename = "jti")]
    pub token_id: String,
    /// The relying party's nonce, in base64url.
    #[serde(rename = "eat_nonce", default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// What program appraised.
    #[serde(rename = "ear_verifier_id")]
    pub verifier: VerifierId,
    /// What it comes to.
    #[serde(rename = "ear_status")]
    pub status: VerdictStatus,
    /// What each attester comes to; here there is one, [`SUBMODULE`].
    pub submods: BTreeMap<String, Appraisal>,
}

/// What program appraised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierId {
    /// Who made it.
    pub developer: String,
    /// Which build of it.
    pub build: String,
}

/// What one attester comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appraisal {
    /// The worst of the vector.
    #[serde(rename = "ear_status")]
    pub status: VerdictStatus,
    /// One claim for each aspect (AR4SI).
    #[serde(rename = "ear_trustworthiness_vector")]
    pub vector: TrustVector,
    /// The golden image that the evidence was compared with; left out when there was none.
    #[serde(rename = "ear_appraisal_policy_ids", default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// What the verifier adds on its own authority.
    #[serde(rename = "ear_verifier_claims")]
    pub verifier_claims: VerifierClaims,
}

/// What the verifier adds, under one name of our own, which collides with nobody's (RFC 7519, 4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierClaims {
    /// Ours.
    pub vouchsafe: Details,
}

/// Why the result is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The piece of evidence that was appraised.
    pub attestation: AttestationId,
    /// The latest instant at which the quote is known to describe the host.
    pub quoted_at: Timestamp,
    /// What holds the device's score down at this instant, whatever the verdict says; the worst first.
    pub held_down_by: Vec<String>,
    /// What was found, the worst first.
    pub findings: Vec<ToldFinding>,
    /// How many findings are not told.
    pub findings_omitted: u64,
}

/// A finding as it is told: its code is a text, so that a reader may be older than the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldFinding {
    /// What was found.
    pub code: String,
    /// How much it weighs.
    pub severity: Severity,
    /// The bank of the PCR that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<HashAlgorithm>,
    /// The PCR that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcr: Option<PcrIndex>,
    /// The event of the boot log that it is about; the first is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// The entry of the IMA list that it is about; the first is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The file, device path or variable that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What should have been there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What an operator can do about it.
    pub advice: String,
}

impl From<&Finding> for ToldFinding {
    fn from(finding: &Finding) -> Self {
        let Finding { code, severity, bank, pcr, event, entry, path, expected, found, advice } = finding.clone();
        Self { code: code.name().to_owned(), severity, bank, pcr, event, entry, path, expected, found, advice }
    }
}

/// What a result is made of.
#[derive(Clone, Copy, Debug)]
pub struct Concluded<'a> {
    /// Who signs.
    pub trust_domain: &'a TrustDomain,
    /// Of whom.
    pub device: DeviceId,
    /// The last verdict.
    pub verdict: &'a Verdict,
    /// What holds the score down now, the strictest first, and to how many points.
    pub vetoes: &'a [(Veto, TrustScore)],
    /// How long after the quote the result is good.
    pub max_age: Duration,
    /// The token's own name.
    pub token_id: [u8; 16],
    /// The relying party's nonce.
    pub nonce: Option<&'a ResultNonce>,
}

/// Why there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The verdict is of an earlier enrolment.
    NotVouched,
    /// The quote is too old.
    TooOld,
}

impl Concluded<'_> {
    /// The claims at `now`.
    ///
    /// # Errors
    /// When the verdict no longer says anything about the device.
    pub fn claims(&self, now: Timestamp) -> Result<EarClaims, Refused> {
        if self.vetoes.iter().any(|(veto, _)| *veto == Veto::NeverAttested) {
            return Err(Refused::NotVouched);
        }
        // From the quote, not from the verdict: evidence that was made in advance is not good for longer.
        let expires_at = self.verdict.quoted_at().plus(self.max_age).unix_secs();
        if now.unix_secs() >= expires_at {
            return Err(Refused::TooOld);
        }
        let appraisal = self.appraisal();
        let subject = SpiffeId { trust_domain: self.trust_domain.clone(), role: PeerRole::Device(self.device) };
        Ok(EarClaims {
            profile: EAR_PROFILE.to_owned(),
            issuer: self.trust_domain.to_string(),
            subject: subject.to_string(),
            appraised_at: self.verdict.appraised_at().unix_secs(),
            expires_at,
            token_id: to_hex(&self.token_id),
            nonce: self.nonce.map(ResultNonce::claim),
            verifier: VerifierId { developer: VERIFIER.0.to_owned(), build: VERIFIER.1.to_owned() },
            status: appraisal.status,
            submods: BTreeMap::from([(SUBMODULE.to_owned(), appraisal)]),
        })
    }

    fn appraisal(&self) -> Appraisal {
        let vector = self.vector();
        let status = worst(vector).unwrap_or(VerdictStatus::Warning).max(self.verdict.status());
        Appraisal {
            status,
            vector,
            policies: self.verdict.image().map(ToString::to_string).into_iter().collect(),
            verifier_claims: VerifierClaims { vouchsafe: self.details() },
        }
    }

    fn details(&self) -> Details {
        let mut findings: Vec<_> = self.verdict.findings().iter().map(ToldFinding::from).collect();
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let omitted = findings.len().saturating_sub(MAX_FINDINGS);
        findings.truncate(MAX_FINDINGS);
        Details {
            attestation: self.verdict.attestation(),
            quoted_at: self.verdict.quoted_at(),
            held_down_by: self.vetoes.iter().map(|(veto, _)| veto.name().to_owned()).collect(),
            findings,
            findings_omitted: u64::try_from(omitted).unwrap_or(u64::MAX),
        }
    }

    /// The verdict's vector, lowered by what holds the score down, so that status and vector agree.
    fn vector(&self) -> TrustVector {
        let mut vector = self.verdict.vector();
        for (veto, ceiling) in self.vetoes {
            let weight = if *ceiling == TrustScore::ZERO { TrustClaim::CONTRAINDICATED } else { TrustClaim::WARNING };
            let (aspect, claim) = match veto {
                // Known, and not trustworthy (AR4SI, 2.3.4: instance identity 96).
                Veto::Revoked => (&mut vector.instance_identity, TrustClaim::CONTRAINDICATED),
                Veto::CertificateExpired | Veto::NeverAttested => (&mut vector.instance_identity, weight),
                // The findings say already what failed.
                Veto::AttestationFailed if self.verdict.status() == VerdictStatus::Contraindicated => continue,
                // Evidence came after this verdict that was not authentic.
                Veto::AttestationFailed => (&mut vector.instance_identity, TrustClaim::UNVERIFIABLE),
                Veto::UnknownImage => (&mut vector.executables, weight),
            };
            *aspect = claim.max(*aspect);
        }
        vector
    }
}

/// The status that the worst claim of a vector stands for.
fn worst(vector: TrustVector) -> Option<VerdictStatus> {
    aspects(vector).into_iter().filter_map(|(_, claim)| claim.status()).max()
}

/// The claims of a vector by the names of AR4SI, in its order.
pub fn aspects(vector: TrustVector) -> [(&'static str, TrustClaim); 8] {
    [
        ("instance-identity", vector.instance_identity),
        ("configuration", vector.configuration),
        ("executables", vector.executables),
        ("file-system", vector.file_system),
        ("hardware", vector.hardware),
        ("runtime-opaque", vector.runtime_opaque),
        ("storage-opaque", vector.storage_opaque),
        ("sourced-data", vector.sourced_data),
    ]
}

#[cfg(test)]
mod tests;
