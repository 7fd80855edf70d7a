//! Golden images.

use std::sync::Arc;

use vouchsafe_model::{Image, PcrBank, ReferenceValues};
use vouchsafe_store::{Entity, Page, PageLimit, Store};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{at, image, image_id, pcrs};

on_every_store! {
    an_image_is_read_as_it_was_stored,
    a_version_is_never_replaced,
    reference_values_beyond_the_bound_are_not_stored,
    images_are_listed_by_name_page_by_page,
    the_first_retirement_of_an_image_is_the_one_that_counts,
}

async fn an_image_is_read_as_it_was_stored(store: Arc<dyn Store>) {
    store.create_image(&image(1)).await.unwrap();
    assert_eq!(store.image(&image_id(1)).await.unwrap(), Some(image(1)));
    assert_eq!(store.image(&image_id(2)).await.unwrap(), None);
}

async fn a_version_is_never_replaced(store: Arc<dyn Store>) {
    store.create_image(&image(1)).await.unwrap();
    let other = Image { id: image_id(1), ..image(2) };
    assert!(is_conflict(&store.create_image(&other).await, Entity::Image));
    assert_eq!(store.image(&image_id(1)).await.unwrap(), Some(image(1)));
}

async fn reference_values_beyond_the_bound_are_not_stored(store: Arc<dyn Store>) {
    let banks: Vec<PcrBank> = (0..200).map(pcrs).collect();
    let huge = Image { reference: ReferenceValues { banks, ..image(1).reference }, ..image(1) };
    assert!(is_too_large(&store.create_image(&huge).await));
    assert_eq!(store.image(&image_id(1)).await.unwrap(), None);
}

async fn images_are_listed_by_name_page_by_page(store: Arc<dyn Store>) {
    for number in [3, 1, 2] {
        store.create_image(&image(number)).await.unwrap();
    }
    let limit = PageLimit::new(2);
    assert_eq!(store.list_images(Page::first(limit)).await.unwrap(), [image(1), image(2)]);
    assert_eq!(store.list_images(Page::after(image_id(2), limit)).await.unwrap(), [image(3)]);
    assert_eq!(store.list_images(Page::after(image_id(3), limit)).await.unwrap(), []);
}

async fn the_first_retirement_of_an_image_is_the_one_that_counts(store: Arc<dyn Store>) {
    store.create_image(&image(1)).await.unwrap();
    let retired = Image { retired_at: Some(at(10)), ..image(1) };
    assert_eq!(store.retire_image(&image_id(1), at(10)).await.unwrap(), retired);
    assert_eq!(store.retire_image(&image_id(1), at(20)).await.unwrap(), retired);
    assert!(is_missing(&store.retire_image(&image_id(2), at(10)).await, Entity::Image));
}
