//! Alive, and ready.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use vouchsafe_http::health::CHECK_TIMEOUT;
use vouchsafe_http::{Health, api};

use crate::support::{ask, settings, shown};

async fn get(routes: Router, path: &str) -> String {
    let request = Request::get(path).header("x-request-id", "test").body(Body::empty()).unwrap();
    shown(ask(api(routes, &settings()), request).await).await
}

#[tokio::test]
async fn is_ready_without_checks() {
    assert!(get(Health::new().routes(), "/health/ready").await.starts_with("200"));
}

#[tokio::test]
async fn names_the_checks_that_fail_and_recovers() {
    let feed = Arc::new(AtomicBool::new(false));
    let health = Health::new()
        .with_check("store", || async { Err(io::Error::other("the disk of db-7 is full")) })
        .with_check("clock", || async { Ok::<(), io::Error>(()) })
        .with_flag("feed", feed.clone());
    insta::assert_snapshot!(get(health.clone().routes(), "/health/ready").await, @r#"
    503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store
    x-request-id: test
    {
      "type": "urn:vouchsafe:problem:engine.not_ready",
      "title": "Not available for the moment",
      "status": 503,
      "detail": "Failing: store, feed.",
      "instance": "test",
      "code": "engine.not_ready"
    }
    "#);
    assert!(get(health.clone().routes(), "/health/live").await.starts_with("200"), "it lives all the same");
    feed.store(true, Ordering::SeqCst);
    assert_eq!(health.failing().await, ["store"]);
}

#[tokio::test]
async fn a_check_that_hangs_has_failed_and_holds_up_no_other() {
    let hang = || async { std::future::pending::<Result<(), io::Error>>().await };
    let health = Health::new().with_check("one", hang).with_check("two", hang);
    let began = Instant::now();
    assert_eq!(health.failing().await, ["one", "two"]);
    assert!(began.elapsed() < CHECK_TIMEOUT + Duration::from_secs(1));
}
