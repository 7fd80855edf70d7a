//! Golden images from files.

use serde::Serialize;
use vouchsafe_attest::image::signed::{OpenError, SignedImage};
use vouchsafe_attest::image::{BootSection, Change, GoldenImage, Lint};
use vouchsafe_model::{ImageId, PcrIndex, Timestamp};

use super::table::Facts;
use super::{clean, line};

/// What an image holds, and what in it is seldom meant.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    image: ImageId,
    created_at: Timestamp,
    pcrs: Vec<u8>,
    boot: bool,
    paths: usize,
    pub(crate) warnings: Vec<Lint>,
}

impl Checked {
    pub(crate) fn of(image: &GoldenImage, warnings: Vec<Lint>) -> Self {
        Self {
            image: image.id.clone(),
            created_at: image.created_at,
            pcrs: image.held_pcrs().iter().map(PcrIndex::get).collect(),
            boot: image.boot.as_ref().is_some_and(BootSection::expects_something),
            paths: image.runtime.as_ref().map_or(0, |runtime| runtime.digests.len()),
            warnings,
        }
    }
}

/// What an image holds as text, the warnings below.
pub(crate) fn checked(checked: &Checked) -> String {
    let pcrs: Vec<String> = checked.pcrs.iter().map(ToString::to_string).collect();
    let mut text = Facts::default()
        .with("image", &checked.image)
        .with("created", checked.created_at)
        .with("PCR values", if pcrs.is_empty() { "-".to_owned() } else { pcrs.join(",") })
        .with("boot", if checked.boot { "checked" } else { "-" })
        .with("paths", checked.paths)
        .text();
    for Lint { field, message } in &checked.warnings {
        line(&mut text, format_args!("warning: {}: {}", clean(field), clean(message)));
    }
    text
}

/// In what two images differ.
#[derive(Debug, Serialize)]
pub(crate) struct Differences {
    pub(crate) old: ImageId,
    pub(crate) new: ImageId,
    pub(crate) changes: Vec<Change>,
}

/// The facts in which two images differ, old values with `-`, new ones with `+`.
pub(crate) fn differences(differences: &Differences) -> String {
    let Differences { old, new, changes } = differences;
    if changes.is_empty() {
        return format!("{old} and {new} expect the same\n");
    }
    let mut text = String::new();
    for change in changes {
        change.to_string().lines().for_each(|told| line(&mut text, format_args!("{}", clean(told))));
    }
    text
}

/// Who signed an image, or why nobody can be said to have.
#[derive(Debug, Serialize)]
pub(crate) struct SignatureReport {
    pub(crate) authentic: bool,
    image: Option<ImageId>,
    key: Option<String>,
    reason: Option<String>,
}

impl SignatureReport {
    pub(crate) fn authentic(signed: &SignedImage) -> Self {
        let (image, key) = (Some(signed.image().id.clone()), Some(signed.signer().to_owned()));
        Self { authentic: true, image, key, reason: None }
    }

    pub(crate) fn refused(error: &OpenError) -> Self {
        Self { authentic: false, image: None, key: None, reason: Some(error.to_string()) }
    }
}

/// Who signed it.
pub(crate) fn signature(report: &SignatureReport) -> String {
    Facts::default()
        .with("authentic", if report.authentic { "yes" } else { "no" })
        .with_some("reason", report.reason.as_ref())
        .with_some("image", report.image.as_ref())
        .with_some("key", report.key.as_ref())
        .text()
}
