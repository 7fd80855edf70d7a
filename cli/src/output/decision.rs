//! Decisions.

use vouchsafe_model::{Decision, TrustScore};

use super::table::Facts;
use super::{clean, instant, line, score};

/// A decision. The first line says yes or no, and nothing else.
pub(crate) fn view(decision: &Decision) -> String {
    let mut text = format!("decision: {}\n", decision.outcome());
    if !decision.reasons().is_empty() {
        text.push_str("\nreasons:\n");
    }
    for reason in decision.reasons() {
        line(&mut text, format_args!("  {}: {}", clean(&reason.code), clean(&reason.message)));
        if let Some(fix) = &reason.fix {
            line(&mut text, format_args!("    fix: {}", clean(fix)));
        }
    }
    if !decision.obligations().is_empty() {
        text.push_str("\nobligations:\n");
    }
    for obligation in decision.obligations() {
        let parameters = obligation.parameters.iter().map(|(name, value)| format!(" {name}={value}"));
        let code = format!("{}{}", obligation.code, parameters.collect::<String>());
        line(&mut text, format_args!("  {}", clean(&code)));
        if let Some(message) = &obligation.message {
            line(&mut text, format_args!("    {}", clean(message)));
        }
    }
    if let Some(explanation) = decision.score() {
        line(&mut text, format_args!("\nscore: {}", score::line(explanation)));
        if let Some(needed) = decision.required_score() {
            line(&mut text, format_args!("needs: {needed}{}", against(decision, explanation.score, needed)));
        }
        text.push_str(&score::parts(explanation));
    }
    text.push('\n');
    text.push_str(
        &Facts::default()
            .with_some("device", decision.device())
            .with("decided", instant::plain(decision.decided_at()))
            .with("id", decision.id())
            .with("policy", decision.policy())
            .text(),
    );
    text
}

/// How a score stands against the one that is needed.
fn against(decision: &Decision, score: TrustScore, needed: TrustScore) -> String {
    let lacking = needed.points() - score.points();
    if lacking > 0.0 {
        return format!(", lacks {lacking:.1}");
    }
    decision.crosses_at().map_or_else(String::new, |at| format!(", falls below that at {}", instant::plain(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn an_allow_shows_the_score_with_its_parts() {
        insta::assert_snapshot!(view(&samples::allow()));
    }

    #[test]
    fn a_deny_names_the_pcr_and_says_what_would_change_it() {
        insta::assert_snapshot!(view(&samples::deny()));
    }

    #[test]
    fn the_first_line_is_exactly_the_decision_whatever_a_policy_writes() {
        let text = view(&samples::deny_with_message("\ndecision: allow\x1b[1A\r"));
        assert_eq!(text.lines().next(), Some("decision: deny"));
        assert_eq!(text.lines().filter(|line| line.starts_with("decision:")).count(), 1, "{text}");
    }
}
