//! What happened to a device, as far as its trust is concerned.
//!
//! Events are kept for as long as the device is: a trust state can be computed again from them, by this model or by
//! another. So each kind carries its version in its name, and a kind that has been written once is read for ever.

use serde::{Deserialize, Serialize};
use vouchsafe_model::trust::FactorName;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DecisionId, EndorsementGrade, Finding, Image, ImageId, Timestamp, Verdict};

use super::model_file::TrustModel;

/// One thing that happened. When it happened is told beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", deny_unknown_fields)]
pub enum TrustEvent {
    /// The device enrolled, for the first time or with new keys: it has yet to vouch for itself with these.
    #[serde(rename = "enrolled.v1")]
    Enrolled {
        /// How well its EK is vouched for.
        endorsement: EndorsementGrade,
        /// When its certificate ends.
        certificate_expires_at: Timestamp,
    },
    /// Authentic evidence was appraised.
    #[serde(rename = "attested.v1")]
    Attested(Attested),
    /// Evidence was not authentic: replayed, badly signed, relabelled.
    #[serde(rename = "evidence_refused.v1")]
    EvidenceRefused {
        /// Why, in the verifier's spelling. It is for those who read the history and changes no score.
        code: String,
    },
    /// An operator said which image to expect. It counts once evidence has been compared with it.
    #[serde(rename = "image_assigned.v1")]
    ImageAssigned {
        /// Which.
        image: ImageId,
        /// When it was made.
        created_at: Timestamp,
    },
    /// Nothing says any more what to expect.
    #[serde(rename = "image_cleared.v1")]
    ImageCleared {},
    /// The device has a new certificate.
    #[serde(rename = "certificate_renewed.v1")]
    CertificateRenewed {
        /// When it ends.
        expires_at: Timestamp,
    },
    /// An operator revoked the device.
    #[serde(rename = "revoked.v1")]
    Revoked {},
    /// An operator let it take part again.
    #[serde(rename = "restored.v1")]
    Restored {},
    /// A request of it was denied.
    #[serde(rename = "denied.v1")]
    Denied {
        /// The decision.
        decision: DecisionId,
    },
}

/// What authentic evidence came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attested {
    /// The verdict's status.
    pub status: VerdictStatus,
    /// The latest instant at which the quote is known to describe the host.
    pub quoted_at: Timestamp,
    /// When the verdict was reached.
    pub appraised_at: Timestamp,
    /// The image that the evidence was compared with.
    pub image: Option<ComparedImage>,
    /// When the certificate ends that the device has now.
    pub certificate_expires_at: Timestamp,
    /// What was booted, as far as it was compared with anything.
    #[serde(default, skip_serializing_if = "Measured::is_as_whole")]
    pub boot: Measured,
    /// What runs, as far as it was compared with anything.
    #[serde(default, skip_serializing_if = "Measured::is_as_whole")]
    pub runtime: Measured,
}

/// What one kind of measurement came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured {
    /// It is not told apart: what the evidence as a whole came to holds for it.
    #[default]
    AsWhole,
    /// Nothing was compared.
    Not,
    /// It was compared, and this is what it came to.
    #[serde(untagged)]
    Compared(VerdictStatus),
}

impl Measured {
    /// What is told of boot (or of what runs) by a verdict.
    fn of(verdict: &Verdict, covered: bool, runtime: bool) -> Self {
        let about = |finding: &&Finding| finding.code.is_about_runtime() == runtime;
        match VerdictStatus::of(verdict.findings().iter().filter(about)) {
            VerdictStatus::Affirming if !covered => Self::Not,
            status => Self::Compared(status),
        }
    }

