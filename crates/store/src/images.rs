//! Golden images.

use async_trait::async_trait;
use vouchsafe_model::{Image, ImageId, Timestamp};

use crate::error::StoreError;
use crate::page::Page;

/// Where golden images are kept.
///
/// To implement: an image is never changed, except that it is retired once, and never deleted, since verdicts name it.
#[async_trait]
pub trait Images: Send + Sync {
    /// Stores a new image.
    ///
    /// # Errors
    /// `Conflict` when there is one of this name and version, `TooLarge` when its reference values exceed
    /// their bound in [`limits`](crate::limits).
    async fn create_image(&self, image: &Image) -> Result<(), StoreError>;

    /// The image of this name and version.
    ///
    /// # Errors
    /// Those of any operation.
    async fn image(&self, id: &ImageId) -> Result<Option<Image>, StoreError>;

    /// The images, in the order of the bytes of their ids.
    ///
    /// # Errors
    /// Those of any operation.
    async fn list_images(&self, page: Page<ImageId>) -> Result<Vec<Image>, StoreError>;

    /// Withdraws an image and returns it. One that was withdrawn before keeps the instant at which it was.
    ///
    /// # Errors
    /// `Missing` when there is none.
    async fn retire_image(&self, id: &ImageId, now: Timestamp) -> Result<Image, StoreError>;
}
