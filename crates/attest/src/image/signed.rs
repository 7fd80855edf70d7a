//! Images in envelopes: what is signed is the text, to the byte, so that what was reviewed is what is shipped.

use super::parse::DocumentError;
use super::{GoldenImage, MAX_TEXT_LEN};
use crate::dsse::{DsseKey, DsseRejected, Envelope, EnvelopeError};

/// What an envelope with an image says that it holds.
pub const PAYLOAD_TYPE: &str = "application/vnd.vouchsafe.image+toml";

/// An image that one of the given keys signed.
#[derive(Clone, Debug)]
pub struct SignedImage {
    image: GoldenImage,
    text: String,
    signer: String,
}

/// Why an envelope holds no image that can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no envelope.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// It is not signed by one of the keys, or is something else.
    #[error(transparent)]
    Rejected(#[from] DsseRejected),
    /// It is signed, and no image.
    #[error("what was signed is no image: {0}")]
    Document(DocumentError),
}

/// Why a text was not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError<E> {
    /// It is no image.
    #[error(transparent)]
    Document(DocumentError),
    /// The signer failed.
    #[error(transparent)]
    Signer(E),
}

/// Signs the text of an image, as it stands, comments and all. A text that is no image is not signed.
///
/// # Errors
/// When the text cannot be read as an image, or `sign` fails.
pub fn sign<E>(
    text: &str,
    key_id: &str,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Envelope, SignError<E>> {
    GoldenImage::parse(text).map_err(SignError::Document)?;
    Envelope::sign(PAYLOAD_TYPE, text.as_bytes(), key_id, sign).map_err(SignError::Signer)
}

impl SignedImage {
    /// Opens an envelope that one of the keys signed.
    ///
    /// # Errors
    /// When it is no envelope, no key made a signature in it, or it holds no image.
    pub fn open(envelope: &[u8], keys: &[DsseKey]) -> Result<Self, OpenError> {
        let verified = Envelope::parse(envelope)?.verify(PAYLOAD_TYPE, keys)?;
        let signer = verified.signer().to_owned();
        let image = GoldenImage::parse_bytes(verified.payload()).map_err(OpenError::Document)?;
        // The document was read from it: it is a text.
        let text = String::from_utf8(verified.into_payload()).unwrap_or_default();
        Ok(Self { image, text, signer })
    }

    /// The image.
    pub fn image(&self) -> &GoldenImage {
        &self.image
    }

    /// The text that was signed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The id of the key that signed: SHA-256 of its `SubjectPublicKeyInfo`, in hexadecimal.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The image, taken out.
    pub fn into_image(self) -> GoldenImage {
        self.image
    }
}

const _: () = assert!(MAX_TEXT_LEN <= crate::dsse::MAX_PAYLOAD_LEN, "an image fits into an envelope");
