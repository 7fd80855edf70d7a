//! What an operator can set of the trust engine. Every default is the safe one; what weakens a check carries `danger` in
//! its name.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vouchsafe_model::{EndorsementGrade, HashAlgorithm, PcrSelection, TrustScore};

use crate::score::schedule::ScheduleBounds;

/// The settings of the trust engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrustEngineConfig {
    /// How devices enrol.
    pub enrol: EnrolConfig,
    /// What devices quote, and when.
    pub attest: AttestConfig,
    /// How long certificates live.
    pub certificates: CertificateConfig,
    /// Attestation results for relying parties.
    pub result: ResultConfig,
}

/// How devices enrol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrolConfig {
    /// How long an agent has between the two messages, in seconds.
    pub ticket_ttl_secs: u64,
    /// The least that must vouch for an EK: `vendor` (a certificate chain) or `pinned` (the operator named the EK).
    pub minimum_endorsement: MinimumEndorsement,
}

/// The least that must vouch for an EK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MinimumEndorsement {
    /// The maker of the TPM.
    Vendor,
    /// An operator who named the EK, or the maker.
    Pinned,
    /// Nobody. Any program can then enrol as a device; policies still see the grade.
    DangerNone,
}

impl MinimumEndorsement {
    /// The grade that this asks for.
    pub const fn grade(self) -> EndorsementGrade {
        match self {
            Self::Vendor => EndorsementGrade::Vendor,
            Self::Pinned => EndorsementGrade::Pinned,
            Self::DangerNone => EndorsementGrade::None,
        }
    }
}

impl Default for EnrolConfig {
    fn default() -> Self {
        Self { ticket_ttl_secs: 300, minimum_endorsement: MinimumEndorsement::Pinned }
    }
}

/// What devices quote, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttestConfig {
    /// The PCRs that are quoted, all in the SHA-256 bank.
    pub pcrs: vouchsafe_model::pcr::PcrSet,
    /// The score that devices are asked to stay above; the schedule follows from it.
    pub keep_above: TrustScore,
    /// The shortest time between two attestations, in seconds.
    pub min_interval_secs: u64,
    /// The longest time between two attestations, in seconds. By default one and a half of these fit into the age of
    /// evidence that the default policy takes (900 s).
    pub max_interval_secs: u64,
    /// How long after it is due evidence is still looked at, in seconds. A nonce lives for the longest interval and this.
    pub grace_secs: u64,
    /// How much older than its round trip a quote may be before it is reported as delayed, in seconds.
    pub delay_tolerance_secs: u64,
    /// What becomes of a device that no image is assigned to.
    pub first_use: FirstUse,
}

/// What becomes of a device that no image is assigned to, at its first authentic quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstUse {
    /// Nothing: an operator assigns its image.
    Wait,
    /// It is assigned the newest golden image whose reference values it meets in full.
    Match,
}

impl Default for AttestConfig {
    fn default() -> Self {
        Self {
            // The firmware's, the boot loader's and the kernel's PCRs (PC Client Platform Firmware Profile, 3.3.4; UAPI
            // Linux TPM PCR registry). 16 and 23 are for debugging and applications: anyone may reset them.
            pcrs: (0..=15).filter_map(vouchsafe_model::PcrIndex::new).collect(),
            keep_above: TrustScore::new(60.0),
            min_interval_secs: 30,
            max_interval_secs: 600,
            grace_secs: 600,
            delay_tolerance_secs: 30,
            first_use: FirstUse::Match,
        }
    }
}

impl AttestConfig {
    /// What is quoted in this bank.
    pub fn selection(&self, bank: HashAlgorithm) -> PcrSelection {
        PcrSelection { bank, pcrs: self.pcrs }
    }

    /// The bounds of the schedule.
    pub fn bounds(&self) -> ScheduleBounds {
        ScheduleBounds {
            min_interval: Duration::from_secs(self.min_interval_secs),
            max_interval: Duration::from_secs(self.max_interval_secs),
        }
    }

    /// How long a nonce is good: until the latest that its evidence can be due, and the grace.
    pub fn nonce_ttl(&self) -> Duration {
        Duration::from_secs(self.max_interval_secs.saturating_add(self.grace_secs))
    }
}

