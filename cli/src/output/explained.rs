//! How a decision came about.

use vouchsafe_policy_engine::explain::{FileCoverage, RuleValue};
use vouchsafe_policy_engine::log::explain::ExplainedDecision;

use super::table::{Columns, Facts};
use super::{clean, instant, line};

/// The longest value of a rule in a table, in characters.
const MAX_VALUE_LEN: usize = 80;

/// The decision then and now, what each rule is worth, and the lines that were not reached.
pub(crate) fn decision(explained: &ExplainedDecision) -> String {
    let mut text = Facts::default()
        .with("decision", explained.id)
        .with("decided", instant::plain(explained.decided_at))
        .with("outcome", explained.outcome)
        .with("policy", explained.policy)
        .text();
    if explained.policy != explained.explained_by {
        line(
            &mut text,
            format_args!(
                "note: another policy is in charge now, and what follows is by it: {}",
                explained.explained_by
            ),
        );
        line(&mut text, format_args!("by that one: {}", explained.outcome_now));
    }
    for reason in &explained.reasons_now {
        line(&mut text, format_args!("{}: {}", clean(&reason.code), clean(&reason.message)));
    }
    text.push('\n');
    let mut columns = Columns::new(["RULE", "VALUE", "WHERE"]);
    for rule in &explained.rules {
        columns.row([rule.rule.clone(), value(rule), format!("{}:{}", rule.file, rule.line)]);
    }
    text.push_str(&columns.text(""));
    for file in explained.coverage.iter().filter(|file| !file.not_covered.is_empty()) {
        text.push('\n');
        line(&mut text, format_args!("{}: not reached: lines {}", clean(&file.path), lines(file)));
    }
    explained.prints.iter().for_each(|print| line(&mut text, format_args!("printed: {}", clean(print))));
    text
}

fn value(rule: &RuleValue) -> String {
    let whole = match (&rule.value, &rule.error) {
        (Some(value), _) => value.to_string(),
        (None, Some(error)) => format!("failed: {error}"),
        (None, None) => "undefined".to_owned(),
    };
    if whole.chars().count() <= MAX_VALUE_LEN {
        return whole;
    }
    whole.chars().take(MAX_VALUE_LEN - 1).chain(['\u{2026}']).collect()
}

/// Lines as ranges: `3, 7-9`.
fn lines(file: &FileCoverage) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in &file.not_covered {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *line => *last = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let one = |(first, last): &(u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}
