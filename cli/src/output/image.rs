//! Golden images.

use std::collections::BTreeSet;

use serde::Serialize;
use vouchsafe_model::pcr::PcrValue;
use vouchsafe_model::{HashAlgorithm, Image, ImageId, PcrIndex, Timestamp};

use super::table::{Columns, Facts};
use super::{instant, line};

/// The images as a table.
pub(crate) fn list(images: &[Image], now: Timestamp) -> String {
    if images.is_empty() {
        return "There is no golden image. Capture one: vouchsafe image capture --help\n".to_owned();
    }
    let mut columns = Columns::new(["IMAGE", "STATE", "CREATED", "PCRS", "IGNORED"]);
    for image in images {
        columns.row([
            image.id.to_string(),
            state(image).to_owned(),
            instant::distance(image.created_at, now),
            pcrs(image),
            ignored(image),
        ]);
    }
    columns.text("")
}

/// An image with its values.
pub(crate) fn view(image: &Image, now: Timestamp) -> String {
    let facts = Facts::default()
        .with("image", &image.id)
        .with("state", state(image))
        .with("created", instant::with_distance(image.created_at, now))
        .with_some("retired", image.retired_at.map(|at| instant::with_distance(at, now)))
        .with("ignored PCRs", ignored(image));
    let mut columns = Columns::new(["BANK", "PCR", "VALUE"]).right(1);
    for bank in &image.reference.banks {
        for (pcr, value) in &bank.values {
            columns.row([bank.bank.to_string(), pcr.to_string(), value.to_string()]);
        }
    }
    format!("{}\n{}", facts.text(), columns.text("  "))
}

fn state(image: &Image) -> &'static str {
    if image.retired_at.is_some() { "retired" } else { "in use" }
}

fn pcrs(image: &Image) -> String {
    let banks: Vec<String> = image.reference.banks.iter().map(|bank| bank.selection().to_string()).collect();
    banks.join(" ")
}

fn ignored(image: &Image) -> String {
    if image.reference.ignored.is_empty() { "-".to_owned() } else { image.reference.ignored.to_string() }
}

/// In what two images differ.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    one: ImageId,
    other: ImageId,
    pcrs: Vec<PcrDifference>,
}

/// A PCR in which two images differ; `null` where an image expects no value.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PcrDifference {
    bank: HashAlgorithm,
    pcr: PcrIndex,
    one: Option<PcrValue>,
    other: Option<PcrValue>,
}

impl Difference {
    /// Compares two images, PCR by PCR.
    pub(crate) fn between(one: &Image, other: &Image) -> Self {
        let places: BTreeSet<(HashAlgorithm, PcrIndex)> = [one, other]
            .into_iter()
            .flat_map(|image| &image.reference.banks)
            .flat_map(|bank| bank.values.keys().map(|pcr| (bank.bank, *pcr)))
            .collect();
        let pcrs = places
            .into_iter()
            .map(|(bank, pcr)| PcrDifference {
                bank,
                pcr,
                one: expected(one, bank, pcr),
                other: expected(other, bank, pcr),
            })
            .filter(|difference| difference.one != difference.other)
            .collect();
        Self { one: one.id.clone(), other: other.id.clone(), pcrs }
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        if self.pcrs.is_empty() {
            return format!("{} and {} expect the same values\n", self.one, self.other);
        }
        let value = |value: &Option<PcrValue>| value.as_ref().map_or("any".to_owned(), ToString::to_string);
        let mut text = String::new();
        for difference in &self.pcrs {
            line(&mut text, format_args!("PCR {} ({})", difference.pcr, difference.bank));
            let width = self.one.to_string().len().max(self.other.to_string().len());
            line(&mut text, format_args!("  {:width$}  {}", self.one, value(&difference.one)));
            line(&mut text, format_args!("  {:width$}  {}", self.other, value(&difference.other)));
        }
        text
    }
}

fn expected(image: &Image, bank: HashAlgorithm, pcr: PcrIndex) -> Option<PcrValue> {
    image.reference.banks.iter().find(|held| held.bank == bank)?.values.get(&pcr).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn images_are_listed_and_shown() {
        insta::assert_snapshot!("list", list(&samples::images(), samples::now()));
        insta::assert_snapshot!("view", view(&samples::images()[1], samples::now()));
    }

    #[test]
    fn a_difference_names_the_pcrs_and_both_values() {
        let images = samples::images();
        insta::assert_snapshot!(Difference::between(&images[0], &images[1]).text());
        let same = Difference::between(&images[0], &images[0]);
        assert_eq!(same.text(), "web@2025.4 and web@2025.4 expect the same values\n");
    }
}
