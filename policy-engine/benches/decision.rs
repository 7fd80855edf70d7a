//! One decision in process: join the record, score it at the instant, evaluate the default policy, read the ruling.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on should stop")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vouchsafe_model::trust::{FactorName, FactorParams, FactorState, TrustCurve};
use vouchsafe_model::{
    AttestationId, Coverage, DeviceId, DeviceState, EndorsementGrade, Finding, FindingCode, HostFacts, Outcome,
    Sha256Digest, Timestamp, Verdict,
};
use vouchsafe_policies::default_bundle;
use vouchsafe_policy_engine::evaluate::Document;
use vouchsafe_policy_engine::input::{InputUse, assemble};
use vouchsafe_policy_engine::{EngineSettings, PolicyEngine, Question, RecordTable};
use vouchsafe_wire::v1::agent::{Application, Network, Request, User};
use vouchsafe_wire::v1::decide::AskDecision;
use vouchsafe_wire::v1::record::DeviceRecord;

/// What the verdicts here looked at.
const COVERAGE: Coverage = Coverage { endorsement: EndorsementGrade::Vendor, boot: true, runtime: false };

const NOW: Timestamp = Timestamp::from_unix_secs(1_769_860_800);

fn device(number: u32) -> DeviceId {
    let mut digest = [0; 32];
    digest.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    DeviceId::from_ek_digest(&Sha256Digest::new(digest))
}

/// A device of the full model: six factors with evidence.
fn record(number: u32) -> DeviceRecord {
    let params = FactorParams::new(0.3, 2.0, 600.0, 6000.0, 20.0, 1.0 / 6.0).unwrap();
    let quoted_at = NOW.minus(Duration::from_secs(60));
    let state = FactorState::unknown(quoted_at).absorb(&params, 19.0, 0.0, quoted_at);
    let factors = FactorName::DEVICE.map(|name| (name, params, state)).to_vec();
    let findings = vec![Finding::new(FindingCode::TpmReset)];
    DeviceRecord {
        id: device(number),
        state: DeviceState::Active,
        endorsement: EndorsementGrade::Vendor,
        enrolled_at: NOW.minus(Duration::from_secs(30 * 86_400)),
        image: Some("web-server@2026.1".parse().unwrap()),
        certificate_digest: Sha256Digest::new([7; 32]),
        certificate_expires_at: NOW.plus(Duration::from_secs(3_600)),
        verdict: Some(Verdict::new(
            AttestationId::new(quoted_at, &[1; 10]),
            quoted_at,
            quoted_at,
            None,
            COVERAGE,
            findings,
        )),
        curve: TrustCurve::new(Sha256Digest::new([9; 32]), factors, Vec::new()),
        facts: HostFacts {
            hostname: format!("web-{number}"),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0-42-amd64".to_owned(),
            architecture: "x86_64".to_owned(),
            tpm_manufacturer: "IBM".to_owned(),
            agent_version: "0.1.0".to_owned(),
        },
    }
}

fn question(number: u32, encrypted: bool) -> Question {
    let ask = AskDecision {
        device: Some(device(number)),
        user: Some(User {
            id: "alice".to_owned(),
            roles: vec!["ops".to_owned()],
            authenticated_at: Some(NOW),
            factors: vec!["know".to_owned(), "have".to_owned()],
        }),
        application: Some(Application { id: "psql".to_owned(), version: Some("16.3".to_owned()) }),
        network: Some(Network { source_ip: Some([192, 0, 2, 1].into()), authenticated: true, encrypted }),
        request: Request::new("read", "db:orders"),
    };
    Question::check(ask).unwrap()
}

fn engine(devices: u32) -> PolicyEngine {
    let records = RecordTable::new();
    records.load((0..devices).map(record));
    PolicyEngine::new(&default_bundle().unwrap(), Arc::new(records), EngineSettings::default()).unwrap()
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for devices in [1_000, 100_000] {
        let engine = engine(devices);
        for (name, encrypted, outcome) in [("allow", true, Outcome::Allow), ("deny", false, Outcome::Deny)] {
            let questions: Vec<_> = (0..997).map(|number| question(number * 7 % devices, encrypted)).collect();
            let mut next = questions.iter().cycle();
            assert_eq!(engine.decide(&question(0, encrypted), NOW, &[0; 10]).outcome(), outcome);
            group.bench_function(BenchmarkId::new(name, devices), |bencher| {
                bencher.iter(|| engine.decide(black_box(next.next().unwrap()), NOW, &[0; 10]));
            });
        }
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let (record, question) = (record(1), question(1, true));
    let mut group = criterion.benchmark_group("part");
    let all = InputUse::ALL;
    let default = InputUse { factors: false, claims: false, user: false };
    for (name, uses) in [("all", all), ("default", default)] {
        let input = assemble(&question, Some(&record), NOW, uses).input;
        group.bench_function(BenchmarkId::new("assemble", name), |bencher| {
            bencher.iter(|| assemble(&question, Some(black_box(&record)), NOW, uses));
        });
        group.bench_function(BenchmarkId::new("document", name), |bencher| {
            bencher.iter(|| Document::of(black_box(&input)));
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, parts);
criterion_main!(benches);
