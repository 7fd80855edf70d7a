//! Findings that stay with a list until the boot ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vouchsafe_model::{Finding, FindingCode, Severity};

/// The most findings of a boot that are told one by one.
pub const MAX_FINDINGS: usize = 1000;
/// The longest path, expectation or find that is kept, in bytes.
const MAX_TEXT_LEN: usize = Finding::MAX_TEXT_LEN;
/// The most rules whose use is told apart.
const MAX_RULES_TOLD: usize = 512;

/// What was found so far, in a form that is small when it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Findings {
    told: Vec<Told>,
    more_failures: u64,
    more_warnings: u64,
    /// What rules and exclusions let pass, by the text of each.
    rules: BTreeMap<String, RuleUse>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    code: FindingCode,
    entry: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RuleUse {
    count: u64,
    first: u64,
}

impl Findings {
    /// Adds a finding about an entry. When there are [`MAX_FINDINGS`] already, a failure takes the place of a warning, so
    /// that no flood of warnings hides one; how many are not told is.
    pub(super) fn push(&mut self, finding: Finding) {
        let is_failure = finding.severity == Severity::Failure;
        if self.told.len() >= MAX_FINDINGS {
            let lesser = self.told.iter().rposition(|told| told.code.severity() < Severity::Failure);
            match lesser {
                Some(lesser) if is_failure => {
                    self.told.remove(lesser);
                    self.more_warnings = self.more_warnings.saturating_add(1);
                }
                _ if is_failure => return self.more_failures = self.more_failures.saturating_add(1),
                _ => return self.more_warnings = self.more_warnings.saturating_add(1),
            }
        }
        let Finding { code, entry, path, expected, found, .. } = finding;
        self.told.push(Told { code, entry: entry.unwrap_or_default(), path, expected, found });
    }

    /// Counts an entry that a rule let pass.
    pub(super) fn pass(&mut self, rule: &str, entry: u64) {
        let mut text = rule.to_owned();
        if text.len() > MAX_TEXT_LEN || (self.rules.len() >= MAX_RULES_TOLD && !self.rules.contains_key(&text)) {
            "other rules".clone_into(&mut text);
        }
        let used = self.rules.entry(text).or_insert(RuleUse { count: 0, first: entry });
        used.count = used.count.saturating_add(1);
    }

    /// How many there are, told or not.
    pub(super) fn count(&self) -> u64 {
        let told = u64::try_from(self.told.len()).unwrap_or(u64::MAX);
        told.saturating_add(self.more_failures).saturating_add(self.more_warnings)
    }

    /// All of them, as a verdict holds them.
    pub(super) fn list(&self) -> impl Iterator<Item = Finding> {
        self.told.iter().map(Told::finding).chain(self.more()).chain(self.rules.iter().map(|(rule, used)| {
            let found = format!("{} entries, the first of them entry {}", used.count, used.first);
            Finding { found: Some(found), ..Finding::new(FindingCode::ImaRuleApplied).at_entry(used.first).about(rule) }
        }))
    }

    fn more(&self) -> Option<Finding> {
        let more = self.more_failures.saturating_add(self.more_warnings);
        let severity = if self.more_failures > 0 { Severity::Failure } else { Severity::Warning };
        let found = format!("{} failures and {} warnings more", self.more_failures, self.more_warnings);
        (more > 0).then(|| Finding { severity, found: Some(found), ..Finding::new(FindingCode::ImaMore) })
    }
}

impl Told {
    fn finding(&self) -> Finding {
        let (path, expected, found) = (self.path.clone(), self.expected.clone(), self.found.clone());
        Finding { path, expected, found, ..Finding::new(self.code).at_entry(self.entry) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(code: FindingCode, entry: usize) -> Finding {
        Finding::new(code).at_entry(entry.try_into().unwrap())
    }

    #[test]
    fn the_first_thousand_are_told_and_the_rest_is_counted() {
        let mut findings = Findings::default();
        (1..=MAX_FINDINGS).for_each(|entry| findings.push(at(FindingCode::FileUnlisted, entry)));
        assert_eq!((findings.list().count(), findings.count()), (MAX_FINDINGS, 1000));
        findings.push(at(FindingCode::FileUnlisted, 1001));
        findings.push(at(FindingCode::ImaViolation, 1002));
        let last = findings.list().last().unwrap();
        assert_eq!((last.code, last.severity), (FindingCode::ImaMore, Severity::Failure));
        assert_eq!(last.found.unwrap(), "1 failures and 1 warnings more");
        assert_eq!(findings.count(), 1002);
    }

    #[test]
    fn no_flood_of_warnings_hides_a_failure() {
        let mut findings = Findings::default();
        (1..=MAX_FINDINGS + 5).for_each(|entry| findings.push(at(FindingCode::ImaViolation, entry)));
        assert_eq!(findings.list().last().unwrap().severity, Severity::Warning);
        findings.push(at(FindingCode::FileChanged, 2000));
        let told: Vec<_> = findings.list().collect();
        assert_eq!(told.len(), MAX_FINDINGS + 1);
        assert_eq!((told[999].code, told[999].entry), (FindingCode::FileChanged, Some(2000)));
        assert_eq!(told[1000].severity, Severity::Warning, "all that is not told are warnings");
    }

    #[test]
    fn rules_are_told_with_how_often_they_were_used() {
        let mut findings = Findings::default();
        [3, 4].into_iter().for_each(|entry| findings.pass("exclude=/tmp/**", entry));
        (0..MAX_RULES_TOLD + 10).for_each(|rule| findings.pass(&format!("rule {rule}"), 5));
        let told: Vec<_> = findings.list().collect();
        assert_eq!(told[0].path.as_deref(), Some("exclude=/tmp/**"));
        assert_eq!(told[0].found.as_deref(), Some("2 entries, the first of them entry 3"));
        assert_eq!((told.len(), told[0].severity), (MAX_RULES_TOLD + 1, Severity::Info));
    }
}
