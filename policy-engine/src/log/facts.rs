//! The facts about a device as the policy saw them, in the log: `input.device` of that instant.
//!
//! Of the facts only age, score and what makes it depend on the instant. The rest is written once for each revision of the
//! record and then copied, so that an entry costs its floats and not the device's findings and claims.

use serde::Serialize;
use vouchsafe_model::trust::{ScoreExplanation, Veto};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DeviceId, DeviceState, EndorsementGrade, HostFacts, ImageId, Timestamp};
use vouchsafe_wire::v1::agent::FindingFacts;
use vouchsafe_wire::v1::record::DeviceRecord;

use super::entry::member;
use crate::input::{finding_facts, verdict_age_secs};
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

/// Writes the facts about a device whose score was this.
pub(super) fn write(json: &mut Vec<u8>, known: &KnownDevice, score: &ScoreExplanation) {
    json.extend_from_slice(known.steady_facts());
    if let Some(verdict) = &known.record().verdict {
        member(json, b",\"age_secs\":", &verdict_age_secs(verdict, score.at));
        json.push(b'}');
    }
    let vetoes: Vec<Veto> = score.ceilings.iter().map(|ceiling| ceiling.veto).collect();
    member(json, b",\"score\":", &score.score);
    member(json, b",\"factors\":", &score.factors);
    member(json, b",\"vetoes\":", &vetoes);
    json.push(b'}');
}
