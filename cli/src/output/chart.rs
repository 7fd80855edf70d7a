//! A score over time, drawn with characters.

use vouchsafe_model::TrustScore;
use vouchsafe_model::trust::CurvePoint;

use super::{instant, line};

/// The points of a curve that are asked for: one column each.
pub(crate) const COLUMNS: u32 = 60;
/// The rows of the chart.
const ROWS: u32 = 8;
/// The points of score that a row stands for.
const ROW_POINTS: f64 = 100.0 / ROWS as f64;
/// A column that is filled by so many eighths.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Where the threshold runs through empty columns.
const THRESHOLD: char = '·';

/// Draws a curve from 0 to 100 points, with the threshold as a dotted line.
pub(crate) fn draw(curve: &[CurvePoint], threshold: TrustScore) -> String {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else { return String::new() };
    let mut text = String::new();
    for row in (0..ROWS).rev() {
        let bottom = f64::from(row) * ROW_POINTS;
        let has_threshold = threshold.points() >= bottom && threshold.points() < bottom + ROW_POINTS;
        let label = if has_threshold {
            format!("{:>3.0} ┤", threshold.points())
        } else if row == ROWS - 1 {
            "100 ┤".to_owned()
        } else {
            "    │".to_owned()
        };
        let columns: String = curve.iter().map(|point| cell(point.score, bottom, has_threshold)).collect();
        line(&mut text, format_args!("{label}{}", columns.trim_end()));
    }
    line(&mut text, format_args!("  0 └{}", "─".repeat(curve.len())));
    let (start, end) = (instant::plain(first.at), instant::plain(last.at));
    let gap = curve.len().saturating_sub(start.len() + end.len()).max(1);
    line(&mut text, format_args!("     {start}{}{end}", " ".repeat(gap)));
    text
}

/// The part of a column that lies in the row from `bottom` up.
fn cell(score: TrustScore, bottom: f64, has_threshold: bool) -> char {
    let filled = ((score.points() - bottom) / ROW_POINTS).clamp(0.0, 1.0) * 8.0;
    // A little is still seen as a little; only nothing looks like nothing.
    let eighths = (0..=8u8).rev().find(|eighth| filled + 0.5 >= f64::from(*eighth)).unwrap_or(0);
    match EIGHTHS.get(usize::from(eighths)) {
        Some(' ') | None => {
            if has_threshold {
                THRESHOLD
            } else {
                ' '
            }
        }
        Some(block) => *block,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vouchsafe_model::Timestamp;

    use super::*;

    fn curve(scores: impl Iterator<Item = f64>) -> Vec<CurvePoint> {
        let start = Timestamp::from_unix_secs(1_769_860_800);
        (0..)
            .zip(scores)
            .map(|(hour, score)| CurvePoint {
                at: start.plus(Duration::from_secs(hour * 3600)),
                score: TrustScore::new(score),
            })
            .collect()
    }

    #[test]
    fn a_curve_falls_through_its_threshold() {
        let falling = curve((0..60).map(|column| 90.0 * 0.97f64.powi(column)));
        insta::assert_snapshot!(draw(&falling, TrustScore::new(60.0)));
    }

    #[test]
    fn the_extremes_fill_the_chart_and_leave_it_empty() {
        let full = draw(&curve([100.0; 4].into_iter()), TrustScore::MAX);
        assert!(full.lines().take(8).all(|line| line.ends_with("████")), "{full}");
        let empty = draw(&curve([0.0; 4].into_iter()), TrustScore::ZERO);
        assert!(!empty.contains('▁'), "{empty}");
        assert_eq!(draw(&[], TrustScore::ZERO), "");
    }
}
