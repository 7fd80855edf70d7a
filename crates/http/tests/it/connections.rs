//! The bounds of connections, each at its maximum and beyond it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use vouchsafe_http::ConnectionLimits;

use crate::support::{DEVICE, Door, World, closed_after, get};

const SOON: Duration = Duration::from_millis(300);
const NOT_YET: Duration = Duration::from_secs(60);

fn hello() -> Router {
    Router::new().route("/", route(|| async { "hello" }))
}

/// Bounds that no test reaches by accident.
fn wide() -> ConnectionLimits {
    ConnectionLimits {
        handshake_timeout: NOT_YET,
        header_read_timeout: NOT_YET,
        idle_timeout: NOT_YET,
        max_connection_age: NOT_YET,
        ..ConnectionLimits::default()
    }
}

fn assert_soon(span: Duration) {
    // The bound, the grace that a client has to close the connection itself, and some for a busy machine.
    assert!(span >= SOON / 2 && span < Duration::from_secs(8), "{span:?}");
}

#[tokio::test]
async fn a_client_that_never_begins_its_handshake_is_closed() {
    let world = World::new();
    let door = Door::open(Some(world.mutual()), hello(), ConnectionLimits { handshake_timeout: SOON, ..wide() }).await;
    assert_soon(closed_after(&mut door.connect_plain().await).await);
}

#[tokio::test]
async fn a_header_that_comes_too_slowly_is_not_waited_for() {
    let world = World::new();
    let limits = ConnectionLimits { header_read_timeout: SOON, ..wide() };
    let door = Door::open(Some(world.mutual()), hello(), limits).await;
    let config = world.client_config(Some(&world.client(DEVICE)));

    let mut begun = door.connect(config.clone()).await.unwrap();
    begun.write_all(b"GET / HTTP/1.1\r\nhost: do").await.unwrap();
    assert_soon(closed_after(&mut begun).await);

    let mut silent = door.connect(config).await.unwrap();
    assert_soon(closed_after(&mut silent).await);
}

#[tokio::test]
async fn an_http_2_client_that_never_says_a_word_is_closed() {
    let world = World::new();
    let door = Door::open(Some(world.mutual()), hello(), ConnectionLimits { idle_timeout: SOON, ..wide() }).await;
    let mut config = world.client_config(Some(&world.client(DEVICE)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut silent = door.connect(config).await.unwrap();
    assert_soon(closed_after(&mut silent).await);
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_and_one_with_a_long_request_is_not() {
    let slow = Router::new().route(
        "/",
        route(|| async {
            tokio::time::sleep(SOON * 5).await;
            "slow"
        }),
    );
    let door = Door::open(None, slow, ConnectionLimits { idle_timeout: SOON, ..wide() }).await;
    let mut connection = door.connect_plain().await;
    assert_eq!(get(&mut connection, "/").await.unwrap().body, "slow");
    assert_soon(closed_after(&mut connection).await);
}

#[tokio::test]
async fn a_connection_has_an_age_at_which_it_ends_however_busy_it_is() {
    let limits = ConnectionLimits { max_connection_age: SOON, ..wide() };
    let door = Door::open(None, hello(), limits).await;
    let mut connection = door.connect_plain().await;
    let began = std::time::Instant::now();
    while get(&mut connection, "/").await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never ends");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_soon(began.elapsed());
}

#[tokio::test]
async fn one_connection_more_than_the_maximum_is_closed_and_finds_room_when_another_leaves() {
    let door = Door::open(None, hello(), ConnectionLimits { max_connections: 2, ..wide() }).await;
    let mut first = door.connect_plain().await;
    let mut second = door.connect_plain().await;
    assert_eq!(get(&mut first, "/").await.unwrap().status, 200);
    assert_eq!(get(&mut second, "/").await.unwrap().status, 200);

    let mut third = door.connect_plain().await;
    assert!(get(&mut third, "/").await.is_err());
    assert_eq!(get(&mut first, "/").await.unwrap().status, 200, "the others do not suffer");

    drop(second);
    let mut attempts = 0;
    while get(&mut door.connect_plain().await, "/").await.is_err() {
        attempts += 1;
        assert!(attempts < 100, "the slot is never free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_header_beyond_the_maximum_is_refused() {
    let limits = ConnectionLimits { max_header_len: 16 * 1024, ..wide() };
    let world = World::new();
    let door = Door::open(Some(world.mutual()), hello(), limits.clone()).await;
    let config = world.client_config(Some(&world.client(DEVICE)));
    for (padding, status) in [(15 * 1024, 200), (17 * 1024, 431)] {
        let path = format!("/?{}", "x".repeat(padding));
        assert_eq!(door.get(config.clone(), &path).await.unwrap().status, status, "HTTP/1, {padding}");

        let (client, url) = door.http2(config.clone());
        let sent = client.get(format!("{url}/")).header("x-padding", "x".repeat(padding)).send().await.unwrap();
        assert_eq!(sent.status().as_u16(), status, "HTTP/2, {padding}");
    }
}

#[tokio::test]
async fn an_http_2_connection_has_no_more_requests_in_flight_than_the_maximum() {
    let world = World::new();
    let [now, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let router = Router::new().route("/", {
        let most = most.clone();
        route(move || async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        })
    });
    let limits = ConnectionLimits { max_http2_streams: 3, ..wide() };
    let door = Door::open(Some(world.mutual()), router, limits).await;
    let (client, url) = door.http2(world.client_config(Some(&world.client(DEVICE))));
    // The first request brings the server's settings.
    client.get(&url).send().await.unwrap();
    let answers = join_all((0..12).map(|_| client.get(&url).send())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200)));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

/// Set in the process that has few files.
const FEW_FILES: &str = "VOUCHSAFE_TEST_WITH_FEW_FILES";

#[tokio::test]
async fn a_lack_of_files_is_survived() {
    if std::env::var_os(FEW_FILES).is_none() {
        // The limit holds for a whole process, so the test runs once more in one of its own.
        let limited = "ulimit -n 64 && exec \"$0\" --exact connections::a_lack_of_files_is_survived";
        let this = std::env::current_exe().unwrap();
        let ran =
            std::process::Command::new("sh").args(["-c", limited]).arg(this).env(FEW_FILES, "1").output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        return;
    }
    let door = Door::open(None, hello(), wide()).await;
    let mut clients = Vec::new();
    while let Ok(client) = tokio::net::TcpStream::connect(door.address).await {
        clients.push(client);
        assert!(clients.len() < 64, "the limit does not hold");
        tokio::task::yield_now().await;
    }
    // Each connection needs a file at both ends, so the last ones wait to be accepted, and cannot be.
    tokio::time::sleep(SOON).await;
    drop(clients);
    let answer = async {
        loop {
            match tokio::net::TcpStream::connect(door.address).await {
                Ok(mut client) => match get(&mut client, "/").await {
                    Ok(answer) => return answer,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                },
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().status, 200);
    door.close().await.unwrap();
}
