//! Golden images.

use std::sync::Arc;

use vouchsafe_model::{Image, ImageDocument, ImageId, PcrBank, ReferenceValues};
use vouchsafe_store::limits::{MAX_DOCUMENT_BYTES, MAX_KEY_NAME_BYTES, MAX_SUPERSEDED_IMAGES};
use vouchsafe_store::{Entity, Page, PageLimit, Store, StoredDocument};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{at, documented, image, image_id, pcrs};

on_every_store! {
    an_image_is_read_as_it_was_stored,
    a_version_is_never_replaced,
    reference_values_beyond_the_bound_are_not_stored,
    images_are_listed_by_name_page_by_page,
    the_first_retirement_of_an_image_is_the_one_that_counts,
    an_image_is_read_with_the_summary_of_its_document,
    an_image_has_a_document_if_and_only_if_it_says_so,
    a_document_of_a_version_that_there_is_changes_nothing,
    the_largest_document_is_stored_and_one_byte_more_is_not,
    summaries_beyond_a_bound_are_not_stored,
    successors_are_found_until_they_are_retired,
    no_more_successors_are_returned_than_a_page_has,
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

async fn an_image_is_read_with_the_summary_of_its_document(store: Arc<dyn Store>) {
    let text = "[image]\nid = \"web@003\"\n# \u{1F512}\0\n";
    let (enveloped, bare) = (documented(3, &[1, 2]), documented(4, &[]));
    store.create_image_with_document(&enveloped, text, Some("{\"payload\":\"\"}")).await.unwrap();
    store.create_image_with_document(&bare, "", None).await.unwrap();
    assert_eq!(store.image(&image_id(3)).await.unwrap(), Some(enveloped.clone()));
    assert_eq!(store.list_images(Page::default()).await.unwrap(), [enveloped, bare]);

    let signed = StoredDocument { text: text.to_owned(), envelope: Some("{\"payload\":\"\"}".to_owned()) };
    assert_eq!(store.image_document(&image_id(3)).await.unwrap(), Some(signed));
    let unsigned = StoredDocument { text: String::new(), envelope: None };
    assert_eq!(store.image_document(&image_id(4)).await.unwrap(), Some(unsigned));
}

async fn an_image_has_a_document_if_and_only_if_it_says_so(store: Arc<dyn Store>) {
    assert!(is_conflict(&store.create_image(&documented(1, &[])).await, Entity::Image), "the text is missing");
    let without = store.create_image_with_document(&image(1), "text", None).await;
    assert!(is_conflict(&without, Entity::Image), "the summary is missing");
    let of_itself = store.create_image_with_document(&documented(1, &[2, 1]), "text", None).await;
    assert!(is_conflict(&of_itself, Entity::Image), "it supersedes itself");
    assert_eq!(store.image(&image_id(1)).await.unwrap(), None);
    assert_eq!(store.image_document(&image_id(1)).await.unwrap(), None);

    store.create_image(&image(1)).await.unwrap();
    assert_eq!(store.image_document(&image_id(1)).await.unwrap(), None);
}

async fn a_document_of_a_version_that_there_is_changes_nothing(store: Arc<dyn Store>) {
    store.create_image_with_document(&documented(2, &[1]), "first", None).await.unwrap();
    let again = store.create_image_with_document(&documented(2, &[5]), "second", None).await;
    assert!(is_conflict(&again, Entity::Image));
    assert_eq!(store.image_document(&image_id(2)).await.unwrap().unwrap().text, "first");
    assert_eq!(store.successors(&image_id(5)).await.unwrap(), []);
}

async fn the_largest_document_is_stored_and_one_byte_more_is_not(store: Arc<dyn Store>) {
    let mut text = "x".repeat(MAX_DOCUMENT_BYTES + 1);
    for (text, envelope) in [(text.as_str(), None), ("text", Some(text.as_str()))] {
        assert!(is_too_large(&store.create_image_with_document(&documented(1, &[]), text, envelope).await));
    }
    assert_eq!(store.image(&image_id(1)).await.unwrap(), None);
    text.pop();
    store.create_image_with_document(&documented(1, &[]), &text, None).await.unwrap();
    let stored = store.image_document(&image_id(1)).await.unwrap().unwrap();
    assert!(stored.text == text, "{} bytes are others now", stored.text.len());
}

async fn summaries_beyond_a_bound_are_not_stored(store: Arc<dyn Store>) {
    let longest = |index: usize| -> ImageId {
        let version = format!("{index:0width$}", width = ImageId::MAX_PART_LEN);
        format!("{}@{version}", "n".repeat(ImageId::MAX_PART_LEN)).parse().unwrap()
    };
    let with = |superseded: usize, key: usize| {
        let document = ImageDocument {
            supersedes: (0..superseded).map(longest).collect(),
            // Six bytes each in JSON.
            signed_by: Some("\u{1}".repeat(key)),
            ..documented(1, &[]).document.unwrap()
        };
        Image { document: Some(document), ..image(1) }
    };
    for large in [with(MAX_SUPERSEDED_IMAGES + 1, 1), with(1, MAX_KEY_NAME_BYTES + 1)] {
        assert!(is_too_large(&store.create_image_with_document(&large, "text", None).await));
    }
    let largest = with(MAX_SUPERSEDED_IMAGES, MAX_KEY_NAME_BYTES);
    store.create_image_with_document(&largest, "text", None).await.unwrap();
    assert_eq!(store.image(&image_id(1)).await.unwrap(), Some(largest.clone()));
    assert_eq!(store.successors(&longest(MAX_SUPERSEDED_IMAGES - 1)).await.unwrap(), [largest]);
}

async fn successors_are_found_until_they_are_retired(store: Arc<dyn Store>) {
    store.create_image(&image(1)).await.unwrap();
    for (number, supersedes) in [(2, &[1, 1][..]), (3, &[1, 2]), (4, &[9])] {
        store.create_image_with_document(&documented(number, supersedes), "text", None).await.unwrap();
    }
    let successors = async |number| store.successors(&image_id(number)).await.unwrap();
    assert_eq!(successors(1).await, [documented(3, &[1, 2]), documented(2, &[1, 1])], "the last activated first");
    assert_eq!(successors(2).await, [documented(3, &[1, 2])]);
    assert_eq!(successors(3).await, []);
    assert_eq!(successors(9).await, [documented(4, &[9])], "an image that this engine never had");
    store.retire_image(&image_id(3), at(100)).await.unwrap();
    assert_eq!(successors(1).await, [documented(2, &[1, 1])]);
    assert_eq!(successors(2).await, []);
}

async fn no_more_successors_are_returned_than_a_page_has(store: Arc<dyn Store>) {
    for number in 1..=PageLimit::MAX + 1 {
        store.create_image_with_document(&documented(number, &[0]), "text", None).await.unwrap();
    }
    let successors = store.successors(&image_id(0)).await.unwrap();
    assert_eq!(successors.len(), usize::try_from(PageLimit::MAX).unwrap());
    assert_eq!(successors.last(), Some(&documented(2, &[0])), "the first activated is left out");
}
