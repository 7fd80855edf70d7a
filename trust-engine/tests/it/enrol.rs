//! Who may join, and who may not (threats 1 to 5).

use vouchsafe_attest::forge::{ForgedTpm, KeyTemplate, SoftwareKey};
use vouchsafe_attest::tpm::public::ObjectAttributes;
use vouchsafe_model::token::TokenRefusal;
use vouchsafe_model::{DeviceId, EndorsementGrade};
use vouchsafe_trust_engine::attest::AttestRejected;
use vouchsafe_trust_engine::config::TrustEngineConfig;
use vouchsafe_trust_engine::enrol::begin::BeginRejected;
use vouchsafe_trust_engine::enrol::complete::CompleteRejected;
use vouchsafe_trust_engine::enrol::ticket::TicketRejected;
use vouchsafe_wire::v1::enrol::{JoinSecret, tls_key_binding};
use vouchsafe_wire::v1::operate::{CreateToken, RevokeDevice};

use crate::world::{Device, Host, World, bytes, certificate_request, sha256, token_for};

#[tokio::test]
async fn a_device_is_named_by_its_ek_and_by_nothing_else() {
    let world = World::new().await;
    let device = world.enrolled().await;
    let ek_digest = sha256(&device.host.tpm.ek_public().to_spki_der());
    assert_eq!(device.id, DeviceId::from_ek_digest(&ek_digest));
    assert_eq!(world.score(device.id), 0.0, "it has not vouched for itself yet");
    assert_eq!(world.record(device.id).endorsement, EndorsementGrade::None);
}

#[tokio::test]
async fn a_secret_that_was_not_opened_by_the_ek_is_refused() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();
    let answer = world.engine.begin_enrolment(host.begin(&token)).await.unwrap();
    let other = ForgedTpm::new();
    let opened = other.activate_credential(answer.credential.as_slice(), answer.encrypted_secret.as_slice());
    assert_eq!(opened, None, "another TPM opened the credential");
    for guess in [vec![0; 32], vec![], vec![0xFF; 64]] {
        let mut message = host.complete(&answer);
        message.activated_secret = bytes(&guess);
        let refused = world.engine.complete_enrolment(message).await.unwrap_err();
        assert!(matches!(refused, CompleteRejected::WrongSecret), "{refused}");
    }
    world.engine.complete_enrolment(host.complete(&answer)).await.unwrap();
}

#[tokio::test]
async fn every_secret_is_another_one() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();
    let one = host.complete(&world.engine.begin_enrolment(host.begin(&token)).await.unwrap());
    let two = host.complete(&world.engine.begin_enrolment(host.begin(&token)).await.unwrap());
    assert_eq!(one.activated_secret.as_slice().len(), 32);
    assert_ne!(one.activated_secret, two.activated_secret);
    let mixed = vouchsafe_wire::v1::enrol::CompleteEnrolment { activated_secret: one.activated_secret, ..two };
    let refused = world.engine.complete_enrolment(mixed).await.unwrap_err();
    assert!(matches!(refused, CompleteRejected::WrongSecret), "{refused}");
}

#[tokio::test]
async fn an_ak_that_lacks_an_attribute_is_refused() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    for missing in [
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::SIGN,
    ] {
        let attributes = KeyTemplate::AK.attributes.without(missing);
        let host = Host { tpm: ForgedTpm::with_ak(KeyTemplate { attributes, ..KeyTemplate::AK }) };
        let refused = world.engine.begin_enrolment(host.begin(&token)).await.unwrap_err();
        assert!(matches!(refused, BeginRejected::Ak(_)), "{missing:?}: {refused}");
    }
}

#[tokio::test]
async fn a_tls_key_that_the_ak_did_not_certify_is_refused() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();

    let stranger = SoftwareKey::generate(KeyTemplate::DEVICE_KEY);
    let mut message = host.begin(&token);
    message.tls_public = bytes(stranger.public().as_tpmt());
    let refused = world.engine.begin_enrolment(message).await.unwrap_err();
    assert!(matches!(refused, BeginRejected::Certify(_)), "{refused}");

    let other_token = JoinSecret::try_from("vs1-another-token".to_owned()).unwrap();
    let certification = host.tpm.certify(sha256(&tls_key_binding(&other_token)).as_bytes());
    let mut message = host.begin(&token);
    message.tls_certify = bytes(&certification.attest);
    message.tls_certify_signature = bytes(&certification.signature);
    let refused = world.engine.begin_enrolment(message).await.unwrap_err();
    assert!(matches!(refused, BeginRejected::Certify(_)), "certified for another token: {refused}");
}

