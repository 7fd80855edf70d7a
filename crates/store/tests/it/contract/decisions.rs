//! The decision log.

use std::sync::Arc;

use vouchsafe_model::trust::{FactorName, FactorPart, ScoreExplanation};
use vouchsafe_model::{DecisionId, Outcome, TrustScore};
use vouchsafe_store::limits::{MAX_DECISION_BATCH, MAX_REQUEST_BYTES};
use vouchsafe_store::{DecisionFilter, Entity, LoggedDecision, Page, PageLimit, Store};

use super::{is_conflict, is_too_large, on_every_store};
use crate::fixtures::{at, decided, decision, decision_about, decision_id, device_id, digest};

on_every_store! {
    a_score_is_read_to_its_last_bit,
    decisions_are_read_as_they_were_logged,
    decisions_are_listed_newest_first_page_by_page,
    decisions_of_one_instant_are_listed_in_the_order_of_their_logging,
    decisions_are_listed_by_device_outcome_and_time,
    a_batch_that_is_sent_again_is_logged_once,
    another_decision_under_a_known_id_is_refused_with_its_batch,
    a_batch_is_as_large_as_the_bound_and_no_larger,
    batches_that_come_at_once_are_all_logged,
}

async fn listed(store: &dyn Store, filter: DecisionFilter, page: Page<DecisionId>) -> Vec<DecisionId> {
    let decisions = store.list_decisions(&filter, page).await.unwrap();
    decisions.iter().map(|logged| logged.decision.id()).collect()
}

async fn decisions_are_read_as_they_were_logged(store: Arc<dyn Store>) {
    store.append_decisions(&[]).await.unwrap();
    let batch = [decision(1), decision_about(2, None), decision(3)];
    store.append_decisions(&batch).await.unwrap();
    for (number, logged) in (1..).zip(&batch) {
        // Byte for byte: the request is not ours to read, so not ours to spell.
        assert_eq!(store.decision(decision_id(number)).await.unwrap().as_ref(), Some(logged));
    }
    assert_eq!(store.decision(decision_id(4)).await.unwrap(), None);
}

async fn a_score_is_read_to_its_last_bit(store: Arc<dyn Store>) {
    let mut bits: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut any = || {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The mantissa is anything; the value is at least 1 and less than 2.
        f64::from_bits((bits >> 12) | 1.0f64.to_bits())
    };
    let batch: Vec<_> = (0..200)
        .map(|number| {
            let part = FactorPart { name: FactorName::Boot, value: any(), weight: any(), points_lost: any() };
            let explanation = ScoreExplanation {
                at: at(0),
                score: TrustScore::new(any()),
                model: digest(b'M', 0),
                factors: vec![part],
                ceilings: Vec::new(),
            };
            LoggedDecision { decision: decided(number, at(0), Some(explanation)), ..decision(number) }
        })
        .collect();
    store.append_decisions(&batch).await.unwrap();
    for logged in batch {
        assert_eq!(store.decision(logged.decision.id()).await.unwrap(), Some(logged));
    }
}

async fn decisions_are_listed_newest_first_page_by_page(store: Arc<dyn Store>) {
    for number in [2, 5, 1, 4, 3] {
        store.append_decisions(&[decision(number)]).await.unwrap();
    }
    let limit = PageLimit::new(2);
    let all = DecisionFilter::default();
    assert_eq!(listed(&*store, all, Page::first(limit)).await, [5, 4].map(decision_id));
    store.append_decisions(&[decision(6)]).await.unwrap();
    assert_eq!(listed(&*store, all, Page::after(decision_id(4), limit)).await, [3, 2].map(decision_id));
    assert_eq!(listed(&*store, all, Page::after(decision_id(2), limit)).await, [decision_id(1)]);
    assert!(listed(&*store, all, Page::after(decision_id(1), limit)).await.is_empty());
    assert!(listed(&*store, all, Page::after(decision_id(99), limit)).await.is_empty(), "it is gone, or never was");
}

async fn decisions_of_one_instant_are_listed_in_the_order_of_their_logging(store: Arc<dyn Store>) {
    let at_one_instant = |number| LoggedDecision { decision: decided(number, at(7), None), ..decision(number) };
    store.append_decisions(&[3, 1, 2].map(at_one_instant)).await.unwrap();
    let mut seen = Vec::new();
    let mut page = Page::first(PageLimit::new(1));
    while let Some(id) = listed(&*store, DecisionFilter::default(), page).await.first() {
        seen.push(*id);
        page.after = Some(*id);
    }
    assert_eq!(seen, [2, 1, 3].map(decision_id));
}

