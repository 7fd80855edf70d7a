//! Attestation results, as those who may ask get them over HTTP (threats 27 and 33).

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use data_encoding::BASE64URL_NOPAD;
use tower::ServiceExt as _;
use vouchsafe_http::{Clock as _, ManualClock, Peer};
use vouchsafe_model::verdict::VerdictStatus;
use vouchsafe_model::{PcrIndex, Sha256Digest, Timestamp};
use vouchsafe_pki::LocalKey;
use vouchsafe_trust_engine::http::{result_key_routes, result_routes};
use vouchsafe_trust_engine::result::{EarClaims, Expected, KeySet, ResultKeys, TokenRejected, UnverifiedToken};
use vouchsafe_trust_engine::{TrustEngine, result};
use vouchsafe_wire::v1::operate::RevokeDevice;

use crate::world::{Device, World, token_for};

/// A door, and the clock behind it.
struct Door {
    routes: Router,
    clock: Arc<ManualClock>,
    engine: Arc<TrustEngine>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    kind: String,
    cache: String,
    body: String,
}

impl Door {
    fn of(engine: TrustEngine, clock: &Arc<ManualClock>) -> Self {
        let engine = Arc::new(engine);
        let keys = Arc::new(ResultKeys::new(LocalKey::generate().unwrap(), &[]).unwrap());
        Self { routes: result_routes(engine.clone(), keys), clock: clock.clone(), engine }
    }

    async fn get(&self, path: &str, peer: &Peer) -> Answer {
        get(&self.routes, path, Some(peer)).await
    }

    async fn keys(&self) -> KeySet {
        let answer = self.get("/v1/result-keys", &operator()).await;
        assert_eq!((answer.status, answer.kind.as_str()), (StatusCode::OK, "application/jwk-set+json"));
        KeySet::parse(answer.body.as_bytes()).unwrap()
    }

    /// The code of a refusal.
    async fn refused(&self, path: &str, peer: &Peer) -> (u16, String) {
        let answer = self.get(path, peer).await;
        let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }

    /// The result of a device, fetched and verified as a relying party does.
    async fn result(&self, device: &Device, peer: &Peer) -> EarClaims {
        let answer = self.get(&path(device), peer).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        verify(&answer.body, &self.keys().await, self.clock.now()).unwrap()
    }
}