#[tokio::test]
async fn a_request_for_another_key_than_the_certified_one_is_refused() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();
    let answer = world.engine.begin_enrolment(host.begin(&token)).await.unwrap();
    let mut message = host.complete(&answer);
    message.certificate_request = bytes(&certificate_request(&SoftwareKey::generate(KeyTemplate::DEVICE_KEY)));
    let refused = world.engine.complete_enrolment(message).await.unwrap_err();
    assert!(matches!(refused, CompleteRejected::OtherKey), "{refused}");
}

#[tokio::test]
async fn an_engine_that_restarted_between_the_messages_goes_on() {
    let mut world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();
    let answer = world.engine.begin_enrolment(host.begin(&token)).await.unwrap();
    world.restart().await;
    let enrolled = world.engine.complete_enrolment(host.complete(&answer)).await.unwrap();
    world.restart().await;
    let mut device = Device::new(host, enrolled);
    device.attest(&world.engine).await.unwrap();
}

#[tokio::test]
async fn the_second_message_has_its_effect_once() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();
    let answer = world.engine.begin_enrolment(host.begin(&token)).await.unwrap();
    let first = world.engine.complete_enrolment(host.complete(&answer)).await.unwrap();
    let again = world.engine.complete_enrolment(host.complete(&answer)).await.unwrap();
    assert_eq!(first.device, again.device);
    let tokens = world.engine.list_tokens(vouchsafe_store::Page::default()).await.unwrap();
    assert_eq!(tokens.items[0].uses, 1);
}

#[tokio::test]
async fn a_ticket_ends_and_cannot_be_changed() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let host = Host::new();
    let answer = world.engine.begin_enrolment(host.begin(&token)).await.unwrap();
    let mut message = host.complete(&answer);
    let mut ticket = message.ticket.clone().into_vec();
    ticket[20] ^= 1;
    message.ticket = bytes(&ticket);
    let refused = world.engine.complete_enrolment(message).await.unwrap_err();
    assert!(matches!(refused, CompleteRejected::Ticket(TicketRejected::Unknown)), "{refused}");
    world.advance(world.config.enrol.ticket_ttl_secs);
    let refused = world.engine.complete_enrolment(host.complete(&answer)).await.unwrap_err();
    assert!(matches!(refused, CompleteRejected::Ticket(TicketRejected::Expired { .. })), "{refused}");
}

#[tokio::test]
async fn tokens_that_ended_were_used_up_revoked_or_never_made_let_nobody_in() {
    let world = World::new().await;
    let refusal = async |token: &JoinSecret| match world.engine.begin_enrolment(Host::new().begin(token)).await {
        Err(BeginRejected::Token(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let unknown = JoinSecret::try_from("vs1-never-made-by-anybody".to_owned()).unwrap();
    assert_eq!(refusal(&unknown).await, TokenRefusal::Unknown);

    let spent = world.token(token_for(1)).await;
    Host::new().enrol(&world.engine, &spent).await.unwrap();
    assert_eq!(refusal(&spent).await, TokenRefusal::Spent);

    let revoked = world.engine.create_token(token_for(1)).await.unwrap();
    world.engine.revoke_token(revoked.id).await.unwrap();
    assert_eq!(refusal(&revoked.join.token).await, TokenRefusal::Revoked);

    let expired = world.token(token_for(1)).await;
    world.advance(3600);
    assert_eq!(refusal(&expired).await, TokenRefusal::Expired);
}

#[tokio::test]
async fn of_two_devices_that_race_for_one_token_one_wins() {
    let world = World::new().await;
    let token = world.token(token_for(1)).await;
    let (one, two) = (Host::new(), Host::new());
    let first = one.complete(&world.engine.begin_enrolment(one.begin(&token)).await.unwrap());
    let second = two.complete(&world.engine.begin_enrolment(two.begin(&token)).await.unwrap());
    let (first, second) = tokio::join!(world.engine.complete_enrolment(first), world.engine.complete_enrolment(second));
    let refused = match (first, second) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused, CompleteRejected::Token(TokenRefusal::Spent)), "{refused}");
}

#[tokio::test]
async fn of_two_enrolments_of_one_device_that_race_one_wins() {
    let world = World::new().await;
    let token = world.token(token_for(2)).await;
    let host = Host::new();
    let first = host.complete(&world.engine.begin_enrolment(host.begin(&token)).await.unwrap());
    let second = host.complete(&world.engine.begin_enrolment(host.begin(&token)).await.unwrap());
    let (first, second) = tokio::join!(world.engine.complete_enrolment(first), world.engine.complete_enrolment(second));
    let overtaken = match (first, second) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        other => panic!("{other:?}"),
    };
    assert!(matches!(overtaken, CompleteRejected::Overtaken), "{overtaken}");
}

