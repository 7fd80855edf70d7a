//! Golden images that are ready to be compared with, and which of them are valid for a device.
//!
//! An image is read and prepared once, however many devices share it. While an update is under way several are valid for
//! one device: what it is assigned, what supersedes that, and what that superseded, for as long as the overlap lasts
//! (threat 24).

mod assign;
mod cache;
mod valid;

use std::sync::Arc;

use vouchsafe_attest::image::{CompileError, Compiled, DocumentError, GoldenImage, pcrs};
use vouchsafe_model::{Image, ImageId};

pub(crate) use assign::{image_move, tell_move};
pub(crate) use cache::Shelf;
pub(crate) use valid::ValidImages;

/// Why an image cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum ImageUnusable {
    /// Its document cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// Parts of it contradict each other, or its runtime section cannot be used.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Its document is named otherwise than the image.
    #[error("the document is of {found}")]
    Misnamed {
        /// What the document says.
        found: ImageId,
    },
    /// Its document is gone.
    #[error("the document of {image} is not in the store")]
    Missing {
        /// Of which image.
        image: ImageId,
    },
}

/// Prepares an image that holds PCR values and nothing else.
fn of_values(image: &Image) -> Result<Arc<Compiled>, ImageUnusable> {
    let mut document = GoldenImage::new(image.id.clone(), image.created_at);
    document.pcrs = pcrs::from_reference_values(&image.reference);
    document.ignored_pcrs = image.reference.ignored;
    Ok(Compiled::new(document)?)
}
