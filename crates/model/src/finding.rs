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
    /// The golden image asks for a PCR that the quote does not cover.
    PcrNotQuoted, "pcr.not_quoted", Failure,
        "add the PCR to the engine's PCR selection or let the image ignore it";
    /// The golden image asks what was measured into a PCR, and the boot event log does not come to its quoted value.
    PcrNotReplayed, "pcr.not_replayed", Failure,
        "find out what extends the PCR and leaves it out of the log; where the running system goes on extending it, let the image ask for nothing that is measured there";
    /// No golden image is assigned to the device.
    ImageUnassigned, "image.unassigned", Warning,
        "assign an image (vouchsafe device assign) or capture one from a device that you trust (vouchsafe image capture)";
    /// The golden image is retired.
    ImageRetired, "image.retired", Warning,
        "move the device to the image that replaced it";
    /// The image needs the boot event log, and none came.
    EventLogMissing, "event_log.missing", Failure,
        "see that the agent may read /sys/kernel/security/tpm0/binary_bios_measurements, or give the device an image without a boot section";
    /// The boot event log cannot be read.
    EventLogMalformed, "event_log.malformed", Failure,
        "look at the log with vouchsafe appraise eventlog; a log that firmware wrote badly can only be answered by PCR values in the image";
    /// The boot event log does not replay to the quoted value of a PCR.
    EventLogMismatch, "event_log.mismatch", Failure,
        "treat the log as forged, unless something extended this PCR without a log entry (an image may then hold its value instead)";
    /// An event's digest is not that of its data, where the type says that it must be.
    EventDigestMismatch, "event_log.digest_mismatch", Failure,
        "treat what this event claims as forged, unless the firmware is known to write it so";
    /// An event of a type that does not belong in its PCR.
    EventMisplaced, "event_log.event_misplaced", Failure,
        "treat the event as hidden or retyped, unless the firmware is known to write it so";
    /// An event whose type is not known: its digest stays unexplained.
    EventTypeUnknown, "event_log.event_type_unknown", Warning,
        "find out what the firmware measures there, and let the image hold the PCR's value";
    /// An event's data does not have the shape of its type.
    EventDataMalformed, "event_log.event_data_malformed", Warning,
        "look at the event with vouchsafe appraise eventlog";
    /// A PCR has no separator between firmware and operating system.
    SeparatorMissing, "event_log.separator_missing", Failure,
        "let the image accept this deviation if the firmware is known for it";
    /// A PCR has more than one separator.
    SeparatorRepeated, "event_log.separator_repeated", Failure,
        "treat the log as forged, unless the firmware is known for it";
    /// A separator that reports an error of the firmware.
    SeparatorError, "event_log.separator_error", Failure,
        "read the firmware's own log: its measurements stopped for an error";
    /// An event of the firmware after its PCR's separator.
    EventAfterSeparator, "event_log.event_after_separator", Failure,
        "let the image accept this deviation if the firmware is known for it";
    /// The firmware did not measure that the boot services were left.
    ExitBootServicesMissing, "event_log.exit_boot_services_missing", Warning,
        "let the image accept this deviation if the firmware is known for it";
    /// Leaving the boot services failed.
    ExitBootServicesFailed, "event_log.exit_boot_services_failed", Warning,
        "look at the boot loader: it left the boot services at the second attempt or not at all";
    /// More is wrong with the boot event log than is told one by one.
    EventLogMore, "event_log.more", Failure,
        "mend what the other findings say first";
    /// Secure Boot's variables contradict each other.
    SecureBootContradiction, "secure_boot.contradiction", Failure,
        "check the firmware's settings: Secure Boot cannot be on while in setup mode";
    /// Secure Boot is off, and the image wants it on.
    SecureBootOff, "secure_boot.off", Failure,
        "turn Secure Boot on in the firmware, or let the image do without it";
    /// A key is enrolled for Secure Boot that the image does not list.
    SecureBootKeyUnknown, "secure_boot.key_unknown", Failure,
        "find out who enrolled the key; list it in the image if it was meant";
    /// A key that the image lists is not enrolled for Secure Boot.
    SecureBootKeyMissing, "secure_boot.key_missing", Warning,
        "enrol the key again, or take it out of the image";
    /// The list of revoked images lacks entries that the image asks for.
    DbxOutdated, "secure_boot.dbx_outdated", Failure,
        "install the dbx update (fwupdmgr update)";
    /// The SBAT level of shim is older than the image asks.
    SbatOutdated, "secure_boot.sbat_outdated", Failure,
        "update shim and let it take its newest revocations (mokutil --set-sbat-policy latest), then restart the host";
    /// What was booted is revoked, by its digest or by its signer.
    BootImageRevoked, "secure_boot.image_revoked", Failure,
        "update the boot loader at once: this one is known to be vulnerable";
    /// An image was booted that the golden image does not list.
    BootImageUnknown, "boot.image_unknown", Failure,
        "find out who installed it; list it in the image if it was meant";
    /// An image that the golden image requires was not booted.
    BootImageMissing, "boot.image_missing", Failure,
        "compare the boot order with the one of the image";
    /// The kernel's command line is not one that the image allows.
    CommandLineMismatch, "boot.command_line_mismatch", Failure,
        "restore the boot loader's configuration, or allow the command line in the image";
    /// The initrd is not one that the image lists.
    InitrdUnknown, "boot.initrd_unknown", Failure,
        "find out who built it; list it in the image if it was meant";
    /// An option ROM or driver was loaded that the image does not list.
    OptionRomUnknown, "boot.option_rom_unknown", Failure,
        "find out what card or driver this is; list it in the image if it was meant";
    /// The image needs the IMA list, and none came.
    ImaMissing, "ima.missing", Failure,
        "boot the kernel with ima_policy=tcb, or give the device an image without a runtime section";
    /// The IMA list cannot be read.
    ImaMalformed, "ima.malformed", Failure,
        "look at the list with vouchsafe appraise ima";
    /// The IMA list does not replay to the quoted value of PCR 10.
    ImaMismatch, "ima.mismatch", Failure,
        "treat the list as forged, unless something else extends PCR 10 on this host";
    /// The template hash of an entry is not that of its data.
    ImaTemplateMismatch, "ima.template_hash_mismatch", Failure,
        "treat the entry as forged";
    /// The boot aggregate is not that of the quoted PCRs.
    ImaBootAggregateMismatch, "ima.boot_aggregate_mismatch", Failure,
        "treat the list as one of another boot, unless a boot loader extends PCR 8 or 9 after the kernel started";
    /// The list has no boot aggregate as its first entry.
    ImaBootAggregateMissing, "ima.boot_aggregate_missing", Failure,
        "treat the list as cut";
    /// A file changed while it was measured: what ran is unknown.
    ImaViolation, "ima.violation", Warning,
        "exclude files that are written while they are open for reading, such as logs";
    /// A file was measured that the runtime policy does not list.
    FileUnlisted, "ima.file_unlisted", Failure,
        "find out where the file came from; add it to the image if it was meant";
    /// A file does not have a digest that the runtime policy lists for it.
    FileChanged, "ima.file_changed", Failure,
        "reinstall the package that owns the file; if it was updated, ship an image that holds the new digest";
    /// A file's signature is by a key that the policy does not know.
    FileSignatureUnknownKey, "ima.signature_unknown_key", Failure,
        "add the signer's certificate to the image, or list the file's digest";
    /// A file's signature is not valid.
    FileSignatureInvalid, "ima.signature_invalid", Failure,
        "treat the file as tampered with: reinstall the package that owns it";
    /// A key was loaded on a keyring that the policy does not list.
    KeyringKeyUnknown, "ima.key_unknown", Failure,
        "find out who loaded the key; list it in the image if it was meant";
    /// The boot aggregate is of a bank that was not quoted, or not with PCRs 0 to 9.
    ImaBootAggregateUnchecked, "ima.boot_aggregate_unchecked", Warning,
        "let the engine quote PCRs 0 to 10 of the bank that the kernel makes its boot aggregate of (ima_hash=)";
    /// An entry of the IMA list is of another PCR than 10: no quote vouches for it.
    ImaOtherPcr, "ima.other_pcr", Warning,
        "remove pcr= from the host's IMA policy";
    /// A rule or an exclusion of the runtime policy let entries pass.
    ImaRuleApplied, "ima.rule_applied", Info,
        "nothing, if the rule is still meant so";
    /// A part of the IMA list was never held against a runtime policy.
    ImaUnjudged, "ima.unjudged", Failure,
        "nothing, if the engine asks for the list anew; otherwise restart the host";
    /// More is wrong with the IMA list than is told one by one.
    ImaMore, "ima.more", Failure,
        "mend what the other findings say first";
    /// The image that the device runs was superseded, and the time for the move is over.
    ImageSuperseded, "image.superseded", Failure,
        "update the host to the image that superseded this one, and restart it";
    /// The image is older than it says that it may become.
    ImageTooOld, "image.too_old", Warning,
        "build the image anew from what is current, and ship it";
    /// The image cannot be read any more.
    ImageUnreadable, "image.unreadable", Failure,
        "import the image anew";
    /// The image accepts this deviation of the firmware.
    DeviationAccepted, "image.deviation_accepted", Info,
        "nothing: the image says that this firmware is known for it";
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
    /// The event of the boot log that it is about; the first is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// The entry of the IMA list that it is about; the first since boot is 1.
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

