//! What operators ask.

use std::time::Duration;

use vouchsafe_model::trust::Veto;
use vouchsafe_trust_engine::operate::OperateRejected;
use vouchsafe_trust_engine::operate::trust::TrustQuestion;
use vouchsafe_wire::v1::operate::{CaptureImage, CreateToken};

use crate::world::{START, World, token_for};

fn question() -> TrustQuestion {
    TrustQuestion { at: None, threshold: None, span: Duration::from_secs(3600), points: 5 }
}

#[tokio::test]
async fn the_score_is_known_at_any_instant_past_and_future() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let good_until = START.plus(Duration::from_secs(100));
    world.step(&mut device, 600);
    device.challenge = world.engine.fresh_challenge(&device.peer, device.id).await.unwrap();
    device.extend(7, "another key");
    device.attest(&world.engine).await.unwrap();

    let now = world.engine.trust(device.id, question()).await.unwrap();
    assert_eq!(now.explanation.score.points(), 0.0);
    assert_eq!(now.explanation.ceilings[0].veto, Veto::AttestationFailed);

    let past = world.engine.trust(device.id, TrustQuestion { at: Some(good_until), ..question() }).await.unwrap();
    assert!(past.explanation.score.points() > 0.0, "what was good then is good then");
    assert_eq!(past.explanation.at, good_until);

    let later = good_until.plus(Duration::from_secs(86_400));
    let future = world.engine.trust(device.id, TrustQuestion { at: Some(later), ..question() }).await.unwrap();
    assert_eq!(future.explanation.score.points(), 0.0);
    assert_eq!(future.curve.len(), 5);

    let before = START.minus(Duration::from_secs(1));
    let refused = world.engine.trust(device.id, TrustQuestion { at: Some(before), ..question() }).await.unwrap_err();
    assert!(refused.to_string().contains("enrolled at"), "{refused}");
}

#[tokio::test]
async fn an_image_needs_evidence_and_something_to_compare() {
    let world = World::new().await;
    let mut device = world.enrolled().await;
    let asked = |ignore: &str| CaptureImage {
        id: "web@1".parse().unwrap(),
        device: device.id,
        ignore: ignore.parse().unwrap(),
        assign: false,
    };
    let (all, some) = (asked("0-23"), asked("1,5"));
    let refused = world.engine.capture_image(some.clone()).await.unwrap_err();
    assert!(matches!(refused, OperateRejected::NothingQuoted), "{refused}");
    device.attest(&world.engine).await.unwrap();
    let refused = world.engine.capture_image(all).await.unwrap_err();
    assert!(refused.to_string().starts_with("ignore: leaves no PCR"), "{refused}");
    let image = world.engine.capture_image(some.clone()).await.unwrap();
    assert_eq!(image.reference.banks[0].values.len(), 14);
    let refused = world.engine.capture_image(some).await.unwrap_err();
    assert!(matches!(refused, OperateRejected::Exists { .. }), "{refused}");
}

#[tokio::test]
async fn a_retired_image_is_assigned_to_nobody_and_warns_those_who_have_it() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let image = world.record(device.id).image.unwrap();
    world.engine.retire_image(&image).await.unwrap();
    let refused = world.engine.assign_image(device.id, Some(image)).await.unwrap_err();
    assert!(matches!(refused, OperateRejected::ImageRetired { .. }), "{refused}");
    world.step(&mut device, 60);
    let appraised = device.attest(&world.engine).await.unwrap();
    assert!(appraised.verdict.findings().iter().any(|finding| finding.code.name() == "image.retired"));
}

#[tokio::test]
async fn tokens_are_held_to_their_bounds() {
    use vouchsafe_trust_engine::operate::tokens::{MAX_LABEL_LEN, MAX_TTL_SECS, MAX_USES};
    let world = World::new().await;
    for (asked, field) in [
        (CreateToken { ttl_secs: MAX_TTL_SECS + 1, ..token_for(1) }, "ttl_secs"),
        (CreateToken { ttl_secs: 0, ..token_for(1) }, "ttl_secs"),
        (token_for(MAX_USES + 1), "max_uses"),
        (token_for(0), "max_uses"),
        (CreateToken { label: "x".repeat(MAX_LABEL_LEN + 1), ..token_for(1) }, "label"),
        (CreateToken { label: "a\u{1b}[2J".into(), ..token_for(1) }, "label"),
    ] {
        let refused = world.engine.create_token(asked).await.unwrap_err();
        assert!(refused.to_string().starts_with(field), "{refused}");
    }
    world.engine.create_token(CreateToken { ttl_secs: MAX_TTL_SECS, ..token_for(MAX_USES) }).await.unwrap();
    let refused = world.engine.create_token(CreateToken { image: Some("no@1".parse().unwrap()), ..token_for(1) }).await;
    assert!(matches!(refused, Err(OperateRejected::NotFound { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_device_is_found_by_enough_of_its_name() {
    let world = World::new().await;
    let device = world.enrolled().await;
    let name = device.id.to_string();
    assert_eq!(world.engine.resolve_device(&name[..6]).await.unwrap(), device.id);
    assert_eq!(world.engine.resolve_device(&name).await.unwrap(), device.id);
    let short = world.engine.resolve_device(&name[..3]).await.unwrap_err();
    assert!(short.to_string().contains("at least 4"), "{short}");
    let other = world.engine.resolve_device("zzzz2222").await.unwrap_err();
    assert!(matches!(other, OperateRejected::NotFound { .. }), "{other}");
}
