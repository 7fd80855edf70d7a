//! What an answer costs that waits for the store: one JSON line for each figure.
//!
//! `cargo bench -p vouchsafe-store`. The file lies in the folder for temporary files, so the figures are of that disk.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on should stop"
)]

#[path = "../tests/it/fixtures.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod fixtures;

use std::time::{Duration, Instant};

use fixtures::{accepted, device_id, enrol, first_device, standing};
use tokio::task::JoinSet;
use vouchsafe_store::{Attestations, Devices, SqliteOptions, SqliteStore, TrustUpdate};

const ATTESTATIONS: u32 = 1000;
const READS: u32 = 2000;
const DEVICES: u32 = 64;
const ROUNDS: u32 = 40;

/// The size of a trust state as it comes in practice.
const STATE_BYTES: usize = 1200;

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    println!(
        r#"{{"bench":"{name}","min_us":{:.1},"median_us":{:.1},"p99_us":{:.1},"runs":{}}}"#,
        at(0),
        at(50),
        at(99),
        times.len()
    );
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db"), SqliteOptions::default()).await.unwrap();
    first_device(&store).await;

    let mut times = Vec::new();
    let mut present = standing(&store, 1).await;
    for number in 1..=ATTESTATIONS {
        let evidence = accepted(&present, number);
        let trust = TrustUpdate { state: "x".repeat(STATE_BYTES), ..evidence.trust };
        let evidence = vouchsafe_store::AcceptedAttestation { trust, ..evidence };
        let start = Instant::now();
        store.accept_attestation(&evidence).await.unwrap();
        times.push(start.elapsed());
        present = standing(&store, 1).await;
    }
    report("accept_attestation", times);

    report("accept_attestation_of_64_devices_at_once", accept_at_once(&store).await);

    let mut times = Vec::new();
    for _ in 0..READS {
        let start = Instant::now();
        store.standing(device_id(1)).await.unwrap();
        times.push(start.elapsed());
    }
    report("standing", times);

    store.close().await;
}

/// All devices attest at the same time, again and again; each time is that of a round, shared out among the devices.
async fn accept_at_once(store: &SqliteStore) -> Vec<Duration> {
    for device in 2..=DEVICES {
        enrol(store, device).await;
    }
    let mut times = Vec::new();
    for round in 1..=ROUNDS {
        let mut evidence = Vec::new();
        for device in 1..=DEVICES {
            evidence.push(accepted(&standing(store, device).await, 10_000 + round * DEVICES + device));
        }
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for evidence in evidence {
            let store = store.clone();
            tasks.spawn(async move { store.accept_attestation(&evidence).await.unwrap() });
        }
        tasks.join_all().await;
        times.push(start.elapsed() / DEVICES);
    }
    times
}
