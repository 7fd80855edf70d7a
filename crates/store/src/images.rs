//! Golden images.

use async_trait::async_trait;
use vouchsafe_model::{Image, ImageId, Timestamp};

use crate::error::StoreError;
use crate::page::Page;

/// The document that describes an image, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// Its text.
    pub text: String,
    /// The envelope that it was signed in, if it was.
    pub envelope: Option<String>,
}

/// Where golden images are kept.
///
/// To implement: an image is never changed, except that it is retired once, and never deleted, since verdicts name it. Its
/// document is stored with it, in the same transaction, and is read by [`Images::image_document`] alone: a document may be
/// tens of megabytes, and whatever else reads images reads many.
#[async_trait]
pub trait Images: Send + Sync {
    /// Stores a new image that has no document.
    ///
    /// # Errors
    /// `Conflict` when there is one of this name and version, or when it names a document, `TooLarge` when its reference
    /// values exceed their bound in [`limits`](crate::limits).
    async fn create_image(&self, image: &Image) -> Result<(), StoreError>;

    /// Stores a new image with the document that describes it, and with the envelope that this was signed in.
    ///
    /// # Errors
    /// `Conflict` when there is one of this name and version, when it has no summary of its document, or when it supersedes
    /// itself; `TooLarge` when text, envelope, reference values, key name or the number of superseded images exceeds its
    /// bound in [`limits`](crate::limits).
    async fn create_image_with_document(
        &self,
        image: &Image,
        text: &str,
        envelope: Option<&str>,
    ) -> Result<(), StoreError>;

    /// The image of this name and version.
    ///
    /// # Errors
    /// Those of any operation.
    async fn image(&self, id: &ImageId) -> Result<Option<Image>, StoreError>;

    /// The document of the image of this name and version; `None` when there is no such image, or it has none.
    ///
    /// # Errors
    /// Those of any operation.
    async fn image_document(&self, id: &ImageId) -> Result<Option<StoredDocument>, StoreError>;

    /// The images whose documents say that they supersede this one and that are not retired, the last activated first, at
    /// most [`PageLimit::MAX`](crate::PageLimit::MAX) of them. There need be no image of this name.
    ///
    /// # Errors
    /// Those of any operation.
    async fn successors(&self, id: &ImageId) -> Result<Vec<Image>, StoreError>;

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