async fn decisions_are_listed_by_device_outcome_and_time(store: Arc<dyn Store>) {
    let batch: Vec<_> = (1..=8).map(|number| decision_about(number, Some(device_id(number % 3)))).collect();
    store.append_decisions(&batch).await.unwrap();
    store.append_decisions(&[decision_about(9, None)]).await.unwrap();
    let all = DecisionFilter::default();
    let of_device = DecisionFilter { device: Some(device_id(1)), ..all };
    assert_eq!(listed(&*store, of_device, Page::default()).await, [7, 4, 1].map(decision_id));
    let denied = DecisionFilter { outcome: Some(Outcome::Deny), ..all };
    assert_eq!(listed(&*store, denied, Page::default()).await, [9, 7, 5, 3, 1].map(decision_id));
    let allowed_of_device = DecisionFilter { outcome: Some(Outcome::Allow), ..of_device };
    assert_eq!(listed(&*store, allowed_of_device, Page::default()).await, [decision_id(4)]);
    let in_time = DecisionFilter { since: Some(at(3)), until: Some(at(6)), ..all };
    assert_eq!(listed(&*store, in_time, Page::default()).await, [5, 4, 3].map(decision_id), "until is not included");
    let page = Page::after(decision_id(5), PageLimit::new(1));
    assert_eq!(listed(&*store, DecisionFilter { since: Some(at(3)), ..denied }, page).await, [decision_id(3)]);
    let never = DecisionFilter { since: Some(at(100)), ..all };
    assert!(listed(&*store, never, Page::default()).await.is_empty());
}

async fn a_batch_that_is_sent_again_is_logged_once(store: Arc<dyn Store>) {
    let batch: Vec<_> = (1..=4).map(decision).collect();
    store.append_decisions(&[decision(1), decision(3)]).await.unwrap();
    store.append_decisions(&batch).await.unwrap();
    store.append_decisions(&batch).await.unwrap();
    let all = listed(&*store, DecisionFilter::default(), Page::default()).await;
    assert_eq!(all, [4, 3, 2, 1].map(decision_id));
}

async fn another_decision_under_a_known_id_is_refused_with_its_batch(store: Arc<dyn Store>) {
    store.append_decisions(&[decision(1)]).await.unwrap();
    let other_decision = decision_about(1, None);
    let other_request = LoggedDecision { request: "{}".to_owned(), ..decision(1) };
    for other in [other_decision, other_request] {
        let batch = [decision(2), other.clone()];
        assert!(is_conflict(&store.append_decisions(&batch).await, Entity::Decision));
        let twice_in_one = [decision(3), LoggedDecision { request: "{}".to_owned(), ..decision(3) }];
        assert!(is_conflict(&store.append_decisions(&twice_in_one).await, Entity::Decision));
    }
    assert_eq!(store.list_decisions(&DecisionFilter::default(), Page::default()).await.unwrap(), [decision(1)]);
}

async fn a_batch_is_as_large_as_the_bound_and_no_larger(store: Arc<dyn Store>) {
    let bound = u32::try_from(MAX_DECISION_BATCH).unwrap();
    let mut batch: Vec<_> = (0..=bound).map(decision).collect();
    assert!(is_too_large(&store.append_decisions(&batch).await));
    batch.pop();
    store.append_decisions(&batch).await.unwrap();
    let long = LoggedDecision { request: "x".repeat(MAX_REQUEST_BYTES + 1), ..decision(bound + 1) };
    assert!(is_too_large(&store.append_decisions(&[long]).await));
    let newest = listed(&*store, DecisionFilter::default(), Page::default()).await;
    assert_eq!(newest.len(), usize::try_from(PageLimit::MAX).unwrap());
    assert_eq!(newest.first(), Some(&decision_id(bound - 1)));
}

async fn batches_that_come_at_once_are_all_logged(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..8)
        .map(|batch: u32| {
            let store = Arc::clone(&store);
            let decisions: Vec<_> = (batch * 20..batch * 20 + 20).map(decision).collect();
            tokio::spawn(async move { store.append_decisions(&decisions).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(listed(&*store, DecisionFilter::default(), Page::default()).await.len(), 160);
}
