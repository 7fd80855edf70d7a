//! Evidence, honest and otherwise (threats 7 to 11, 27 and 28).

use std::time::Duration;

use vouchsafe_attest::forge::ForgedTpm;
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{FindingCode, Timestamp};
use vouchsafe_trust_engine::attest::AttestRejected;
use vouchsafe_trust_engine::nonce::NonceRejected;
use vouchsafe_wire::v1::attest::{Evidence, Quote};

use crate::world::{Device, World, bytes, selection, token_for};

fn codes(verdict: &vouchsafe_model::Verdict) -> Vec<FindingCode> {
    verdict.findings().iter().map(|finding| finding.code).collect()
}

#[tokio::test]
async fn honest_evidence_is_accepted_scored_and_seen_by_decisions() {
    let world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 60);
    let appraised = device.attest(&world.engine).await.unwrap();
    assert_eq!(appraised.verdict.status(), VerdictStatus::Affirming, "{:?}", appraised.verdict.findings());
    assert_eq!(world.record(device.id).verdict.as_ref(), Some(&appraised.verdict));
    assert!((world.score(device.id) - appraised.score.points()).abs() < 1e-9);
    assert!(appraised.score.points() > 0.0);
    assert!(appraised.challenge.due_at > appraised.verdict.appraised_at());
}

#[tokio::test]
async fn the_same_evidence_counts_once_also_after_a_restart_and_in_a_race() {
    let mut world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 60);
    let evidence = device.evidence();
    let (one, two) = tokio::join!(
        world.engine.attest(&device.peer, device.id, evidence.clone()),
        world.engine.attest(&device.peer, device.id, evidence.clone()),
    );
    let rejected = match (one, two) {
        (Ok(_), Err(rejected)) | (Err(rejected), Ok(_)) => rejected,
        other => panic!("{other:?}"),
    };
    assert!(matches!(rejected, AttestRejected::NonceSpent), "{rejected}");
    let score = world.score(device.id);
    world.restart().await;
    let rejected = world.engine.attest(&device.peer, device.id, evidence).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::NonceSpent), "{rejected}");
    assert!((world.score(device.id) - score).abs() < 1e-9, "a repeated message changed the score");
}

#[tokio::test]
async fn a_nonce_works_for_its_device_and_in_its_time_alone() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let other = world.golden().await;
    let foreign = device.evidence_of(&other.challenge, "{}");
    let rejected = world.engine.attest(&device.peer, device.id, foreign).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Nonce(NonceRejected::Unknown)), "{rejected}");

    let mut empty = device.evidence();
    empty.nonce = bytes(&[]);
    let rejected = world.engine.attest(&device.peer, device.id, empty).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Nonce(NonceRejected::Unknown)), "{rejected}");

    world.step(&mut device, world.config.attest.nonce_ttl().as_secs());
    let rejected = device.attest(&world.engine).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Nonce(NonceRejected::Expired { .. })), "{rejected}");
    device.challenge = world.engine.fresh_challenge(&device.peer, device.id).await.unwrap();
    device.attest(&world.engine).await.unwrap();
}

/// Evidence that is not authentic is refused, burns its nonce, and reaches the score.
async fn refused(forge: impl FnOnce(&Device) -> Evidence, code: &str) {
    let world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 60);
    assert!(world.score(device.id) > 0.0);
    let rejected = world.engine.attest(&device.peer, device.id, forge(&device)).await.unwrap_err();
    let AttestRejected::Quote(reason) = &rejected else { panic!("{rejected}") };
    assert_eq!(reason.code(), code, "{reason}");
    assert_eq!(world.score(device.id), 0.0, "a forgery did not reach the score");
    let honest = device.evidence();
    let spent = world.engine.attest(&device.peer, device.id, honest).await.unwrap_err();
    assert!(matches!(spent, AttestRejected::NonceSpent), "the nonce was not burnt: {spent}");
    // Of two things of one instant the worse counts, so some time has to pass.
    world.step(&mut device, 1);
    device.challenge = world.engine.fresh_challenge(&device.peer, device.id).await.unwrap();
    device.attest(&world.engine).await.unwrap();
    assert!(world.score(device.id) > 0.0, "honest evidence does not lift the ceiling");
}

