//! Which image a device is assigned: by first use, and by moving on to what superseded it.

use vouchsafe_attest::image::pcrs;
use vouchsafe_attest::quote::AuthenticQuote;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{Image, ImageId};
use vouchsafe_store::{Page, PageLimit, Standing};

use super::ValidImages;
use crate::appraise::of_boot;
use crate::config::FirstUse;
use crate::engine::{EngineError, TrustEngine, compute};

impl TrustEngine {
    /// Assigns the newest image that the boot meets in full, PCR values and log, where the settings let it. An image that
    /// holds no PCR value is assigned by an operator: whatever a device says in its logs, it could say of any image.
    pub(crate) async fn match_image(
        &self,
        standing: &mut Standing,
        quote: &AuthenticQuote,
        event_log: Option<&[u8]>,
    ) -> Result<(), EngineError> {
        if self.parts.config.attest.first_use != FirstUse::Match {
            return Ok(());
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
        let Some(image) = newest else { return Ok(()) };
        let device = standing.device.id;
        self.store().set_device_image(device, Some(&image.id)).await?;
        tracing::info!(device.id = %device, image.id = %image.id, "first use: the device meets an image");
        standing.device.image = Some(image.id);
        Ok(())
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

    /// Assigns the image that the boot met instead of the one that it superseded: the host has been updated. A boot that
    /// met none stays with what it was meant to be, whatever it came closest to.
    pub(crate) async fn follow_image(&self, standing: &mut Standing, met: Option<&ImageId>) -> Result<(), EngineError> {
        let (device, before) = (standing.device.id, standing.device.image.as_ref());
        let Some(image) = met.filter(|image| Some(*image) != before) else { return Ok(()) };
        self.store().set_device_image(device, Some(image)).await?;
        let before = before.map(ToString::to_string);
        tracing::info!(device.id = %device, image.id = %image, image.before = before, "the device moved to another image");
        standing.device.image = Some(image.clone());
        Ok(())
    }
}
