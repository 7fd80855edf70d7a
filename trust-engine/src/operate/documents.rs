//! Golden images as documents: importing them, and what they would make of today's devices.

use std::sync::Arc;

use vouchsafe_attest::image::signed::{OpenError, SignedImage};
use vouchsafe_attest::image::{Compiled, DocumentError, GoldenImage};
use vouchsafe_attest::key::AttestationKey;
use vouchsafe_attest::quote::{AuthenticQuote, OfflineCheck, QuoteCheck, Sha1Bank};
use vouchsafe_attest::tpm::PublicArea;
use vouchsafe_model::image::ImageDocument;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{DeviceState, Image, PcrSelection, ReferenceValues};
use vouchsafe_store::{DeviceFilter, Page, PageLimit, Standing, StoredEvidence};
use vouchsafe_wire::v1::limits;
use vouchsafe_wire::v1::logs::Deflated;
use vouchsafe_wire::v1::operate::{DryRun, DryRunDevice, ImageSource, Measurements};

use super::{OperateRejected, field};
use crate::appraise;
use crate::engine::{EngineError, TrustEngine, compute};
use crate::golden::ValidImages;
use crate::nonce::sha256;

/// The most devices of one dry run.
const MAX_DRY_RUN: usize = 10_000;

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
struct Checked {
    text: String,
    envelope: Option<String>,
    signed_by: Option<String>,
    document: GoldenImage,
    compiled: Arc<Compiled>,
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

    /// What an image would make of the boots of today's devices. Nothing is stored.
    ///
    /// # Errors
    /// The image would not be taken.
    pub async fn dry_run(&self, source: ImageSource) -> Result<DryRun, OperateRejected> {
        let Checked { document, compiled, .. } = self.check_image(source).await?;
        let meant = |standing: &Standing| {
            let image = standing.device.image.as_ref();
            image.is_some_and(|image| image.name() == document.id.name() || document.supersedes.contains(image))
        };
        let all = self.active_devices().await?;
        let few: Vec<&Standing> = all.iter().filter(|standing| meant(standing)).collect();
        let chosen = if few.is_empty() { all.iter().collect() } else { few };
        let mut run = DryRun { image: document.id.clone(), devices: Vec::new(), unseen: Vec::new() };
        for standing in chosen {
            match self.last_quote(standing).await? {
                Some((quote, log)) => run.devices.push(self.would_be(standing, quote, log, &compiled).await?),
                None => run.unseen.push(standing.device.id),
            }
        }
        run.devices.sort_by_key(|device| (!device.fails, device.device));
        Ok(run)
    }

    /// What a device last vouched for, to make an image from.
    ///
    /// # Errors
    /// There is no such device, or it has not vouched yet.
    pub async fn measurements(&self, id: vouchsafe_model::DeviceId) -> Result<Measurements, OperateRejected> {
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

    async fn check_image(&self, source: ImageSource) -> Result<Checked, OperateRejected> {
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

    async fn active_devices(&self) -> Result<Vec<Standing>, OperateRejected> {
        let filter = DeviceFilter { state: Some(DeviceState::Active), ..DeviceFilter::default() };
        let (mut devices, mut page) = (Vec::new(), Page::first(PageLimit::default()));
        while devices.len() < MAX_DRY_RUN {
            let standings = self.store().list_standings(&filter, page).await?;
            let Some(last) = standings.last().map(|standing| standing.device.id) else { break };
            devices.extend(standings);
            page = Page::after(last, PageLimit::default());
        }
        Ok(devices)
    }

    /// The last accepted quote of a device, authentic once more, and the log that came with it.
    async fn last_quote(
        &self,
        standing: &Standing,
    ) -> Result<Option<(AuthenticQuote, Option<Vec<u8>>)>, OperateRejected> {
        let Some(last) = &standing.attestation else { return Ok(None) };
        let Some(evidence) = self.store().evidence(last.id()).await? else { return Ok(None) };
        let Some(quote) = authentic(standing, &evidence) else { return Ok(None) };
        Ok(Some((quote, self.last_log(standing).await?)))
    }

    async fn last_log(&self, standing: &Standing) -> Result<Option<Vec<u8>>, OperateRejected> {
        let record = self.store().boot(standing.device.id).await?;
        match record.and_then(|record| record.event_log) {
            Some(digest) => Ok(self.store().event_log(digest).await?),
            None => Ok(None),
        }
    }

    async fn would_be(
        &self,
        standing: &Standing,
        quote: AuthenticQuote,
        log: Option<Vec<u8>>,
        compiled: &Arc<Compiled>,
    ) -> Result<DryRunDevice, OperateRejected> {
        let valid = ValidImages::of_candidate(Arc::clone(compiled));
        let dbx = self.dbx().await?;
        let findings = compute(move || appraise::of_boot(&quote, log.as_deref(), &valid, &dbx)).await?;
        Ok(DryRunDevice {
            device: standing.device.id,
            hostname: standing.device.facts.hostname.clone(),
            image: standing.device.image.clone(),
            fails: VerdictStatus::of(&findings) == VerdictStatus::Contraindicated,
            findings,
        })
    }
}

/// Verifies a stored quote again: by the device's key, for the occasion that it names itself. That the occasion was the
/// right one was checked when it was accepted.
fn authentic(standing: &Standing, evidence: &StoredEvidence) -> Option<AuthenticQuote> {
    let ak = PublicArea::parse_tpmt(&standing.device.keys.ak_public).ok()?;
    let ak = AttestationKey::from_public(ak).ok()?;
    let (message, signature) = (evidence.message.as_slice(), evidence.signature.as_slice());
    let signed = OfflineCheck { key: ak.verifying_key(), message, signature, qualifying_data: None }.verify().ok()?;
    let selection: PcrSelection = evidence.pcrs.selection();
    let sha1 = if standing.device.sha1_consent { Sha1Bank::Consented } else { Sha1Bank::Refused };
    let qualifying_data = signed.qualifying_data();
    let pcrs = &evidence.pcrs;
    QuoteCheck { ak: &ak, message, signature, qualifying_data, selection: &selection, pcrs, sha1 }.verify().ok()
}
