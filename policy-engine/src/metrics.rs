//! What is counted of decisions.

use std::time::Duration;

use vouchsafe_model::Outcome;

/// Decisions made, by their `outcome`: `allow` or `deny`.
pub const DECISIONS_TOTAL: &str = "decisions_total";
/// How long a decision takes from the question to the ruling, in seconds, its way to the log not counted.
pub const DECISION_DURATION_SECONDS: &str = "decision_duration_seconds";
/// Decisions that were made and not answered, because they could not be logged.
pub const DECISIONS_NOT_LOGGED_TOTAL: &str = "decisions_not_logged_total";

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
