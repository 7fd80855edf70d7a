//! What is counted of decisions.

use std::time::Duration;

use vouchsafe_model::Outcome;

use crate::compile::EvaluatorKind;

/// Decisions made, by their `outcome`: `allow` or `deny`.
pub const DECISIONS_TOTAL: &str = "decisions_total";
/// How long a decision takes from the question to the ruling, in seconds, its way to the log not counted.
pub const DECISION_DURATION_SECONDS: &str = "decision_duration_seconds";
/// Decisions that were made and not answered, because they could not be logged.
pub const DECISIONS_NOT_LOGGED_TOTAL: &str = "decisions_not_logged_total";

/// Which `evaluator` decides, `fast` or `reference`: 1 for that one, 0 for the other.
pub const POLICY_EVALUATOR: &str = "policy_evaluator";
/// Decisions that both evaluators made alike.
pub const POLICY_COMPARISONS_TOTAL: &str = "policy_comparisons_total";
/// Decisions that were due to be compared and were not: there were too many, or the reference evaluator reached a limit.
pub const POLICY_COMPARISONS_DROPPED_TOTAL: &str = "policy_comparisons_dropped_total";
/// Decisions that the two evaluators made differently. At the first, the reference evaluator takes over.
pub const POLICY_EVALUATORS_DIFFER_TOTAL: &str = "policy_evaluators_differ_total";

/// Decisions that the shadow policy made as well, by how its `outcome` changes: `same`, `allow_to_deny` or `deny_to_allow`.
pub const POLICY_SHADOW_DECISIONS_TOTAL: &str = "policy_shadow_decisions_total";
/// Decisions that the shadow policy was too slow for.
pub const POLICY_SHADOW_DROPPED_TOTAL: &str = "policy_shadow_dropped_total";

/// Watches that are open.
pub const WATCHES_OPEN: &str = "watches_open";
/// Answers that were told to watches, by their `outcome`.
pub const WATCH_ANSWERS_TOTAL: &str = "watch_answers_total";

pub(crate) fn watch_told(outcome: Outcome) {
    metrics::counter!(WATCH_ANSWERS_TOTAL, "outcome" => outcome.name()).increment(1);
}

pub(crate) fn decided(outcome: Outcome, duration: Duration) {
    metrics::counter!(DECISIONS_TOTAL, "outcome" => outcome.name()).increment(1);
    metrics::histogram!(DECISION_DURATION_SECONDS).record(duration);
}

pub(crate) fn not_logged() {
    metrics::counter!(DECISIONS_NOT_LOGGED_TOTAL).increment(1);
}

pub(crate) fn evaluator_decides(kind: EvaluatorKind) {
    for other in [EvaluatorKind::Fast, EvaluatorKind::Reference] {
        metrics::gauge!(POLICY_EVALUATOR, "evaluator" => other.name()).set(if other == kind { 1.0 } else { 0.0 });
    }
}

pub(crate) fn compared() {
    metrics::counter!(POLICY_COMPARISONS_TOTAL).increment(1);
}

pub(crate) fn comparison_dropped() {
    metrics::counter!(POLICY_COMPARISONS_DROPPED_TOTAL).increment(1);
}

pub(crate) fn shadow_decided(change: &'static str) {
    metrics::counter!(POLICY_SHADOW_DECISIONS_TOTAL, "outcome" => change).increment(1);
}

pub(crate) fn shadow_dropped() {
    metrics::counter!(POLICY_SHADOW_DROPPED_TOTAL).increment(1);
}

pub(crate) fn evaluators_differ() {
    metrics::counter!(POLICY_EVALUATORS_DIFFER_TOTAL).increment(1);
}
