//! Joins a question with the record of its device: what a policy decides over.

use vouchsafe_model::Timestamp;
use vouchsafe_model::finding::Severity;
use vouchsafe_model::trust::{ScoreExplanation, Veto};
use vouchsafe_model::{Finding, HostFacts, Verdict};
use vouchsafe_wire::v1::agent::{DeviceFacts, FindingFacts, PolicyInput, VerdictFacts};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::record::DeviceRecord;

use crate::question::Question;
use crate::wanted::Wanted;

/// What a policy decides over, and the device's score with its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Assembled {
    /// The input.
    pub input: PolicyInput,
    /// The score of the device at that instant; `None` when there is no device.
    pub score: Option<ScoreExplanation>,
}

/// Assembles the input of one decision: of its larger parts what is wanted. The score is computed here, for this instant: no
/// earlier one is ever used.
pub fn assemble(question: &Question, record: Option<&DeviceRecord>, now: Timestamp, wanted: &Wanted) -> Assembled {
    let ask = question.ask();
    let score = record.map(|record| record.curve.explain_at(now));
    let device = record.zip(score.as_ref()).map(|(record, score)| device_facts(record, score, now, wanted));
    let input = PolicyInput {
        now,
        device,
        user: ask.user.as_ref().filter(|_| wanted.has(&["user"])).cloned(),
        application: ask.application.clone(),
        network: ask.network.clone(),
        request: ask.request.clone(),
    };
    Assembled { input, score }
}

/// The input of a decision about a question that was asked at an instant, and what was then known of its device.
pub(crate) fn joined(ask: AskDecision, device: Option<DeviceFacts>, now: Timestamp) -> PolicyInput {
    let AskDecision { device: _, user, application, network, request, understands: _ } = ask;
    PolicyInput { now, device, user, application, network, request }
}

fn device_facts(record: &DeviceRecord, score: &ScoreExplanation, now: Timestamp, wanted: &Wanted) -> DeviceFacts {
    let has = |part| wanted.has(&["device", part]);
    DeviceFacts {
        id: record.id,
        state: record.state,
        endorsement: record.endorsement,
        enrolled_at: record.enrolled_at,
        image: record.image.clone(),
        certificate_expires_at: record.certificate_expires_at,
        score: score.score,
        factors: if has("factors") { score.factors.clone() } else { Vec::new() },
        vetoes: vetoes(score),
        verdict: record.verdict.as_ref().map(|verdict| verdict_facts(verdict, now)),
        claims: if has("claims") { record.facts.clone() } else { HostFacts::default() },
    }
}

/// What holds a score down.
pub(crate) fn vetoes(score: &ScoreExplanation) -> Vec<Veto> {
    score.ceilings.iter().map(|ceiling| ceiling.veto).collect()
}

fn verdict_facts(verdict: &Verdict, now: Timestamp) -> VerdictFacts {
    VerdictFacts {
        status: verdict.status(),
        appraised_at: verdict.appraised_at(),
        age_secs: verdict_age_secs(verdict, now),
        findings: verdict.findings().iter().map(finding_facts).collect(),
    }
}

pub(crate) fn verdict_age_secs(verdict: &Verdict, now: Timestamp) -> u64 {
    distance_secs(verdict.quoted_at(), now)
}

pub(crate) fn finding_facts(finding: &Finding) -> FindingFacts {
    FindingFacts {
        code: finding.code,
        pcr: finding.pcr.map(vouchsafe_model::PcrIndex::get),
        failure: finding.severity == Severity::Failure,
    }
}

/// How far apart two instants are, rounded up. Evidence from the future is as old as it is early: one of two clocks is
/// wrong by so much, and evidence never counts as fresh for that.
fn distance_secs(one: Timestamp, other: Timestamp) -> u64 {
    let distance = one.since(other).max(other.since(one));
    distance.as_secs() + u64::from(distance.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_from_the_future_is_not_fresh() {
        let at = Timestamp::from_unix_secs;
        assert_eq!(distance_secs(at(100), at(100)), 0);
        assert_eq!(distance_secs(at(100), at(160)), 60);
        assert_eq!(distance_secs(at(4_000), at(100)), 3_900);
        assert_eq!(distance_secs(at(100), Timestamp::from_unix_millis(100_001)), 1);
    }
}
