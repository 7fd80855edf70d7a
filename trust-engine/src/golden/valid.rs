//! Which images are valid for a device now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_attest::ima::RuntimePolicy;
use vouchsafe_attest::image::Compiled;
use vouchsafe_model::{Finding, FindingCode, Image, ImageId, ReferenceValues, Timestamp};
use vouchsafe_store::Standing;

use super::ImageUnusable;
use crate::engine::{EngineError, TrustEngine};

/// The most images that are valid for a device at once.
const MOST: usize = 16;

/// The images that are valid for a device, and what is to be said of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ValidImages {
    /// Ready to be compared with, and as they are stored.
    pub(crate) images: BTreeMap<ImageId, (Image, Arc<Compiled>)>,
    /// What is wrong with the images themselves.
    pub(crate) findings: Vec<Finding>,
    /// That the assigned image is valid no more, and another is: it fails who did not move on.
    pub(crate) superseded: Option<Finding>,
}

impl ValidImages {
    /// Those that a boot is compared with.
    pub(crate) fn compiled(&self) -> Vec<Arc<Compiled>> {
        self.images.values().map(|(_, ready)| Arc::clone(ready)).collect()
    }

    /// What may run by any of them; `None` when none speaks of it.
    pub(crate) fn runtime(&self) -> Option<RuntimePolicy> {
        let mut policies = self.images.values().filter_map(|(_, ready)| ready.runtime()).peekable();
        policies.peek()?;
        Some(RuntimePolicy::merge(policies))
    }

    /// The names of those that speak of what may run: a replayed list was judged by these.
    pub(crate) fn judges(&self) -> BTreeSet<ImageId> {
        let speaking = self.images.iter().filter(|(_, (_, ready))| ready.runtime().is_some());
        speaking.map(|(id, _)| id.clone()).collect()
    }

    /// One image that is not stored: what it would make of a device.
    pub(crate) fn of_candidate(compiled: Arc<Compiled>) -> Self {
        let document = compiled.document();
        let image = Image {
            id: document.id.clone(),
            created_at: document.created_at,
            reference: ReferenceValues { banks: Vec::new(), ignored: document.ignored_pcrs },
            retired_at: None,
            activated_at: document.created_at,
            document: None,
        };
        let mut valid = Self::default();
        valid.add(image, compiled);
        valid
    }

    /// An image, ready to be compared with.
    pub(crate) fn add(&mut self, image: Image, ready: Arc<Compiled>) {
        self.images.insert(image.id.clone(), (image, ready));
    }
}

impl TrustEngine {
    /// The images that are valid now for this device; none when it is assigned none.
    pub(crate) async fn valid_for(&self, standing: &Standing, now: Timestamp) -> Result<ValidImages, EngineError> {
        match self.assigned_image(standing).await? {
            Some(assigned) => self.valid_images(&assigned, now).await,
            None => Ok(ValidImages::default()),
        }
    }

    /// The images that are valid now for a device that is assigned this one.
    pub(crate) async fn valid_images(&self, assigned: &Image, now: Timestamp) -> Result<ValidImages, EngineError> {
        let mut valid = ValidImages::default();
        let family = self.family(assigned).await?;
        for image in family.values() {
            let over = move_ends(image, &family).filter(|deadline| *deadline < now);
            let is_assigned = image.id == assigned.id;
            if is_assigned {
                valid.superseded = over.map(|over| superseded(image, over));
            }
            if over.is_some() || (image.retired_at.is_some() && !is_assigned) {
                continue;
            }
            match self.shelf.ready(self.store(), image).await? {
                Ok(ready) => valid.add(image.clone(), ready),
                Err(unusable) if is_assigned => valid.findings.push(unreadable(&image.id, &unusable)),
                Err(unusable) => tracing::error!(image.id = %image.id, "the image is left out: {unusable}"),
            }
        }
        Ok(valid)
    }

    /// The image, what superseded it by and by, and what it superseded itself.
    async fn family(&self, assigned: &Image) -> Result<BTreeMap<ImageId, Image>, EngineError> {
        let mut family = BTreeMap::from([(assigned.id.clone(), assigned.clone())]);
        let mut newer = vec![assigned.id.clone()];
        while let Some(id) = newer.pop() {
            for successor in self.store().successors(&id).await? {
                if family.len() < MOST && !family.contains_key(&successor.id) {
                    newer.push(successor.id.clone());
                    family.insert(successor.id.clone(), successor);
                }
            }
        }
        let older = assigned.document.iter().flat_map(|document| &document.supersedes);
        for id in older.take(MOST.saturating_sub(family.len())) {
            if let Some(image) = self.store().image(id).await? {
                family.entry(id.clone()).or_insert(image);
            }
        }
        Ok(family)
    }
}

/// Until when this image may be run although others superseded it: none did if there is no such instant.
fn move_ends(image: &Image, family: &BTreeMap<ImageId, Image>) -> Option<Timestamp> {
    let end = |successor: &Image| {
        let document = successor.document.as_ref().filter(|document| document.supersedes.contains(&image.id))?;
        let overlap = Duration::from_secs(document.overlap_secs);
        successor.retired_at.is_none().then(|| successor.activated_at.plus(overlap))
    };
    family.values().filter_map(end).min()
}

fn superseded(image: &Image, over: Timestamp) -> Finding {
    let expected = format!("an image that superseded it, since {over}");
    Finding::new(FindingCode::ImageSuperseded).about(&image.id).with(expected, &image.id)
}

fn unreadable(image: &ImageId, unusable: &ImageUnusable) -> Finding {
    Finding::new(FindingCode::ImageUnreadable).about(image).with("an image that can be used", unusable)
}
