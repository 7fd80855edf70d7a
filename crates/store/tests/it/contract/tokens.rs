//! Join tokens.

use std::sync::Arc;

use vouchsafe_model::Sha256Digest;
use vouchsafe_model::token::JoinToken;
use vouchsafe_store::limits::MAX_LABEL_BYTES;
use vouchsafe_store::{Entity, Page, PageLimit, Store};

use super::{is_conflict, is_missing, is_too_large, on_every_store};
use crate::fixtures::{at, digest, ek_digest, image, image_id, token, token_id};

on_every_store! {
    a_token_is_found_by_the_digest_of_its_secret,
    ids_and_secrets_are_taken_once,
    a_token_with_more_uses_than_it_may_have_is_not_stored,
    a_token_for_an_image_that_does_not_exist_is_not_stored,
    a_label_may_be_as_long_as_the_bound_and_no_longer,
    tokens_are_listed_newest_first_page_by_page,
    the_first_revocation_of_a_token_is_the_one_that_counts,
}

async fn a_token_is_found_by_the_digest_of_its_secret(store: Arc<dyn Store>) {
    store.create_image(&image(7)).await.unwrap();
    let plain = token(1);
    let particular = JoinToken {
        pinned_ek: Some(ek_digest(9)),
        image: Some(image_id(7)),
        sha1_consent: true,
        max_uses: 3,
        uses: 2,
        revoked_at: Some(at(5)),
        ..token(2)
    };
    for token in [&plain, &particular] {
        store.create_token(token).await.unwrap();
        assert_eq!(store.token_by_secret_digest(&token.secret_digest).await.unwrap().as_ref(), Some(token));
    }
    assert_eq!(store.token_by_secret_digest(&Sha256Digest::new([0; 32])).await.unwrap(), None);
}

async fn ids_and_secrets_are_taken_once(store: Arc<dyn Store>) {
    store.create_token(&token(1)).await.unwrap();
    let same_id = JoinToken { secret_digest: digest(b't', 2), ..token(1) };
    let same_secret = JoinToken { id: token_id(2), ..token(1) };
    for taken in [same_id, same_secret] {
        assert!(is_conflict(&store.create_token(&taken).await, Entity::Token));
    }
    assert_eq!(store.list_tokens(Page::default()).await.unwrap(), [token(1)]);
}

async fn a_token_with_more_uses_than_it_may_have_is_not_stored(store: Arc<dyn Store>) {
    let overused = JoinToken { max_uses: 1, uses: 2, ..token(1) };
    assert!(is_conflict(&store.create_token(&overused).await, Entity::Token));
    assert_eq!(store.list_tokens(Page::default()).await.unwrap(), []);
}

async fn a_token_for_an_image_that_does_not_exist_is_not_stored(store: Arc<dyn Store>) {
    let stray = JoinToken { image: Some(image_id(1)), ..token(1) };
    assert!(is_missing(&store.create_token(&stray).await, Entity::Image));
    assert_eq!(store.list_tokens(Page::default()).await.unwrap(), []);
}

async fn a_label_may_be_as_long_as_the_bound_and_no_longer(store: Arc<dyn Store>) {
    let longest = JoinToken { label: "x".repeat(MAX_LABEL_BYTES), ..token(1) };
    store.create_token(&longest).await.unwrap();
    let longer = JoinToken { label: "x".repeat(MAX_LABEL_BYTES + 1), ..token(2) };
    assert!(is_too_large(&store.create_token(&longer).await));
    assert_eq!(store.list_tokens(Page::default()).await.unwrap(), [longest]);
}

async fn tokens_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    for number in [2, 4, 1, 5, 3] {
        store.create_token(&token(number)).await.unwrap();
    }
    let limit = PageLimit::new(2);
    let first = store.list_tokens(Page::first(limit)).await.unwrap();
    assert_eq!(first, [token(5), token(4)]);
    // What is added meanwhile neither repeats nor hides what was there.
    store.create_token(&token(6)).await.unwrap();
    let second = store.list_tokens(Page::after(token_id(4), limit)).await.unwrap();
    assert_eq!(second, [token(3), token(2)]);
    let last = store.list_tokens(Page::after(token_id(2), limit)).await.unwrap();
    assert_eq!(last, [token(1)]);
}

async fn the_first_revocation_of_a_token_is_the_one_that_counts(store: Arc<dyn Store>) {
    store.create_token(&token(1)).await.unwrap();
    let revoked = JoinToken { revoked_at: Some(at(10)), ..token(1) };
    assert_eq!(store.revoke_token(token_id(1), at(10)).await.unwrap(), revoked);
    assert_eq!(store.revoke_token(token_id(1), at(20)).await.unwrap(), revoked);
    assert!(is_missing(&store.revoke_token(token_id(2), at(10)).await, Entity::Token));
}
