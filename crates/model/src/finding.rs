//! What an appraisal found, one fact at a time, each with a code that programs can match.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hash::HashAlgorithm;
use crate::pcr::PcrIndex;

/// How much a finding weighs. Ordered: a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; costs nothing.
    Info,
    /// Costs trust.
    Warning,
    /// The evidence contradicts what is expected: the verdict fails.
    Failure,
}

/// Declares the codes once: variant, spelling, severity and what to do about it.
macro_rules! finding_codes {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $severity:ident, $advice:literal;)+) => {
        /// What was found.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema,
        )]
        pub enum FindingCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl FindingCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its spelling, stable across versions.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// How much it weighs.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            /// What an operator can do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),+ }
            }
        }
    };
}

finding_codes! {
    /// The TPM's firmware is not the one of the last attestation.
    FirmwareChanged, "tpm.firmware_changed", Warning,
        "check that a TPM firmware update was meant; the next attestation takes the new version as known";
    /// The TPM was reset since the last attestation: the host rebooted.
    TpmReset, "tpm.reset", Info,
        "nothing: the host was restarted";
    /// The TPM resumed from suspend since the last attestation.
    TpmRestarted, "tpm.restarted", Info,
        "nothing: the host was suspended or hibernated";
    /// The clock, resetCount or restartCount went back without the reset that would explain it.
    ClockWentBack, "tpm.clock_went_back", Failure,
        "enrol the device anew if its TPM was cleared or replaced; otherwise treat it as an attack";
    /// The TPM says that its clock may be behind, after a power failure.
    ClockUnsafe, "tpm.clock_unsafe", Info,
        "nothing: the TPM lost power without an orderly shutdown";
    /// The quote is older than the round trip explains.
    QuoteDelayed, "quote.delayed", Warning,
        "look for a paused or overloaded host, or for evidence that was made in advance";
    /// PCRs are kept in a bank whose hash is broken.
    WeakBank, "pcr.weak_bank", Warning,
        "enable the TPM's SHA-256 bank in the firmware and remove the consent to SHA-1";
    /// A PCR does not have the value that the golden image holds.
    PcrMismatch, "pcr.mismatch", Failure,
        "find out what changed in what this PCR measures; if it was meant, capture a new version of the image";
    /// The golden image holds a value for a PCR that the quote does not cover.
    PcrNotQuoted, "pcr.not_quoted", Failure,
        "add the PCR to the engine's PCR selection or let the image ignore it";
    /// No golden image is assigned to the device.
    ImageUnassigned, "image.unassigned", Warning,
        "assign an image (vouchsafe device assign) or capture one from a device that you trust (vouchsafe image capture)";
    /// The golden image is retired.
    ImageRetired, "image.retired", Warning,
        "move the device to the image that replaced it";
}

impl std::fmt::Display for FindingCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One fact about evidence: a code, and where it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Finding {
    /// What was found.
    pub code: FindingCode,
    /// How much it weighs.
    pub severity: Severity,
    /// The bank of the PCR that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bank: Option<HashAlgorithm>,
    /// The PCR that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcr: Option<PcrIndex>,
    /// What should have been there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What an operator can do about it.
    pub advice: String,
}

impl Finding {
    /// A finding of this code, at the code's own severity.
    pub fn new(code: FindingCode) -> Self {
        Self {
            code,
            severity: code.severity(),
            bank: None,
            pcr: None,
            expected: None,
            found: None,
            advice: code.advice().to_owned(),
        }
    }

    /// The same finding, about this PCR.
    #[must_use]
    pub fn at_pcr(self, bank: HashAlgorithm, pcr: PcrIndex) -> Self {
        Self { bank: Some(bank), pcr: Some(pcr), ..self }
    }

    /// The same finding, with what was expected and what was found.
    #[must_use]
    pub fn with(self, expected: impl ToString, found: impl ToString) -> Self {
        Self { expected: Some(expected.to_string()), found: Some(found.to_string()), ..self }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.name())?;
        if let Some(pcr) = self.pcr {
            write!(f, " PCR {pcr}")?;
        }
        if let (Some(expected), Some(found)) = (&self.expected, &self.found) {
            write!(f, ": expected {expected}, found {found}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_spelled_once_and_each_says_what_to_do() {
        let mut names: Vec<_> = FindingCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FindingCode::ALL.len());
        for code in FindingCode::ALL {
            assert!(!code.advice().is_empty());
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }

    #[test]
    fn a_finding_reads_as_a_sentence() {
        let finding = Finding::new(FindingCode::PcrMismatch)
            .at_pcr(HashAlgorithm::Sha256, PcrIndex::new(7).unwrap())
            .with("aa", "bb");
        assert_eq!(finding.to_string(), "pcr.mismatch PCR 7: expected aa, found bb");
    }
}