#[tokio::test]
async fn a_quote_by_another_key_is_refused() {
    let forge = |device: &Device| {
        let stranger = ForgedTpm::new();
        let mut evidence = device.evidence();
        evidence.quote.signature = bytes(&stranger.ak().sign(evidence.quote.message.as_slice()));
        evidence
    };
    refused(forge, "quote.bad_signature").await;
}

#[tokio::test]
async fn a_payload_that_was_exchanged_is_refused() {
    let forge = |device: &Device| {
        let mut evidence = device.evidence();
        evidence.payload = r#"{"facts":{"hostname":"another"}}"#.to_owned();
        evidence
    };
    refused(forge, "quote.wrong_qualifying_data").await;
}

#[tokio::test]
async fn a_quote_for_another_connection_is_refused() {
    let forge = |device: &Device| {
        let mut elsewhere = device.peer.clone();
        elsewhere.certificate_digest = vouchsafe_model::Sha256Digest::new([9; 32]);
        let binding = vouchsafe_wire::v1::attest::evidence_binding(
            device.challenge.nonce.as_slice(),
            &elsewhere.certificate_digest,
            &crate::world::sha256(b"{}"),
        );
        let quote = device.host.tpm.quote(&device.challenge.selection, crate::world::sha256(&binding).as_bytes());
        Evidence {
            nonce: device.challenge.nonce.clone(),
            quote: Quote { message: bytes(&quote.message), signature: bytes(&quote.signature), pcrs: quote.pcrs },
            payload: "{}".to_owned(),
            logs: vouchsafe_wire::v1::logs::SentLogs::default(),
        }
    };
    refused(forge, "quote.wrong_qualifying_data").await;
}

#[tokio::test]
async fn other_pcrs_than_were_asked_for_are_refused() {
    let forge = |device: &Device| {
        let mut challenge = device.challenge.clone();
        challenge.selection = selection("sha256:16-23");
        device.evidence_of(&challenge, "{}")
    };
    refused(forge, "quote.wrong_selection").await;
}

#[tokio::test]
async fn values_that_were_not_quoted_are_refused() {
    let forge = |device: &Device| {
        let mut evidence = device.evidence();
        let value = evidence.quote.pcrs.values.values_mut().next().unwrap();
        *value = "ab".repeat(32).parse().unwrap();
        evidence
    };
    refused(forge, "quote.wrong_digest").await;
}

#[tokio::test]
async fn a_changed_pcr_fails_the_verdict_and_is_named() {
    let world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 60);
    device.extend(14, "a rogue boot stage");
    let appraised = device.attest(&world.engine).await.unwrap();
    assert_eq!(appraised.verdict.status(), VerdictStatus::Contraindicated);
    let failure = appraised.verdict.failures().next().unwrap();
    assert_eq!((failure.code, failure.pcr.map(vouchsafe_model::PcrIndex::get)), (FindingCode::PcrMismatch, Some(14)));
    assert_eq!(world.score(device.id), 0.0);
    assert_eq!(appraised.score.points(), 0.0);
}

#[tokio::test]
async fn a_reboot_is_noted_and_a_tpm_that_goes_back_fails() {
    let world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 60);
    device.host.tpm.reboot();
    let appraised = device.attest(&world.engine).await.unwrap();
    assert!(codes(&appraised.verdict).contains(&FindingCode::TpmReset), "{:?}", appraised.verdict.findings());
    assert_eq!(appraised.verdict.status(), VerdictStatus::Affirming);

    world.step(&mut device, 60);
    let mut clock = device.host.tpm.clock();
    clock.reset_count -= 1;
    device.host.tpm.set_clock(clock);
    let appraised = device.attest(&world.engine).await.unwrap();
    assert!(codes(&appraised.verdict).contains(&FindingCode::ClockWentBack), "{:?}", appraised.verdict.findings());
    assert_eq!(world.score(device.id), 0.0);
}

