//! One copy in memory of each image that is in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe_attest::image::{Compiled, GoldenImage};
use vouchsafe_model::{Image, ImageId};
use vouchsafe_store::Store;

use super::{ImageUnusable, of_values};
use crate::engine::EngineError;

/// The most images that are kept ready. The one that was not asked for the longest makes room.
const CAPACITY: usize = 64;

/// Images that are ready. A document never changes under its name, so that nothing here goes stale.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    ready: Mutex<Kept>,
    /// Whoever prepares one holds this, so that a thousand devices that come at once do not prepare it a thousand times.
    preparing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    asked: u64,
    images: HashMap<ImageId, (u64, Arc<Compiled>)>,
}

impl Kept {
    fn get(&mut self, id: &ImageId) -> Option<Arc<Compiled>> {
        self.asked = self.asked.saturating_add(1);
        let (last, ready) = self.images.get_mut(id)?;
        *last = self.asked;
        Some(Arc::clone(ready))
    }

    fn put(&mut self, ready: Arc<Compiled>) {
        self.asked = self.asked.saturating_add(1);
        if self.images.len() >= CAPACITY
            && let Some(oldest) = self.images.iter().min_by_key(|(_, (last, _))| *last).map(|(id, _)| id.clone())
        {
            self.images.remove(&oldest);
        }
        self.images.insert(ready.document().id.clone(), (self.asked, ready));
    }
}

impl Shelf {
    /// The image, prepared now unless it was before. An image that cannot be used is an answer of its own: what is
    /// compared with it fails.
    pub(crate) async fn ready(
        &self,
        store: &dyn Store,
        image: &Image,
    ) -> Result<Result<Arc<Compiled>, ImageUnusable>, EngineError> {
        if let Some(ready) = self.kept(&image.id) {
            return Ok(Ok(ready));
        }
        let _one_at_a_time = self.preparing.lock().await;
        if let Some(ready) = self.kept(&image.id) {
            return Ok(Ok(ready));
        }
        let prepared = match &image.document {
            None => of_values(image),
            Some(_) => match store.image_document(&image.id).await? {
                None => Err(ImageUnusable::Missing { image: image.id.clone() }),
                Some(stored) => {
                    let id = image.id.clone();
                    // A large document takes longer than a request should hold up others.
                    let reading = tokio::task::spawn_blocking(move || read(&id, &stored.text));
                    reading.await.map_err(|_| EngineError::Stopped)?
                }
            },
        };
        if let Ok(ready) = &prepared {
            self.lock().put(Arc::clone(ready));
        }
        Ok(prepared)
    }

    fn kept(&self, id: &ImageId) -> Option<Arc<Compiled>> {
        self.lock().get(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(id: &ImageId, text: &str) -> Result<Arc<Compiled>, ImageUnusable> {
    let document = GoldenImage::parse(text)?;
    if document.id != *id {
        return Err(ImageUnusable::Misnamed { found: document.id });
    }
    Ok(Compiled::new(document)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_model::Timestamp;

    fn ready(name: usize) -> Arc<Compiled> {
        let id = format!("web@{name}").parse().unwrap();
        Compiled::new(GoldenImage::new(id, Timestamp::from_unix_secs(1))).unwrap()
    }

    #[test]
    fn the_one_that_was_not_asked_for_the_longest_makes_room() {
        let mut kept = Kept::default();
        (0..CAPACITY).for_each(|name| kept.put(ready(name)));
        let first = kept.get(&ready(0).document().id).unwrap();
        kept.put(ready(CAPACITY));
        assert_eq!(kept.images.len(), CAPACITY);
        assert!(
            Arc::ptr_eq(&first, &kept.get(&ready(0).document().id).unwrap()),
            "all devices of an image share one copy"
        );
        assert!(kept.get(&ready(1).document().id).is_none());
    }

    #[tokio::test]
    async fn ten_thousand_devices_of_one_image_share_one_copy() {
        use vouchsafe_model::image::ImageDocument;
        use vouchsafe_model::{ReferenceValues, Sha256Digest};
        use vouchsafe_store::{Images as _, SqliteOptions, SqliteStore};

        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("test.db"), SqliteOptions::default()).await.unwrap();
        let created_at = Timestamp::from_unix_secs(1);
        let document = GoldenImage::new("web@1".parse().unwrap(), created_at);
        let text = document.to_text();
        let described = ImageDocument {
            digest: Sha256Digest::new([7; 32]),
            supersedes: Vec::new(),
            overlap_secs: 0,
            max_age_secs: None,
            signed_by: None,
        };
        let image = Image {
            id: document.id,
            created_at,
            reference: ReferenceValues { banks: Vec::new(), ignored: document.ignored_pcrs },
            retired_at: None,
            activated_at: created_at,
            document: Some(described),
        };
        store.create_image_with_document(&image, &text, None).await.unwrap();

        let shelf = Shelf::default();
        let first = shelf.ready(&store, &image).await.unwrap().unwrap();
        let mut copies = Vec::new();
        for _ in 0..10_000 {
            copies.push(shelf.ready(&store, &image).await.unwrap().unwrap());
        }
        assert!(copies.iter().all(|copy| Arc::ptr_eq(copy, &first)));
        assert_eq!(Arc::strong_count(&first), 10_002, "the shelf's, the first and one for each device");

        // Those that come at once, before it is ready, get one copy too.
        let shelf = Shelf::default();
        let (one, two) = tokio::join!(shelf.ready(&store, &image), shelf.ready(&store, &image));
        assert!(Arc::ptr_eq(&one.unwrap().unwrap(), &two.unwrap().unwrap()));
    }

    #[test]
    fn a_document_under_another_name_is_no_answer() {
        let text = GoldenImage::new("web@2".parse().unwrap(), Timestamp::from_unix_secs(1)).to_text();
        assert!(read(&"web@2".parse().unwrap(), &text).is_ok());
        assert!(matches!(read(&"web@1".parse().unwrap(), &text), Err(ImageUnusable::Misnamed { .. })));
    }
}
