//! What was booted: the quote and the event log against the images that are valid.

use vouchsafe_attest::image::{self, SeenBoot};
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_attest::secure_boot::Dbx;
use vouchsafe_model::{Finding, ImageId, Severity};

use super::at_no_cost;
use crate::golden::ValidImages;

/// What a boot comes to.
#[derive(Debug, Default)]
pub(super) struct Booted {
    /// The image that it meets, or comes closest to.
    pub(super) image: Option<ImageId>,
    /// What was found.
    pub(super) findings: Vec<Finding>,
    /// Whether an image said what to expect.
    pub(super) is_covered: bool,
    /// Whether the boot meets the image: nothing of it fails.
    pub(super) is_met: bool,
}

/// Compares what was booted with the valid images.
pub(super) fn compare(quote: &AuthenticQuote, event_log: Option<&[u8]>, valid: &ValidImages, dbx: &Dbx) -> Booted {
    let seen = SeenBoot::of(quote, event_log, dbx);
    let compared = image::choose(&valid.compiled(), |image| seen.against(image));
    let Some(choice) = compared else {
        return Booted { findings: at_no_cost(seen.told()), ..Booted::default() };
    };
    let document = choice.image.document();
    Booted {
        image: Some(document.id.clone()),
        is_covered: document.boot.is_some() || !document.pcrs.is_empty(),
        is_met: choice.findings.iter().all(|finding| finding.severity < Severity::Failure),
        findings: choice.findings,
    }
}
