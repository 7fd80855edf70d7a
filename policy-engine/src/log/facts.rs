//! The facts about a device as the policy saw them, in the log: `input.device` of that instant, less its score, factors and
//! vetoes, which `decision.score` has.
//!
//! Of what is left only the age of the evidence depends on the instant. The rest is written once for each revision of the
//! record and then copied.

use serde::{Deserialize, Serialize};
use vouchsafe_model::trust::ScoreExplanation;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DeviceId, DeviceState, EndorsementGrade, HostFacts, ImageId, Timestamp};
use vouchsafe_wire::v1::agent::{DeviceFacts, FindingFacts, VerdictFacts};
use vouchsafe_wire::v1::record::DeviceRecord;

use super::entry::member;
use crate::input::{finding_facts, verdict_age_secs, vetoes};
use crate::known::KnownDevice;

/// What of [`DeviceFacts`](vouchsafe_wire::v1::agent::DeviceFacts) follows from the record alone, the verdict not counted.
#[derive(Serialize)]
struct Steady<'a> {
    id: DeviceId,
    state: DeviceState,
    endorsement: EndorsementGrade,
    enrolled_at: Timestamp,
    image: Option<&'a ImageId>,
    certificate_expires_at: Timestamp,
    claims: &'a HostFacts,
}

/// What of a verdict does.
#[derive(Serialize)]
struct SteadyVerdict {
    status: VerdictStatus,
    appraised_at: Timestamp,
    findings: Vec<FindingFacts>,
}

/// What follows from the record alone: an object that goes on, in its verdict if there is one.
pub(crate) fn steady(record: &DeviceRecord) -> Box<[u8]> {
    let mut json = Vec::new();
    member(
        &mut json,
        b"",
        &Steady {
            id: record.id,
            state: record.state,
            endorsement: record.endorsement,
            enrolled_at: record.enrolled_at,
            image: record.image.as_ref(),
            certificate_expires_at: record.certificate_expires_at,
            claims: &record.facts,
        },
    );
    json.pop();
    match &record.verdict {
        None => json.extend_from_slice(b",\"verdict\":null"),
        Some(verdict) => {
            let (status, appraised_at) = (verdict.status(), verdict.appraised_at());
            let findings = verdict.findings().iter().map(finding_facts).collect();
            member(&mut json, b",\"verdict\":", &SteadyVerdict { status, appraised_at, findings });
            json.pop();
        }
    }
    json.into()
}

/// The facts as they are read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoggedFacts {
    id: DeviceId,
    state: DeviceState,
    endorsement: EndorsementGrade,
    enrolled_at: Timestamp,
    image: Option<ImageId>,
    certificate_expires_at: Timestamp,
    claims: HostFacts,
    verdict: Option<VerdictFacts>,
}

impl LoggedFacts {
    /// All of them, with the score that the decision tells.
    pub(super) fn with(self, score: ScoreExplanation) -> DeviceFacts {
        let Self { id, state, endorsement, enrolled_at, image, certificate_expires_at, claims, verdict } = self;
        DeviceFacts {
            id,
            state,
            endorsement,
            enrolled_at,
            image,
            certificate_expires_at,
            score: score.score,
            vetoes: vetoes(&score),
            factors: score.factors,
            verdict,
            claims,
        }
    }
}

/// Writes the facts about a device at an instant.
pub(super) fn write(json: &mut Vec<u8>, known: &KnownDevice, at: Timestamp) {
    json.extend_from_slice(known.steady_facts());
    if let Some(verdict) = &known.record().verdict {
        member(json, b",\"age_secs\":", &verdict_age_secs(verdict, at));
        json.push(b'}');
    }
    json.push(b'}');
}