#[tokio::test]
async fn a_device_that_enrols_anew_has_new_keys_and_its_old_certificate_is_void() {
    let world = World::new().await;
    let mut device = world.golden().await;
    let old_peer = device.peer.clone();
    world.step(&mut device, 1);
    let token = world.token(token_for(1)).await;

    // The same EK with another AK and another TLS key, as after its agent's state was lost.
    let host = std::mem::replace(&mut device.host, Host::new());
    let host = Host { tpm: host.tpm.with_new_keys() };
    let mut again = host.enrol(&world.engine, &token).await.unwrap();
    assert_eq!(again.id, device.id);
    assert_eq!(world.score(again.id), 0.0, "with new keys it has to vouch for itself anew");
    world.step(&mut again, 1);
    again.attest(&world.engine).await.unwrap();
    assert!(world.score(again.id) > 0.0);

    let refused = world.engine.fresh_challenge(&old_peer, device.id).await.unwrap_err();
    assert!(matches!(refused, AttestRejected::StaleCertificate), "{refused}");
}

#[tokio::test]
async fn a_revoked_device_cannot_enrol_its_way_back() {
    let world = World::new().await;
    let device = world.enrolled().await;
    let token = world.token(token_for(2)).await;
    let begun = world.engine.begin_enrolment(device.host.begin(&token)).await.unwrap();
    world.engine.revoke_device(device.id, &RevokeDevice { reason: "stolen".into() }).await.unwrap();
    let refused = world.engine.complete_enrolment(device.host.complete(&begun)).await.unwrap_err();
    assert!(matches!(refused, CompleteRejected::Revoked { .. }), "{refused}");
    let refused = world.engine.begin_enrolment(device.host.begin(&token)).await.unwrap_err();
    assert!(matches!(refused, BeginRejected::Revoked { .. }), "{refused}");
}

#[tokio::test]
async fn an_ek_that_nobody_vouches_for_needs_a_pin() {
    let world = World::with(TrustEngineConfig::default()).await;
    let host = Host::new();
    let open = world.token(token_for(1)).await;
    let Err(BeginRejected::EndorsementTooLow { ek_digest, grade, .. }) =
        world.engine.begin_enrolment(host.begin(&open)).await
    else {
        panic!("an EK that nobody vouches for was taken")
    };
    assert_eq!(grade, EndorsementGrade::None);

    let pinned = world.token(CreateToken { pinned_ek: Some(ek_digest), ..token_for(1) }).await;
    let refused = world.engine.begin_enrolment(Host::new().begin(&pinned)).await.unwrap_err();
    assert!(matches!(refused, BeginRejected::Endorsement(_)), "another EK with the pinned token: {refused}");
    let device = host.enrol(&world.engine, &pinned).await.unwrap();
    assert_eq!(world.record(device.id).endorsement, EndorsementGrade::Pinned);
}

#[tokio::test]
async fn a_tpm_with_sha1_alone_needs_consent() {
    let world = World::new().await;
    let sha1_only = |token: &JoinSecret, host: &Host| {
        let mut message = host.begin(token);
        message.pcr_banks = vec![vouchsafe_model::HashAlgorithm::Sha1];
        message
    };
    let strict = world.token(token_for(1)).await;
    let host = Host::new();
    let refused = world.engine.begin_enrolment(sha1_only(&strict, &host)).await.unwrap_err();
    assert!(matches!(refused, BeginRejected::NoBank), "{refused}");

    let consenting = world.token(CreateToken { danger_sha1: true, ..token_for(1) }).await;
    let begun = world.engine.begin_enrolment(sha1_only(&consenting, &host)).await.unwrap();
    let enrolled = world.engine.complete_enrolment(host.complete(&begun)).await.unwrap();
    assert_eq!(enrolled.challenge.selection.bank, vouchsafe_model::HashAlgorithm::Sha1);
    let mut device = Device::new(host, enrolled);
    let appraised = device.attest(&world.engine).await.unwrap();
    let codes: Vec<_> = appraised.verdict.findings().iter().map(|finding| finding.code.name()).collect();
    assert!(codes.contains(&"pcr.weak_bank"), "{codes:?}");
}