impl Finding {
    /// The longest path, expectation or find that is told, in bytes: evidence may hold texts of any length.
    pub const MAX_TEXT_LEN: usize = 512;

    /// A finding of this code, at the code's own severity.
    pub fn new(code: FindingCode) -> Self {
        Self {
            code,
            severity: code.severity(),
            bank: None,
            pcr: None,
            event: None,
            entry: None,
            path: None,
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

    /// The same finding, about this event of the boot log; the first is 1.
    #[must_use]
    pub fn at_event(self, event: u64) -> Self {
        Self { event: Some(event), ..self }
    }

    /// The same finding, about this entry of the IMA list; the first is 1.
    #[must_use]
    pub fn at_entry(self, entry: u64) -> Self {
        Self { entry: Some(entry), ..self }
    }

    /// The same finding, about this file, device path or variable. What is longer than [`Self::MAX_TEXT_LEN`] is cut.
    #[must_use]
    pub fn about(self, path: impl ToString) -> Self {
        Self { path: Some(shortened(path.to_string())), ..self }
    }

    /// The same finding as something that is worth knowing and costs nothing.
    #[must_use]
    pub fn at_no_cost(self) -> Self {
        Self { severity: Severity::Info, ..self }
    }

    /// The same finding, with what was expected and what was found.
    #[must_use]
    pub fn with(self, expected: impl ToString, found: impl ToString) -> Self {
        Self { expected: Some(shortened(expected.to_string())), found: Some(shortened(found.to_string())), ..self }
    }
}

/// The text, cut after [`Finding::MAX_TEXT_LEN`] bytes with a mark that says so.
fn shortened(mut text: String) -> String {
    const MARK: &str = "…";
    if text.len() > Finding::MAX_TEXT_LEN {
        let fits = |end: &usize| text.is_char_boundary(*end);
        text.truncate((0..=Finding::MAX_TEXT_LEN - MARK.len()).rev().find(fits).unwrap_or(0));
        text.push_str(MARK);
    }
    text
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.name())?;
        if let Some(pcr) = self.pcr {
            write!(f, " PCR {pcr}")?;
        }
        if let Some(event) = self.event {
            write!(f, " event {event}")?;
        }
        if let Some(entry) = self.entry {
            write!(f, " entry {entry}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " {path:?}")?;
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
        let finding = Finding::new(FindingCode::PcrMismatch).at_event(3).at_entry(4).about("/bin/\nls");
        assert_eq!(finding.to_string(), "pcr.mismatch event 3 entry 4 \"/bin/\\nls\"");
    }

    #[test]
    fn a_text_of_the_evidence_is_cut_at_its_limit() {
        let about = |len: usize| Finding::new(FindingCode::PcrMismatch).about("é".repeat(len / 2)).path.unwrap();
        assert_eq!(about(Finding::MAX_TEXT_LEN), "é".repeat(Finding::MAX_TEXT_LEN / 2));
        let cut = about(Finding::MAX_TEXT_LEN + 2);
        assert!(cut.len() <= Finding::MAX_TEXT_LEN && cut.ends_with("é…"));
    }
}