async fn get(routes: &Router, path: &str, peer: Option<&Peer>) -> Answer {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer.clone());
    }
    let response = routes.clone().oneshot(request).await.unwrap();
    let header = |name| response.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned());
    let (status, kind, cache) = (response.status(), header("content-type"), header("cache-control"));
    let body = to_bytes(response.into_body(), result::MAX_TOKEN_LEN).await.unwrap();
    Answer { status, kind, cache, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn verify(token: &str, keys: &KeySet, now: Timestamp) -> Result<EarClaims, TokenRejected> {
    UnverifiedToken::parse(token).unwrap().verify(&Expected { keys, nonce: None, now })
}

fn path(device: &Device) -> String {
    format!("/v1/devices/{}/result", device.id)
}

fn peer(identity: &str) -> Peer {
    Peer {
        identity: identity.parse().unwrap(),
        certificate_digest: Sha256Digest::new([1; 32]),
        spki_der: Vec::new(),
        not_after: Timestamp::from_unix_secs(i64::MAX / 1000),
    }
}

fn operator() -> Peer {
    peer("spiffe://test.example/operator/ops")
}

fn enforcement() -> Peer {
    peer("spiffe://test.example/enforcement/edge")
}

fn instance_identity(claims: &EarClaims) -> i8 {
    claims.submods["tpm"].vector.instance_identity.get()
}

#[tokio::test]
async fn whoever_may_ask_gets_a_token_that_verifies_and_is_not_kept() {
    let world = World::new().await;
    let device = world.golden().await;
    let verdict = world.record(device.id).verdict.unwrap();
    let door = Door::of(world.engine, &world.clock);
    for asker in [operator(), enforcement(), device.peer.clone()] {
        let answer = door.get(&path(&device), &asker).await;
        assert_eq!((answer.status, answer.kind.as_str()), (StatusCode::OK, "application/eat+jwt"), "{answer:?}");
        assert_eq!(answer.cache, "no-store");
        let claims = verify(&answer.body, &door.keys().await, door.clock.now()).unwrap();
        assert_eq!(claims.subject, format!("spiffe://test.example/device/{}", device.id));
        assert_eq!((claims.issuer.as_str(), claims.status), ("test.example", VerdictStatus::Affirming));
        assert_eq!(claims.appraised_at, verdict.appraised_at().unix_secs());
        assert_eq!(claims.expires_at, verdict.quoted_at().unix_secs() + 900);
        assert_eq!(claims.submods["tpm"].policies, [format!("golden-{}@1", device.id)]);
        assert_eq!(claims.submods["tpm"].vector, verdict.vector());
    }
    let prefix = format!("/v1/devices/{}/result", &device.id.to_string()[..12]);
    assert_eq!(door.get(&prefix, &enforcement()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_may_not_ask_learns_nothing() {
    let world = World::new().await;
    let device = world.golden().await;
    let other = world.golden().await;
    let door = Door::of(world.engine, &world.clock);
    let server = peer("spiffe://test.example/server/engine");
    let forbidden = (403, "peer.forbidden".to_owned());
    assert_eq!(door.refused(&path(&device), &other.peer).await, forbidden);
    assert_eq!(door.refused(&path(&device), &server).await, forbidden);
    let nobody = format!("/v1/devices/{}/result", "a".repeat(32));
    assert_eq!(door.refused(&nobody, &other.peer).await, forbidden, "whether there is such a device is not told");
    // Not even about itself by a part of its id: what is a part of one may be a part of another.
    let part = format!("/v1/devices/{}/result", &device.id.to_string()[..12]);
    assert_eq!(door.refused(&part, &device.peer).await, forbidden);
    // A certificate of an earlier enrolment is for another key.
    let stale = Peer { spki_der: vec![1], ..device.peer.clone() };
    assert_eq!(door.refused(&path(&device), &stale).await, (403, "device.stale_certificate".to_owned()));
    let nameless = get(&door.routes, &path(&device), None).await;
    assert_eq!(nameless.status, StatusCode::UNAUTHORIZED);
    assert_eq!(door.refused(&nobody, &operator()).await, (404, "request.not_found".to_owned()));
    assert_eq!(door.refused("/v1/devices/aaaaaa/result", &operator()).await, (404, "request.not_found".to_owned()));
}

#[tokio::test]
async fn a_nonce_comes_back_in_the_token() {
    let world = World::new().await;
    let device = world.golden().await;
    let door = Door::of(world.engine, &world.clock);
    let keys = door.keys().await;
    let longest = "fe".repeat(64);
    for nonce in ["0011223344556677", &longest] {
        let token = door.get(&format!("{}?nonce={nonce}", path(&device)), &operator()).await.body;
        let nonce = nonce.parse().unwrap();
        let expected = Expected { keys: &keys, nonce: Some(&nonce), now: door.clock.now() };
        assert!(UnverifiedToken::parse(&token).unwrap().verify(&expected).is_ok());
    }
    for query in ["nonce=", "nonce=00112233445566", "nonce=zz", &format!("nonce={longest}00")] {
        let refused = door.refused(&format!("{}?{query}", path(&device)), &operator()).await;
        assert_eq!(refused, (400, "request.query".to_owned()), "{query}");
    }
    let refused = door.refused(&format!("{}?n=1", path(&device)), &operator()).await;
    assert_eq!(refused, (400, "query.unacceptable".to_owned()));
    let one = door.result(&device, &operator()).await;
    assert_ne!(one.token_id, door.result(&device, &operator()).await.token_id, "each token has its own name");
}

#[tokio::test]
async fn a_device_that_has_not_vouched_has_no_result_also_after_it_enrolled_anew() {
    let world = World::new().await;
    let new = world.enrolled().await;
    let known = world.golden().await;
    world.advance(1);
    let token = world.token(token_for(1)).await;
    let id = known.id;
    let again = known.host.enrol(&world.engine, &token).await.unwrap();
    assert_eq!(again.id, id);
    let door = Door::of(world.engine, &world.clock);
    for device in [new, again] {
        for asker in [operator(), device.peer.clone()] {
            let refused = door.refused(&path(&device), &asker).await;
            assert_eq!(refused, (409, "result.not_vouched".to_owned()));
        }
    }
}

#[tokio::test]
async fn a_result_ends_with_the_age_of_its_quote_and_asking_again_makes_it_no_younger() {
    let mut config = vouchsafe_trust_engine::TrustEngineConfig::default();
    config.enrol.minimum_endorsement = vouchsafe_trust_engine::config::MinimumEndorsement::DangerNone;
    config.result.max_age_secs = 60;
    let world = World::with(config).await;
    let device = world.golden().await;
    let quoted_at = world.record(device.id).verdict.unwrap().quoted_at();
    let door = Door::of(world.engine, &world.clock);
    let early = door.result(&device, &operator()).await;
    door.clock.set(quoted_at.plus(std::time::Duration::from_secs(59)));
    let late = door.result(&device, &operator()).await;
    assert_eq!((late.appraised_at, late.expires_at), (early.appraised_at, early.expires_at));
    let token = door.get(&path(&device), &operator()).await.body;
    door.clock.set(quoted_at.plus(std::time::Duration::from_secs(60)));
    for asker in [operator(), device.peer.clone()] {
        assert_eq!(door.refused(&path(&device), &asker).await, (409, "result.too_old".to_owned()));
    }
    let expired = verify(&token, &door.keys().await, door.clock.now()).unwrap_err();
    assert_eq!(expired.code(), "token.expired");
}

#[tokio::test]
async fn a_revoked_device_is_contraindicated_to_others_and_gets_nothing_itself() {
    let world = World::new().await;
    let device = world.golden().await;
    let door = Door::of(world.engine, &world.clock);
    assert_eq!(door.result(&device, &operator()).await.status, VerdictStatus::Affirming);
    door.engine.revoke_device(device.id, &RevokeDevice { reason: "stolen".into() }).await.unwrap();
    let claims = door.result(&device, &enforcement()).await;
    assert_eq!((claims.status, instance_identity(&claims)), (VerdictStatus::Contraindicated, 96));
    assert_eq!(claims.submods["tpm"].verifier_claims.vouchsafe.held_down_by, ["revoked"]);
    assert_eq!(door.refused(&path(&device), &device.peer).await, (403, "device.revoked".to_owned()));
}

#[tokio::test]
async fn what_came_after_the_verdict_lowers_the_result() {
    let world = World::new().await;
    let mut device = world.golden().await;
    world.step(&mut device, 10);
    let mut forged = device.evidence();
    forged.payload.push(' ');
    world.engine.attest(&device.peer, device.id, forged).await.unwrap_err();
    let affirming = world.record(device.id).verdict.unwrap();
    assert_eq!(affirming.status(), VerdictStatus::Affirming, "what was refused makes no verdict");
    let door = Door::of(world.engine, &world.clock);
    let claims = door.result(&device, &operator()).await;
    assert_eq!((claims.status, instance_identity(&claims)), (VerdictStatus::Contraindicated, 99));
    assert_eq!(claims.submods["tpm"].verifier_claims.vouchsafe.held_down_by, ["attestation_failed"]);
}

#[tokio::test]
async fn a_failed_verdict_tells_its_findings_and_a_device_without_an_image_is_no_better_than_a_warning() {
    let world = World::new().await;
    let mut tampered = world.golden().await;
    world.step(&mut tampered, 60);
    tampered.extend(4, "a rogue boot loader");
    tampered.attest(&world.engine).await.unwrap();
    let mut unknown = world.enrolled().await;
    unknown.extend(5, "something of its own");
    unknown.attest(&world.engine).await.unwrap();
    let door = Door::of(world.engine, &world.clock);

    let claims = door.result(&tampered, &operator()).await;
    assert_eq!(claims.status, VerdictStatus::Contraindicated);
    let findings = &claims.submods["tpm"].verifier_claims.vouchsafe.findings;
    let mismatch = &findings[0];
    assert_eq!((mismatch.code.as_str(), mismatch.pcr.map(PcrIndex::get)), ("pcr.mismatch", Some(4)));
    assert!(mismatch.expected.is_some() && mismatch.found.is_some() && !mismatch.advice.is_empty());

    let claims = door.result(&unknown, &operator()).await;
    assert_eq!(claims.status, VerdictStatus::Warning);
    assert!(claims.submods["tpm"].policies.is_empty());
    assert_eq!(claims.submods["tpm"].verifier_claims.vouchsafe.held_down_by, ["unknown_image"]);
}

#[tokio::test]
async fn the_keys_are_there_for_those_who_have_no_certificate() {
    let keys = Arc::new(ResultKeys::new(LocalKey::generate().unwrap(), &[LocalKey::generate().unwrap()]).unwrap());
    let answer = get(&result_key_routes(keys.clone()), "/v1/result-keys", None).await;
    assert_eq!((answer.status, answer.cache.as_str()), (StatusCode::OK, "max-age=60"));
    assert_eq!(KeySet::parse(answer.body.as_bytes()).unwrap(), *keys.published());
}

/// Two DER integers in a sequence.
fn ecdsa_sig_value(raw: &[u8]) -> Vec<u8> {
    let body: Vec<u8> = raw.chunks(32).flat_map(crate::world::integer).collect();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[tokio::test]
async fn openssl_verifies_a_result_by_the_published_key() {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: openssl, which knows nothing of this program, is not there");
        return;
    }
    let world = World::new().await;
    let device = world.golden().await;
    let door = Door::of(world.engine, &world.clock);
    let token = door.get(&path(&device), &operator()).await.body;
    let set: serde_json::Value = serde_json::from_str(&door.get("/v1/result-keys", &operator()).await.body).unwrap();
    let coordinate = |name: &str| BASE64URL_NOPAD.decode(set["keys"][0][name].as_str().unwrap().as_bytes()).unwrap();
    // SubjectPublicKeyInfo of a P-256 key (RFC 5480, 2): all but the point is fixed.
    let fixed = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
    let spki = [vouchsafe_model::hash::from_hex(fixed).unwrap(), coordinate("x"), coordinate("y")].concat();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = ecdsa_sig_value(&BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap());

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        dir.path().join(name)
    };
    let (key, signature) = (file("key.der", &spki), file("signature.der", &signature));
    let verified = |message: &str| {
        let mut openssl = Command::new("openssl")
            .args(["dgst", "-sha256", "-keyform", "DER", "-verify"])
            .arg(&key)
            .arg("-signature")
            .arg(&signature)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        openssl.wait().unwrap().success()
    };
    assert!(verified(signed), "openssl does not verify {token}");
    assert!(!verified(&signed[1..]), "openssl verifies anything");
}
