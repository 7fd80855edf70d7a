//! A score with its parts: what each factor and each ceiling costs.

use vouchsafe_model::trust::ScoreExplanation;

use super::instant;
use super::table::Columns;

/// The score in one line.
pub(crate) fn line(explanation: &ScoreExplanation) -> String {
    format!("{} of 100 at {}", explanation.score, instant::plain(explanation.at))
}

/// The parts as a table: what is lost, what is left, and the sum.
pub(crate) fn parts(explanation: &ScoreExplanation) -> String {
    let mut columns = Columns::new(["PART", "WORTH", "WEIGHT", "POINTS", "WHY"]).right(1).right(2).right(3);
    for part in &explanation.factors {
        columns.row([
            part.name.to_string(),
            percent(part.value),
            percent(part.weight),
            lost(part.points_lost),
            factor_meaning(part.name).to_owned(),
        ]);
    }
    for part in &explanation.ceilings {
        let why = format!("at most {} since {}", part.ceiling, instant::plain(part.since));
        columns.row([part.veto.to_string(), String::new(), String::new(), lost(part.points_lost), why]);
    }
    columns.row([
        "score".into(),
        String::new(),
        String::new(),
        explanation.score.to_string(),
        "what is left of 100".into(),
    ]);
    columns.text("  ")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn lost(points: f64) -> String {
    // "-0.0" would look like a loss.
    if points < 0.05 { "0.0".to_owned() } else { format!("-{points:.1}") }
}

fn factor_meaning(name: vouchsafe_model::trust::FactorName) -> &'static str {
    use vouchsafe_model::trust::FactorName;
    match name {
        FactorName::Freshness => "how lately it vouched for itself",
        FactorName::Tenure => "for how long it has done so without fault",
        FactorName::Boot => "what it booted",
        FactorName::Runtime => "what it runs",
        FactorName::ImageAge => "how old its golden image is",
        FactorName::Conduct => "how it behaves",
    }
}
