//! Golden images.

use vouchsafe_model::{Image, ImageId, ReferenceValues};
use vouchsafe_store::Page;
use vouchsafe_wire::v1::operate::{self, CaptureImage};

use super::tokens::next_cursor;
use super::{OperateRejected, field};
use crate::engine::TrustEngine;

impl TrustEngine {
    /// Makes an image from what a device last quoted. The quote was authentic when it was accepted, and its PCR values
    /// are those that the TPM signed.
    ///
    /// # Errors
    /// There is no such device, it has not vouched yet, an image has the name already, or no PCR is left to compare.
    pub async fn capture_image(&self, asked: CaptureImage) -> Result<Image, OperateRejected> {
        let quoted = self.quoted_pcrs(asked.device).await?;
        if quoted.selection().pcrs.without(asked.ignore).is_empty() {
            return Err(field(
                "ignore",
                "leaves no PCR to compare, and an image that nothing can fail protects nobody",
            ));
        }
        let now = self.now();
        let image = Image {
            id: asked.id,
            created_at: now,
            reference: ReferenceValues {
                banks: vec![vouchsafe_model::PcrBank {
                    bank: quoted.bank,
                    values: quoted.values.into_iter().filter(|(pcr, _)| !asked.ignore.contains(*pcr)).collect(),
                }],
                ignored: asked.ignore,
            },
            retired_at: None,
            activated_at: now,
            document: None,
        };
        self.store().create_image(&image).await?;
        tracing::info!(image.id = %image.id, device.id = %asked.device, "image captured");
        if asked.assign {
            self.assign_image(asked.device, Some(image.id.clone())).await?;
        }
        Ok(image)
    }

    /// The images, by name.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn list_images(&self, page: Page<ImageId>) -> Result<operate::Page<Image>, OperateRejected> {
        let limit = page.limit;
        let items = self.store().list_images(page).await?;
        let next = next_cursor(&items, limit, |image| image.id.to_string());
        Ok(operate::Page { items, next })
    }

    /// An image.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn image(&self, id: &ImageId) -> Result<Image, OperateRejected> {
        let image = self.store().image(id).await?;
        image.ok_or_else(|| OperateRejected::NotFound { what: "image", id: id.to_string() })
    }

    /// Withdraws an image: devices that are compared with it get a warning from their next attestation on.
    ///
    /// # Errors
    /// There is none of this name.
    pub async fn retire_image(&self, id: &ImageId) -> Result<Image, OperateRejected> {
        let image = self.store().retire_image(id, self.now()).await?;
        tracing::info!(image.id = %id, "image retired");
        Ok(image)
    }

    /// An image that devices may be assigned.
    pub(super) async fn usable_image(&self, id: &ImageId) -> Result<Image, OperateRejected> {
        let image = self.image(id).await?;
        if image.retired_at.is_some() {
            return Err(OperateRejected::ImageRetired { image: image.id });
        }
        Ok(image)
    }
}
