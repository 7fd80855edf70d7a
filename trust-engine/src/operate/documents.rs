//! Golden images as documents: importing them, and what they are made from.

use std::sync::Arc;

use vouchsafe_attest::image::signed::{OpenError, SignedImage};
use vouchsafe_attest::image::{Compiled, DocumentError, GoldenImage};
use vouchsafe_model::image::ImageDocument;
use vouchsafe_model::{DeviceId, Image, ReferenceValues};
use vouchsafe_store::Standing;
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::Deflated;
use vouchsafe_wire::v1::operate::{ImaListPage, ImaListPiece, ImageSource, Measurements};

use super::{OperateRejected, field};
use crate::engine::{EngineError, TrustEngine, compute};
use crate::measured::KeptList;
use crate::measured::kept::WholeList;
use crate::nonce::sha256;

/// Why an image's text is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImageRefused {
    /// It is not signed, and this engine takes signed images alone.
    #[error(
        "the image is not signed, and this engine takes images that one of its keys signed; sign it with `vouchsafe image sign`"
    )]
    Unsigned,
    /// It is signed, and this engine was given no key to check it with.
    #[error("the image is signed, and this engine has no keys for images; name them in images.keys")]
    NoKeys,
    /// Its envelope cannot be opened.
    #[error(transparent)]
    Envelope(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It cannot be used.
    #[error(transparent)]
    Compile(#[from] vouchsafe_attest::image::CompileError),
}

/// An image that may be activated.
pub(super) struct Checked {
    text: String,
    envelope: Option<String>,
    signed_by: Option<String>,
    pub(super) document: GoldenImage,
    pub(super) compiled: Arc<Compiled>,
}

impl TrustEngine {
    /// Takes an image: from now on devices may be assigned it, and those that are compared with what it supersedes may be
    /// in either state while the overlap lasts.
    ///
    /// # Errors
    /// It is not signed by who must, cannot be read, or there is one of this name already.
    pub async fn import_image(&self, source: ImageSource) -> Result<Image, OperateRejected> {
        let Checked { text, envelope, signed_by, document, .. } = self.check_image(source).await?;
        let secs = |period: vouchsafe_attest::image::Period| period.duration().as_secs();
        let image = Image {
            id: document.id.clone(),
            created_at: document.created_at,
            reference: ReferenceValues { banks: Vec::new(), ignored: document.ignored_pcrs },
            retired_at: None,
            activated_at: self.now(),
            document: Some(ImageDocument {
                digest: sha256(text.as_bytes()),
                supersedes: document.supersedes.iter().cloned().collect(),
                overlap_secs: document.overlap.map_or(0, secs),
                max_age_secs: document.max_age.map(secs),
                signed_by,
            }),
        };
        self.store().create_image_with_document(&image, &text, envelope.as_deref()).await?;
        let signer = image.document.as_ref().and_then(|document| document.signed_by.clone());
        tracing::info!(image.id = %image.id, image.signed_by = signer, "image imported");
        Ok(image)
    }

    /// The text of an image, as it was imported.
    ///
    /// # Errors
    /// There is no such image, or it was captured without a document.
    pub async fn image_text(&self, id: &vouchsafe_model::ImageId) -> Result<ImageSource, OperateRejected> {
        let stored = self.store().image_document(id).await?;
        let stored = stored.ok_or_else(|| OperateRejected::NotFound { what: "image document", id: id.to_string() })?;
        Ok(stored.envelope.map_or(ImageSource::Text(stored.text), ImageSource::Envelope))
    }

    /// What a device last vouched for, to make an image from.
    ///
    /// # Errors
    /// There is no such device, or it has not vouched yet.
    pub async fn measurements(&self, id: DeviceId) -> Result<Measurements, OperateRejected> {
        let standing = self.standing(id).await?;
        let last = standing.attestation.as_ref().ok_or(OperateRejected::NothingQuoted)?;
        let evidence = self.store().evidence(last.id()).await?.ok_or(OperateRejected::NothingQuoted)?;
        let event_log = self.last_log(&standing).await?;
        let deflated = event_log.map(|log| Deflated::<{ limits::EVENT_LOG_COMPRESSED }>::new(&log)).transpose();
        Ok(Measurements {
            device: id,
            attestation: last.id(),
            received_at: evidence.received_at,
            pcrs: evidence.pcrs,
            event_log: deflated.map_err(|_| EngineError::TooLarge { what: "the event log" })?,
        })
    }

    /// What a device measured since it booted, as far as its quotes vouched for it: from this place on, as much as is asked
    /// for at once.
    ///
    /// # Errors
    /// There is no such device, it has not vouched for a list, or its list is not kept.
    pub async fn ima_list(&self, id: DeviceId, from: u64) -> Result<ImaListPage, OperateRejected> {
        self.standing(id).await?;
        let WholeList { end, parts } = match self.kept_list(id).await? {
            KeptList::None => return Err(OperateRejected::NoList),
            KeptList::Lost(lost) => return Err(OperateRejected::ListNotKept { lost }),
            KeptList::Whole(list) => *list,
        };
        let (mut pieces, mut deflated) = (Vec::new(), 0usize);
        for part in parts.into_iter().filter(|part| part.end() > from) {
            if deflated >= limits::IMA_LIST_PAGE {
                break;
            }
            deflated = deflated.saturating_add(part.deflated.len());
            let log = Deflated::of_compressed(part.deflated);
            let log = log.map_err(|_| EngineError::TooLarge { what: "a part of an IMA list" })?;
            pieces.push(ImaListPiece { offset: part.offset, log });
        }
        let (len, entries, bank, pcr10) = (end.bytes(), end.entries(), end.bank(), end.pcr10().clone());
        Ok(ImaListPage { device: id, len, entries, bank, pcr10, parts: pieces })
    }

    pub(super) async fn check_image(&self, source: ImageSource) -> Result<Checked, OperateRejected> {
        let keys = self.parts.image_keys.clone();
        let checked = compute(move || {
            let (text, envelope, signed_by, document) = match source {
                ImageSource::Text(_) if !keys.is_empty() => return Err(ImageRefused::Unsigned),
                ImageSource::Text(text) => {
                    let document = GoldenImage::parse(&text)?;
                    (text, None, None, document)
                }
                ImageSource::Envelope(_) if keys.is_empty() => return Err(ImageRefused::NoKeys),
                ImageSource::Envelope(envelope) => {
                    let opened = SignedImage::open(envelope.as_bytes(), &keys)?;
                    let (text, signer) = (opened.text().to_owned(), opened.signer().to_owned());
                    (text, Some(envelope), Some(signer), opened.into_image())
                }
            };
            let compiled = Compiled::new(document.clone())?;
            Ok(Checked { text, envelope, signed_by, document, compiled })
        });
        checked.await?.map_err(|refused| field("image", refused.to_string()))
    }

    /// The event log of a device's present boot.
    pub(super) async fn last_log(&self, standing: &Standing) -> Result<Option<Vec<u8>>, OperateRejected> {
        let record = self.store().boot(standing.device.id).await?;
        match record.and_then(|record| record.event_log) {
            Some(digest) => Ok(self.store().event_log(digest).await?),
            None => Ok(None),
        }
    }
}
