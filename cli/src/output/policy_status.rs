//! Which policy decides.

use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::policy::{PolicySource, PolicyStatus};

use super::instant;
use super::table::Facts;

/// The policy in charge, one fact a line.
pub(crate) fn view(status: &PolicyStatus, now: Timestamp) -> String {
    let PolicyStatus { policy, bundle, revision, evaluator, because, source, since, stale, withheld, shadow } = status;
    let mut facts = Facts::default()
        .with("policy", policy)
        .with_some("without written data", (bundle != policy).then_some(bundle))
        .with_some("revision", revision.as_ref())
        .with("source", source);
    if let PolicySource::Activated(activation) = source {
        facts = facts.with("in place of", &activation.in_place_of).with("policy before", activation.before);
    }
    facts = facts.with("since", instant::with_distance(*since, now)).with("evaluator", evaluator);
    for because in because {
        facts = facts.with("because", because);
    }
    facts = facts.with("stale", if *stale { "yes" } else { "no" });
    if let Some(reason) = withheld {
        facts = facts.with("DENIES ALL", format_args!("{} [{}]", reason.message, reason.code));
    }
    if let Some(shadow) = shadow {
        facts = facts
            .with("shadow", shadow.policy)
            .with("shadow evaluator", &shadow.evaluator)
            .with("shadow decides the same", shadow.same)
            .with("shadow allow to deny", shadow.allow_to_deny)
            .with("shadow deny to allow", shadow.deny_to_allow)
            .with("shadow too slow for", shadow.dropped);
    }
    facts.text()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::output::samples::now;
    use vouchsafe_model::{Reason, Sha256Digest};
    use vouchsafe_wire::v1::policy::{Activation, ShadowStatus};

    fn hash(byte: u8) -> Sha256Digest {
        Sha256Digest::new([byte; 32])
    }

    fn plain() -> PolicyStatus {
        PolicyStatus {
            policy: hash(0xA1),
            bundle: hash(0xA1),
            revision: None,
            evaluator: "fast".to_owned(),
            because: Vec::new(),
            source: PolicySource::Folder { path: "/var/lib/vouchsafe/policies".to_owned() },
            since: now().minus(Duration::from_secs(7200)),
            stale: false,
            withheld: None,
            shadow: None,
        }
    }

    #[test]
    fn what_decides_is_told_in_a_few_lines() {
        insta::assert_snapshot!(view(&plain(), now()));
    }

    #[test]
    fn whatever_is_not_as_usual_is_told_as_well() {
        let message = "The policy is too old.".to_owned();
        let status = PolicyStatus {
            bundle: hash(0xA2),
            revision: Some("42\u{1b}[2J".to_owned()),
            evaluator: "reference".to_owned(),
            because: vec!["policy.rego:3:1: one".to_owned(), "another".to_owned()],
            source: PolicySource::Activated(Activation {
                by: "spiffe://example.org/operator/ada".to_owned(),
                at: now(),
                before: hash(0xA3),
                in_place_of: "folder policies".to_owned(),
            }),
            stale: true,
            withheld: Some(Reason { code: "policy.stale".to_owned(), message, fix: None }),
            shadow: Some(ShadowStatus {
                policy: hash(0xA4),
                evaluator: "fast".to_owned(),
                same: 1000,
                allow_to_deny: 3,
                deny_to_allow: 0,
                dropped: 1,
            }),
            ..plain()
        };
        insta::assert_snapshot!(view(&status, now()));
    }
}
