//! What another policy would have changed.

use std::collections::BTreeMap;

use serde::Serialize;
use vouchsafe_model::{DecisionId, Sha256Digest};
use vouchsafe_policy_engine::replay::{Candidate, Replayed};

use super::table::Columns;
use super::{clean, line};

/// The comparison, and what was compared with.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayReport {
    /// The hash of the candidate.
    candidate: Sha256Digest,
    /// The evaluator that it runs on.
    evaluator: &'static str,
    /// How many decisions come out otherwise.
    changed: u64,
    #[serde(flatten)]
    found: Replayed,
}

impl ReplayReport {
    /// What a candidate was found to change. The decisions of each group are in their order.
    pub(crate) fn of(candidate: &Candidate, mut found: Replayed) -> Self {
        found.allow_to_deny.values_mut().chain(found.deny_to_allow.values_mut()).for_each(|ids| ids.sort_unstable());
        Self { candidate: candidate.hash(), evaluator: candidate.evaluator().name(), changed: found.changed(), found }
    }
}

/// The comparison for people: a table of reasons for each direction, and what it comes to.
pub(crate) fn report(report: &ReplayReport) -> String {
    let ReplayReport { found, .. } = report;
    let mut text = String::new();
    groups(&mut text, "allowed, and would be denied", "WOULD BE DENIED FOR", &found.allow_to_deny);
    groups(&mut text, "denied, and would be allowed", "WAS DENIED FOR", &found.deny_to_allow);
    for (why, count) in &found.not_compared {
        line(&mut text, format_args!("not compared: {count} {}", why.words()));
    }
    line(&mut text, format_args!("{} decisions made again, {} come out otherwise", found.compared, report.changed));
    text
}

fn groups(text: &mut String, title: &str, heading: &str, groups: &BTreeMap<String, Vec<DecisionId>>) {
    if groups.is_empty() {
        return;
    }
    line(text, format_args!("{title}:"));
    let mut columns = Columns::new(["DECISIONS", heading, "ONE OF THEM"]).right(0);
    for (code, ids) in groups {
        let example = ids.first().map(ToString::to_string).unwrap_or_default();
        columns.row([ids.len().to_string(), clean(code), example]);
    }
    text.push_str(&columns.text("  "));
    text.push('\n');
}
