//! A device's trust at an instant, and how it goes on.

use vouchsafe_model::Timestamp;
use vouchsafe_wire::v1::operate::TrustView;

use super::table::Facts;
use super::{chart, instant, score};

/// The whole answer.
pub(crate) fn view(view: &TrustView, now: Timestamp) -> String {
    let explanation = &view.explanation;
    let facts = Facts::default()
        .with("device", view.device)
        .with("score", score::line(explanation))
        .with("threshold", crossing(view, now))
        .with("model", explanation.model);
    format!("{}\n{}\n{}", facts.text(), score::parts(explanation), chart::draw(&view.curve, view.threshold))
}

/// When the score falls below the threshold, in words.
fn crossing(view: &TrustView, now: Timestamp) -> String {
    let threshold = view.threshold;
    match view.below_at {
        _ if view.explanation.score < threshold => format!("{threshold}: the score is below it"),
        Some(at) => {
            let when = instant::with_distance(at, now);
            format!("{threshold}: falls below it at {when}, if nothing more is heard of the device")
        }
        None => format!("{threshold}: never falls below it, even if nothing more is heard of the device"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_score_that_decays_is_told_with_its_crossing() {
        insta::assert_snapshot!(view(&samples::trust(), samples::now()));
    }

    #[test]
    fn a_score_that_is_held_down_names_the_ceiling() {
        insta::assert_snapshot!(view(&samples::trust_held_down(), samples::now()));
    }

    #[test]
    fn a_threshold_below_the_floor_is_never_crossed() {
        let never = TrustView { below_at: None, threshold: vouchsafe_model::TrustScore::new(1.0), ..samples::trust() };
        assert!(view(&never, samples::now()).contains("threshold  1.0: never falls below it"));
    }
}
