//! Which lines of a policy its tests reach.

use vouchsafe_policy_engine::testing::CoverageReport;

use super::{clean, line};

/// Each file with its share, and the lines that are not reached.
pub(crate) fn report(report: &CoverageReport) -> String {
    let mut text = String::new();
    for file in &report.files {
        let name = clean(&file.path);
        line(&mut text, format_args!("{:>5.1} %  {name}", file.percent()));
        for range in ranges(&file.not_covered) {
            line(&mut text, format_args!("         not reached: {name}:{range}"));
        }
    }
    line(&mut text, format_args!("{:>5.1} %  of all lines, by {} tests", report.percent(), report.tests));
    text
}

/// Lines that follow one another, as `4-7`.
fn ranges(lines: &[u32]) -> Vec<String> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match ranges.last_mut() {
            Some((_, last)) if last.saturating_add(1) == line => *last = line,
            _ => ranges.push((line, line)),
        }
    }
    let told = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn lines_that_follow_one_another_are_one_range() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), ["1-3", "7", "9-10"]);
        assert!(ranges(&[]).is_empty());
    }
}
