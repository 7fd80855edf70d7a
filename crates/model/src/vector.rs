//! The trustworthiness vector of an attestation result (draft-ietf-rats-ar4si): one claim for each aspect of a host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::endorsement::EndorsementGrade;
use crate::finding::{Finding, FindingCode, Severity};
use crate::verdict::VerdictStatus;

/// An aspect of a host of which a result makes a claim (AR4SI, 2.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// Which host it is, and that its keys are its own.
    InstanceIdentity,
    /// How firmware and boot are set up.
    Configuration,
    /// What was booted, and what runs.
    Executables,
    /// The files it was read from.
    FileSystem,
    /// The TPM and who vouches for it.
    Hardware,
}

/// A claim: a number whose range says the tier, and whose value says why (AR4SI, 2.3.3).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema,
)]
#[serde(transparent)]
pub struct TrustClaim(i8);

impl TrustClaim {
    /// Nothing was looked at.
    pub const NONE: Self = Self(0);
    /// What was looked at is as it should be.
    pub const AFFIRMING: Self = Self(2);
    /// Executables: what was booted is as it should be; what runs was not looked at.
    pub const APPROVED_BOOT: Self = Self(3);
    /// There is something that calls for attention.
    pub const WARNING: Self = Self(32);
    /// What was looked at is not as it should be.
    pub const CONTRAINDICATED: Self = Self(96);
    /// The evidence does not verify.
    pub const UNVERIFIABLE: Self = Self(99);

    /// Its number.
    pub const fn get(self) -> i8 {
        self.0
    }

    /// The status that a claim of this tier stands for; `None` when nothing is claimed.
    pub const fn status(self) -> Option<VerdictStatus> {
        match self.0 {
            ..=1 => None,
            2..=31 => Some(VerdictStatus::Affirming),
            32..=95 => Some(VerdictStatus::Warning),
            96.. => Some(VerdictStatus::Contraindicated),
        }
    }
}

/// What was looked at: of the rest nothing is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Coverage {
    /// How well the TPM is vouched for.
    pub endorsement: EndorsementGrade,
    /// What was booted was compared with an image: by its log, or by PCR values.
    #[serde(default)]
    pub boot: bool,
    /// What runs was compared with an image.
    #[serde(default)]
    pub runtime: bool,
}

impl Coverage {
    /// Nothing beyond the quote itself.
    pub const fn quote_only(endorsement: EndorsementGrade) -> Self {
        Self { endorsement, boot: false, runtime: false }
    }
}

/// One claim for each aspect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TrustVector {
    /// Which host it is, and that its keys are its own.
    pub instance_identity: TrustClaim,
    /// How firmware and boot are set up.
    pub configuration: TrustClaim,
    /// What was booted, and what runs.
    pub executables: TrustClaim,
    /// The files it was read from.
    pub file_system: TrustClaim,
    /// The TPM and who vouches for it.
    pub hardware: TrustClaim,
    /// Whether memory is hidden from others: never looked at.
    pub runtime_opaque: TrustClaim,
    /// Whether storage is hidden from others: never looked at.
    pub storage_opaque: TrustClaim,
    /// Whether data from elsewhere is trusted: never looked at.
    pub sourced_data: TrustClaim,
}

impl TrustVector {
    /// Concludes from what was looked at and what was found.
    pub fn conclude(coverage: Coverage, findings: &[Finding]) -> Self {
        let mut vector = Self::covered(coverage);
        for finding in findings {
            let Some(claim) = claim(finding) else { continue };
            for aspect in finding.code.aspects() {
                let present = vector.of_mut(*aspect);
                *present = claim.max(*present);
            }
        }
        vector
    }

    fn covered(coverage: Coverage) -> Self {
        let Coverage { endorsement, boot, runtime } = coverage;
        let when = |looked_at: bool, claim| if looked_at { claim } else { TrustClaim::NONE };
        Self {
            // The quote is signed by a key that was proven to live in this TPM.
            instance_identity: TrustClaim::AFFIRMING,
            configuration: when(boot, TrustClaim::AFFIRMING),
            executables: match (boot, runtime) {
                (true, true) => TrustClaim::AFFIRMING,
                (true, false) => TrustClaim::APPROVED_BOOT,
                (false, _) => TrustClaim::NONE,
            },
            file_system: when(runtime, TrustClaim::AFFIRMING),
            hardware: match endorsement {
                EndorsementGrade::Vendor | EndorsementGrade::Pinned => TrustClaim::AFFIRMING,
                EndorsementGrade::None => TrustClaim::NONE,
            },
            ..Self::default()
        }
    }

    const fn of_mut(&mut self, aspect: Aspect) -> &mut TrustClaim {
        match aspect {
            Aspect::InstanceIdentity => &mut self.instance_identity,
            Aspect::Configuration => &mut self.configuration,
            Aspect::Executables => &mut self.executables,
            Aspect::FileSystem => &mut self.file_system,
            Aspect::Hardware => &mut self.hardware,
        }
    }
}

/// What a finding comes to, for each aspect that it is about; nothing when it costs nothing.
fn claim(finding: &Finding) -> Option<TrustClaim> {
    match (finding.severity, finding.code) {
        (Severity::Info, _) => None,
        (Severity::Warning, _) => Some(TrustClaim::WARNING),
        (
            Severity::Failure,
            FindingCode::EventLogMismatch
            | FindingCode::PcrNotReplayed
            | FindingCode::ImaMismatch
            | FindingCode::ImaTemplateMismatch,
        ) => Some(TrustClaim::UNVERIFIABLE),
        (Severity::Failure, _) => Some(TrustClaim::CONTRAINDICATED),
    }
}

