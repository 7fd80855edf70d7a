//! From a change of a device's record to the event that tells a watch of it, in one process and with nothing between them but
//! the door. One JSON line per figure.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program whose output is its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request as HttpRequest;
use http_body_util::BodyExt;
use tower::ServiceExt;
use vouchsafe_http::{OsEntropy, Peer, SystemClock};
use vouchsafe_model::trust::{FactorName, FactorParams, FactorState, TrustCurve};
use vouchsafe_model::{DeviceId, DeviceState, EndorsementGrade, HostFacts, Sha256Digest, Timestamp};
use vouchsafe_policies::Bundle;
use vouchsafe_policy_engine::doors::{Doors, PageKey, routes};
use vouchsafe_policy_engine::log::{DecisionLog, LogEntry, LogError};
use vouchsafe_policy_engine::{Decider, EngineSettings, PolicyEngine, RecordTable};
use vouchsafe_wire::v1::record::{DeviceRecord, RecordChange};

const CHANGES: usize = 2_000;
/// Devices that others watch meanwhile, each once.
const OTHERS: u32 = 500;

struct NoLog;

#[async_trait]
impl DecisionLog for NoLog {
    async fn append(&self, _: LogEntry) -> Result<(), LogError> {
        Ok(())
    }
}

fn device(number: u32) -> DeviceId {
    let mut digest = [0; 32];
    digest.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    DeviceId::from_ek_digest(&Sha256Digest::new(digest))
}

fn record(number: u32, state: DeviceState) -> DeviceRecord {
    let now = Timestamp::from_unix_secs(1_769_860_800);
    let params = FactorParams::new(0.3, 2.0, 600.0, 6000.0, 20.0, 1.0 / 6.0).unwrap();
    let factors = FactorName::DEVICE.map(|name| (name, params, FactorState::unknown(now))).to_vec();
    DeviceRecord {
        id: device(number),
        state,
        endorsement: EndorsementGrade::Vendor,
        enrolled_at: now,
        image: None,
        certificate_digest: Sha256Digest::new([7; 32]),
        certificate_expires_at: now,
        verdict: None,
        curve: TrustCurve::new(Sha256Digest::new([9; 32]), factors, Vec::new()),
        facts: HostFacts::default(),
    }
}

fn doors() -> Doors {
    let policy = "package vouchsafe\n\ndecision := {\"allow\": allow, \"reasons\": []}\n\ndefault allow := false\n\n\
        allow if input.device.state == \"active\"\n";
    let bundle = Bundle::from_files([("policy.rego".to_owned(), policy.as_bytes().to_vec())]).unwrap();
    let records = RecordTable::new();
    records.load((0..=OTHERS).map(|number| record(number, DeviceState::Active)));
    let engine = PolicyEngine::new(&bundle, Arc::new(records), EngineSettings::default()).unwrap();
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    Doors::new(Decider { engine: Arc::new(engine), log: Arc::new(NoLog), clock, entropy }, PageKey::new(&[7; 32]))
}

async fn watch(doors: &Doors, number: u32) -> Body {
    let peer = Peer {
        identity: "spiffe://example.org/enforcement/edge".parse().unwrap(),
        certificate_digest: Sha256Digest::new([0; 32]),
        spki_der: Vec::new(),
        not_after: Timestamp::from_unix_secs(i64::from(u32::MAX)),
    };
    let uri = format!("/v1/watch?device={}&action=connect&resource=wss://chat.example.org/", device(number));
    let request = HttpRequest::get(uri).extension(peer).body(Body::empty()).unwrap();
    routes(doors).oneshot(request).await.unwrap().into_body()
}

/// Waits for the next event of this name.
async fn event(body: &mut Body, name: &str) {
    let wanted = format!("event: {name}\n");
    loop {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        if std::str::from_utf8(&frame).unwrap().contains(&wanted) {
            return;
        }
    }
}

#[tokio::main]
async fn main() {
    let doors = doors();
    for number in 1..=OTHERS {
        let mut other = watch(&doors, number).await;
        tokio::spawn(async move { while other.frame().await.is_some() {} });
    }
    let mut body = watch(&doors, 0).await;
    event(&mut body, "allow").await;
    let mut taken = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let (state, name) =
            if change % 2 == 0 { (DeviceState::Revoked, "deny") } else { (DeviceState::Active, "allow") };
        let began = Instant::now();
        doors.decider.engine.records().apply(RecordChange::Put(Box::new(record(0, state))));
        event(&mut body, name).await;
        taken.push(began.elapsed());
    }
    taken.sort();
    let millis =
        |share: usize| taken.get(CHANGES * share / 100).map_or(f64::NAN, |span: &Duration| span.as_secs_f64() * 1e3);
    println!(r#"{{"figure":"watch.change_to_event.p50.ms","value":{:.4}}}"#, millis(50));
    println!(r#"{{"figure":"watch.change_to_event.p99.ms","value":{:.4},"target":"<= 10"}}"#, millis(99));
}
