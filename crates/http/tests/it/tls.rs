//! Who gets through the handshake, and who a request then comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use rustls::{ClientConfig, HandshakeKind};
use vouchsafe_http::{
    Clock, ConnectionLimits, DecisionPeer, DevicePeer, OperatorPeer, Peer, RemoteAddress, ServerIdentity, ServerTls,
};
use vouchsafe_pki::{LeafUsage, LocalKey};

use crate::support::{DEVICE, Door, ENFORCEMENT, HOUR, OPERATOR, SERVER, World, get};

fn who() -> Router {
    Router::new()
        .route("/who", route(|peer: Peer| async move { format!("{} {}", peer.identity, peer.certificate_digest) }))
        .route("/from", route(|RemoteAddress(address): RemoteAddress| async move { address.ip().to_string() }))
        .route("/device", route(|device: DevicePeer| async move { device.id.to_string() }))
        .route("/operator", route(|operator: OperatorPeer| async move { operator.name.to_string() }))
        .route("/decision", route(|asker: DecisionPeer| async move { asker.peer.identity.to_string() }))
}

async fn mutual_door(world: &World) -> Door {
    Door::open(Some(world.mutual()), who(), ConnectionLimits::default()).await
}

/// A door that counts the requests which get through.
async fn counting_door(tls: ServerTls) -> (Door, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    let router = Router::new().fallback(move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    (Door::open(Some(tls), router, ConnectionLimits::default()).await, requests)
}

async fn assert_refused(door: &Door, requests: &AtomicUsize, config: ClientConfig) -> String {
    let error = door.get(config, "/").await.expect_err("the handshake must fail");
    assert_eq!(requests.load(Ordering::SeqCst), 0);
    error.to_string()
}

#[tokio::test]
async fn a_holder_of_a_certificate_is_named_over_http_1_and_http_2() {
    let world = World::new();
    let door = mutual_door(&world).await;
    let client = world.client(DEVICE);
    let expected = format!("{DEVICE} {}", client.issued.digest);

    let config = world.client_config(Some(&client));
    assert_eq!(door.get(config.clone(), "/who").await.unwrap().body, expected);
    assert_eq!(door.get(config.clone(), "/from").await.unwrap().body, "127.0.0.1");

    let (client, url) = door.http2(config);
    let answer = client.get(format!("{url}/who")).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), expected);
    door.close().await.unwrap();
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_in_the_handshake() {
    let world = World::new();
    let (door, requests) = counting_door(world.mutual()).await;
    let error = assert_refused(&door, &requests, world.client_config(None)).await;
    assert!(error.contains("CertificateRequired"), "{error}");
    assert!(door.get(world.client_config(Some(&world.client(DEVICE))), "/").await.is_ok());
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_in_the_handshake() {
    let world = World::new();
    let (door, requests) = counting_door(world.mutual()).await;
    let stranger = World::new().client(DEVICE);
    assert_refused(&door, &requests, world.client_config(Some(&stranger))).await;
}

#[tokio::test]
async fn a_certificate_of_another_trust_domain_is_refused_even_under_a_root_that_is_trusted() {
    let world = World::new();
    let other = World::of("example.net");
    let (door, requests) = counting_door(world.mutual_with_roots(&[&world.authority, &other.authority])).await;
    let stranger = other.client("spiffe://example.net/operator/ops");
    assert_refused(&door, &requests, world.client_config(Some(&stranger))).await;
    assert!(door.get(world.client_config(Some(&world.client(OPERATOR))), "/").await.is_ok());
}

#[tokio::test]
async fn the_certificate_of_a_server_is_none_for_a_client() {
    let world = World::new();
    let (door, requests) = counting_door(world.mutual()).await;
    let server = world.certify(SERVER, LeafUsage::Server);
    assert_refused(&door, &requests, world.client_config(Some(&server))).await;
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_not_yet_valid_is_refused_in_the_handshake() {
    let world = World::new();
    let (door, requests) = counting_door(world.mutual()).await;
    let config = world.client_config(Some(&world.client(DEVICE)));
    let began = world.clock.now();
    world.clock.set(began.plus(HOUR + Duration::from_secs(1)));
    let error = assert_refused(&door, &requests, config.clone()).await;
    assert!(error.contains("CertificateExpired"), "{error}");
    world.clock.set(began.minus(HOUR));
    assert_refused(&door, &requests, config.clone()).await;
    world.clock.set(began.plus(HOUR));
    assert!(door.get(config, "/").await.is_ok(), "the last second belongs to it");
}

#[tokio::test]
async fn a_certificate_that_expires_on_an_open_connection_is_refused_with_each_request() {
    let world = World::new();
    let door = mutual_door(&world).await;
    let client = world.client(DEVICE);
    let mut connection = door.connect(world.client_config(Some(&client))).await.unwrap();
    assert_eq!(get(&mut connection, "/device").await.unwrap().status, 200);
    world.clock.set(client.issued.not_after);
    assert_eq!(get(&mut connection, "/device").await.unwrap().status, 200);

    world.clock.advance(Duration::from_secs(1));
    for path in ["/device", "/from", "/absent"] {
        let answer = get(&mut connection, path).await.unwrap();
        assert_eq!(answer.status, 401);
        assert!(answer.head.contains("content-type: application/problem+json\r\n"), "{}", answer.head);
        assert!(answer.body.contains("\"code\":\"peer.certificate_expired\""), "{}", answer.body);
    }
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let world = World::new();
    for tls in [world.mutual(), ServerTls::server_only(world.identity()).unwrap()] {
        let (door, requests) = counting_door(tls).await;
        let old = world.client_config_of(Some(&world.client(DEVICE)), &rustls::version::TLS12);
        let error = assert_refused(&door, &requests, old).await;
        assert!(error.contains("ProtocolVersion"), "{error}");
    }
}

#[tokio::test]
async fn no_session_is_resumed() {
    let world = World::new();
    for tls in [world.mutual(), ServerTls::server_only(world.identity()).unwrap()] {
        let door = Door::open(Some(tls), who(), ConnectionLimits::default()).await;
        // One configuration, and so one store of sessions, for all connections.
        let config = world.client_config(Some(&world.client(DEVICE)));
        for _ in 0..3 {
            let mut connection = door.connect(config.clone()).await.unwrap();
            get(&mut connection, "/from").await.unwrap();
            let (_, session) = connection.get_ref();
            assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
            assert_eq!(session.tls13_tickets_received(), 0);
        }
    }
}

#[tokio::test]
async fn another_identity_is_shown_to_new_connections_while_old_ones_go_on() {
    let world = World::new();
    let tls = world.mutual();
    let door = Door::open(Some(tls.clone()), who(), ConnectionLimits::default()).await;
    let config = world.client_config(Some(&world.client(DEVICE)));
    let shown =
        |stream: &tokio_rustls::client::TlsStream<_>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();

    let mut old = door.connect(config.clone()).await.unwrap();
    assert_eq!(get(&mut old, "/from").await.unwrap().status, 200);
    let renewed = world.certify(SERVER, LeafUsage::Server);
    let leaf = renewed.issued.chain_der[0].clone();
    tls.replace_identity(ServerIdentity::new(renewed.issued.chain_der, &renewed.key).unwrap());

    let new = door.connect(config).await.unwrap();
    assert_eq!(shown(&new), leaf);
    assert_ne!(shown(&old), leaf);
    assert_eq!(get(&mut old, "/from").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_identity_whose_key_is_another_ones_is_no_identity() {
    let world = World::new();
    let chain = world.certify(SERVER, LeafUsage::Server).issued.chain_der;
    assert!(ServerIdentity::new(chain, &LocalKey::generate().unwrap()).is_err());
    assert!(ServerIdentity::new(Vec::new(), &LocalKey::generate().unwrap()).is_err());
}

#[tokio::test]
async fn a_mutual_door_without_roots_is_not_made() {
    let world = World::new();
    let domain = world.authority.trust_domain().clone();
    assert!(ServerTls::mutual(world.identity(), domain, &[], world.clock.clone()).is_err());
}

#[tokio::test]
async fn the_door_of_enrolment_asks_for_no_certificate_and_names_nobody() {
    let world = World::new();
    let tls = ServerTls::server_only(world.identity()).unwrap();
    let door = Door::open(Some(tls), who(), ConnectionLimits::default()).await;
    // Even a good certificate counts for nothing there.
    let mut refused = Vec::new();
    for config in [world.client_config(None), world.client_config(Some(&world.client(OPERATOR)))] {
        assert_eq!(door.get(config.clone(), "/from").await.unwrap().status, 200);
        refused.push(door.get(config, "/operator").await.unwrap());
    }
    assert!(refused.iter().all(|answer| answer.status == 401 && answer.body == refused[0].body));
    insta::assert_snapshot!(
        refused[0].body,
        @r#"{"type":"urn:vouchsafe:problem:peer.certificate_missing","title":"A client certificate is needed","status":401,"detail":"This needs the certificate of an operator.","code":"peer.certificate_missing"}"#
    );
}

#[tokio::test]
async fn each_role_opens_its_own_routes_and_no_others() {
    let world = World::new();
    let door = mutual_door(&world).await;
    for (identity, opens) in [
        (DEVICE, vec!["/device"]),
        (OPERATOR, vec!["/operator", "/decision"]),
        (ENFORCEMENT, vec!["/decision"]),
        (SERVER, vec![]),
    ] {
        let mut connection = door.connect(world.client_config(Some(&world.client(identity)))).await.unwrap();
        for path in ["/device", "/operator", "/decision"] {
            let answer = get(&mut connection, path).await.unwrap();
            assert_eq!(answer.status, if opens.contains(&path) { 200 } else { 403 }, "{identity} at {path}");
        }
    }
    let device = world.client_config(Some(&world.client(DEVICE)));
    insta::assert_snapshot!(
        door.get(device, "/decision").await.unwrap().body,
        @r#"{"type":"urn:vouchsafe:problem:peer.forbidden","title":"Not with this certificate","status":403,"detail":"This needs the certificate of an enforcement point or an operator; yours names spiffe://example.org/device/uws2ljnfuws2ljnfuws2ljnfuws2ljnf.","code":"peer.forbidden"}"#
    );
}
