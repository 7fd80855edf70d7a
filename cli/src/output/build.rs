//! What a build found.

use serde::Serialize;
use vouchsafe_model::ImageId;
use vouchsafe_packages::debian::Wanted;
use vouchsafe_packages::{Inventory, PackageRecord, Statistics};

use super::{clean, line};
use crate::args::build::BuildArgs;

/// What a build found, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What the image is called.
    pub(crate) image: ImageId,
    /// Where it was written.
    pub(crate) output: String,
    /// How many paths it lists.
    pub(crate) paths: usize,
    /// How many digests these have together.
    pub(crate) digests: usize,
    /// Counts of the run.
    pub(crate) statistics: Statistics,
    /// What was wanted and nowhere to be had.
    pub(crate) missing: Vec<String>,
    /// The packages that were read.
    pub(crate) packages: Vec<PackageRecord>,
}

impl Report {
    pub(crate) fn new(args: &BuildArgs, inventory: Inventory, missing: &[Wanted]) -> Self {
        let Inventory { files, packages, statistics } = inventory;
        Self {
            image: args.image.clone(),
            output: args.output.display().to_string(),
            paths: files.len(),
            digests: files.values().map(|file| file.digests.len()).sum(),
            statistics,
            missing: missing.iter().map(ToString::to_string).collect(),
            packages,
        }
    }
}

/// What a build found, for people.
pub(crate) fn view(report: &Report) -> String {
    let Report { statistics, .. } = report;
    let mut text = String::new();
    line(&mut text, format_args!("{} is in {}", report.image, clean(&report.output)));
    let known = match statistics.cached_packages {
        0 => String::new(),
        known => format!(", {known} of them known from earlier"),
    };
    line(&mut text, format_args!("packages  {}{known}", statistics.packages));
    line(&mut text, format_args!("fetched   {}", indicatif::HumanBytes(statistics.fetched_bytes)));
    line(&mut text, format_args!("files     {} of {}", statistics.files, indicatif::HumanBytes(statistics.file_bytes)));
    line(&mut text, format_args!("paths     {} with {} digests", report.paths, report.digests));
    if statistics.left_out > 0 {
        line(&mut text, format_args!("left out  {} that are not executable", statistics.left_out));
    }
    if statistics.unnamed > 0 {
        line(&mut text, format_args!("left out  {} whose names are no UTF-8", statistics.unnamed));
    }
    if !report.missing.is_empty() {
        line(&mut text, format_args!("missing   {}", clean(&report.missing.join(", "))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_told_with_what_it_left_out() {
        let statistics = Statistics {
            packages: 3,
            cached_packages: 2,
            fetched_bytes: 2048,
            files: 40,
            file_bytes: 1 << 20,
            left_out: 5,
            unnamed: 1,
        };
        let report = Report {
            image: "web@2026.1".parse().unwrap(),
            output: "web.toml".to_owned(),
            paths: 60,
            digests: 61,
            statistics,
            missing: vec!["absent 1.0".to_owned()],
            packages: Vec::new(),
        };
        let expected = "\
web@2026.1 is in web.toml
packages  3, 2 of them known from earlier
fetched   2.00 KiB
files     40 of 1.00 MiB
paths     60 with 61 digests
left out  5 that are not executable
left out  1 whose names are no UTF-8
missing   absent 1.0
";
        assert_eq!(view(&report), expected);
    }
}
