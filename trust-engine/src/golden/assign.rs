//! Which image a device is assigned: by first use, and by moving on to what superseded it.
//!
//! Nothing is assigned here. The image that a device is to have is stored with the evidence that says so, in the one
//! transaction that spends its nonce: evidence that is not accepted assigns nothing, and an operator who assigned another
//! image meanwhile is not overruled.

use vouchsafe_attest::image::pcrs;
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DeviceId, Image, ImageId, Verdict};
use vouchsafe_store::{ImageMove, Page, PageLimit};

use super::ValidImages;
use crate::appraise::of_boot;
use crate::config::FirstUse;
use crate::engine::{EngineError, TrustEngine, compute};

impl TrustEngine {
    /// The newest image that the boot meets in full, PCR values and log, where the settings let a device be assigned it. An
    /// image that holds no PCR value is assigned by an operator: whatever a device says in its logs, it could say of any
    /// image.
    pub(crate) async fn match_image(
        &self,
        quote: &AuthenticQuote,
        event_log: Option<&[u8]>,
    ) -> Result<Option<ImageId>, EngineError> {
        if self.parts.config.attest.first_use != FirstUse::Match {
            return Ok(None);
        }
        let mut newest: Option<Image> = None;
        let mut page = Page::first(PageLimit::default());
        loop {
            let images = self.store().list_images(page).await?;
            let Some(last) = images.last().map(|image| image.id.clone()) else { break };
            for image in images.into_iter().filter(|image| image.retired_at.is_none()) {
                let is_newer = newest.as_ref().is_none_or(|newest| newest.created_at <= image.created_at);
                if is_newer && self.meets(&image, quote, event_log).await? {
                    newest = Some(image);
                }
            }
            page = Page::after(last, PageLimit::default());
        }
        Ok(newest.map(|image| image.id))
    }

    async fn meets(
        &self,
        image: &Image,
        quote: &AuthenticQuote,
        event_log: Option<&[u8]>,
    ) -> Result<bool, EngineError> {
        let Ok(ready) = self.shelf.ready(self.store(), image).await? else { return Ok(false) };
        let holds_values = !ready.document().pcrs.is_empty();
        if !holds_values || !pcrs::compare(quote, &ready).is_empty() {
            return Ok(false);
        }
        let (quote, log, dbx) = (quote.clone(), event_log.map(<[u8]>::to_vec), self.dbx().await?);
        let compare = move || of_boot(&quote, log.as_deref(), &ValidImages::of_candidate(ready), &dbx);
        Ok(VerdictStatus::of(&compute(compare).await?) != VerdictStatus::Contraindicated)
    }
}

/// To which image a device moves from the one that it is assigned: to the one that the verdict holds it against. It met that
/// one at first use, or the host has been updated to it. A boot that met none stays with what it was meant to be, whatever it
/// came closest to.
pub(crate) fn image_move(assigned: Option<ImageId>, verdict: &Verdict) -> Option<ImageMove> {
    let to = verdict.image().filter(|to| assigned.as_ref() != Some(*to))?.clone();
    Some(ImageMove { from: assigned, to })
}

/// Says that a device has moved.
pub(crate) fn tell_move(device: DeviceId, moved: &ImageMove) {
    match &moved.from {
        None => tracing::info!(device.id = %device, image.id = %moved.to, "first use: the device meets an image"),
        Some(from) => tracing::info!(
            device.id = %device, image.id = %moved.to, image.before = %from, "the device moved to another image"
        ),
    }
}
