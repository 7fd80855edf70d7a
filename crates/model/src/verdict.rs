//! The attestation result: what the engine concluded from one piece of evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::finding::{Finding, Severity};
use crate::id::AttestationId;
use crate::image::ImageId;
use crate::time::Timestamp;
use crate::vector::{Coverage, TrustVector};

/// What a verdict comes to, in the tiers of RATS AR4SI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictStatus {
    /// The evidence agrees with the reference values.
    Affirming,
    /// Nothing contradicts, and something is missing or weak.
    Warning,
    /// The evidence contradicts the reference values.
    Contraindicated,
}

impl VerdictStatus {
    /// What findings come to: the worst of them.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        match findings.into_iter().map(|finding| finding.severity).max() {
            Some(Severity::Failure) => Self::Contraindicated,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::Info) | None => Self::Affirming,
        }
    }

    /// Its name, as policies spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        }
    }
}

impl std::fmt::Display for VerdictStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What the engine concluded from one piece of authentic evidence.
///
/// Its status is the worst of its findings and nothing else: there is no way to make a verdict that fails and affirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(from = "UncheckedVerdict")]
pub struct Verdict {
    attestation: AttestationId,
    appraised_at: Timestamp,
    quoted_at: Timestamp,
    status: VerdictStatus,
    image: Option<ImageId>,
    coverage: Coverage,
    vector: TrustVector,
    findings: Vec<Finding>,
}

/// A verdict as it was written down; reading it computes status and vector again.
#[derive(Deserialize, JsonSchema)]
struct UncheckedVerdict {
    attestation: AttestationId,
    appraised_at: Timestamp,
    quoted_at: Timestamp,
    image: Option<ImageId>,
    coverage: Coverage,
    findings: Vec<Finding>,
}

impl From<UncheckedVerdict> for Verdict {
    fn from(read: UncheckedVerdict) -> Self {
        Self::new(read.attestation, read.appraised_at, read.quoted_at, read.image, read.coverage, read.findings)
    }
}

impl Verdict {
    /// The most findings of one verdict. An appraisal tells the worst, and counts the rest in the last one.
    pub const MAX_FINDINGS: usize = 512;

    /// Concludes from findings.
    ///
    /// `quoted_at` is the latest instant by which the quote is known to be fresh: never after `appraised_at`.
    pub fn new(
        attestation: AttestationId,
        appraised_at: Timestamp,
        quoted_at: Timestamp,
        image: Option<ImageId>,
        coverage: Coverage,
        findings: Vec<Finding>,
    ) -> Self {
        let status = VerdictStatus::of(&findings);
        let vector = TrustVector::conclude(coverage, &findings);
        let quoted_at = quoted_at.min(appraised_at);
        Self { attestation, appraised_at, quoted_at, status, image, coverage, vector, findings }
    }

    /// The piece of evidence that this is about.
    pub fn attestation(&self) -> AttestationId {
        self.attestation
    }

    /// When it was reached.
    pub fn appraised_at(&self) -> Timestamp {
        self.appraised_at
    }

    /// The latest instant at which the quote is known to describe the host.
    pub fn quoted_at(&self) -> Timestamp {
        self.quoted_at
    }

    /// What it comes to.
    pub fn status(&self) -> VerdictStatus {
        self.status
    }

    /// The golden image that the evidence was compared with.
    pub fn image(&self) -> Option<&ImageId> {
        self.image.as_ref()
    }

    /// What was looked at.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// What it claims of each aspect of the host.
    pub fn vector(&self) -> TrustVector {
        self.vector
    }

    /// What it is made of.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The findings for which it fails.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endorsement::EndorsementGrade;
    use crate::finding::FindingCode;

    const COVERAGE: Coverage = Coverage::quote_only(EndorsementGrade::Vendor);

    fn verdict(findings: &[FindingCode]) -> Verdict {
        let now = Timestamp::from_unix_secs(100);
        let findings = findings.iter().map(|code| Finding::new(*code)).collect();
        Verdict::new(AttestationId::new(now, &[0; 10]), now, now, None, COVERAGE, findings)
    }

    #[test]
    fn its_status_is_the_worst_finding() {
        assert_eq!(verdict(&[]).status(), VerdictStatus::Affirming);
        assert_eq!(verdict(&[FindingCode::TpmReset]).status(), VerdictStatus::Affirming);
        assert_eq!(verdict(&[FindingCode::TpmReset, FindingCode::WeakBank]).status(), VerdictStatus::Warning);
        assert_eq!(
            verdict(&[FindingCode::PcrMismatch, FindingCode::WeakBank]).status(),
            VerdictStatus::Contraindicated
        );
    }

    #[test]
    fn a_written_status_is_not_believed() {
        let mut json = serde_json::to_value(verdict(&[FindingCode::PcrMismatch])).unwrap();
        json["status"] = "affirming".into();
        let read: Verdict = serde_json::from_value(json).unwrap();
        assert_eq!(read.status(), VerdictStatus::Contraindicated);
    }

    #[test]
    fn a_quote_is_never_fresher_than_its_appraisal() {
        let now = Timestamp::from_unix_secs(100);
        let later = Timestamp::from_unix_secs(200);
        let verdict = Verdict::new(AttestationId::new(now, &[0; 10]), now, later, None, COVERAGE, Vec::new());
        assert_eq!(verdict.quoted_at(), now);
    }
}