impl FindingCode {
    /// What of the host it is about.
    pub const fn aspects(self) -> &'static [Aspect] {
        match self {
            Self::FirmwareChanged | Self::TpmReset | Self::TpmRestarted | Self::ClockWentBack | Self::ClockUnsafe => {
                &[Aspect::Hardware]
            }
            Self::QuoteDelayed => &[Aspect::InstanceIdentity],
            Self::WeakBank
            | Self::SecureBootContradiction
            | Self::SecureBootOff
            | Self::SecureBootKeyUnknown
            | Self::SecureBootKeyMissing
            | Self::DbxOutdated
            | Self::SbatOutdated
            | Self::CommandLineMismatch
            | Self::EventTypeUnknown
            | Self::EventDataMalformed
            | Self::SeparatorMissing
            | Self::SeparatorRepeated
            | Self::SeparatorError
            | Self::EventAfterSeparator
            | Self::ExitBootServicesMissing
            | Self::ExitBootServicesFailed
            | Self::DeviationAccepted => &[Aspect::Configuration],
            Self::BootImageRevoked
            | Self::BootImageUnknown
            | Self::BootImageMissing
            | Self::InitrdUnknown
            | Self::OptionRomUnknown
            | Self::ImageUnassigned
            | Self::ImageRetired
            | Self::ImageSuperseded
            | Self::ImageTooOld
            | Self::ImageUnreadable => &[Aspect::Executables],
            Self::PcrMismatch
            | Self::PcrNotQuoted
            | Self::PcrNotReplayed
            | Self::EventLogMissing
            | Self::EventLogMalformed
            | Self::EventLogMismatch
            | Self::EventDigestMismatch
            | Self::EventLogMore
            | Self::EventMisplaced => &[Aspect::Configuration, Aspect::Executables],
            Self::ImaMissing
            | Self::ImaMalformed
            | Self::ImaMismatch
            | Self::ImaTemplateMismatch
            | Self::ImaBootAggregateMismatch
            | Self::ImaBootAggregateMissing
            | Self::ImaViolation
            | Self::FileUnlisted
            | Self::FileChanged
            | Self::FileSignatureUnknownKey
            | Self::FileSignatureInvalid
            | Self::KeyringKeyUnknown
            | Self::ImaBootAggregateUnchecked
            | Self::ImaOtherPcr
            | Self::ImaRuleApplied
            | Self::ImaUnjudged
            | Self::ImaMore => &[Aspect::Executables, Aspect::FileSystem],
        }
    }

    /// Whether it is about what runs, rather than about what was booted.
    pub fn is_about_runtime(self) -> bool {
        self.aspects().contains(&Aspect::FileSystem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: true };

    fn vector(coverage: Coverage, codes: &[FindingCode]) -> TrustVector {
        let findings: Vec<_> = codes.iter().map(|code| Finding::new(*code)).collect();
        TrustVector::conclude(coverage, &findings)
    }

    #[test]
    fn what_was_not_looked_at_is_not_claimed() {
        let vector = vector(Coverage::quote_only(EndorsementGrade::None), &[]);
        let expected = TrustVector { instance_identity: TrustClaim::AFFIRMING, ..TrustVector::default() };
        assert_eq!(vector, expected);
    }

    #[test]
    fn what_was_looked_at_and_found_good_is_affirmed() {
        let json = serde_json::to_value(vector(ALL, &[FindingCode::TpmReset])).unwrap();
        let expected = serde_json::json!({
            "instance-identity": 2, "configuration": 2, "executables": 2, "file-system": 2, "hardware": 2,
            "runtime-opaque": 0, "storage-opaque": 0, "sourced-data": 0,
        });
        assert_eq!(json, expected);
        let booted = vector(Coverage { runtime: false, ..ALL }, &[]);
        assert_eq!((booted.executables, booted.file_system), (TrustClaim::APPROVED_BOOT, TrustClaim::NONE));
    }

    #[test]
    fn the_worst_finding_decides_about_its_aspects_and_about_no_other() {
        let changed = vector(ALL, &[FindingCode::FileChanged, FindingCode::ImaViolation]);
        assert_eq!(changed.executables, TrustClaim::CONTRAINDICATED);
        assert_eq!(changed.file_system, TrustClaim::CONTRAINDICATED);
        assert_eq!(changed.configuration, TrustClaim::AFFIRMING);
        assert_eq!(vector(ALL, &[FindingCode::ImaMismatch]).file_system, TrustClaim::UNVERIFIABLE);
        assert_eq!(vector(ALL, &[FindingCode::PcrNotReplayed]).executables, TrustClaim::UNVERIFIABLE);
        assert_eq!(vector(ALL, &[FindingCode::PcrNotQuoted]).executables, TrustClaim::CONTRAINDICATED);
        assert_eq!(vector(ALL, &[FindingCode::FirmwareChanged]).hardware, TrustClaim::WARNING);
    }

    #[test]
    fn a_finding_that_fails_a_verdict_contraindicates_an_aspect() {
        for code in FindingCode::ALL {
            let vector = vector(ALL, &[*code]);
            let worst = [
                vector.instance_identity,
                vector.configuration,
                vector.executables,
                vector.file_system,
                vector.hardware,
            ]
            .into_iter()
            .filter_map(TrustClaim::status)
            .max();
            let expected = match code.severity() {
                Severity::Info => VerdictStatus::Affirming,
                Severity::Warning => VerdictStatus::Warning,
                Severity::Failure => VerdictStatus::Contraindicated,
            };
            assert_eq!(worst, Some(expected), "{code}");
        }
    }
}
