//! Images as they are shipped: a text, or an envelope that somebody signed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use vouchsafe_attest::dsse::MAX_ENVELOPE_LEN;
use vouchsafe_attest::image::GoldenImage;
use vouchsafe_attest::image::signed::SignedImage;
use vouchsafe_pki::files;

use super::signature::read_key;
use crate::failure::with_hint;

/// An image from a file.
#[derive(Debug)]
pub(crate) struct OpenedImage {
    pub(crate) image: GoldenImage,
    /// The id of the key that signed it; `None` when nobody was asked for.
    pub(crate) signed_by: Option<String>,
}

/// Reads an image: a text, or an envelope that one of the keys signed. An envelope is JSON, and no image begins like it.
///
/// Where keys are given nothing unsigned will do, and where none are no envelope: nobody would look at its signature.
///
/// # Errors
/// When it is no image, or not signed by one of the keys.
pub(crate) fn open(path: &Path, keys: &[PathBuf]) -> anyhow::Result<OpenedImage> {
    let bytes = files::read_file(path, MAX_ENVELOPE_LEN).context("cannot use the image")?;
    let is_envelope = bytes.trim_ascii_start().starts_with(b"{");
    match (is_envelope, keys) {
        (false, []) => {
            let image = GoldenImage::parse_bytes(&bytes).with_context(|| format!("{} is no image", path.display()))?;
            Ok(OpenedImage { image, signed_by: None })
        }
        (true, [_, ..]) => {
            let keys = keys.iter().map(|path| read_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
            let signed = SignedImage::open(&bytes, &keys)
                .with_context(|| format!("{} is no image that can be relied on", path.display()))?;
            let signed_by = Some(signed.signer().to_owned());
            Ok(OpenedImage { image: signed.into_image(), signed_by })
        }
        (false, [_, ..]) => Err(with_hint(
            anyhow!("{} is not signed", path.display()),
            "give the envelope that `vouchsafe image sign` made of it, or leave --key out",
        )),
        (true, []) => Err(with_hint(
            anyhow!("{} is signed, and no key was given to verify it with", path.display()),
            "name the public key: --key images.key.pub",
        )),
    }
}