/// How long certificates live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateConfig {
    /// A device's certificate, in seconds.
    pub device_ttl_secs: u64,
}

impl Default for CertificateConfig {
    fn default() -> Self {
        Self { device_ttl_secs: 86_400 }
    }
}

/// Attestation results for relying parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResultConfig {
    /// How long after the quote a result is good, in seconds: by default the age of evidence that the default policy takes.
    pub max_age_secs: u64,
}

impl Default for ResultConfig {
    fn default() -> Self {
        Self { max_age_secs: 900 }
    }
}

/// A setting that the engine cannot run with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct InvalidConfig {
    setting: &'static str,
    problem: &'static str,
}

impl TrustEngineConfig {
    /// The longest life of a ticket, in seconds.
    pub const MAX_TICKET_TTL_SECS: u64 = 3600;
    /// The longest life of a device's certificate, in seconds: thirty days.
    pub const MAX_DEVICE_TTL_SECS: u64 = 30 * 86_400;
    /// The longest time between two attestations, in seconds: one day.
    pub const MAX_INTERVAL_SECS: u64 = 86_400;

    /// The longest life of an attestation result, in seconds: one day.
    pub const MAX_RESULT_AGE_SECS: u64 = 86_400;

    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first setting that is out of its range, by its path.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let attest = &self.attest;
        let rules = [
            (
                (1..=Self::MAX_TICKET_TTL_SECS).contains(&self.enrol.ticket_ttl_secs),
                "enrol.ticket_ttl_secs",
                "must be 1 to 3600",
            ),
            (!attest.pcrs.is_empty(), "attest.pcrs", "must name at least one PCR: an empty quote proves nothing"),
            (attest.min_interval_secs >= 1, "attest.min_interval_secs", "must be at least 1"),
            (
                (attest.min_interval_secs..=Self::MAX_INTERVAL_SECS).contains(&attest.max_interval_secs),
                "attest.max_interval_secs",
                "must be at least attest.min_interval_secs and at most 86400",
            ),
            ((1..=Self::MAX_INTERVAL_SECS).contains(&attest.grace_secs), "attest.grace_secs", "must be 1 to 86400"),
            (
                (60..=Self::MAX_DEVICE_TTL_SECS).contains(&self.certificates.device_ttl_secs),
                "certificates.device_ttl_secs",
                "must be 60 to 2592000",
            ),
            (
                (60..=Self::MAX_RESULT_AGE_SECS).contains(&self.result.max_age_secs),
                "result.max_age_secs",
                "must be 60 to 86400",
            ),
        ];
        match rules.into_iter().find(|(valid, _, _)| !valid) {
            Some((_, setting, problem)) => Err(InvalidConfig { setting, problem }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_demand_an_endorsement() {
        let config = TrustEngineConfig::default();
        assert_eq!(config.check(), Ok(()));
        assert!(config.enrol.minimum_endorsement.grade() > EndorsementGrade::None);
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let mut config = TrustEngineConfig::default();
        config.attest.max_interval_secs = TrustEngineConfig::MAX_INTERVAL_SECS + 1;
        assert!(config.check().unwrap_err().to_string().starts_with("attest.max_interval_secs: must be"));
        let mut config = TrustEngineConfig::default();
        config.attest.pcrs = vouchsafe_model::pcr::PcrSet::EMPTY;
        assert!(config.check().is_err(), "an empty selection proves nothing");
        let mut config = TrustEngineConfig::default();
        config.enrol.ticket_ttl_secs = TrustEngineConfig::MAX_TICKET_TTL_SECS + 1;
        assert!(config.check().is_err());
        let mut config = TrustEngineConfig::default();
        config.certificates.device_ttl_secs = TrustEngineConfig::MAX_DEVICE_TTL_SECS + 1;
        assert!(config.check().is_err());
        for (max_age_secs, valid) in [(59, false), (60, true), (86_400, true), (86_401, false)] {
            let config = TrustEngineConfig { result: ResultConfig { max_age_secs }, ..TrustEngineConfig::default() };
            assert_eq!(config.check().is_ok(), valid, "{max_age_secs}");
        }
    }
}
