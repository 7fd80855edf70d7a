//! Closing a door: what is in flight finishes, within bounds, and nothing new begins.

use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use tokio::net::TcpStream;
use vouchsafe_http::{ConnectionLimits, ServeError};

use crate::support::{DEVICE, Door, World, get};

const WORK: Duration = Duration::from_millis(400);

fn slow() -> Router {
    Router::new().route("/quick", route(|| async { "quick" })).route(
        "/slow",
        route(|| async {
            tokio::time::sleep(WORK).await;
            "done"
        }),
    )
}

fn draining_for(drain_timeout: Duration) -> ConnectionLimits {
    ConnectionLimits { drain_timeout, ..ConnectionLimits::default() }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_over_http_1_and_http_2() {
    let world = World::new();
    let door = Door::open(Some(world.mutual()), slow(), ConnectionLimits::default()).await;
    let config = world.client_config(Some(&world.client(DEVICE)));
    let address = door.address;
    let (http2, url) = door.http2(config.clone());
    http2.get(format!("{url}/quick")).send().await.unwrap();
    let mut http1 = door.connect(config).await.unwrap();

    let first = tokio::spawn(async move { get(&mut http1, "/slow").await });
    let second = tokio::spawn(async move { http2.get(format!("{url}/slow")).send().await?.text().await });
    tokio::time::sleep(WORK / 4).await;
    let began = std::time::Instant::now();
    door.close().await.unwrap();
    assert!(began.elapsed() >= WORK / 4, "it waited for them");

    let first = first.await.unwrap().unwrap();
    assert_eq!(first.body, "done");
    assert!(first.head.contains("connection: close"), "{}", first.head);
    assert_eq!(second.await.unwrap().unwrap(), "done");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_request_that_takes_longer_than_it_may_is_cut_off_and_counted() {
    let door = Door::open(None, slow(), draining_for(WORK / 4)).await;
    let mut connection = door.connect_plain().await;
    let asked = tokio::spawn(async move { get(&mut connection, "/slow").await });
    tokio::time::sleep(WORK / 4).await;
    let closed = door.close().await;
    assert_eq!(closed, Err(ServeError::CutOff { connections: 1, drain_timeout: WORK / 4 }));
    assert!(asked.await.unwrap().is_err());
}

#[tokio::test]
async fn connections_without_requests_do_not_hold_up_the_end() {
    let world = World::new();
    let door = Door::open(Some(world.mutual()), slow(), draining_for(Duration::from_secs(60))).await;
    let config = world.client_config(Some(&world.client(DEVICE)));
    let _before_handshake = door.connect_plain().await;
    let _never_asked = door.connect(config.clone()).await.unwrap();
    let mut asked_once = door.connect(config.clone()).await.unwrap();
    get(&mut asked_once, "/quick").await.unwrap();
    let mut http2 = config;
    http2.alpn_protocols = vec![b"h2".to_vec()];
    let _silent_http2 = door.connect(http2).await.unwrap();

    let began = std::time::Instant::now();
    door.close().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}