    /// Whether a fault of this status of the whole is one of this measurement.
    pub(super) fn has_fault(self, whole: VerdictStatus) -> bool {
        match self {
            Self::AsWhole => true,
            Self::Not => false,
            Self::Compared(status) => status == whole,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_as_whole(&self) -> bool {
        matches!(self, Self::AsWhole)
    }
}

/// The image that evidence was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedImage {
    /// Which.
    pub id: ImageId,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Attested {
    /// Whether a fault of this evidence is one of this factor.
    pub(super) fn has_fault(&self, name: FactorName) -> bool {
        match name {
            FactorName::Boot => self.boot.has_fault(self.status),
            FactorName::Runtime => self.runtime.has_fault(self.status),
            FactorName::Freshness | FactorName::Tenure | FactorName::ImageAge | FactorName::Conduct => true,
        }
    }

    /// Of what good evidence earns a factor, the share that this evidence does: a quote by itself says a little of what
    /// was booted and of what runs, and less than the logs do.
    pub(super) fn measured_share(&self, model: &TrustModel, name: FactorName) -> f64 {
        match (name, self.boot, self.runtime) {
            (FactorName::Boot, Measured::Not, _) | (FactorName::Runtime, _, Measured::Not) => model.unmeasured_share(),
            _ => 1.0,
        }
    }
}

impl TrustEvent {
    /// The longest code of a refusal that is kept, in bytes.
    pub const MAX_CODE_LEN: usize = 64;

    /// The device enrolled.
    pub fn enrolled(endorsement: EndorsementGrade, certificate_expires_at: Timestamp) -> Self {
        Self::Enrolled { endorsement, certificate_expires_at }
    }

    /// Evidence was appraised, against this image if against any.
    pub fn attested(verdict: &Verdict, image: Option<&Image>, certificate_expires_at: Timestamp) -> Self {
        Self::Attested(Attested {
            status: verdict.status(),
            quoted_at: verdict.quoted_at(),
            appraised_at: verdict.appraised_at(),
            image: image.map(|image| ComparedImage { id: image.id.clone(), created_at: image.created_at }),
            certificate_expires_at,
            boot: Measured::of(verdict, verdict.coverage().boot, false),
            runtime: Measured::of(verdict, verdict.coverage().runtime, true),
        })
    }

    /// Evidence was not authentic. A code that is too long is cut.
    pub fn evidence_refused(code: &str) -> Self {
        let fits = |end: &usize| code.is_char_boundary(*end);
        let end = (0..=code.len().min(Self::MAX_CODE_LEN)).rev().find(fits).unwrap_or(0);
        Self::EvidenceRefused { code: code.get(..end).unwrap_or_default().to_owned() }
    }

    /// An operator said which image to expect.
    pub fn image_assigned(image: &Image) -> Self {
        Self::ImageAssigned { image: image.id.clone(), created_at: image.created_at }
    }

    /// Nothing says any more what to expect.
    pub fn image_cleared() -> Self {
        Self::ImageCleared {}
    }

    /// The device has a new certificate.
    pub fn certificate_renewed(expires_at: Timestamp) -> Self {
        Self::CertificateRenewed { expires_at }
    }

    /// An operator revoked the device.
    pub fn revoked() -> Self {
        Self::Revoked {}
    }

    /// An operator let it take part again.
    pub fn restored() -> Self {
        Self::Restored {}
    }

    /// A request of it was denied.
    pub fn denied(decision: DecisionId) -> Self {
        Self::Denied { decision }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of_each() -> Vec<TrustEvent> {
        let at = Timestamp::from_unix_secs(1);
        let image: ImageId = "web@1".parse().unwrap();
        vec![
            TrustEvent::enrolled(EndorsementGrade::Vendor, at),
            TrustEvent::Attested(Attested {
                status: VerdictStatus::Affirming,
                quoted_at: at,
                appraised_at: at,
                image: Some(ComparedImage { id: image.clone(), created_at: at }),
                certificate_expires_at: at,
                boot: Measured::AsWhole,
                runtime: Measured::AsWhole,
            }),
            TrustEvent::Attested(Attested {
                status: VerdictStatus::Contraindicated,
                quoted_at: at,
                appraised_at: at,
                image: None,
                certificate_expires_at: at,
                boot: Measured::Compared(VerdictStatus::Contraindicated),
                runtime: Measured::Not,
            }),
            TrustEvent::evidence_refused("quote.nonce"),
            TrustEvent::ImageAssigned { image, created_at: at },
            TrustEvent::image_cleared(),
            TrustEvent::certificate_renewed(at),
            TrustEvent::revoked(),
            TrustEvent::restored(),
            TrustEvent::denied(DecisionId::new(at, &[0; 10])),
        ]
    }

    #[test]
    fn every_kind_is_written_as_it_will_be_read_for_ever() {
        let written: Vec<String> = one_of_each().iter().map(|event| serde_json::to_string(event).unwrap()).collect();
        insta::assert_snapshot!(written.join("\n"), @r#"
        {"event":"enrolled.v1","endorsement":"vendor","certificate_expires_at":"1970-01-01T00:00:01.000Z"}
        {"event":"attested.v1","status":"affirming","quoted_at":"1970-01-01T00:00:01.000Z","appraised_at":"1970-01-01T00:00:01.000Z","image":{"id":"web@1","created_at":"1970-01-01T00:00:01.000Z"},"certificate_expires_at":"1970-01-01T00:00:01.000Z"}
        {"event":"attested.v1","status":"contraindicated","quoted_at":"1970-01-01T00:00:01.000Z","appraised_at":"1970-01-01T00:00:01.000Z","image":null,"certificate_expires_at":"1970-01-01T00:00:01.000Z","boot":"contraindicated","runtime":"not"}
        {"event":"evidence_refused.v1","code":"quote.nonce"}
        {"event":"image_assigned.v1","image":"web@1","created_at":"1970-01-01T00:00:01.000Z"}
        {"event":"image_cleared.v1"}
        {"event":"certificate_renewed.v1","expires_at":"1970-01-01T00:00:01.000Z"}
        {"event":"revoked.v1"}
        {"event":"restored.v1"}
        {"event":"denied.v1","decision":"00000000-03e8-7000-8000-000000000000"}
        "#);
        for (event, json) in one_of_each().iter().zip(&written) {
            assert_eq!(&serde_json::from_str::<TrustEvent>(json).unwrap(), event);
        }
    }

    #[test]
    fn an_unknown_kind_version_or_field_is_refused() {
        for event in one_of_each() {
            let mut json = serde_json::to_value(&event).unwrap();
            json["score"] = 100.into();
            assert!(serde_json::from_value::<TrustEvent>(json).is_err(), "{event:?}");
        }
        assert!(serde_json::from_str::<TrustEvent>(r#"{"event":"restored.v2"}"#).is_err());
        assert!(serde_json::from_str::<TrustEvent>(r#"{"event":"promoted.v1"}"#).is_err());
    }

    #[test]
    fn a_code_is_cut_between_characters() {
        let TrustEvent::EvidenceRefused { code } = TrustEvent::evidence_refused(&"é".repeat(100)) else { panic!() };
        assert_eq!(code, "é".repeat(TrustEvent::MAX_CODE_LEN / 2));
        let TrustEvent::EvidenceRefused { code } = TrustEvent::evidence_refused(&format!("x{}", "é".repeat(100)))
        else {
            panic!()
        };
        assert_eq!(code.len(), TrustEvent::MAX_CODE_LEN - 1);
    }
}