#[tokio::test]
async fn evidence_that_was_made_in_advance_is_no_fresher_than_its_quote() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let made_at = world.clock_now();
    let in_advance = device.evidence();
    // The host is tampered with, and the evidence is sent ten minutes after it was made.
    world.step(&mut device, 600);
    device.extend(14, "a rogue boot stage");
    let appraised = world.engine.attest(&device.peer, device.id, in_advance).await.unwrap();
    assert!(codes(&appraised.verdict).contains(&FindingCode::QuoteDelayed), "{:?}", appraised.verdict.findings());
    assert!(
        appraised.verdict.quoted_at() < made_at.plus(Duration::from_secs(180)),
        "the quote of {made_at} is taken for one of {}",
        appraised.verdict.quoted_at()
    );
}

#[tokio::test]
async fn a_malformed_payload_is_refused_and_earns_nothing() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let before = world.record(device.id);
    world.step(&mut device, 60);
    let evidence = device.evidence_of(&device.challenge, r#"{"verdict":"affirming"}"#);
    let rejected = world.engine.attest(&device.peer, device.id, evidence).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Payload(_)), "{rejected}");
    assert_eq!(world.record(device.id), before);
}

#[tokio::test]
async fn a_revoked_device_is_not_listened_to_and_is_worth_nothing_at_once() {
    let mut world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 1);
    let reason = vouchsafe_wire::v1::operate::RevokeDevice { reason: "stolen".into() };
    world.engine.revoke_device(device.id, &reason).await.unwrap();
    assert_eq!(world.score(device.id), 0.0);
    let rejected = device.attest(&world.engine).await.unwrap_err();
    assert!(matches!(rejected, AttestRejected::Revoked { .. }), "{rejected}");
    world.restart().await;
    assert_eq!(world.score(device.id), 0.0, "a restart forgot the revocation");
    world.step(&mut device, 1);
    world.engine.restore_device(device.id).await.unwrap();
    world.step(&mut device, 60);
    device.attest(&world.engine).await.unwrap();
    assert!(world.score(device.id) > 0.0);
}

#[tokio::test]
async fn a_renewed_certificate_is_for_the_same_key_and_lifts_the_end() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let ttl = world.config.certificates.device_ttl_secs;
    world.step(&mut device, ttl * 3 / 4);
    device.challenge = world.engine.fresh_challenge(&device.peer, device.id).await.unwrap();
    let appraised = device.attest(&world.engine).await.unwrap();
    assert!(appraised.renew, "three quarters of its life are over");

    let request =
        |key| vouchsafe_wire::v1::enrol::Renew { certificate_request: bytes(&crate::world::certificate_request(key)) };
    let stranger = ForgedTpm::new();
    assert!(world.engine.renew(&device.peer, device.id, request(stranger.device_key())).await.is_err());
    let renewed = world.engine.renew(&device.peer, device.id, request(device.host.tpm.device_key())).await.unwrap();
    assert!(renewed.expires_at > world.clock_now().plus(Duration::from_secs(ttl - 10)));

    // An answer that was lost costs nothing: the certificate before is still good.
    device.attest(&world.engine).await.unwrap();
    device.peer = crate::world::peer(&renewed.chain_pem);
    world.step(&mut device, ttl / 2);
    device.challenge = world.engine.fresh_challenge(&device.peer, device.id).await.unwrap();
    device.attest(&world.engine).await.unwrap();
    assert!(world.score(device.id) > 0.0, "the certificate of the first day holds the score down");
}

#[tokio::test]
async fn the_first_evidence_meets_an_image_that_is_known() {
    let world = World::new().await;
    let golden = world.golden().await;
    let token = world.token(token_for(1)).await;
    let mut same = crate::world::Host::new().enrol(&world.engine, &token).await.unwrap();
    let appraised = same.attest(&world.engine).await.unwrap();
    let image = world.record(golden.id).image.unwrap();
    assert_eq!(appraised.verdict.image(), Some(&image));

    let token = world.token(token_for(1)).await;
    let mut other = crate::world::Host::new().enrol(&world.engine, &token).await.unwrap();
    other.extend(4, "another boot loader");
    let appraised = other.attest(&world.engine).await.unwrap();
    assert_eq!(appraised.verdict.image(), None);
    assert!(codes(&appraised.verdict).contains(&FindingCode::ImageUnassigned));
}

impl World {
    fn clock_now(&self) -> Timestamp {
        use vouchsafe_http::Clock as _;
        self.clock.now()
    }
}
